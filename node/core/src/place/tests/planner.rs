//! The worked cases of the design, room, budgets, full copies and speed.

use std::collections::BTreeMap;

use super::*;
use crate::place::{PlanError, Reached, evaluate_roll, shard_room, yearly_loss};

/// Plans 3-2-1, checks it with the evaluator, and gives (k, n, shards on each volume).
fn cheapest(volumes: &[(&str, &str)]) -> Option<(u8, u8, Vec<usize>)> {
    let topology = topology(volumes);
    let plan = plan(&topology, "3-2-1");
    assert_eq!(plan.assignment.len(), usize::from(plan.n));
    let standing = evaluate_roll(&topology, &rule("3-2-1"), &carried_out(1, &plan, 4 * GB));
    assert_eq!(standing.met(), plan.meets, "the evaluator does not agree on {plan:?}: {standing:?}");
    let on = |n: usize| plan.assignment.iter().filter(|volume| **volume == id(n as u8)).count();
    plan.meets.then(|| (plan.k, plan.n, (1..=volumes.len()).map(on).collect()))
}

#[test]
fn any_three_volumes_replicate() {
    for media in [["hdd", "ssd", "nas"], ["hdd", "hdd", "cloud"]] {
        for sites in [["studio", "friend", "cloud"], ["studio", "studio", "friend"]] {
            let volumes: Vec<_> = sites.into_iter().zip(media).collect();
            let (k, n, on) = cheapest(&volumes).expect("meets");
            assert_eq!((k, n, on), (1, 3, vec![1, 1, 1]), "{volumes:?}");
        }
    }
}

#[test]
fn studio_with_two_drives_friend_and_cloud_is_2_of_4() {
    let got = cheapest(&[("studio", "ssd"), ("studio", "hdd"), ("friend", "nas"), ("cloud", "cloud")]);
    assert_eq!(got, Some((2, 4, vec![1, 1, 1, 1])));
}

#[test]
fn five_drives_at_three_sites_are_3_of_5() {
    let got = cheapest(&[
        ("studio", "ssd"),
        ("studio", "hdd"),
        ("friend", "hdd"),
        ("friend", "nas"),
        ("cloud", "cloud"),
    ]);
    assert_eq!(got, Some((3, 5, vec![1; 5])));
}

#[test]
fn six_drives_at_three_sites_are_4_of_6() {
    let got = cheapest(&[
        ("studio", "ssd"),
        ("studio", "hdd"),
        ("friend", "nas"),
        ("friend", "hdd"),
        ("cloud", "cloud"),
        ("cloud", "ssd"),
    ]);
    assert_eq!(got, Some((4, 6, vec![1; 6])));
}

#[test]
fn six_drives_of_two_media_cost_twice_the_data() {
    let (k, n, _) = cheapest(&[
        ("studio", "ssd"),
        ("studio", "hdd"),
        ("friend", "ssd"),
        ("friend", "hdd"),
        ("cloud", "ssd"),
        ("cloud", "hdd"),
    ])
    .expect("meets");
    assert_eq!(n, 2 * k);
}

#[test]
fn five_of_one_medium_and_one_cloud_are_4_of_9() {
    let (k, n, on) = cheapest(&[
        ("studio", "hdd"),
        ("studio", "hdd"),
        ("friend", "hdd"),
        ("friend", "hdd"),
        ("provider", "hdd"),
        ("provider", "cloud"),
    ])
    .expect("meets");
    assert_eq!((k, n, on), (4, 9, vec![1, 1, 1, 1, 1, 4]));
}

#[test]
fn two_sites_of_two_drives_are_2_of_5() {
    let got = cheapest(&[("studio", "hdd"), ("studio", "hdd"), ("friend", "hdd"), ("friend", "nas")]);
    assert_eq!(got, Some((2, 5, vec![1, 1, 1, 2])));
}

#[test]
fn one_site_two_volumes_or_one_medium_meet_nothing() {
    assert_eq!(cheapest(&[("studio", "hdd"), ("studio", "ssd"), ("studio", "nas"), ("studio", "usb")]), None);
    assert_eq!(cheapest(&[("studio", "hdd"), ("friend", "ssd")]), None);
    assert_eq!(cheapest(&[("studio", "hdd"), ("friend", "hdd"), ("cloud", "hdd"), ("home", "hdd")]), None);
}

