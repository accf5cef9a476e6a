//! Outside of its hours a node moves nothing but what cannot wait.

use safelight_proto::record::Lost;

use super::repair::newcomer;
use super::*;

fn within(world: &mut World, hours: bool) {
    for n in 1..=4 {
        world.tell(n, Event::Configure(Settings { within_hours: hours, ..Settings::default() }));
    }
}

fn held(world: &World, n: u8) -> usize {
    world.hosts[&id(n)].disk.len()
}

fn four_nodes() -> World {
    let mut world = three_sites();
    newcomer(&mut world, 4, 5, Media::Nas, "office");
    world.pass(5_000);
    world
}

#[test]
fn what_is_placed_waits_for_hours_and_drives_of_one_node_do_not() {
    let mut world = four_nodes();
    within(&mut world, false);
    ingested(&mut world, 1, 140, 1);
    world.pass(20_000);
    assert_eq!((held(&world, 2), held(&world, 3)), (0, 0), "nothing goes to others");
    assert!(world.hosts[&id(1)].disk.iter().any(|(on, _)| *on == volume(2)), "from drive to drive it does");
    within(&mut world, true);
    world.pass(10_000);
    assert_eq!((held(&world, 2), held(&world, 3)), (1, 1));
}

#[test]
fn a_roll_in_danger_does_not_wait() {
    let mut world = four_nodes();
    let roll = ingested(&mut world, 1, 141, 1);
    world.pass(10_000);
    within(&mut world, false);
    let give_up = |world: &mut World, n: u8| {
        let others: Vec<NodeId> = world.hosts.keys().copied().filter(|other| *other != id(n)).collect();
        for other in others {
            world.queue.push_back((other, Event::Disconnected(id(n))));
        }
        world.hosts.remove(&id(n));
        world.settle();
        world.tell(1, Event::Say(vec![Body::Lost(Lost { node: id(n), lost: true })]));
    };
    give_up(&mut world, 2);
    world.pass(20_000);
    assert!(!world.node(1).is_endangered(&roll), "one more drive may fail");
    assert_eq!(held(&world, 4), 0, "so it waits");
    give_up(&mut world, 3);
    assert!(world.node(1).is_endangered(&roll));
    world.pass(20_000);
    assert!(held(&world, 4) > 0, "no drive may fail any more: hours are no matter");
}
