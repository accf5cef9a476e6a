//! Deletion: slow, reversible, each holder for itself; and then the room is really free.

use proptest::prelude::*;
use safelight_proto::record::Trash;

use super::*;
use crate::node::trash::DROPS;
use crate::settings::Settings;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;

pub(super) fn configure(world: &mut World, quarantine: u64, brake_percent: u8) {
    let settings = Settings { quarantine, brake_percent, ..Settings::default() };
    let all: Vec<NodeId> = world.hosts.keys().copied().collect();
    for node in all {
        world.queue.push_back((node, Event::Configure(settings)));
    }
    world.settle();
}

fn delete(world: &mut World, n: u8, roll: RollId) {
    world.tell(n, Event::Say(vec![Body::Trash(Trash { roll, all: true, hidden: BTreeSet::new() })]));
}

fn hide(world: &mut World, n: u8, roll: RollId, places: impl IntoIterator<Item = u32>) {
    let hidden = places.into_iter().collect();
    world.tell(n, Event::Say(vec![Body::Trash(Trash { roll, all: false, hidden })]));
}

/// A roll of node `n` that is only a catalog, and refers to `roll`.
fn refer(world: &mut World, n: u8, seed: u8, roll: RollId) -> RollId {
    let referring = RollId([seed; 32]);
    world.tell(
        n,
        Event::Say(vec![Body::Roll(Roll {
            roll: referring,
            shoot: ShootId([seed; 16]),
            shoot_name: vec![],
            references: [roll].into(),
            data_bytes: 0,
            catalog_bytes: 4096,
            sealed_hash: Hash([seed; 32]),
            wrapped_key: [0; 80],
            catalog_hash: Hash::of(&[seed]),
            files: 1,
            bytes: 1,
        })]),
    );
    referring
}

/// Shard files of `roll` on the disks of node `n`.
fn files(world: &World, n: u8, seed: u8) -> usize {
    let hashes: Vec<Hash> = (0..4u8).map(|index| Hash::of(&[seed, index])).collect();
    world.hosts[&id(n)].disk.iter().filter(|(_, hash)| hashes.contains(hash)).count()
}

fn all_files(world: &World, seed: u8) -> usize {
    (1..=3).map(|n| files(world, n, seed)).sum()
}

/// A studio alone, with one volume.
fn alone() -> World {
    let mut world = World::default();
    world.add(1, founding(1));
    world.tell(1, Event::Say(vec![volume_info(1, Media::Ssd)]));
    world.tell(1, Event::VolumeOpened { volume: volume(1), shards: vec![] });
    world
}

/// Lets hours pass, a minute at a time.
fn hours(world: &mut World, hours: u64) {
    for _ in 0..hours * 60 {
        world.steady += MINUTE;
        world.tell(1, Event::Tick);
    }
}

#[test]
fn what_is_deleted_goes_from_every_volume_once_its_quarantine_is_over() {
    let mut world = three_sites();
    configure(&mut world, 20 * SECOND, 0);
    let (roll, kept) = (ingested(&mut world, 1, 50, 1), ingested(&mut world, 1, 51, 1));
    world.pass(10 * SECOND);
    assert_eq!((all_files(&world, 50), all_files(&world, 51)), (4, 4));
    delete(&mut world, 1, roll);
    world.pass(19 * SECOND);
    assert_eq!(all_files(&world, 50), 4, "nothing goes before its time");
    assert!((1..=3).all(|n| world.node(n).is_dead(&roll) && !world.node(n).is_dead(&kept)));
    world.pass(5 * SECOND);
    assert_eq!((all_files(&world, 50), all_files(&world, 51)), (0, 4));
    world.pass(30 * SECOND);
    assert!(same_records(&world));
    for n in 1..=3 {
        let node = world.node(n);
        assert!(node.manifest().holdings(&roll).is_empty(), "everybody knows that nobody holds it");
        assert_eq!((node.wants().count(), node.trash_bytes()), (0, 0));
        assert!(node.promised().is_empty(), "room for it is not set aside");
        assert!(node.ledger().values().flat_map(BTreeMap::values).all(|shard| shard.roll == kept));
    }
}

#[test]
fn what_is_taken_back_stays_and_starts_over() {
    let mut world = three_sites();
    configure(&mut world, 20 * SECOND, 0);
    let roll = ingested(&mut world, 1, 50, 1);
    world.pass(10 * SECOND);
    delete(&mut world, 1, roll);
    world.pass(15 * SECOND);
    hide(&mut world, 1, roll, [0, 3]);
    world.pass(60 * SECOND);
    assert_eq!(all_files(&world, 50), 4, "a roll with files left stays whole");
    hide(&mut world, 1, roll, 0..10);
    world.pass(15 * SECOND);
    assert_eq!(all_files(&world, 50), 4, "its time began anew");
    world.pass(10 * SECOND);
    assert_eq!(all_files(&world, 50), 0, "hidden to the last file it is deleted");
}