#[test]
fn without_a_layout_that_meets_the_rule_the_best_there_is() {
    let best = |volumes: &[(&str, &str)]| {
        let plan = plan(&topology(volumes), "3-2-1");
        assert!(!plan.meets && plan.shortfall(&rule("3-2-1")).is_some());
        assert!(plan.stretch() <= 3.0);
        (plan.k, plan.n, plan.reached)
    };
    assert_eq!(best(&[("studio", "hdd")]), (1, 1, Reached { copies: 1, media: 1, offsite: 0 }));
    assert_eq!(
        best(&[("studio", "hdd"), ("friend", "hdd")]),
        (1, 2, Reached { copies: 2, media: 1, offsite: 1 })
    );
    assert_eq!(
        best(&[("studio", "hdd"), ("studio", "ssd"), ("studio", "hdd")]),
        (1, 3, Reached { copies: 3, media: 2, offsite: 0 })
    );
    let (.., reached) = best(&[("studio", "hdd"), ("studio", "hdd"), ("friend", "hdd"), ("friend", "hdd")]);
    assert_eq!(reached, Reached { copies: 3, media: 1, offsite: 1 });
}

#[test]
fn no_room_says_how_much_is_needed() {
    let none = Topology::new([]);
    assert!(matches!(planner(&none, rule("3-2-1")).plan(GB), Err(PlanError::NoVolumes { .. })));
    let full = Topology::new([volume(1, "studio", Media::Hdd, GB / 2)]);
    let Err(PlanError::NoRoom { needed, roomiest }) = planner(&full, rule("3-2-1")).plan(GB) else {
        panic!("half a gigabyte holds no gigabyte");
    };
    assert_eq!((needed, roomiest), (shard_room(GB, 1), GB / 2));
    // Two halves of the room hold one copy between them.
    let halves = Topology::new([
        volume(1, "studio", Media::Hdd, GB * 6 / 10),
        volume(2, "studio", Media::Ssd, GB * 6 / 10),
    ]);
    let plan = planner(&halves, rule("3-2-1")).plan(GB).expect("fits in two pieces");
    assert_eq!((plan.k, plan.n, plan.meets), (2, 2, false));
}

#[test]
fn a_full_volume_moves_the_layout_to_the_next_class() {
    let mut volumes: Vec<VolumeView> =
        topology(&[("studio", "ssd"), ("studio", "hdd"), ("friend", "nas"), ("cloud", "cloud")])
            .volumes()
            .to_vec();
    volumes[0].free = GB;
    let plan = planner(&Topology::new(volumes), rule("3-2-1")).plan(4 * GB).expect("there is room");
    assert!(plan.meets);
    assert_eq!((plan.k, plan.n), (1, 3));
    assert!(!plan.assignment.contains(&id(1)));
}

#[test]
fn spending_buys_a_smaller_loss_and_never_less_than_the_rule() {
    let six = topology(&[
        ("studio", "ssd"),
        ("studio", "hdd"),
        ("friend", "nas"),
        ("friend", "hdd"),
        ("cloud", "cloud"),
        ("cloud", "ssd"),
    ]);
    let spend = |percent| {
        let rule = Rule { spend: Some(percent), ..rule("3-2-1") };
        planner(&six, rule).plan(4 * GB).expect("there is room")
    };
    let (floor, double, triple) = (plan(&six, "3-2-1"), spend(200), spend(300));
    assert!(double.stretch() <= 2.0 && triple.stretch() <= 3.0);
    assert!(triple.yearly_loss < double.yearly_loss && double.yearly_loss < floor.yearly_loss);
    assert_eq!(spend(100), floor);
}

