//! Removal: what a stolen machine said before stays as far as it is worth keeping, and what it says later is nothing.

use safelight_proto::record::{Adopt, Remove};

use super::*;
use crate::node::Condition;

fn remove(n: u8, with_phrase: bool) -> Event {
    Event::Remove { node: id(n), authority: with_phrase.then(|| Box::new(key(AUTHORITY))) }
}

/// Studios 1 to 3, each with a volume of its own number, all connected.
fn studios() -> World {
    let mut world = World::default();
    let say = |body| Record::sign(library(), record::Hlc(2), body, &key(AUTHORITY));
    let mut records = founding(1);
    for n in [2, 3] {
        records.push(say(Body::Admit(Admit { node: id(n), role: Role::Studio, site: site("home") })));
        records.push(say(Body::Delegate(Delegate { node: id(n) })));
    }
    for n in 1..=3 {
        world.add(n, records.clone());
        world.tell(n, Event::Say(vec![volume_info(n, Media::Ssd)]));
        world.tell(n, Event::VolumeOpened { volume: volume(n), shards: vec![] });
        world.tell(n, Event::Tick);
    }
    for (a, b) in [(1, 2), (1, 3), (2, 3)] {
        world.meet(a, b);
    }
    world.pass(2_000);
    world
}

fn part(world: &mut World, a: u8, b: u8) {
    world.tell(a, Event::Disconnected(id(b)));
    world.tell(b, Event::Disconnected(id(a)));
}

/// A roll that node `n` says at `at`, sent by whom ever to node `to`, in every way there is.
fn forge(world: &mut World, n: u8, seed: u8, at: record::Hlc, to: u8, by: u8) -> RollId {
    let roll = RollId([seed; 32]);
    let record = Record::sign(library(), at, ingested_body(roll, seed), &key(n));
    world.tell(to, Event::Gossip { bytes: record.bytes.clone(), token: Token(0) });
    let request = Request::Push(vec![record.bytes]);
    world.tell(to, Event::Asked { from: id(by), request, token: Token(0) });
    roll
}

fn alike(world: &World, a: u8, b: u8) -> bool {
    world.node(a).manifest().ids() == world.node(b).manifest().ids()
}

#[test]
fn a_removed_vault_counts_nowhere_and_says_nothing_any_more() {
    let mut world = three_sites();
    let roll = ingested(&mut world, 1, 50, 1);
    let theirs = ingested(&mut world, 2, 51, 3);
    world.pass(10_000);
    assert!(world.node(3).manifest().believed(&roll, &volume(3)));
    world.tell(1, remove(2, false));
    world.pass(3_000);
    for n in [1, 3] {
        let node = world.node(n);
        assert_eq!(node.condition(&id(2)), None);
        assert!(!node.connected().contains(&id(2)), "at {n}");
        assert_eq!(node.manifest().host_of(&volume(3)), None);
        let held = node.manifest().holdings(&roll);
        assert!(held.values().all(|held| !held.contains_key(&volume(3))));
        assert_eq!(node.manifest().roll(&theirs).map(|(_, author)| author), Some(id(2)), "its roll stays");
        assert!(node.manifest().codings(&theirs).len() == 1 && node.manifest().layout(&theirs).is_some());
    }
    let before = world.node(1).manifest().ids().clone();
    world.tell(2, Event::Say(vec![volume_info(9, Media::Ssd)]));
    ingested(&mut world, 2, 52, 3);
    world.pass(30_000);
    assert!(world.node(1).manifest().roll(&RollId([52; 32])).is_none());
    assert!(world.node(3).manifest().volume(&volume(9)).is_none());
    assert!(before.is_subset(world.node(3).manifest().ids()));
    for n in [1, 3] {
        world.restart(n);
        assert_eq!(world.node(n).condition(&id(2)), None);
        assert!(world.node(n).manifest().roll(&theirs).is_some());
    }
    world.tell(1, join(2, [2; 16]));
    let reply = world.hosts[&id(1)].replies.last();
    assert!(matches!(reply, Some(JoinReply::Refused(why)) if why.contains("new home")), "{reply:?}");
}

#[test]
fn a_studio_adopts_by_itself_what_it_had_when_the_removal_came_and_nothing_later() {
    let mut world = studios();
    part(&mut world, 1, 2);
    part(&mut world, 1, 3);
    let theirs = ingested(&mut world, 3, 60, 3);
    world.pass(2_000);
    assert!(
        world.node(2).manifest().roll(&theirs).is_some() && world.node(1).manifest().roll(&theirs).is_none()
    );
    world.tell(1, remove(3, true));
    assert_eq!(world.node(1).condition(&id(3)), None);
    world.meet(1, 2);
    world.pass(30_000);
    for n in [1, 2] {
        let manifest = world.node(n).manifest();
        assert_eq!(manifest.roll(&theirs).map(|(_, author)| author), Some(id(3)), "at {n}");
        assert_eq!(manifest.codings(&theirs).len(), 1);
        assert_eq!(world.node(n).condition(&id(3)), None);
        assert_eq!(manifest.host_of(&volume(3)), None, "what it holds counts nowhere");
    }
    assert!(alike(&world, 1, 2));

    for (to, by) in [(1, 2), (2, 1), (2, 3)] {
        let late = forge(&mut world, 3, 61, record::Hlc(7), to, by);
        assert!(world.node(to).manifest().roll(&late).is_none(), "dated back, and sent by {by}");
    }
    world.restart(2);
    world.meet(1, 2);
    world.pass(30_000);
    assert!(world.node(2).manifest().roll(&RollId([61; 32])).is_none());
    assert!(world.node(2).manifest().roll(&theirs).is_some());
    assert!(alike(&world, 1, 2));
}

