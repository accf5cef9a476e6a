//! What repairs, moves and new codings left over goes in the end, and never takes along what the rule needs.

use proptest::prelude::*;

use super::repair::{is_safe, newcomer};
use super::trash::configure;
use super::*;
use crate::place::{CodingView, Holding, RollView, Topology, VolumeView, evaluate_roll};

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;

fn part(world: &mut World, a: u8, b: u8) {
    world.queue.push_back((id(a), Event::Disconnected(id(b))));
    world.queue.push_back((id(b), Event::Disconnected(id(a))));
    world.settle();
}

fn part_from_all(world: &mut World, n: u8) {
    let others: Vec<u8> = (1..=5).filter(|m| *m != n && world.hosts.contains_key(&id(*m))).collect();
    others.into_iter().for_each(|other| part(world, n, other));
}

fn meet_all(world: &mut World, n: u8) {
    let others: Vec<u8> = (1..=5).filter(|m| *m != n && world.hosts.contains_key(&id(*m))).collect();
    others.into_iter().for_each(|other| world.meet(n, other));
}

fn lay_out(world: &mut World, by: u8, seed: u8, volumes: &[u8]) {
    let (roll, coding) = (RollId([seed; 32]), CodingId([seed; 16]));
    let volumes = volumes.iter().map(|n| volume(*n)).collect();
    world.tell(by, Event::Say(vec![Body::Layout(Layout { roll, coding, volumes })]));
}

/// Minutes pass in long ticks.
fn minutes(world: &mut World, minutes: u64) {
    for _ in 0..minutes {
        world.steady += 59 * SECOND;
        world.pass(SECOND);
    }
}

/// Studio, friend, cloud and office; a roll that is safe on the first three, and was moved from the friend to the office.
fn moved(quarantine: u64) -> (World, RollId) {
    let mut world = three_sites();
    let roll = ingested(&mut world, 1, 90, 1);
    newcomer(&mut world, 4, 5, Media::Nas, "office");
    configure(&mut world, quarantine, 0);
    world.pass(10 * SECOND);
    lay_out(&mut world, 1, 90, &[1, 2, 5, 4]);
    world.pass(5 * SECOND);
    assert!(is_safe(&world, 1, &roll));
    assert_eq!(world.hosts[&id(4)].disk.len(), 1, "the office has its shard");
    (world, roll)
}

#[test]
fn what_a_move_left_over_goes_when_its_quarantine_is_over() {
    let (mut world, roll) = moved(HOUR);
    assert_eq!(world.node(2).surplus_on(&volume(3)), 600_000);
    minutes(&mut world, 55);
    assert_eq!(world.hosts[&id(2)].disk.len(), 1, "not before its time");
    assert!(world.hosts[&id(1)].memory.promised.is_empty(), "nobody is asked before");
    minutes(&mut world, 10);
    assert_eq!(world.hosts[&id(2)].disk.len(), 0, "its room is free");
    assert_eq!(world.node(2).surplus_on(&volume(3)), 0);
    for n in [1, 3, 4] {
        assert!(!world.hosts[&id(n)].memory.promised.is_empty(), "node {n} has promised, durably");
        assert!(is_safe(&world, n, &roll));
        assert!(world.node(n).manifest().holdings(&roll).values().all(|held| !held.contains_key(&volume(3))));
    }
}

#[test]
fn time_off_and_a_change_of_mind_start_the_quarantine_over() {
    let (mut world, _) = moved(HOUR);
    minutes(&mut world, 50);
    lay_out(&mut world, 1, 90, &[1, 2, 3, 4]);
    world.pass(5 * SECOND);
    assert_eq!(world.node(2).surplus_on(&volume(3)), 0, "it is wanted again");
    lay_out(&mut world, 1, 90, &[1, 2, 5, 4]);
    world.pass(5 * SECOND);
    minutes(&mut world, 30);
    world.restart(2);
    meet_all(&mut world, 2);
    world.steady += 30 * 24 * HOUR;
    world.pass(20 * SECOND);
    assert_eq!(world.hosts[&id(2)].disk.len(), 1, "a month off does not count");
    minutes(&mut world, 35);
    assert_eq!(world.hosts[&id(2)].disk.len(), 0, "what ran before the restart does");
}

#[test]
fn it_stays_while_those_who_would_have_to_promise_are_away() {
    let (mut world, roll) = moved(10 * SECOND);
    part_from_all(&mut world, 4);
    world.pass(5 * 60 * SECOND);
    assert_eq!(world.hosts[&id(2)].disk.len(), 1, "the office's shard is not vouched for");
    meet_all(&mut world, 4);
    world.pass(5 * 60 * SECOND);
    assert_eq!(world.hosts[&id(2)].disk.len(), 0);
    assert!(is_safe(&world, 1, &roll));
}

#[test]
fn it_stays_while_a_vault_that_would_have_to_promise_is_not_believed() {
    let mut world = three_sites();
    let roll = ingested(&mut world, 1, 90, 1);
    newcomer(&mut world, 4, 5, Media::Nas, "office");
    configure(&mut world, 10 * SECOND, 0);
    world.pass(10 * SECOND);
    world.hosts.get_mut(&id(4)).expect("there").liar = true;
    lay_out(&mut world, 1, 90, &[1, 2, 5, 4]);
    world.pass(5 * 60 * SECOND);
    assert_eq!(world.hosts[&id(2)].disk.len(), 1, "who cannot prove that it holds cannot promise to");
    assert!(is_safe(&world, 1, &roll));
}

