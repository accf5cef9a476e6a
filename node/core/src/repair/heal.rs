//! Room to heal: after which further loss there would not be room to make everything whole again.
//!
//! The repairs of rolls that lie alike (the same codings on drives of the same places and media) are planned together,
//! as many at once as there is room for; then anew on what is left.

use std::collections::{BTreeMap, BTreeSet};

use safelight_proto::id::{RollId, VolumeId};
use safelight_proto::vocabulary::{Media, Role, Rule, Site};

use super::plan::{NOWHERE, Patient, Repair, Stock, plan, wish_meets};
use crate::place::{CodingView, Holding, LossRates, Planner, RollView, Topology, evaluate_roll};

/// Plans that are made for rolls that lie alike before the room is taken not to be enough.
const ROUNDS: usize = 64;

/// One thing that may be lost.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// All that is at a site.
    Site(Site),
    /// One volume, at a site where there are others.
    Volume(VolumeId),
}

/// Rolls that lie alike: how many, and their bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Mass {
    rolls: u64,
    bytes: u64,
}

/// Where the shards of a roll lie: k, and the holdings, of each of its codings.
type Lie = Vec<(u8, Vec<Holding>)>;

/// The same with places and media in the place of volumes: how many shards on each drive.
type Likeness = Vec<(u8, Vec<(String, Media, usize)>)>;

/// The single losses, of a site or a volume, after which some roll that meets its rule now could not meet it again with
/// the volumes and the room that are left.
pub fn unhealable<'a>(
    topology: &Topology,
    rates: &LossRates,
    rolls: impl IntoIterator<Item = (Rule, &'a RollView)>,
) -> Vec<Loss> {
    let mut lies: BTreeMap<(Rule, Lie), Mass> = BTreeMap::new();
    for (rule, roll) in rolls {
        let coding = |coding: &CodingView| {
            let mut held = coding.holdings.clone();
            held.sort_unstable();
            (coding.k, held)
        };
        let mass = lies.entry((rule, roll.codings.iter().map(coding).collect())).or_default();
        mass.rolls += 1;
        mass.bytes = mass.bytes.saturating_add(roll.sealed_len);
    }
    // What falls short as it is has nothing to return to.
    lies.retain(|(rule, lie), _| evaluate_roll(topology, rule, &view(lie)).met());
    losses(topology)
        .into_iter()
        .filter(|(_, lost)| !heals(topology, rates, lost, &lies))
        .map(|(l, _)| l)
        .collect()
}

/// Every loss of one site, and of one volume where that is not the same.
fn losses(topology: &Topology) -> Vec<(Loss, BTreeSet<VolumeId>)> {
    let mut at: BTreeMap<String, (Site, BTreeSet<VolumeId>)> = BTreeMap::new();
    for volume in topology.volumes() {
        let site =
            at.entry(volume.site.key().to_owned()).or_insert_with(|| (volume.site.clone(), BTreeSet::new()));
        site.1.insert(volume.id);
    }
    let several = at.values().filter(|(_, volumes)| volumes.len() > 1).flat_map(|(_, volumes)| volumes);
    let volumes = several.map(|id| (Loss::Volume(*id), BTreeSet::from([*id])));
    let sites = at.values().map(|(site, volumes)| (Loss::Site(site.clone()), volumes.clone()));
    sites.chain(volumes).collect()
}

fn heals(
    topology: &Topology,
    rates: &LossRates,
    lost: &BTreeSet<VolumeId>,
    lies: &BTreeMap<(Rule, Lie), Mass>,
) -> bool {
    let stays = topology.volumes().iter().filter(|volume| !lost.contains(&volume.id));
    let mut left = Topology::new(stays.cloned());
    let mut alike: BTreeMap<(Rule, Likeness), (Lie, Mass)> = BTreeMap::new();
    for ((rule, lie), mass) in lies {
        if lie.iter().any(|(_, held)| held.iter().any(|one| lost.contains(&one.volume))) {
            let still = |(k, held): &(u8, Vec<Holding>)| {
                (*k, held.iter().copied().filter(|one| !lost.contains(&one.volume)).collect())
            };
            let still: Lie = lie.iter().map(still).collect();
            let sum =
                &mut alike.entry((*rule, likeness(&left, &still))).or_insert((still, Mass::default())).1;
            sum.rolls += mass.rolls;
            sum.bytes = sum.bytes.saturating_add(mass.bytes);
        }
    }
    alike.into_iter().all(|((rule, _), (lie, mass))| heal(&mut left, rates, &rule, &lie, mass))
}