#[test]
fn a_new_reference_revives_what_was_deleted() {
    let mut world = three_sites();
    configure(&mut world, 20 * SECOND, 0);
    let roll = ingested(&mut world, 1, 50, 1);
    world.pass(10 * SECOND);
    delete(&mut world, 1, roll);
    world.pass(15 * SECOND);
    let referring = refer(&mut world, 2, 70, roll);
    world.pass(60 * SECOND);
    assert_eq!(all_files(&world, 50), 4);
    let judged = world.node(3).rolls_with_references(&[ShootId([70; 16])].into());
    assert!(judged.iter().any(|view| view.roll == roll), "who refers to it is judged by it");
    assert!(world.node(3).rolls_with_references(&[ShootId([50; 16])].into()).is_empty());
    delete(&mut world, 1, referring);
    world.pass(15 * SECOND);
    assert_eq!(all_files(&world, 50), 4, "both can still be taken back together");
    world.pass(10 * SECOND);
    assert_eq!(all_files(&world, 50), 0);
}

#[test]
fn a_vault_deletes_nothing() {
    let mut world = three_sites();
    configure(&mut world, SECOND, 0);
    let roll = ingested(&mut world, 2, 50, 3);
    world.pass(10 * SECOND);
    delete(&mut world, 2, roll);
    world.pass(30 * SECOND);
    assert_eq!(all_files(&world, 50), 4);
}

#[test]
fn time_off_does_not_count_and_who_was_off_catches_up() {
    let mut world = three_sites();
    configure(&mut world, 20 * SECOND, 0);
    let (first, second) = (ingested(&mut world, 1, 50, 1), ingested(&mut world, 1, 51, 1));
    world.pass(10 * SECOND);
    delete(&mut world, 1, first);
    world.pass(10 * SECOND);
    for n in [1, 3] {
        world.tell(n, Event::Disconnected(id(2)));
    }
    let off = world.hosts.remove(&id(2)).expect("there");
    delete(&mut world, 1, second);
    world.pass(60 * SECOND);
    assert_eq!((files(&world, 1, 50), files(&world, 1, 51)), (0, 0));
    world.hosts.insert(id(2), off);
    world.restart(2);
    world.meet(1, 2);
    world.pass(5 * SECOND);
    assert_eq!((files(&world, 2, 50), files(&world, 2, 51)), (1, 1), "both still have their time");
    world.pass(25 * SECOND);
    assert_eq!((files(&world, 2, 50), files(&world, 2, 51)), (0, 0));
}

#[test]
fn who_was_off_frees_nothing_before_it_has_heard_of_the_others() {
    let mut world = three_sites();
    configure(&mut world, 3 * MINUTE, 0);
    let roll = ingested(&mut world, 1, 50, 1);
    world.pass(10 * SECOND);
    delete(&mut world, 1, roll);
    world.pass(170 * SECOND);
    assert!(world.hosts[&id(2)].memory.running >= 2 * MINUTE, "what it has run is kept");
    for n in [1, 3] {
        world.tell(n, Event::Disconnected(id(2)));
    }
    world.restart(2);
    hide(&mut world, 1, roll, []);
    world.pass(90 * SECOND);
    assert_eq!(world.node(2).time_left(&roll), Some(0), "its time is up");
    assert_eq!(files(&world, 2, 50), 1, "but it may have been taken back, as it was");
    world.meet(1, 2);
    world.pass(5 * MINUTE);
    assert_eq!(all_files(&world, 50), 4);
}