#[test]
fn the_loss_of_a_plan_is_that_of_its_volumes() {
    let topology = topology(&[("studio", "ssd"), ("studio", "hdd"), ("friend", "nas"), ("cloud", "cloud")]);
    let plan = plan(&topology, "3-2-1");
    let loss = yearly_loss(&topology, &LossRates::default(), plan.k, &plan.assignment);
    assert!((loss / plan.yearly_loss - 1.0).abs() < 1e-9);
}

#[test]
fn the_first_shards_are_at_the_origin() {
    let topology = topology(&[("friend", "nas"), ("cloud", "cloud"), ("studio", "ssd"), ("studio", "hdd")]);
    assert_eq!(plan(&topology, "3-2-1").assignment[..2], [id(3), id(4)]);
}

#[test]
fn shared_drives_and_hosts_count_once_unless_trusted() {
    let mut volumes: Vec<VolumeView> =
        topology(&[("studio", "ssd"), ("friend", "hdd"), ("cloud", "nas")]).volumes().to_vec();
    for (at, volume) in volumes.iter_mut().enumerate() {
        volume.host = Some("one machine".into());
        volume.domain = Some(format!("drive {}", at / 2));
    }
    let shared = Topology::new(volumes.clone());
    assert!(!planner(&shared, rule("3-2-1")).plan(GB).expect("room").meets);
    assert!(!planner(&shared, rule("2-1-1")).plan(GB).expect("room").meets);
    assert!(planner(&shared, rule("2-1-0")).plan(GB).expect("room").meets);
    assert_eq!((shared.drives(), shared.collisions().len()), (2, 2));
    volumes.iter_mut().for_each(|volume| volume.trust_declared = true);
    let trusted = Topology::new(volumes);
    assert!(planner(&trusted, rule("3-2-1")).plan(GB).expect("room").meets);
    assert!(trusted.collisions().is_empty());
}

#[test]
fn two_volumes_of_one_node_and_drive_are_one() {
    let mut volumes: Vec<VolumeView> =
        topology(&[("studio", "ssd"), ("studio", "ssd"), ("friend", "nas")]).volumes().to_vec();
    for volume in &mut volumes[..2] {
        volume.node = NodeId([9; NodeId::LEN]);
        volume.domain = Some("dev 8:1".into());
    }
    assert!(!planner(&Topology::new(volumes), rule("3-2-1")).plan(GB).expect("room").meets);
}

#[test]
fn full_copies_stay_on_their_sets() {
    let mut volumes: Vec<VolumeView> =
        topology(&[("studio", "ssd"), ("studio", "hdd"), ("studio", "hdd"), ("friend", "nas")])
            .volumes()
            .to_vec();
    volumes[1].free = 9 * GB;
    volumes[2].free = 9 * GB;
    let topology = Topology::new(volumes);
    let mut planner = planner(&topology, rule("3-2-1 full"));
    let mut rolls = Vec::new();
    for n in 0..4 {
        let plan = planner.plan(4 * GB).expect("there is room");
        assert!(plan.meets && plan.k == 1 && plan.n == 3, "roll {n}: {plan:?}");
        rolls.push(carried_out(n, &plan, 4 * GB));
        planner.take(&plan);
    }
    assert!(!planner.plan(4 * GB).expect("there is room").meets, "both drives of the second set are full");
    let standing = crate::place::evaluate(&topology, &rule("3-2-1 full"), &rolls);
    assert!(standing.met(), "{standing:?}");
    assert_eq!(standing.full_copies, Some(3));
}

#[test]
fn balance_fills_the_roomier_volume_first() {
    let topology = Topology::new([
        volume(1, "studio", Media::Ssd, 500 * GB),
        volume(2, "friend", Media::Hdd, 400 * GB),
        volume(3, "home", Media::Hdd, 700 * GB),
        volume(4, "bank", Media::Hdd, 700 * GB),
    ]);
    let mut planner = planner(&topology, rule("2-2-1"));
    let mut used: BTreeMap<VolumeId, u64> = BTreeMap::new();
    for _ in 0..80 {
        let plan = planner.plan(4 * GB).expect("there is room");
        plan.assignment.iter().for_each(|volume| *used.entry(*volume).or_default() += plan.shard_bytes);
        planner.take(&plan);
    }
    let left: Vec<u64> = topology.volumes().iter().map(|v| v.free - used.get(&v.id).unwrap_or(&0)).collect();
    assert!(left[2].abs_diff(left[3]) <= 8 * GB, "{left:?}");
}

