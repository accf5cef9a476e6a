//! What would be, and then is: forecasts against what the same world does when it really happens.

use std::time::Instant;

use safelight_proto::record::{Holding as Held, Leaver, Lost, Retired};

use super::repair::{lose, newcomer};
use super::*;
use crate::node::{Forecast, Route, WhatIf, Why};
use crate::place::{Holding, LossRates, RollView, VolumeView, evaluate_roll, judge};
use crate::repair::Loss;

fn lost(volumes: &[u8]) -> WhatIf {
    WhatIf { lost: volumes.iter().map(|n| volume(*n)).collect(), ..WhatIf::default() }
}

fn leaving(volumes: &[u8]) -> WhatIf {
    WhatIf { leaving: volumes.iter().map(|n| volume(*n)).collect(), ..WhatIf::default() }
}

/// Asks node `n`, which must not change by it.
fn asked(world: &World, n: u8, what: &WhatIf) -> Forecast {
    let node = world.node(n);
    let before = (node.manifest().ids(), node.wants().count(), node.repairs_waiting().count());
    let forecast = node.forecast(what);
    assert_eq!(before, (node.manifest().ids(), node.wants().count(), node.repairs_waiting().count()));
    forecast
}

/// The shards of each coding, where they lie on volumes that are among those afterwards.
fn lie(forecast: &Forecast, view: &RollView) -> Vec<Vec<Holding>> {
    let stays = |one: &Holding| forecast.topology.volume(one.volume).is_some();
    let mut lie: Vec<Vec<Holding>> = Vec::new();
    for coding in &view.codings {
        let mut held: Vec<Holding> = coding.holdings.iter().copied().filter(stays).collect();
        held.sort_unstable();
        lie.push(held);
    }
    lie
}

/// Whether the rolls stand by now as they were foreseen to.
fn came_true(world: &World, n: u8, forecast: &Forecast) -> bool {
    forecast.after.iter().all(|(roll, after)| {
        let node = world.node(n);
        let (body, _) = node.manifest().roll(roll).expect("known");
        lie(forecast, &node.roll_view(body)) == lie(forecast, after)
    })
}

fn met(forecast: &Forecast, roll: &RollId) -> bool {
    evaluate_roll(&forecast.topology, &Rule::default(), &forecast.after[roll]).met()
}

/// Four sites; one roll, spread and proven.
fn four_sites(seed: u8) -> (World, RollId) {
    let mut world = three_sites();
    newcomer(&mut world, 4, 5, Media::Nas, "office");
    world.pass(5_000);
    let roll = ingested(&mut world, 1, seed, 1);
    world.pass(10_000);
    (world, roll)
}

#[test]
fn a_loss_comes_as_foreseen() {
    let (mut world, roll) = four_sites(120);
    let forecast = asked(&world, 1, &lost(&[3]));
    assert!(met(&forecast, &roll));
    let lowest = forecast.lowest.clone().expect("there is a roll");
    assert_eq!((lowest.survives_volumes, lowest.files_lost), (1, 0), "one of four shards is gone");
    assert!(lowest.readable);
    let routes: Vec<Route> = forecast.loads.keys().copied().collect();
    assert!(routes.iter().all(|route| route.why == Why::Remade), "{routes:?}");
    assert!(routes.contains(&Route { from: id(1), to: id(4), why: Why::Remade }), "{routes:?}");
    assert_eq!((forecast.rolls, forecast.planned), (1, 1));
    for n in 2..=4 {
        assert_eq!(asked(&world, n, &lost(&[3])).after, forecast.after, "vaults foresee the same");
    }
    lose(&mut world, 2, 1);
    world.pass(20_000);
    assert!(came_true(&world, 1, &forecast));
}

#[test]
fn a_leaver_is_emptied_as_foreseen() {
    let (mut world, roll) = four_sites(121);
    let forecast = asked(&world, 1, &leaving(&[3]));
    assert!(met(&forecast, &roll));
    let load: Vec<_> = forecast.loads.iter().collect();
    let [(route, load)] = load.as_slice() else { panic!("one shard goes one way: {load:?}") };
    assert_eq!(**route, Route { from: id(2), to: id(4), why: Why::Moved });
    assert_eq!((load.rolls, load.shards, load.bytes), (1, 1, 600_000));
    let lowest = forecast.lowest.clone().expect("there is a roll");
    assert_eq!(lowest.survives_volumes, 2, "nothing is weaker on the way");
    let what = Leaver::Volume(volume(3));
    world.tell(1, Event::Say(vec![Body::Retired(Retired { what, retired: true })]));
    world.pass(20_000);
    assert!(came_true(&world, 1, &forecast));
    assert!(world.node(1).work().is_empty(), "all is done");
}

