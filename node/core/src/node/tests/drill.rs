//! When the loss of a site is rehearsed, and by whom.

use safelight_proto::record::{Drill, Hlc};

use super::*;

const DAY: u64 = 24 * 3_600_000;
const PERIOD: u64 = 30 * DAY;

/// Three sites with photos that came just now.
fn a_library() -> World {
    let mut world = three_sites();
    ingested(&mut world, 1, 90, 1);
    world.pass(10_000);
    world
}

fn later(world: &mut World, millis: u64) {
    world.steady += millis;
    world.pass(1_000);
}

fn due(world: &World, n: u8) -> Option<String> {
    world.node(n).drill_due(&BTreeSet::new()).map(|site| site.name().to_owned())
}

fn held(without: &str, passed: bool) -> Event {
    let drill = Drill {
        without: site(without),
        passed,
        all: false,
        files: 10,
        of_files: 10,
        bytes: 1,
        failed: u64::from(!passed),
        rolls: 1,
        newest: Hlc::at(1),
    };
    Event::Say(vec![Body::Drill(drill)])
}

#[test]
fn every_site_in_turn_once_in_a_period() {
    let mut world = a_library();
    assert_eq!(due(&world, 1), None, "the photos came just now");
    later(&mut world, PERIOD);
    for next in ["cloud", "friend", "studio"] {
        assert_eq!(due(&world, 1).as_deref(), Some(next));
        assert_eq!((due(&world, 2), due(&world, 3)), (None, None), "vaults cannot rehearse");
        world.tell(1, held(next, true));
    }
    assert_eq!(due(&world, 1), None);
    later(&mut world, PERIOD - DAY);
    assert_eq!(due(&world, 1), None);
    later(&mut world, 2 * DAY);
    assert_eq!(due(&world, 1).as_deref(), Some("cloud"));
    let skip = BTreeSet::from([site("Cloud")]);
    assert_eq!(world.node(1).drill_due(&skip), Some(site("friend")));
}

#[test]
fn never_without_photos_or_when_it_is_switched_off() {
    let mut world = three_sites();
    later(&mut world, 3 * PERIOD);
    assert_eq!(due(&world, 1), None, "there is nothing to rebuild");
    let mut world = a_library();
    later(&mut world, 3 * PERIOD);
    assert!(due(&world, 1).is_some());
    world.tell(1, Event::Configure(Settings { drill_period: 0, ..Settings::default() }));
    assert_eq!(due(&world, 1), None);
    world.tell(1, Event::Configure(Settings { within_hours: false, ..Settings::default() }));
    assert_eq!(due(&world, 1), None, "not outside of the hours for transfers");
    world.tell(1, Event::Configure(Settings { drill_period: DAY, ..Settings::default() }));
    assert!(due(&world, 1).is_some(), "at work at once");
}

#[test]
fn a_drive_on_its_travels_fails_no_drill() {
    let mut world = a_library();
    later(&mut world, PERIOD);
    let unplugged = |n: u8, absent: u64| {
        let Body::Volume(info) = volume_info(n, Media::Usb) else { unreachable!("a volume") };
        Event::Say(vec![Body::Volume(VolumeInfo { absent, ..info })])
    };
    // Two of four pieces rebuild a roll. Without the friend the studio's other drive and the cloud are enough, and
    // without the studio nothing of its own is needed; without the cloud the friend's is.
    let wall = world.now().wall;
    world.tell(1, unplugged(2, wall));
    assert_eq!(due(&world, 1).as_deref(), Some("cloud"), "the drive can be spared");
    world.tell(1, unplugged(1, wall));
    let waits = |name: &str| world.node(1).drill_due(&sites_but(name)).is_none();
    assert!(waits("cloud") && waits("friend"), "one piece is not enough, and the others are only away");
    assert!(!waits("studio"), "friend and cloud are there");
}

fn sites_but(name: &str) -> BTreeSet<Site> {
    ["studio", "friend", "cloud"].into_iter().filter(|other| *other != name).map(site).collect()
}

#[test]
fn a_drill_that_failed_is_held_again_the_next_day() {
    let mut world = a_library();
    later(&mut world, PERIOD);
    for (without, passed) in [("cloud", true), ("friend", false), ("studio", true)] {
        world.tell(1, held(without, passed));
    }
    assert_eq!(due(&world, 1), None);
    later(&mut world, DAY);
    assert_eq!(due(&world, 1).as_deref(), Some("friend"));
    world.tell(1, held("friend", true));
    later(&mut world, DAY);
    assert_eq!(due(&world, 1), None);
}

#[test]
fn who_is_needed_and_away_is_waited_for_but_not_for_ever() {
    let mut world = a_library();
    world.tell(1, Event::Configure(Settings { grace_site: 1_000 * DAY, ..Settings::default() }));
    later(&mut world, PERIOD);
    world.tell(1, Event::Disconnected(id(2)));
    assert_eq!(due(&world, 1).as_deref(), Some("friend"), "for this one the friend is not needed");
    world.tell(1, held("friend", true));
    assert_eq!(due(&world, 1), None);
    later(&mut world, PERIOD / 2);
    assert_eq!(due(&world, 1).as_deref(), Some("cloud"));
}

#[test]
fn a_node_that_has_just_started_waits_a_little_unless_a_period_was_missed() {
    let mut world = a_library();
    later(&mut world, PERIOD + DAY);
    world.restart(1);
    for peer in [2, 3] {
        world.meet(1, peer);
    }
    world.pass(2_000);
    assert_eq!(due(&world, 1), None);
    world.pass(300_000);
    assert!(due(&world, 1).is_some());
    later(&mut world, PERIOD);
    world.restart(1);
    for peer in [2, 3] {
        world.meet(1, peer);
    }
    world.pass(2_000);
    assert!(due(&world, 1).is_some());
}

#[test]
fn of_two_studios_one_does_it_and_rather_the_one_that_stands_elsewhere() {
    let mut world = a_library();
    let admit = Body::Admit(Admit { node: id(4), role: Role::Studio, site: site("home") });
    world.tell(1, Event::SayAs(Box::new(key(AUTHORITY)), vec![admit]));
    let records = world.hosts[&id(1)].records.values();
    let records = records.map(|bytes| Record::trusted(bytes).expect("own store")).collect();
    world.add(4, records);
    world.tell(4, Event::Say(vec![volume_info(5, Media::Ssd)]));
    world.tell(4, Event::VolumeOpened { volume: volume(5), shards: vec![] });
    for peer in [1, 2, 3] {
        world.meet(4, peer);
    }
    world.pass(5_000);
    later(&mut world, PERIOD);
    let sites: BTreeSet<Site> = ["cloud", "friend", "home", "studio"].map(site).into();
    assert_eq!(world.node(1).drill_sites(), sites);
    for one in &sites {
        let others: BTreeSet<Site> = sites.iter().filter(|other| *other != one).cloned().collect();
        let by: Vec<u8> =
            [1, 4].into_iter().filter(|n| world.node(*n).drill_due(&others).is_some()).collect();
        match one.name() {
            "studio" => assert_eq!(by, [4]),
            "home" => assert_eq!(by, [1]),
            _ => assert_eq!(by.len(), 1, "{one}: {by:?}"),
        }
    }
    // What one has said, the other knows.
    let by = if due(&world, 1).as_deref() == Some("cloud") { 1 } else { 4 };
    world.tell(by, held("cloud", true));
    world.pass(1_000);
    assert!([1, 4].iter().all(|n| due(&world, *n).as_deref() != Some("cloud")));
    assert!(same_records(&world));
}
