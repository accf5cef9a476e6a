//! Laws of repair, on every small topology.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use safelight_proto::id::{NodeId, RollId, VolumeId};
use safelight_proto::vocabulary::{Media, Role, Rule, Site};

use super::*;
use crate::place::{LossRates, Planner, RollView, Topology, VolumeView, evaluate_roll, shard_room};

const GB: u64 = 1_000_000_000;
const LENGTH: u64 = 4 * GB;

fn id(n: usize) -> VolumeId {
    VolumeId([n as u8 + 1; 16])
}

fn volume(n: usize, site: usize, media: usize, free: u64) -> VolumeView {
    VolumeView {
        id: id(n),
        name: format!("v{n}"),
        node: NodeId([n as u8 + 1; 32]),
        role: Role::Studio,
        site: Site::new(["studio", "friend", "cloud", "office"][site]).expect("a name"),
        media: Media::ALL[media],
        free: free * GB,
        used: 0,
        domain: None,
        host: None,
        trust_declared: true,
    }
}

fn repaired(topology: &Topology, rule: &Rule, patient: &Patient) -> Repair {
    let mut planner = Planner::new(topology, *rule, &LossRates::default(), None);
    plan(topology, &mut planner, rule, &LossRates::default(), patient)
}

/// The patient once `repair` is carried out.
fn after(patient: &Patient, repair: &Repair) -> Patient {
    let mut after = patient.clone();
    let on = |volumes: &[VolumeId]| -> Vec<BTreeSet<VolumeId>> {
        volumes.iter().map(|v| if *v == NOWHERE { BTreeSet::new() } else { [*v].into() }).collect()
    };
    match repair {
        Repair::Stays => {}
        Repair::Complete { coding, volumes } => {
            let stock = &mut after.codings[*coding];
            for (at, on) in on(volumes).into_iter().enumerate() {
                match stock.held.get_mut(at) {
                    Some(held) => held.extend(on),
                    None => stock.held.push(on),
                }
            }
            stock.wanted = volumes.clone();
            after.laid_out = Some(*coding);
        }
        Repair::Recode(plan) => {
            let (held, wanted) = (on(&plan.assignment), plan.assignment.clone());
            after.codings.push(Stock { k: plan.k, held, wanted, may_grow: true });
            after.laid_out = Some(after.codings.len() - 1);
        }
    }
    after
}

/// Bytes that `repair` writes to each volume.
fn room_taken(patient: &Patient, repair: &Repair) -> BTreeMap<VolumeId, u64> {
    let mut taken = BTreeMap::new();
    match repair {
        Repair::Stays => {}
        Repair::Complete { coding, volumes } => {
            let stock = &patient.codings[*coding];
            for (at, volume) in volumes.iter().enumerate() {
                if !stock.held.get(at).is_some_and(|held| held.contains(volume)) {
                    *taken.entry(*volume).or_default() += shard_room(LENGTH, stock.k);
                }
            }
        }
        Repair::Recode(plan) => {
            for volume in &plan.assignment {
                *taken.entry(*volume).or_default() += plan.shard_bytes;
            }
        }
    }
    taken
}

fn meets(topology: &Topology, rule: &Rule, patient: &Patient) -> bool {
    let codings = patient.codings.iter().map(|stock| {
        let held = (0u16..).zip(&stock.held);
        plan::view(stock.k, held.flat_map(|(index, on)| on.iter().map(move |volume| (index, *volume))))
    });
    let view = RollView { roll: patient.roll, sealed_len: LENGTH, files: 1, codings: codings.collect() };
    evaluate_roll(topology, rule, &view).met()
}

fn any_topology() -> impl Strategy<Value = Vec<VolumeView>> {
    let one = (0..4usize, 0..3usize, prop::sample::select(vec![0u64, 1, 3, 5, 50]));
    prop::collection::vec(one, 1..=5).prop_map(|volumes| {
        let made = volumes.into_iter().enumerate();
        made.map(|(n, (site, media, free))| volume(n, site, media, free)).collect()
    })
}

