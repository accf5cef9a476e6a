//! Vaults prove again and again what they hold.

use super::*;

const PERIOD: u64 = 80_000;

fn every(period: u64) -> Event {
    Event::Configure(Settings { audit_period: period, ..Settings::default() })
}

/// A roll that is spread and proven; what was asked until then is forgotten.
fn proven(period: u64) -> (World, RollId) {
    let mut world = three_sites();
    for n in 1..=3 {
        world.tell(n, every(period));
    }
    let roll = ingested(&mut world, 1, 80, 1);
    world.pass(10_000);
    assert!(world.node(1).manifest().believed(&roll, &volume(3)));
    assert!(world.node(1).manifest().believed(&roll, &volume(4)));
    world.asked.clear();
    (world, roll)
}

fn asked_of(world: &World, n: u8) -> Vec<u64> {
    world.asked.iter().filter(|(_, _, on, _)| *on == volume(n)).map(|(.., at)| *at).collect()
}

#[test]
fn every_claim_is_proven_anew_in_each_period_and_the_manifest_does_not_grow() {
    let (mut world, roll) = proven(PERIOD);
    let records = world.node(1).manifest().count();
    world.pass(10 * PERIOD);
    for of in [3, 4] {
        let times = asked_of(&world, of);
        assert!((10..=12).contains(&times.len()), "{times:?}");
        for pair in times.windows(2) {
            assert!(
                (PERIOD - PERIOD / 8 - 1_000..=PERIOD + 1_000).contains(&(pair[1] - pair[0])),
                "{times:?}"
            );
        }
    }
    assert!(world.asked.iter().all(|(by, ..)| *by == id(1)), "the studio is within reach and asks");
    assert_eq!(world.node(1).manifest().count(), records);
    assert!(world.node(3).manifest().believed(&roll, &volume(3)));
    assert!(same_records(&world));
}

#[test]
fn a_vault_that_lost_what_it_had_stops_counting_until_it_has_it_again() {
    let (mut world, roll) = proven(PERIOD);
    world.hosts.get_mut(&id(2)).expect("there").liar = true;
    world.pass(PERIOD + 1_000);
    for n in [1, 3] {
        assert!(!world.node(n).manifest().believed(&roll, &volume(3)), "node {n} knows");
        assert!(world.node(n).manifest().believed(&roll, &volume(4)), "the other one is honest");
    }
    world.hosts.get_mut(&id(2)).expect("there").liar = false;
    world.pass(4_000_000);
    assert!(world.node(3).manifest().believed(&roll, &volume(3)), "it is asked again");
}

#[test]
fn who_is_away_or_has_its_drive_elsewhere_has_not_failed() {
    let (mut world, roll) = proven(PERIOD);
    for other in [1, 3] {
        world.tell(other, Event::Disconnected(id(2)));
        world.tell(2, Event::Disconnected(id(other)));
    }
    let Body::Volume(mut info) = volume_info(4, Media::Usb) else { panic!("a volume") };
    info.absent = world.now().wall;
    world.tell(3, Event::Say(vec![Body::Volume(info)]));
    world.hosts.get_mut(&id(3)).expect("there").liar = true;
    world.asked.clear();
    world.pass(3 * PERIOD);
    assert!(world.asked.iter().all(|(by, ..)| *by != id(1)), "{:?}", world.asked);
    assert!(world.node(1).manifest().believed(&roll, &volume(3)));
    assert!(world.node(1).manifest().believed(&roll, &volume(4)));
    world.meet(1, 2);
    world.pass(PERIOD);
    assert!(!asked_of(&world, 3).is_empty(), "back, it is asked");
}

#[test]
fn one_that_never_answers_stops_counting_after_hours() {
    let (mut world, roll) = proven(PERIOD);
    world.hosts.get_mut(&id(2)).expect("there").mute = true;
    world.pass(PERIOD + 60_000);
    assert!(world.node(1).manifest().believed(&roll, &volume(3)), "a few silences prove nothing");
    world.pass(10 * PERIOD);
    assert!(!world.node(1).manifest().believed(&roll, &volume(3)));
}

#[test]
fn a_restart_neither_forgets_nor_repeats_audits() {
    let (mut world, _) = proven(PERIOD);
    let records: Vec<Record> = world.hosts[&id(1)]
        .records
        .values()
        .map(|bytes| Record::trusted(bytes).expect("own store"))
        .collect();
    let host = world.hosts.remove(&id(1)).expect("there");
    world.pass(PERIOD / 2);
    world.add(1, records);
    world.hosts.get_mut(&id(1)).expect("there").disk = host.disk;
    world.tell(1, every(PERIOD));
    for peer in [2, 3] {
        world.meet(1, peer);
    }
    world.asked.clear();
    world.pass(PERIOD / 8);
    assert!(world.asked.is_empty(), "it is not their turn yet: {:?}", world.asked);
    world.pass(PERIOD / 2);
    assert!(!asked_of(&world, 3).is_empty() && !asked_of(&world, 4).is_empty());
}

#[test]
fn many_rolls_that_are_due_together_are_asked_a_few_at_a_time() {
    let mut world = three_sites();
    for seed in 0..40 {
        ingested(&mut world, 1, seed, 1);
    }
    world.pass(30_000);
    world.asked.clear();
    world.late = Some(vec![]);
    world.tell(1, every(1_000));
    world.pass(5_000);
    assert_eq!(world.asked.len(), 8, "as many as may be under way");
    let late = world.late.take().expect("just put there");
    world.queue.extend(late);
    world.settle();
    world.pass(20_000);
    let rolls: BTreeSet<RollId> = world.asked.iter().map(|(_, roll, ..)| *roll).collect();
    assert_eq!(rolls.len(), 40, "and in the end all of them");
}

/// `node` says that its volume `v` is away since `absent`.
fn unplug(world: &mut World, n: u8, v: u8, media: Media, absent: u64) {
    let Body::Volume(info) = volume_info(v, media) else { unreachable!("a volume") };
    world.tell(n, Event::Say(vec![Body::Volume(VolumeInfo { absent, ..info })]));
}

#[test]
fn a_vault_that_says_its_drive_is_away_does_not_count_for_ever() {
    let mut world = three_sites();
    let roll = ingested(&mut world, 1, 95, 1);
    world.pass(10_000);
    let counts = |world: &World| world.node(1).volume_counts(&volume(3));
    assert!(counts(&world), "proven, and there");
    // By its own word, of a time that never comes, on a medium that is trusted for half a year.
    unplug(&mut world, 2, 3, Media::Usb, u64::MAX);
    world
        .tell(2, Event::Say(vec![Body::Scrubbed(record::Scrubbed { volume: volume(3), shards: 1, bad: 0 })]));
    world.pass(1_000);
    assert!(counts(&world), "the proof is young");
    world.steady += 15 * 24 * 3_600_000;
    world.pass(1_000);
    assert!(!counts(&world), "no proof for two periods of audits");
    assert!(world.node(1).manifest().believed(&roll, &volume(3)), "the claim alone was never disproved");
}

#[test]
fn a_dead_drive_that_is_to_leave_is_not_waited_for() {
    let mut world = three_sites();
    unplug(&mut world, 1, 2, Media::Usb, 1_000_000);
    world.pass(1_000);
    assert!(world.node(1).volume_counts(&volume(2)), "it travels, and is trusted");
    let what = record::Leaver::Volume(volume(2));
    world.tell(1, Event::Say(vec![Body::Retired(record::Retired { what, retired: true })]));
    world.pass(1_000);
    assert!(!world.node(1).volume_counts(&volume(2)));
}
