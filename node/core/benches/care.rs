//! What it costs to care for a large library: `cargo bench -p safelight-core --bench care [-- ROLLS]`, 10,000 rolls to
//! begin with, over 30 volumes of six nodes.
//!
//! Prints what each kind of event costs. A node ticks twice a second, so 5 ms a tick are one per cent of a core.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use safelight_core::event::{Committed, Effect, Event, Shard, Step, Token};
use safelight_core::node::{Identity, Node};
use safelight_core::time::Now;
use safelight_proto::id::{CodingId, Hash, LibraryId, NodeId, RollId, ShootId, VolumeId};
use safelight_proto::record::{
    Admit, Audit, Body, Coding, Delegate, Founding, Hlc, Holding, Layout, Lost, Record, Roll, VolumeInfo,
};
use safelight_proto::vocabulary::{Media, Role, Site};

const NODES: u8 = 6;
const VOLUMES_EACH: u8 = 5;
const K: u8 = 4;
const SHARD: u64 = 1 << 30;

fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

fn id(n: u8) -> NodeId {
    NodeId(key(n).verifying_key().to_bytes())
}

fn library() -> LibraryId {
    LibraryId(*blake3::hash(&id(0).0).as_bytes())
}

/// Node 0 is the authority, 1 is this node, a studio; the others are vaults.
fn volume(node: u8, at: u8) -> VolumeId {
    VolumeId([node * 16 + at; 16])
}

struct Library {
    clock: u64,
    records: Vec<Record>,
    own: BTreeMap<VolumeId, Vec<Shard>>,
}

impl Library {
    fn say(&mut self, by: u8, body: Body) -> Record {
        self.clock += 1;
        let record = Record::sign(library(), Hlc(self.clock), body, &key(by));
        self.records.push(record.clone());
        record
    }

    fn volume(&mut self, node: u8, at: u8, free: u64) -> Record {
        let media = [Media::Ssd, Media::Hdd, Media::Nas, Media::Cloud, Media::Usb][usize::from(at)];
        let info = VolumeInfo {
            volume: volume(node, at),
            media,
            capacity: 1 << 46,
            free,
            site: None,
            device: format!("{node}/{at}"),
            host: format!("{node}"),
            trust_declared: false,
            since: 1,
            absent: 0,
        };
        self.say(node, Body::Volume(info))
    }

    fn found(&mut self) {
        self.say(0, Body::Founding(Founding { reading_public: [1; 32] }));
        for node in 1..=NODES {
            let role = if node == 1 { Role::Studio } else { Role::Vault };
            let site = Site::new(&format!("site {node}")).expect("a name");
            self.say(0, Body::Admit(Admit { node: id(node), role, site }));
            (0..VOLUMES_EACH).for_each(|at| drop(self.volume(node, at, 1 << 45)));
        }
        self.say(0, Body::Delegate(Delegate { node: id(1) }));
    }

    /// One roll, 4 of 6: a shard at each site, on one of its drives.
    fn roll(&mut self, number: u32) {
        let mut roll = [0; 32];
        roll[..4]
            .copy_from_slice(blake3::hash(&number.to_be_bytes()).as_bytes().first_chunk::<4>().expect("4"));
        roll[4..8].copy_from_slice(&number.to_be_bytes());
        let (roll, coding) = (RollId(roll), CodingId([1; 16]));
        let hash = |index: u8| Hash::of(&[&roll.0[..], &[index]].concat());
        // No medium has more than two of them: the rule is met.
        let step = 1 + number / 5 % 4;
        let drive = |node: u8| ((number + u32::from(node) * step) % u32::from(VOLUMES_EACH)) as u8;
        let volumes: Vec<VolumeId> = (0..NODES).map(|node| volume(node + 1, drive(node))).collect();
        let said = [
            Body::Roll(Roll {
                roll,
                shoot: ShootId([(number / 40) as u8; 16]),
                shoot_name: vec![0; 40],
                references: BTreeSet::new(),
                data_bytes: SHARD * 4,
                catalog_bytes: 20_000,
                sealed_hash: hash(100),
                wrapped_key: [0; 80],
                catalog_hash: Hash([7; 32]),
                files: 100,
                bytes: SHARD * 4,
            }),
            Body::Coding(Coding {
                roll,
                coding,
                k: K,
                unit: 262_144,
                shard_bytes: SHARD,
                shards: (0..NODES).map(hash).collect(),
            }),
            Body::Layout(Layout { roll, coding, volumes: volumes.clone() }),
        ];
        said.into_iter().for_each(|body| drop(self.say(1, body)));
        for (index, volume) in (0u8..).zip(volumes) {
            let held = [(coding, [index].into())].into();
            let claim = self.say(index + 1, Body::Holding(Holding { roll, volume, held }));
            if index == 0 {
                let shard = Shard { hash: hash(0), bytes: SHARD, roll, coding, index, staged: false };
                self.own.entry(volume).or_default().push(shard);
            } else {
                self.say(1, Body::Audit(Audit { roll, volume, holding: claim.id, passed: true }));
            }
        }
    }
}

struct Bench {
    node: Node,
    /// Stands for every other member: it knows the same.
    peer: Node,
    steady: u64,
}