#[test]
fn a_vault_keeps_nothing_that_no_studio_adopted() {
    let mut world = three_sites();
    part(&mut world, 1, 2);
    part(&mut world, 1, 3);
    let theirs = ingested(&mut world, 2, 60, 3);
    world.pass(2_000);
    assert!(world.node(3).manifest().roll(&theirs).is_some());
    world.tell(1, remove(2, false));
    world.meet(1, 3);
    world.pass(30_000);
    assert!(world.node(3).manifest().roll(&theirs).is_none());
    assert!(alike(&world, 1, 3));
}

#[test]
fn members_that_the_stolen_studio_had_let_in_go_on_undisturbed() {
    let mut world = three_sites();
    let say = |body| Record::sign(library(), record::Hlc(2), body, &key(AUTHORITY));
    let records = [
        founding(1),
        vec![
            say(Body::Admit(Admit { node: id(5), role: Role::Studio, site: site("home") })),
            say(Body::Delegate(Delegate { node: id(5) })),
        ],
    ];
    let records = records.concat();
    let bytes = records.iter().map(|record| record.bytes.clone()).collect();
    world.tell(1, Event::Asked { from: id(2), request: Request::Push(bytes), token: Token(0) });
    world.pass(2_000);
    world.add(5, records);
    world.meet(1, 5);
    // Vault 3 does not meet the other studio: it hears of everything from vault 2.
    world.meet(2, 5);
    let roll = ingested(&mut world, 1, 50, 1);
    world.pass(30_000);
    assert!(world.node(5).manifest().roll(&roll).is_some());
    world.tell(5, remove(1, true));
    world.pass(2_000);
    for n in [2, 3, 5] {
        let node = world.node(n);
        assert_eq!(node.condition(&id(1)), None, "at {n}");
        assert!(node.condition(&id(2)).is_some() && node.condition(&id(3)).is_some(), "at {n}");
        assert!(node.manifest().claim(&roll, &volume(3)).is_some(), "what they hold is known");
    }
    assert!(world.node(3).connected().contains(&id(2)) && world.node(2).connected().contains(&id(3)));
    world.pass(30_000);
    assert!(world.node(3).manifest().believed(&roll, &volume(3)), "it is proven anew");
    assert!(alike(&world, 2, 3) && alike(&world, 2, 5));
    assert_eq!(world.node(5).condition(&id(2)), Some(Condition::Online));
}

#[test]
fn a_node_that_hears_of_its_own_removal_falls_silent() {
    let mut world = three_sites();
    let removal = Record::sign(library(), record::Hlc(9), Body::Remove(Remove { node: id(2) }), &key(1));
    let event = Event::Gossip { bytes: removal.bytes, token: Token(0) };
    let now = world.now();
    let step = world.hosts.get_mut(&id(2)).expect("there").node.handle(event, now);
    let effects = step.release(Committed::after_fsync());
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Gate(members) if members.is_empty())));
    assert!(world.node(2).is_removed() && world.node(2).connected().is_empty());
    let records = world.node(2).manifest().count();
    world.tell(2, Event::Say(vec![volume_info(9, Media::Ssd)]));
    world.pass(60_000);
    assert_eq!(world.node(2).manifest().count(), records);
}

#[test]
fn who_was_away_when_it_was_removed_is_told_at_the_door() {
    for (mut world, thief, with_phrase) in [(three_sites(), 2, false), (studios(), 3, true)] {
        part(&mut world, 1, thief);
        world.tell(1, remove(thief, with_phrase));
        let request = world.node(thief).knock().expect("it has an admission");
        world.tell(1, Event::Join { from: id(thief), request, token: Token(1) });
        let reply = world.hosts[&id(1)].replies.last().cloned();
        let Some(JoinReply::Welcome { records, reading_key: None }) = reply else {
            panic!("it is shown the removal, and no key")
        };
        assert!(world.node(1).connected().iter().all(|peer| *peer != id(thief)), "and not let in");
        world.tell(thief, Event::Told(records));
        assert!(world.node(thief).is_removed());
        assert!(world.node(thief).knock().is_none());
    }
}

#[test]
fn a_drive_that_was_carried_over_to_it_is_not_taken_to_be_back() {
    let mut world = studios();
    world.tell(1, Event::Say(vec![volume_info(9, Media::Usb)]));
    world.pass(500);
    world.tell(3, Event::Say(vec![volume_info(9, Media::Usb)]));
    world.pass(2_000);
    assert_eq!(world.node(2).manifest().host_of(&volume(9)), Some(id(3)));
    world.tell(2, remove(3, true));
    world.pass(2_000);
    for n in [1, 2] {
        assert_eq!(world.node(n).manifest().host_of(&volume(9)), Some(id(1)));
        assert!(world.node(n).is_leaving(&volume(9)), "nothing rests on it");
        assert!(!world.node(n).is_leaving(&volume(1)));
    }
}

#[test]
fn what_a_removed_node_holds_is_never_adopted() {
    let mut world = studios();
    let roll = ingested(&mut world, 3, 60, 3);
    world.pass(5_000);
    let legacy = world.node(1).manifest().legacy(&id(3));
    assert_eq!(legacy.len(), 3, "roll, coding and layout");
    assert!(world.node(1).manifest().claim(&roll, &volume(3)).is_some());
    world.tell(1, remove(3, true));
    world.pass(2_000);
    assert!(world.node(2).manifest().claim(&roll, &volume(3)).is_none());
    let adopted = |n: u8| {
        let entries = world.node(n).manifest().entries();
        entries.filter(|(_, entry)| matches!(entry.body, Body::Adopt(_))).count()
    };
    assert_eq!((adopted(1), adopted(2)), (1, 1), "one studio's adoption is enough");
    assert!(Adopt::of(legacy).len() == 1);
}