/// 32 volumes dealt out to `sites` sites, `own` of which have a studio node, and to `media` media.
fn thirty_two(sites: usize, own: usize, media: usize) -> Topology {
    Topology::new((0..32u8).map(|n| {
        let at = usize::from(n) % sites;
        let name = if at == 0 { "studio".to_owned() } else { format!("site {at}") };
        let media = Media::ALL[usize::from(n) / 2 % media];
        let role = if at < own { Role::Studio } else { Role::Vault };
        VolumeView { role, ..volume(n + 1, &name, media, (500 + u64::from(n)) * GB) }
    }))
}

/// What a planner takes at first and then for each roll is printed: see the figures in the module's report.
#[test]
fn large_topologies_plan_deterministically() {
    let rules =
        [("3-2-1", None), ("3-2-1", Some(200)), ("3-2-1", Some(300)), ("5-3-2", None), ("3-2-1 full", None)];
    for (sites, own, media) in
        [(2, 1, 3), (3, 1, 7), (3, 2, 2), (5, 1, 4), (8, 4, 7), (16, 8, 3), (32, 16, 7)]
    {
        for (text, spend) in rules {
            let topology = thirty_two(sites, own, media);
            let rule = Rule { spend, ..rule(text) };
            let started = std::time::Instant::now();
            let mut planner_ = planner(&topology, rule);
            let plan = planner_.plan(4 * GB).expect("there is room");
            let cold = started.elapsed();
            let started = std::time::Instant::now();
            for _ in 0..100 {
                let plan = planner_.plan(4 * GB).expect("there is room");
                planner_.take(&plan);
            }
            let warm = started.elapsed() / 100;
            println!(
                "{sites} sites, {own} own, {media} media, {text} {spend:?}: {} of {} {:.1e} {}, first {cold:?}, then {warm:?}",
                plan.k, plan.n, plan.yearly_loss, plan.meets
            );
            assert_eq!(planner(&topology, rule).plan(4 * GB), Ok(plan));
        }
    }
}

#[test]
fn ten_thousand_rolls_over_thirty_volumes() {
    let topology = Topology::new((0..30u8).map(|n| {
        let name = ["studio", "friend", "cloud", "home"][usize::from(n) % 4];
        volume(n + 1, name, Media::ALL[usize::from(n) / 4 % 4], (1000 + 100 * u64::from(n)) * GB)
    }));
    let mut planner = planner(&topology, rule("3-2-1"));
    let started = std::time::Instant::now();
    let (mut met, mut planned) = (0, 0);
    for _ in 0..10_000 {
        let Ok(plan) = planner.plan(4 * GB) else { break };
        met += u32::from(plan.meets);
        planned += 1;
        planner.take(&plan);
    }
    println!("{planned} rolls, {met} meet the rule: {:?}", started.elapsed());
    // 73.5 TB of room hold 49 TB of data at 1.5x.
    assert_eq!(planned, 10_000);
    assert_eq!(met, 10_000);
}

#[test]
fn volumes_are_filled_to_the_last_shard() {
    let topology = Topology::new((0..12u8).map(|n| {
        let name = ["studio", "friend", "cloud"][usize::from(n) % 3];
        volume(n + 1, name, Media::ALL[usize::from(n) / 3 % 4], (100 + 10 * u64::from(n)) * GB)
    }));
    let mut planner = planner(&topology, rule("3-2-1"));
    let started = std::time::Instant::now();
    let mut met = 0u64;
    while planner.plan(4 * GB).is_ok_and(|plan| {
        planner.take(&plan);
        met += u64::from(plan.meets);
        true
    }) {}
    println!("{met} rolls meet the rule until all is full: {:?}", started.elapsed());
    let room: u64 = topology.volumes().iter().map(|volume| volume.free).sum();
    assert!(met * 4 * GB * 3 / 2 > room * 8 / 10, "{met} rolls in {room} bytes");
}
