//! Losses, leavers and newcomers: what is short is made whole wherever the volumes that stay allow it.

use safelight_proto::record::{Leaver, Lost, Retired};

use super::*;
use crate::place::evaluate_roll;

/// Whether `roll` meets the default rule by the picture of node `n`.
pub(super) fn is_safe(world: &World, n: u8, roll: &RollId) -> bool {
    let node = world.node(n);
    let (body, _) = node.manifest().roll(roll).expect("known");
    evaluate_roll(&node.topology(), &node.rule_of(body), &node.roll_view(body)).met()
}

pub(super) fn lose(world: &mut World, n: u8, by: u8) {
    let others: Vec<NodeId> = world.hosts.keys().copied().filter(|other| *other != id(n)).collect();
    for other in others {
        world.queue.push_back((other, Event::Disconnected(id(n))));
    }
    world.hosts.remove(&id(n));
    world.settle();
    world.tell(by, Event::Say(vec![Body::Lost(Lost { node: id(n), lost: true })]));
}

/// One more vault with a volume, joined by the studio's invite and met by all.
pub(super) fn newcomer(world: &mut World, n: u8, v: u8, media: Media, place: &str) {
    let others: Vec<u8> =
        (1..20).filter(|other| *other != n && world.hosts.contains_key(&id(*other))).collect();
    let secret = [n; 16];
    let state = InviteState::new(Role::Vault, u64::MAX);
    world.tell(1, Event::Invite(Hash::of(&secret), state));
    let request = JoinRequest {
        library: library(),
        proof: Proof::Invite(secret),
        site: site(place),
        name: "new".into(),
        comparison: Comparison::Open,
    };
    world.tell(1, Event::Join { from: id(n), request, token: Token(1) });
    let Some(JoinReply::Welcome { records, .. }) = world.hosts[&id(1)].replies.last().cloned() else {
        panic!("node {n} was not let in")
    };
    world.add(n, records.iter().map(|r| Record::parse(library(), r).expect("valid")).collect());
    others.iter().for_each(|other| world.meet(*other, n));
    world.tell(n, Event::Say(vec![volume_info(v, media)]));
    world.tell(n, Event::VolumeOpened { volume: volume(v), shards: vec![] });
}

#[test]
fn a_lost_site_is_made_up_for_on_those_that_stay() {
    let mut world = three_sites();
    let roll = ingested(&mut world, 1, 80, 1);
    world.pass(10_000);
    newcomer(&mut world, 4, 5, Media::Nas, "office");
    world.pass(5_000);
    assert!(is_safe(&world, 1, &roll));
    lose(&mut world, 2, 1);
    assert!(!is_safe(&world, 1, &roll), "a shard is gone");
    world.pass(10_000);
    assert!(is_safe(&world, 1, &roll) && is_safe(&world, 3, &roll));
    assert!(world.hosts[&id(4)].disk.iter().any(|(on, _)| *on == volume(5)), "the newcomer was put to use");
    let (layout, coding) = world.node(1).manifest().laid_out(&roll).expect("laid out");
    assert_eq!(
        (coding.coding, layout.volumes.len()),
        (CodingId([80; 16]), 4),
        "nothing was coded anew for it"
    );
}

#[test]
fn a_newcomer_does_not_take_those_it_has_not_heard_of_for_lost() {
    let mut world = just_met();
    // The vaults hear of the roll before they look again which volumes there are.
    let roll = ingested(&mut world, 1, 85, 1);
    let wanted = world.node(1).manifest().layout(&roll).cloned();
    for _ in 0..3 {
        world.steady += 250;
        (2..=3).for_each(|n| world.tell(n, Event::Tick));
    }
    world.pass(10_000);
    for n in 1..=3 {
        assert_eq!(world.node(n).manifest().layout(&roll).cloned(), wanted, "nothing was lost");
        assert_eq!(world.node(n).repairs_waiting().count(), 0);
    }
}

#[test]
fn with_two_sites_left_the_coding_grows() {
    let mut world = three_sites();
    let roll = ingested(&mut world, 1, 81, 1);
    world.pass(10_000);
    lose(&mut world, 2, 1);
    world.pass(20_000);
    assert!(is_safe(&world, 1, &roll), "two drives at the studio and one in the cloud can keep 3-2-1");
    assert!(is_safe(&world, 3, &roll));
}

#[test]
fn vaults_alone_do_what_they_can() {
    let mut world = three_sites();
    let roll = ingested(&mut world, 1, 82, 1);
    world.pass(10_000);
    for vault in [2, 3] {
        world.queue.push_back((id(vault), Event::Disconnected(id(1))));
    }
    world.hosts.remove(&id(1));
    world.settle();
    world.pass(20_000);
    assert_eq!(world.hosts[&id(2)].disk.len(), 1, "nothing moves while the studio is expected back");
    // The grace runs out.
    world.steady += 15 * 24 * 3_600_000;
    world.pass(20_000);
    let view = |n: u8| {
        let node = world.node(n);
        let (body, _) = node.manifest().roll(&roll).expect("known");
        let rule = Rule { copies: 2, media: 1, offsite: 1, ..Rule::default() };
        evaluate_roll(&node.topology(), &rule, &node.roll_view(body)).met()
    };
    assert!(view(2) && view(3), "either of the two vaults can bring all of it back by now");
}