/// Uses the room that it takes to make `mass` of rolls that lie like `lie` meet their rule again; false when it cannot be
/// done.
fn heal(left: &mut Topology, rates: &LossRates, rule: &Rule, lie: &Lie, mass: Mass) -> bool {
    // New shards that can be believed are made by studios alone.
    let studio = left.volumes().iter().any(|volume| volume.role == Role::Studio && volume.free > 0);
    let patient = patient(lie, mass.bytes / mass.rolls.max(1), studio);
    if wish_meets(left, rule, &patient) {
        return true;
    }
    let mut rolls = mass.rolls;
    for _ in 0..ROUNDS {
        if !evaluate_roll(left, rule, &view(lie)).readable {
            return false;
        }
        let repair = plan(left, &mut Planner::new(left, *rule, rates, None), rule, rates, &patient);
        let (added, bytes) = repair.added(&patient);
        if added.is_empty() || !meets(left, rule, &patient, &repair) {
            return false;
        }
        let mut wanted: BTreeMap<VolumeId, u64> = BTreeMap::new();
        for volume in added {
            *wanted.entry(volume).or_default() += bytes;
        }
        let room = |id: &VolumeId| left.volume(*id).map_or(0, |volume| volume.free);
        let fit = wanted.iter().map(|(id, bytes)| room(id) / (*bytes).max(1)).min().unwrap_or(0).min(rolls);
        if fit == 0 {
            return false;
        }
        for (id, bytes) in wanted {
            left.use_room(id, bytes.saturating_mul(fit));
        }
        rolls -= fit;
        if rolls == 0 {
            return true;
        }
    }
    false
}

/// Whether `repair` makes the roll meet the whole rule, and not only more of it.
fn meets(topology: &Topology, rule: &Rule, patient: &Patient, repair: &Repair) -> bool {
    match repair {
        Repair::Stays => false,
        Repair::Recode(plan) => plan.meets,
        Repair::Complete { coding, volumes } => {
            let mut mended = patient.clone();
            mended.laid_out = Some(*coding);
            mended.codings[*coding].wanted = volumes.clone();
            wish_meets(topology, rule, &mended)
        }
    }
}

fn patient(lie: &Lie, sealed_len: u64, studio: bool) -> Patient {
    let stock = |(k, held): &(u8, Vec<Holding>)| {
        let shards = held.iter().map(|one| usize::from(one.index) + 1).max().unwrap_or(0);
        let mut on = vec![BTreeSet::new(); shards];
        for one in held {
            on[usize::from(one.index)].insert(one.volume);
        }
        Stock { k: *k, held: on, wanted: Vec::new(), may_grow: studio }
    };
    Patient {
        roll: RollId([0; 32]),
        sealed_len,
        codings: lie.iter().map(stock).collect(),
        laid_out: None,
        may_recode: studio,
    }
}

fn view(lie: &Lie) -> RollView {
    let coding = |(k, held): &(u8, Vec<Holding>)| {
        let holdings = held.iter().copied().filter(|one| one.volume != NOWHERE).collect();
        CodingView { k: *k, holdings, known_anywhere: 0 }
    };
    RollView { roll: RollId([0; 32]), sealed_len: 0, files: 0, codings: lie.iter().map(coding).collect() }
}

fn likeness(topology: &Topology, lie: &Lie) -> Likeness {
    let coding = |(k, held): &(u8, Vec<Holding>)| {
        let mut on: BTreeMap<VolumeId, usize> = BTreeMap::new();
        held.iter().for_each(|one| *on.entry(one.volume).or_default() += 1);
        let drive = |(id, shards): (VolumeId, usize)| {
            topology.volume(id).map(|volume| (volume.site.key().to_owned(), volume.media, shards))
        };
        let mut drives: Vec<_> = on.into_iter().filter_map(drive).collect();
        drives.sort_unstable();
        (*k, drives)
    };
    lie.iter().map(coding).collect()
}