impl Bench {
    fn handle(&mut self, event: Event) -> (Step, Duration) {
        let begun = Instant::now();
        let step =
            self.node.handle(event, Now { wall: 1_700_000_000_000 + self.steady, steady: self.steady });
        (step, begun.elapsed())
    }

    /// The others answer: they know nothing new.
    fn agree(&mut self, effects: Vec<Effect>) {
        let now = Now { wall: 1_700_000_000_000 + self.steady, steady: self.steady };
        for effect in effects {
            let Effect::Ask(from, question, request) = effect else { continue };
            let asked = Event::Asked { from: id(1), request, token: Token(1) };
            for answer in self.peer.handle(asked, now).release(Committed::after_fsync()) {
                let Effect::Reply(_, answer) = answer else { continue };
                let (step, _) = self.handle(Event::Answered { from, question, answer: Ok(answer) });
                self.agree(step.release(Committed::after_fsync()));
            }
        }
    }

    fn say(&mut self, what: &str, events: Vec<Event>) -> Vec<Effect> {
        let (count, mut all, mut worst, mut effects) = (events.len(), Duration::ZERO, Duration::ZERO, vec![]);
        for event in events {
            let (step, took) = self.handle(event);
            (all, worst) = (all + took, worst.max(took));
            effects.extend(step.release(Committed::after_fsync()));
        }
        println!(
            "{what:<44} {count:>5} times {:>10.3?} each, {worst:>10.3?} at most",
            all / count.max(1) as u32
        );
        effects
    }

    fn ticks(&mut self, what: &str, count: u64) -> Vec<Effect> {
        let (mut all, mut worst, mut effects) = (Duration::ZERO, Duration::ZERO, vec![]);
        for _ in 0..count {
            self.steady += 500;
            let (step, took) = self.handle(Event::Tick);
            (all, worst) = (all + took, worst.max(took));
            effects.extend(step.release(Committed::after_fsync()));
        }
        println!("{what:<44} {count:>5} times {:>10.3?} each, {worst:>10.3?} at most", all / count as u32);
        effects
    }
}

/// What the process takes now, on Linux.
fn report_memory(what: &str) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
    println!("{what:<44} {line}");
}

fn gossip(record: &Record) -> Event {
    Event::Gossip { bytes: record.bytes.clone(), token: Token(1) }
}

fn main() {
    let rolls = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(10_000u32);
    let mut library = Library { clock: 1 << 30, records: vec![], own: BTreeMap::new() };
    library.found();
    (0..rolls).for_each(|number| library.roll(number));
    println!("{rolls} rolls, {} records", library.records.len());
    let identity = Identity { key: key(1), library: self::library(), reading_key: None };
    let records = std::mem::take(&mut library.records);
    let begun = Instant::now();
    let catalogs = [Hash([7; 32])].into();
    let (node, _) = Node::new(identity, records.iter().cloned(), BTreeMap::new(), catalogs, [1; 32]);
    println!("{:<44}             {:>10.3?}", "start", begun.elapsed());
    report_memory("with it in memory");
    let identity = Identity { key: key(2), library: self::library(), reading_key: None };
    let (peer, _) = Node::new(identity, records, BTreeMap::new(), BTreeSet::new(), [2; 32]);
    let mut bench = Bench { node, peer, steady: 1_000 };
    let own = std::mem::take(&mut library.own);
    let open = own.into_iter().map(|(volume, shards)| Event::VolumeOpened { volume, shards }).collect();
    bench.say("a volume is opened", open);
    let met = bench.say("a member connects", (2..=NODES).map(|node| Event::Connected(id(node))).collect());
    let begun = Instant::now();
    bench.agree(met);
    println!("{:<44}             {:>10.3?}", "all sets are found equal", begun.elapsed());
    bench.ticks("the first ticks", 4);
    bench.ticks("a tick, idle", 200);
    let news = (0..20).map(|n| gossip(&library.volume(2 + n % 5, n % 5, (1 << 45) + u64::from(n)))).collect();
    bench.say("a volume has other room", news);
    bench.ticks("ticks after that", 20);
    let begun = library.records.len();
    (rolls..rolls + 20).for_each(|number| library.roll(number));
    bench.say("a record of a new roll", library.records[begun..].iter().map(gossip).collect());
    bench.ticks("ticks after that", 20);
    bench.say("a member is gone", vec![Event::Disconnected(id(3))]);
    bench.ticks("ticks after that", 20);
    bench.say("it is declared lost", vec![Event::Say(vec![Body::Lost(Lost { node: id(3), lost: true })])]);
    let mut planned = 0;
    let begun = Instant::now();
    while planned < rolls && begun.elapsed() < Duration::from_secs(60) {
        bench.steady += 500;
        let (step, _) = bench.handle(Event::Tick);
        let layouts = step.release(Committed::after_fsync());
        planned +=
            layouts.iter().filter(|e| matches!(e, Effect::Publish(_) | Effect::Remake(_))).count() as u32;
        if bench.node.repairs_waiting().next().is_none() {
            break;
        }
    }
    println!(
        "{planned} layouts planned in {:.3?}; {} wait",
        begun.elapsed(),
        bench.node.repairs_waiting().count()
    );
}