#[test]
fn a_newcomer_helps_as_foreseen() {
    let mut world = World::default();
    world.add(1, founding(1));
    world.tell(1, Event::Say(vec![volume_info(1, Media::Ssd), volume_info(2, Media::Hdd)]));
    for v in [1, 2] {
        world.tell(1, Event::VolumeOpened { volume: volume(v), shards: vec![] });
    }
    let event = stored(122, 1);
    if let (Some(host), Event::Stored { shards, .. }) = (world.hosts.get_mut(&id(1)), &event) {
        host.disk.extend(shards.iter().map(|(on, shard)| (*on, shard.hash)));
    }
    world.tell(1, event);
    world.pass(10_000);
    let roll = RollId([122; 32]);
    let nothing = asked(&world, 1, &WhatIf::default());
    assert!(!met(&nothing, &roll) && nothing.loads.is_empty());
    let view = VolumeView {
        id: volume(5),
        name: "new".into(),
        node: id(9),
        role: Role::Vault,
        site: site("friend"),
        media: Media::Nas,
        free: 1 << 40,
        used: 0,
        domain: None,
        host: None,
        trust_declared: true,
    };
    let forecast = asked(&world, 1, &WhatIf { added: vec![view], ..WhatIf::default() });
    assert!(met(&forecast, &roll));
    assert!(forecast.loads.keys().any(|route| route.to == id(9)), "{:?}", forecast.loads);
    let full = VolumeView { free: 1_000, ..forecast.topology.volume(volume(5)).expect("there").clone() };
    let forecast = asked(&world, 1, &WhatIf { added: vec![full], ..WhatIf::default() });
    assert!(!met(&forecast, &roll), "there is no room on it");
}

#[test]
fn what_cannot_be_helped_is_said() {
    let mut world = three_sites();
    let roll = ingested(&mut world, 1, 123, 1);
    world.pass(10_000);
    let forecast = asked(&world, 1, &WhatIf::default());
    assert!(met(&forecast, &roll) && forecast.loads.is_empty());
    assert_eq!(forecast.unhealable, [Loss::Site(site("studio"))], "two vaults cannot keep 3-2-1");
    let forecast = asked(&world, 1, &lost(&[1, 2]));
    let lowest = forecast.lowest.clone().expect("there is a roll");
    assert_eq!((lowest.survives_volumes, lowest.readable, lowest.files_lost), (0, true, 0));
    assert_eq!(lowest.fatal_sites.len(), 2);
    assert!(!met(&forecast, &roll));
    let forecast = asked(&world, 1, &lost(&[1, 2, 3]));
    let lowest = forecast.lowest.clone().expect("there is a roll");
    assert_eq!((lowest.readable, lowest.files_lost), (false, 10));
    assert!(forecast.loads.is_empty(), "nothing can be made of one shard");
    let views = forecast.views([&roll], true);
    let judged = judge(&forecast.topology, &Rule::default(), &LossRates::default(), None, &views);
    assert_eq!(judged.verdict, crate::place::Verdict::Lost);
    assert!(
        asked(&World { hosts: BTreeMap::new(), ..three_sites() }.alone(), 1, &lost(&[1])).lowest.is_none()
    );
}

impl World {
    /// A studio that knows of nothing.
    fn alone(mut self) -> Self {
        self.add(1, founding(1));
        self
    }
}

#[test]
fn room_to_heal_shrinks_with_the_volumes() {
    let (mut world, roll) = four_sites(124);
    let forecast = asked(&world, 1, &WhatIf::default());
    assert!(met(&forecast, &roll));
    assert_eq!(forecast.unhealable, [Loss::Site(site("studio"))], "vaults alone make no new codings");
    // Everybody else has room for less than one more shard.
    for (n, v, media) in [(1, 1, Media::Ssd), (1, 2, Media::Hdd), (3, 4, Media::Cloud), (4, 5, Media::Nas)] {
        let Body::Volume(info) = volume_info(v, media) else { panic!("a volume") };
        world.tell(n, Event::Say(vec![Body::Volume(VolumeInfo { free: 100_000, ..info })]));
    }
    world.pass(2_000);
    let forecast = asked(&world, 1, &WhatIf::default());
    assert!(met(&forecast, &roll));
    assert!(forecast.unhealable.contains(&Loss::Site(site("cloud"))), "{:?}", forecast.unhealable);
}