#[test]
fn a_mass_stops_at_every_brake_until_that_owner_releases_it() {
    let mut world = three_sites();
    configure(&mut world, 20 * SECOND, 5);
    let rolls: Vec<RollId> = (50..54).map(|seed| ingested(&mut world, 1, seed, 1)).collect();
    world.pass(20 * SECOND);
    delete(&mut world, 1, rolls[0]);
    world.pass(5 * SECOND);
    assert!(world.node(1).braked().is_none(), "one of four is less than a third, and few files");
    delete(&mut world, 1, rolls[1]);
    world.pass(60 * SECOND);
    for n in 1..=3 {
        let mass = world.node(n).braked().expect("half of the library within a day");
        assert_eq!((mass.files, mass.of_files), (20, 40));
        assert_eq!(files(&world, n, 50) + files(&world, n, 51), if n == 1 { 4 } else { 2 });
    }
    world.restart(2);
    world.meet(1, 2);
    world.meet(2, 3);
    world.pass(60 * SECOND);
    assert!(world.node(2).braked().is_some() && files(&world, 2, 50) == 1, "a restart is no release");
    world.tell(2, Event::ReleaseBrake);
    world.pass(30 * SECOND);
    assert_eq!((files(&world, 2, 50), files(&world, 2, 51)), (0, 0));
    assert_eq!((files(&world, 1, 50), files(&world, 3, 50)), (2, 1), "each owner for himself");
    world.restart(2);
    world.pass(MINUTE);
    assert!(world.node(2).braked().is_none(), "what was looked at is not looked at again");
    delete(&mut world, 1, rolls[2]);
    world.meet(1, 2);
    world.pass(MINUTE);
    assert!(world.node(2).braked().is_some(), "what comes after a release is");
}

#[test]
fn many_files_are_a_mass_though_they_are_no_third() {
    let mut world = alone();
    configure(&mut world, 20 * SECOND, 5);
    for seed in 1..=200 {
        ingested(&mut world, 1, seed, 1);
    }
    (1..=50).for_each(|seed| delete(&mut world, 1, RollId([seed; 32])));
    assert!(world.node(1).braked().is_none(), "500 files are not many, nor a third of 2,000");
    delete(&mut world, 1, RollId([51; 32]));
    assert!(world.node(1).braked().is_some(), "510 are");
}

#[test]
fn deleting_day_by_day_is_no_mass() {
    let mut world = alone();
    configure(&mut world, 2 * 24 * 60 * MINUTE, 5);
    for seed in 1..=8 {
        ingested(&mut world, 1, seed, 1);
    }
    for seed in 1..=6 {
        delete(&mut world, 1, RollId([seed; 32]));
        hours(&mut world, 25);
    }
    assert!(world.node(1).braked().is_none(), "never more than a third within a day");
    hours(&mut world, 72);
    let left: Vec<u8> = (1..=8).filter(|seed| files(&world, 1, *seed) > 0).collect();
    assert_eq!(left, [7, 8]);
}

#[test]
fn a_clock_that_leaps_is_not_believed() {
    let mut world = alone();
    configure(&mut world, 60 * MINUTE, 0);
    let roll = ingested(&mut world, 1, 50, 1);
    world.tell(1, Event::Tick);
    delete(&mut world, 1, roll);
    world.steady += 100 * 24 * 60 * MINUTE;
    world.tell(1, Event::Tick);
    assert_eq!(files(&world, 1, 50), 4, "a machine that stood still for a hundred days has not run");
    hours(&mut world, 1);
    assert_eq!(files(&world, 1, 50), 0);
}

#[test]
fn what_a_crash_left_behind_is_removed_too() {
    let mut world = alone();
    configure(&mut world, SECOND, 0);
    let (roll, kept) = (ingested(&mut world, 1, 50, 1), ingested(&mut world, 1, 51, 1));
    delete(&mut world, 1, roll);
    world.pass(5 * SECOND);
    assert_eq!(files(&world, 1, 50), 0);
    // The ledger had given it up, and the power went before its file was gone.
    let stray = Hash::of(&[50, 2]);
    world.hosts.get_mut(&id(1)).expect("there").disk.insert((volume(1), stray));
    world.restart(1);
    let hashes = vec![stray, Hash::of(&[51, 1]), Hash::of(b"something else")];
    world.tell(1, Event::Unrecorded { volume: volume(1), hashes });
    world.pass(5 * SECOND);
    assert_eq!((files(&world, 1, 50), files(&world, 1, 51)), (0, 4));
    assert!(!world.node(1).is_dead(&kept));
}

#[test]
fn a_step_gives_up_a_bounded_number() {
    let mut world = alone();
    configure(&mut world, SECOND, 0);
    let rolls: Vec<RollId> = (1..=40).map(|seed| ingested(&mut world, 1, seed, 1)).collect();
    rolls.iter().for_each(|roll| delete(&mut world, 1, *roll));
    let mut before = world.hosts[&id(1)].disk.len();
    assert_eq!(before, 160);
    for _ in 0..10 {
        world.pass(500);
        let after = world.hosts[&id(1)].disk.len();
        assert!(before - after <= DROPS, "{before} {after}");
        before = after;
    }
    assert_eq!(before, 0);
}