fn any_patient() -> impl Strategy<Value = Patient> {
    let held = prop::collection::vec(prop::option::weighted(0.7, 0..5usize), 2..6);
    (1..=3u8, held, any::<bool>(), any::<bool>()).prop_map(|(k, held, may_grow, may_recode)| {
        let wanted = held.iter().map(|at| at.map_or(NOWHERE, id)).collect();
        let held = held.iter().map(|at| at.iter().map(|at| id(*at)).collect()).collect();
        let stock = Stock { k, held, wanted, may_grow };
        Patient {
            roll: RollId([1; 32]),
            sealed_len: LENGTH,
            codings: vec![stock],
            laid_out: Some(0),
            may_recode,
        }
    })
}

/// The patient without what lies on volumes that there are not.
fn known(topology: &Topology, mut patient: Patient) -> Patient {
    for held in &mut patient.codings[0].held {
        held.retain(|volume| topology.volume(*volume).is_some());
    }
    patient
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_can_be_met_is_met(volumes in any_topology(), patient in any_patient()) {
        let (topology, rule) = (Topology::new(volumes), Rule::default());
        let patient = known(&topology, patient);
        let repair = repaired(&topology, &rule, &patient);
        let after = after(&patient, &repair);
        let anew = Planner::new(&topology, rule, &LossRates::default(), None).strictly().plan(LENGTH).is_ok();
        if patient.may_recode && anew {
            prop_assert!(meets(&topology, &rule, &after), "{repair:?}");
        }
        // There is an end to it, mostly at once: one search adds only so many shards.
        let (mut ground, mut patient, mut repair) = (topology, patient, repair);
        for _ in 0..4 {
            ground = ground.less_room(&room_taken(&patient, &repair));
            patient = self::after(&patient, &repair);
            repair = repaired(&ground, &rule, &patient);
        }
        prop_assert_eq!(repair, Repair::Stays);
    }

    #[test]
    fn no_step_back_and_no_more_than_fits(volumes in any_topology(), patient in any_patient()) {
        let (topology, rule) = (Topology::new(volumes), Rule::default());
        let patient = known(&topology, patient);
        let repair = repaired(&topology, &rule, &patient);
        let after = after(&patient, &repair);
        prop_assert!(meets(&topology, &rule, &after) >= meets(&topology, &rule, &patient));
        if let Repair::Complete { coding, volumes } = &repair {
            let stock = &patient.codings[*coding];
            prop_assert!(stock.may_grow || volumes.len() <= stock.held.len());
            for (at, volume) in volumes.iter().enumerate() {
                let held = stock.held.get(at).filter(|held| !held.is_empty());
                prop_assert!(held.is_none_or(|held| held.contains(volume)), "what is held stays where it is");
            }
            let taken = room_taken(&patient, &repair);
            for view in topology.volumes() {
                prop_assert!(taken.get(&view.id).copied().unwrap_or(0) <= view.free);
            }
        }
    }
}

/// Not a timed test: it prints what ten thousand plans take.
#[test]
fn ten_thousand_rolls_over_thirty_volumes() {
    let volumes: Vec<VolumeView> = (0..30).map(|n| volume(n, n % 4, n % 3, 5_000_000)).collect();
    let topology = Topology::new(volumes.iter().filter(|v| v.id != id(7)).cloned());
    let (rule, rates) = (Rule::default(), LossRates::default());
    let mut planner = Planner::new(&topology, rule, &rates, None);
    let began = std::time::Instant::now();
    let mut by_adding = 0;
    for n in 0..200usize {
        let held: Vec<VolumeId> = (0..6).map(|at| id((7 + n * 6 + at * 5) % 30)).collect();
        let held = held.iter().map(|v| if *v == id(7) { BTreeSet::new() } else { [*v].into() }).collect();
        let stock = Stock { k: 4, held, wanted: vec![], may_grow: true };
        let patient = Patient {
            roll: RollId([n as u8; 32]),
            sealed_len: LENGTH,
            codings: vec![stock],
            laid_out: None,
            may_recode: true,
        };
        let repair = plan(&topology, &mut planner, &rule, &rates, &patient);
        by_adding += usize::from(matches!(repair, Repair::Complete { .. }));
    }
    let each = began.elapsed() / 200;
    println!("one plan of its own {each:?}; {by_adding} of 200 by adding shards");
    assert!(by_adding > 0);
}