#[test]
fn a_newcomer_makes_old_shoots_safe() {
    let mut world = World::default();
    world.add(1, founding(1));
    world.tell(1, Event::Say(vec![volume_info(1, Media::Ssd), volume_info(2, Media::Hdd)]));
    for v in [1, 2] {
        world.tell(1, Event::VolumeOpened { volume: volume(v), shards: vec![] });
    }
    // Two copies, one on each drive: all that one site can do.
    let (roll, coding) = (RollId([83; 32]), CodingId([83; 16]));
    let hashes: Vec<Hash> = (0..2u8).map(|index| Hash::of(&[83, index])).collect();
    let body = ingested_body(roll, 83);
    let bodies = vec![
        body,
        Body::Coding(Coding { roll, coding, k: 1, unit: 4096, shard_bytes: 600_000, shards: hashes.clone() }),
        Body::Layout(Layout { roll, coding, volumes: vec![volume(1), volume(2)] }),
    ];
    let shard = |index: u8| Shard {
        hash: hashes[usize::from(index)],
        bytes: 600_000,
        roll,
        coding,
        index,
        staged: false,
    };
    let shards = vec![(volume(1), shard(0)), (volume(2), shard(1))];
    world.hosts.get_mut(&id(1)).expect("there").disk.extend(shards.iter().map(|(v, s)| (*v, s.hash)));
    world.tell(1, Event::Stored { bodies, shards, catalog: Hash::of(&[83]) });
    world.pass(5_000);
    assert!(!is_safe(&world, 1, &roll));
    let before = world.node(1).manifest().count();
    world.pass(60_000);
    assert_eq!(world.node(1).manifest().count(), before, "where nothing can be done, nothing is");
    newcomer(&mut world, 2, 3, Media::Nas, "friend");
    world.pass(20_000);
    assert!(is_safe(&world, 1, &roll), "a third copy at the friend's");
    assert_eq!(world.hosts[&id(2)].disk.len(), 1);
}

#[test]
fn a_leaving_volume_is_emptied_before_it_goes() {
    let mut world = three_sites();
    let roll = ingested(&mut world, 1, 84, 1);
    newcomer(&mut world, 4, 5, Media::Nas, "office");
    world.pass(10_000);
    world
        .tell(1, Event::Say(vec![Body::Retired(Retired { what: Leaver::Volume(volume(3)), retired: true })]));
    for _ in 0..40 {
        world.pass(500);
        assert!(is_safe(&world, 1, &roll), "never below the rule on the way");
    }
    let (layout, _) = world.node(1).manifest().laid_out(&roll).expect("laid out");
    assert!(!layout.volumes.contains(&volume(3)), "nothing is wanted there any more");
    lose(&mut world, 2, 1);
    assert!(is_safe(&world, 1, &roll), "and nothing is missed when it goes");
}

#[test]
fn two_caretakers_do_no_harm() {
    let mut world = three_sites();
    newcomer(&mut world, 4, 5, Media::Nas, "office");
    let rolls: Vec<RollId> = (90..100).map(|seed| ingested(&mut world, 1, seed, 1)).collect();
    world.pass(20_000);
    // Node 1 and node 3 do not see each other: each thinks that it is its turn.
    world.queue.push_back((id(1), Event::Disconnected(id(3))));
    world.queue.push_back((id(3), Event::Disconnected(id(1))));
    world.settle();
    lose(&mut world, 2, 1);
    world.pass(30_000);
    world.meet(1, 3);
    world.pass(60_000);
    assert!(same_records(&world));
    for roll in rolls {
        for n in [1, 3, 4] {
            assert!(is_safe(&world, n, &roll));
            assert_eq!(world.node(n).wants().count(), 0);
        }
    }
}

#[test]
fn a_pull_that_failed_asks_another_holder() {
    let mut world = three_sites();
    let roll = ingested(&mut world, 1, 86, 1);
    world.pass(10_000);
    newcomer(&mut world, 4, 5, Media::Nas, "office");
    world.pass(2_000);
    // The same shard lies on two volumes, and one holder cannot give it.
    let (coding, hash) = (CodingId([86; 16]), Hash::of(&[86, 2]));
    let shard = Shard { hash, bytes: 600_000, roll, coding, index: 2, staged: false };
    world.hosts.get_mut(&id(1)).expect("there").disk.insert((volume(1), hash));
    world.tell(1, Event::Brought(vec![(volume(1), shard)]));
    world.pass(1_000);
    let holder = world.hosts.get_mut(&id(2)).expect("there");
    assert!(holder.disk.remove(&(volume(3), hash)), "it lost the file and does not know");
    world.tell(
        1,
        Event::Say(vec![Body::Layout(Layout { roll, coding, volumes: [1, 2, 5, 4].map(volume).to_vec() })]),
    );
    world.pass(30_000);
    assert!(world.hosts[&id(4)].disk.contains(&(volume(5), hash)), "the other one has it");
}