#[test]
fn nothing_is_brought_of_what_is_deleted() {
    let mut world = three_sites();
    configure(&mut world, MINUTE, 0);
    for (a, b) in [(1, 2), (1, 3)] {
        world.tell(a, Event::Disconnected(id(b)));
        world.tell(b, Event::Disconnected(id(a)));
    }
    let roll = ingested(&mut world, 1, 50, 1);
    delete(&mut world, 1, roll);
    world.meet(1, 2);
    world.pass(30 * SECOND);
    assert_eq!((files(&world, 2, 50), world.node(2).wants().count()), (0, 0));
    hide(&mut world, 1, roll, []);
    world.pass(30 * SECOND);
    assert_eq!(files(&world, 2, 50), 1, "once it is taken back it is");
}

#[derive(Debug, Clone)]
enum Act {
    Delete(u8),
    Hide(u8, u32),
    TakeBack(u8),
    Refer(u8),
    Pass(u64),
    Restart,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let roll = 0u8..6;
    let act = prop_oneof![
        3 => roll.clone().prop_map(Act::Delete),
        1 => (roll.clone(), 0u32..12).prop_map(|(roll, most)| Act::Hide(roll, most)),
        2 => roll.clone().prop_map(Act::TakeBack),
        1 => (0u8..3).prop_map(Act::Refer),
        4 => (0u64..6_000).prop_map(Act::Pass),
        1 => Just(Act::Restart),
    ];
    prop::collection::vec(act, 1..40)
}

/// Rolls 0 to 2 have shards, rolls 3 to 5 may each refer to the one three below.
#[derive(Default)]
struct Model {
    deleted: [bool; 6],
    referred: [bool; 3],
    /// Since when each may go, by the world's clock.
    since: [Option<u64>; 3],
}

impl Model {
    fn look(&mut self, now: u64) {
        for roll in 0..3 {
            let kept_alive = self.referred[roll] && !self.deleted[roll + 3];
            let dead = self.deleted[roll] && !kept_alive;
            self.since[roll] = if dead { self.since[roll].or(Some(now)) } else { None };
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever is done in whatever order: a shard goes only when its roll has been deleted, and referred to by nothing
    /// that stands, for the whole quarantine; and in the end exactly what is deleted is gone.
    #[test]
    fn nothing_that_stands_is_ever_dropped(acts in acts()) {
        const QUARANTINE: u64 = 4_000;
        let mut world = alone();
        configure(&mut world, QUARANTINE, 0);
        let seeds = [50u8, 51, 52, 70, 71, 72];
        for seed in &seeds[..3] {
            ingested(&mut world, 1, *seed, 1);
        }
        let mut model = Model::default();
        let ids = seeds.map(|seed| RollId([seed; 32]));
        for act in acts.iter().chain([&Act::Pass(3 * QUARANTINE)]) {
            match act {
                Act::Delete(roll) => {
                    delete(&mut world, 1, ids[*roll as usize]);
                    model.deleted[*roll as usize] = true;
                }
                Act::Hide(roll, most) => {
                    hide(&mut world, 1, ids[*roll as usize], 0..*most);
                    model.deleted[*roll as usize] = *most >= if *roll < 3 { 10 } else { 1 };
                }
                Act::TakeBack(roll) => {
                    hide(&mut world, 1, ids[*roll as usize], []);
                    model.deleted[*roll as usize] = false;
                }
                Act::Refer(roll) => {
                    refer(&mut world, 1, seeds[*roll as usize + 3], ids[*roll as usize]);
                    model.referred[*roll as usize] = true;
                }
                Act::Restart => world.restart(1),
                Act::Pass(millis) => for _ in 0..millis / 500 {
                    let before: Vec<usize> = (0..3).map(|roll| files(&world, 1, seeds[roll])).collect();
                    model.look(world.steady);
                    world.pass(500);
                    for roll in 0..3 {
                        if files(&world, 1, seeds[roll]) < before[roll] {
                            let since = model.since[roll];
                            prop_assert!(since.is_some_and(|at| world.steady - at >= QUARANTINE), "{roll}: {since:?}");
                        }
                    }
                },
            }
            model.look(world.steady);
        }
        for (seed, since) in seeds.iter().zip(model.since) {
            if since.is_some() {
                prop_assert_eq!(files(&world, 1, *seed), 0, "{} is freed in the end", seed);
            }
        }
        let on_disk = world.hosts[&id(1)].disk.len();
        prop_assert_eq!(on_disk, world.node(1).ledger().values().map(BTreeMap::len).sum::<usize>());
    }
}