/// `rolls` rolls of which 4 of 6 shards are needed, spread over ten studios with three volumes each; nobody is within reach of
/// node 1 but itself.
fn crowd(rolls: u32) -> World {
    const NODES: u8 = 10;
    let say = |hlc, by: u8, body| Record::sign(library(), record::Hlc(hlc), body, &key(by));
    let mut records = founding(1);
    for n in 2..=NODES {
        let admit = Admit { node: id(n), role: Role::Studio, site: site(&format!("site {n}")) };
        records.push(say(1, AUTHORITY, Body::Admit(admit)));
    }
    let host = |v: u8| (v - 1) / 3 + 1;
    for v in 1..=3 * NODES {
        let media = [Media::Ssd, Media::Hdd, Media::Nas][usize::from(v % 3)];
        records.push(say(2, host(v), volume_info(v, media)));
    }
    for at in 0..rolls {
        let mut name = [7; 32];
        name[..4].copy_from_slice(&at.to_le_bytes());
        let (roll, mut coding) = (RollId(name), CodingId([0; 16]));
        coding.0.copy_from_slice(&name[..16]);
        let Body::Roll(body) = ingested_body(roll, 1) else { panic!("a roll") };
        let author = (at % u32::from(NODES)) as u8 + 1;
        // One volume at each of six sites, one site after the other.
        let volumes = (0..6u8).map(|index| ((author - 1 + index) % NODES) * 3 + 1 + (index + author) % 3);
        let volumes: Vec<u8> = volumes.collect();
        let shards = (0..6u8).map(|index| Hash::of(&[&name[..], &[index]].concat())).collect();
        let layout = Layout { roll, coding, volumes: volumes.iter().map(|v| volume(*v)).collect() };
        let data_bytes = 1 << 30;
        records.push(say(3, author, Body::Roll(Roll { data_bytes, ..body })));
        let body = Coding { roll, coding, k: 4, unit: 4096, shard_bytes: 1 << 28, shards };
        records.push(say(3, author, Body::Coding(body)));
        records.push(say(3, author, Body::Layout(layout)));
        for (index, v) in (0u8..).zip(&volumes) {
            let held = BTreeMap::from([(coding, BTreeSet::from([index]))]);
            records.push(say(3, host(*v), Body::Holding(Held { roll, volume: volume(*v), held })));
        }
    }
    let mut world = World::default();
    world.add(1, records);
    world
}

#[test]
fn ten_thousand_rolls_are_few_cases() {
    let world = crowd(10_000);
    let site_of_two: Vec<u8> = vec![4, 5, 6];
    let begun = Instant::now();
    let forecast = world.node(1).forecast(&lost(&site_of_two));
    println!("10,000 rolls over 30 volumes: {:?}, {} plans", begun.elapsed(), forecast.planned);
    assert_eq!(forecast.after.len(), 10_000);
    assert_eq!(forecast.rolls, 6_000, "six of ten kinds of layout lie there");
    assert!(forecast.planned >= 6 && forecast.planned <= 60, "{} plans", forecast.planned);
    let all_met =
        forecast.after.values().all(|view| evaluate_roll(&forecast.topology, &Rule::default(), view).met());
    assert!(all_met && forecast.unhealable.is_empty(), "{:?}", forecast.unhealable);
    let moved: u64 = forecast.loads.values().map(|load| load.bytes).sum();
    assert!(moved > 0);
    let free = |topology: &crate::place::Topology| topology.volumes().iter().map(|v| v.free).sum::<u64>();
    assert!(free(&forecast.topology) < 27 << 40, "what is planned uses room");
}

#[test]
fn what_is_under_way_says_why() {
    let (mut world, _) = four_sites(125);
    assert!(world.node(1).work().is_empty());
    // A drive is lost, and nobody can pull yet.
    let others: Vec<NodeId> = [2, 3, 4].map(id).to_vec();
    for other in &others {
        world.queue.push_back((id(1), Event::Disconnected(*other)));
        world.queue.push_back((*other, Event::Disconnected(id(1))));
    }
    world.settle();
    let ingested = ingested(&mut world, 1, 126, 1);
    let spread = world.node(1).work();
    assert!(!spread.is_empty() && spread.keys().all(|route| route.why == Why::Spread), "{spread:?}");
    assert!(spread.keys().all(|route| route.from == id(1)));
    assert!(world.node(1).manifest().roll(&ingested).is_some());
    world.tell(1, Event::Say(vec![Body::Lost(Lost { node: id(2), lost: true })]));
    world.pass(5_000);
    let work = world.node(1).work();
    assert!(work.keys().any(|route| route.why == Why::Remade), "{work:?}");
}