#[test]
fn a_promise_bars_its_giver() {
    let (mut world, roll) = moved(SECOND);
    // The friend has dropped its shard, for the office promised to keep one.
    world.pass(30 * SECOND);
    assert_eq!(world.hosts[&id(2)].disk.len(), 0);
    let promised = world.hosts[&id(4)].memory.promised.clone();
    assert_eq!(promised.len(), 1);
    // It is moved back at once.
    lay_out(&mut world, 1, 90, &[1, 2, 3, 4]);
    world.pass(10 * SECOND);
    assert_eq!(world.hosts[&id(2)].disk.len(), 1);
    assert_eq!(
        world.hosts[&id(4)].disk.len(),
        1,
        "it is surplus, its quarantine is over, and it was promised"
    );
    world.restart(4);
    meet_all(&mut world, 4);
    world.pass(10 * SECOND);
    assert_eq!(world.hosts[&id(4)].disk.len(), 1, "after a restart too");
    world.pass(120 * SECOND);
    assert_eq!(world.hosts[&id(4)].disk.len(), 0, "a promise ends");
    assert!(is_safe(&world, 1, &roll));
}

#[test]
fn a_file_that_a_crash_left_goes_when_the_volume_is_opened_again() {
    let (mut world, _) = moved(30 * SECOND);
    let left = *world.hosts[&id(2)].disk.iter().next().expect("one");
    world.pass(60 * SECOND);
    assert!(world.hosts[&id(2)].disk.is_empty());
    // As if the power had gone between the commit and the unlink.
    world.hosts.get_mut(&id(2)).expect("there").disk.insert(left);
    world.restart(2);
    world.tell(2, Event::Unrecorded { volume: left.0, hashes: vec![left.1, Hash([1; 32])] });
    assert!(world.hosts[&id(2)].disk.is_empty());
    assert!(world.hosts[&id(2)].memory.surplus.is_empty(), "and is forgotten");
}

/// Whether the roll meets the default rule by what really lies on the disks, whoever is within whose reach.
fn really_safe(world: &World, seed: u8) -> bool {
    let places = [
        (1, 1, "studio", Media::Ssd),
        (2, 1, "studio", Media::Hdd),
        (3, 2, "friend", Media::Nas),
        (4, 3, "cloud", Media::Cloud),
        (5, 4, "office", Media::Nas),
    ];
    let view = |(n, host, at, media): (u8, u8, &str, Media)| VolumeView {
        id: volume(n),
        name: String::new(),
        node: id(host),
        role: Role::Studio,
        site: site(at),
        media,
        free: 0,
        used: 0,
        domain: None,
        host: None,
        trust_declared: true,
    };
    let topology = Topology::new(places.map(view));
    let mut holdings = Vec::new();
    for (on, hash) in world.hosts.values().flat_map(|host| &host.disk) {
        let index = (0..4u8).find(|index| Hash::of(&[seed, *index]) == *hash);
        holdings.extend(index.map(|index| Holding { index: index.into(), volume: *on }));
    }
    let codings = vec![CodingView { k: 2, holdings, known_anywhere: 4 }];
    let view = RollView { roll: RollId([seed; 32]), sealed_len: 1 << 20, files: 1, codings };
    evaluate_roll(&topology, &Rule::default(), &view).met()
}

#[derive(Debug, Clone)]
enum Move {
    LayOut { by: u8, volumes: [u8; 4] },
    Part(u8, u8),
    Meet(u8, u8),
    Restart(u8),
    Pass(u64),
}

fn a_move() -> impl Strategy<Value = Move> {
    let node = || 1..=4u8;
    // Layouts that meet the rule and some that do not: all are only wishes.
    let volumes = prop_oneof![
        Just([1, 2, 3, 4]),
        Just([1, 2, 5, 4]),
        Just([2, 1, 4, 5]),
        Just([5, 4, 3, 1]),
        Just([3, 5, 4, 2]),
        prop::array::uniform4(1..=5u8)
    ];
    prop_oneof![
        3 => (node(), volumes).prop_map(|(by, volumes)| Move::LayOut { by, volumes }),
        2 => (node(), node()).prop_map(|(a, b)| Move::Part(a, b)),
        2 => (node(), node()).prop_map(|(a, b)| Move::Meet(a, b)),
        1 => node().prop_map(Move::Restart),
        4 => (1..120u64).prop_map(Move::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Rules for safe deletion: no interleaving of wishes, partitions, restarts and drops takes a roll that was safe
    /// below its rule, by what really lies on the disks.
    #[test]
    fn no_interleaving_of_moves_and_drops_takes_a_safe_roll_below_its_rule(
        moves in prop::collection::vec(a_move(), 1..40)
    ) {
        let mut world = three_sites();
        ingested(&mut world, 1, 91, 1);
        newcomer(&mut world, 4, 5, Media::Nas, "office");
        configure(&mut world, 3 * SECOND, 0);
        world.pass(10 * SECOND);
        prop_assert!(really_safe(&world, 91));
        for step in moves {
            match step.clone() {
                Move::LayOut { by, volumes } => lay_out(&mut world, by, 91, &volumes),
                Move::Part(a, b) if a != b => part(&mut world, a, b),
                Move::Meet(a, b) if a != b => world.meet(a, b),
                Move::Part(..) | Move::Meet(..) => {}
                Move::Restart(n) => {
                    part_from_all(&mut world, n);
                    world.restart(n);
                }
                Move::Pass(seconds) => {
                    for _ in 0..seconds {
                        world.pass(SECOND);
                        prop_assert!(really_safe(&world, 91), "while time passed");
                    }
                }
            }
            prop_assert!(really_safe(&world, 91), "after {step:?}");
        }
    }
}
