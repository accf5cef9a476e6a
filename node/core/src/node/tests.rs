//! A little world of cores: messages are delivered at once and in order, disks never fail. The simulator is the place
//! for worse worlds; here the protocols are shown to work at all.

use std::collections::VecDeque;

use safelight_proto::id::{CodingId, RecordId, ShootId};
use safelight_proto::invite::ShortCode;
use safelight_proto::message::{Comparison, JoinReply, JoinRequest, Proof, Request, Response};
use safelight_proto::record::{
    self, Admit, Coding, Delegate, Founding, Layout, NodeInfo, Roll, RuleInfo, VolumeInfo,
};
use safelight_proto::vocabulary::{Media, Role, Rule, Site};

use super::*;
use crate::event::{Committed, Ending, Made, Memory, Question, Remake};

mod audits;
mod drill;
mod forecast;
mod hours;
mod removal;
mod repair;
mod surplus;
mod trash;

const AUTHORITY: u8 = 200;
const SECRET: [u8; 16] = [42; 16];

fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

fn id(n: u8) -> NodeId {
    NodeId(key(n).verifying_key().to_bytes())
}

fn library() -> LibraryId {
    LibraryId(*blake3::hash(&id(AUTHORITY).0).as_bytes())
}

fn site(name: &str) -> Site {
    Site::new(name).expect("a fine name")
}

fn volume(n: u8) -> VolumeId {
    VolumeId([n; 16])
}

/// A core with its store and disks.
struct Host {
    node: Node,
    records: BTreeMap<RecordId, Vec<u8>>,
    disk: BTreeSet<(VolumeId, Hash)>,
    memory: Memory,
    /// Volumes that lost everything without saying so.
    liar: bool,
    /// Gives no proof, true or false.
    mute: bool,
    replies: Vec<JoinReply>,
    /// What its owner was told.
    told: Vec<String>,
}

impl Host {
    /// What the store does with a step.
    fn keep(&mut self, step: &Step) {
        for write in step.writes() {
            match write {
                Write::PutRecord(id, bytes) => drop(self.records.insert(*id, bytes.clone())),
                Write::DropRecord(id) => drop(self.records.remove(id)),
                Write::Running(millis) => self.memory.running = *millis,
                Write::Dead(roll, Some(since)) => drop(self.memory.dead.insert(*roll, *since)),
                Write::Dead(roll, None) => drop(self.memory.dead.remove(roll)),
                Write::Brake(brake) => self.memory.brake = *brake,
                Write::Surplus(volume, hash, Some(since)) => {
                    self.memory.surplus.insert((*volume, *hash), *since);
                }
                Write::Surplus(volume, hash, None) => {
                    self.memory.surplus.remove(&(*volume, *hash));
                }
                Write::Promise(volume, hash, Some(until)) => {
                    self.memory.promised.insert((*volume, *hash), *until);
                }
                Write::Promise(volume, hash, None) => {
                    self.memory.promised.remove(&(*volume, *hash));
                }
                Write::Met(node, since) => drop(self.memory.met.insert(*node, *since)),
                _ => {}
            }
        }
    }
}

#[derive(Default)]
struct World {
    hosts: BTreeMap<NodeId, Host>,
    cut: BTreeSet<(NodeId, NodeId)>,
    steady: u64,
    queue: VecDeque<(NodeId, Event)>,
    /// Answers to audits that are held back, when there is such a place.
    late: Option<Vec<(NodeId, Event)>>,
    /// Proofs that were asked for: by whom, of which roll on which volume, and when.
    asked: Vec<(NodeId, RollId, VolumeId, u64)>,
}

impl World {
    fn add(&mut self, n: u8, records: Vec<Record>) {
        let identity = Identity { key: key(n), library: library(), reading_key: None };
        let kept = records.iter().map(|record| (record.id, record.bytes.clone())).collect();
        let (node, step) = Node::new(identity, records, BTreeMap::new(), BTreeSet::new(), [n; 32]);
        let host = Host {
            node,
            records: kept,
            disk: BTreeSet::new(),
            memory: Memory::default(),
            liar: false,
            mute: false,
            replies: vec![],
            told: vec![],
        };
        self.hosts.insert(id(n), host);
        let _ = step.release(Committed::after_fsync());
    }

    fn node(&self, n: u8) -> &Node {
        &self.hosts[&id(n)].node
    }

    fn now(&self) -> Now {
        Now { wall: 1_000_000 + self.steady, steady: self.steady }
    }

    fn tell(&mut self, n: u8, event: Event) {
        self.queue.push_back((id(n), event));
        self.settle();
    }

    /// Lets `millis` pass, half a second at a time.
    fn pass(&mut self, millis: u64) {
        for _ in 0..millis.div_ceil(500) {
            self.steady += 500;
            let all: Vec<NodeId> = self.hosts.keys().copied().collect();
            for node in all {
                self.queue.push_back((node, Event::Tick));
            }
            self.settle();
        }
    }

    fn meet(&mut self, a: u8, b: u8) {
        self.cut.retain(|pair| *pair != (id(a), id(b)) && *pair != (id(b), id(a)));
        self.queue.push_back((id(a), Event::Connected(id(b))));
        self.queue.push_back((id(b), Event::Connected(id(a))));
        self.settle();
    }

    /// Ends node `n` and starts it again from its store and its disks. It has met nobody yet.
    fn restart(&mut self, n: u8) {
        let old = self.hosts.remove(&id(n)).expect("it was there");
        let records = old.records.values().map(|bytes| Record::trusted(bytes).expect("own store")).collect();
        self.add(n, records);
        let host = self.hosts.get_mut(&id(n)).expect("just added");
        host.node.remember(old.memory.clone());
        (host.disk, host.memory) = (old.disk, old.memory);
        self.tell(n, Event::Configure(old.node.settings));
        for (volume, shards) in old.node.ledger() {
            let shards = shards.values().copied().collect();
            self.tell(n, Event::VolumeOpened { volume: *volume, shards });
        }
    }

    fn settle(&mut self) {
        while let Some((at, event)) = self.queue.pop_front() {
            let now = self.now();
            let Some(host) = self.hosts.get_mut(&at) else { continue };
            let step = host.node.handle(event, now);
            host.keep(&step);
            for effect in step.release(Committed::after_fsync()) {
                self.perform(at, effect);
            }
        }
    }

    fn perform(&mut self, at: NodeId, effect: Effect) {
        match effect {
            Effect::Ask(to, question, request) => self.deliver(at, to, question, request),
            Effect::Push(to, ids) => {
                let store = &self.hosts[&at].records;
                let records = ids.iter().filter_map(|id| store.get(id).cloned()).collect();
                self.deliver(at, to, Question(0), Request::Push(records));
            }
            Effect::Publish(bytes) => {
                let reached: Vec<NodeId> = self.hosts[&at].node.connected().iter().copied().collect();
                for peer in reached {
                    self.queue.push_back((peer, Event::Gossip { bytes: bytes.clone(), token: Token(0) }));
                }
            }
            Effect::Pull { want, hash, from, .. } => {
                let Some(source) = self.hosts.get(&from) else { return };
                let found = source.disk.iter().any(|(_, held)| *held == hash);
                let outcome = if found { Ok(()) } else { Err(crate::event::PullError::Source) };
                if found && let Some(host) = self.hosts.get_mut(&at) {
                    host.disk.insert((want.volume, hash));
                }
                self.queue.push_back((at, Event::Pulled { want, outcome }));
            }
            Effect::Audit { of, roll, volume, claim, hash, .. } => {
                self.asked.push((at, roll, volume, self.steady));
                let Some(holder) = self.hosts.get(&of) else { return };
                let outcome = match holder.mute {
                    true => Err("no answer".into()),
                    false => Ok(!holder.liar && holder.disk.contains(&(volume, hash))),
                };
                let answer = (at, Event::Audited { roll, volume, claim, hash, outcome });
                match &mut self.late {
                    Some(late) => late.push(answer),
                    None => self.queue.push_back(answer),
                }
            }
            Effect::Remake(remake) => self.remake(at, &remake),
            Effect::FetchCatalog { hash, from } => {
                let kept = self.hosts[&from].node.care.catalogs.contains(&hash);
                self.queue.push_back((at, Event::Catalog { hash, kept }));
            }
            Effect::Unlink(volume, hash) => {
                if let Some(host) = self.hosts.get_mut(&at) {
                    assert!(host.disk.remove(&(volume, hash)), "only what is there is unlinked");
                }
            }
            Effect::Welcome(_, reply) => {
                if let Some(host) = self.hosts.get_mut(&at) {
                    host.replies.push(reply);
                }
            }
            Effect::Tell(text) => {
                if let Some(host) = self.hosts.get_mut(&at) {
                    host.told.push(text);
                }
            }
            Effect::Reply(..) | Effect::Drop(..) | Effect::Judge(..) | Effect::Gate(_) | Effect::Alert(_) => {
            }
        }
    }

    /// Makes shards where k others are within reach; each on its volume where that is here, else on the first.
    fn remake(&mut self, at: NodeId, remake: &Remake) {
        let node = &self.hosts[&at].node;
        let near = |id: &NodeId| *id == at || node.connected().contains(id);
        let reach = |hash: &Hash| {
            self.hosts.iter().any(|(id, host)| near(id) && host.disk.iter().any(|(_, held)| held == hash))
        };
        let codings: Vec<Coding> = node.manifest().codings(&remake.roll).into_values().cloned().collect();
        let enough = |c: &Coding| c.shards.iter().filter(|hash| reach(hash)).count() >= usize::from(c.k);
        let readable = codings.iter().any(enough);
        let own: Vec<VolumeId> = node.ledger().keys().copied().collect();
        let hash = |index: u8| -> Hash {
            let known = remake.known.get(usize::from(index)).copied();
            known.unwrap_or_else(|| Hash::of(&[&remake.coding.0[..], &[index]].concat()))
        };
        let outcome = if readable {
            let made: Vec<(VolumeId, Shard)> = remake
                .make
                .iter()
                .map(|(index, wanted)| {
                    let on = if own.contains(wanted) { *wanted } else { own[0] };
                    let (roll, coding) = (remake.roll, remake.coding);
                    let (hash, bytes) = (hash(*index), 600_000);
                    (on, Shard { hash, bytes, roll, coding, index: *index, staged: false })
                })
                .collect();
            let all = remake.known.len().max(remake.layout.len());
            let grown = all > remake.known.len();
            let shards = (0u8..).take(all).map(hash).collect();
            let (roll, coding, k, unit) = (remake.roll, remake.coding, remake.k, 4096);
            let bodies = vec![
                Body::Coding(Coding { roll, coding, k, unit, shard_bytes: 600_000, shards }),
                Body::Layout(Layout { roll, coding, volumes: remake.layout.clone() }),
            ];
            Ok(Made { bodies: if grown { bodies } else { vec![] }, shards: made })
        } else {
            Err("too few shards are within reach".to_owned())
        };
        if let (Ok(made), Some(host)) = (&outcome, self.hosts.get_mut(&at)) {
            host.disk.extend(made.shards.iter().map(|(volume, shard)| (*volume, shard.hash)));
        }
        self.queue.push_back((at, Event::Remade { roll: remake.roll, outcome }));
    }

    /// Asks and carries the answer back, as the shell would.
    fn deliver(&mut self, from: NodeId, to: NodeId, question: Question, request: Request) {
        let now = self.now();
        let Some(host) = self.hosts.get_mut(&to) else { return };
        let answer = match request {
            Request::Fetch(ids) => {
                Response::Records(ids.iter().filter_map(|id| host.records.get(id).cloned()).collect())
            }
            request => {
                let step = host.node.handle(Event::Asked { from, request, token: Token(7) }, now);
                host.keep(&step);
                let mut answer = None;
                for effect in step.release(Committed::after_fsync()) {
                    match effect {
                        Effect::Reply(_, response) => answer = Some(response),
                        other => self.perform(to, other),
                    }
                }
                answer.expect("an honest request is answered")
            }
        };
        if question != Question(0) {
            self.queue.push_back((from, Event::Answered { from: to, question, answer: Ok(answer) }));
        }
    }
}

fn founding(studio: u8) -> Vec<Record> {
    let say = |body| Record::sign(library(), record::Hlc(1), body, &key(AUTHORITY));
    vec![
        say(Body::Founding(Founding { reading_public: [1; 32] })),
        say(Body::Admit(Admit { node: id(studio), role: Role::Studio, site: site("studio") })),
        say(Body::Delegate(Delegate { node: id(studio) })),
    ]
}

fn volume_info(n: u8, media: Media) -> Body {
    Body::Volume(VolumeInfo {
        volume: volume(n),
        media,
        capacity: 1 << 40,
        free: 1 << 40,
        site: None,
        device: String::new(),
        host: String::new(),
        trust_declared: true,
        since: 0,
        absent: 0,
    })
}

fn invite() -> Event {
    Event::Invite(Hash::of(&SECRET), InviteState::new(Role::Vault, 2_000_000))
}

fn join(n: u8, secret: [u8; 16]) -> Event {
    join_as(n, secret, "nas", Comparison::Open)
}

fn join_as(n: u8, secret: [u8; 16], name: &str, comparison: Comparison) -> Event {
    let request = JoinRequest {
        library: library(),
        proof: Proof::Invite(secret),
        site: site(if n == 3 { "cloud" } else { "friend" }),
        name: name.into(),
        comparison,
    };
    Event::Join { from: id(n), request, token: Token(1) }
}

/// The world of [`just_met`], a while later.
fn three_sites() -> World {
    let mut world = just_met();
    world.pass(2_000);
    world
}

/// Studio 1 with volumes 1 and 2; vaults 2 and 3 with volumes 3 and 4, joined and met.
fn just_met() -> World {
    let mut world = World::default();
    world.add(1, founding(1));
    world.tell(1, Event::Say(vec![volume_info(1, Media::Ssd), volume_info(2, Media::Hdd)]));
    for v in [1, 2] {
        world.tell(1, Event::VolumeOpened { volume: volume(v), shards: vec![] });
    }
    for (n, v, media) in [(2u8, 3u8, Media::Nas), (3, 4, Media::Cloud)] {
        let secret = [n; 16];
        world.tell(1, Event::Invite(Hash::of(&secret), InviteState::new(Role::Vault, 2_000_000)));
        world.tell(1, join(n, secret));
        let Some(JoinReply::Welcome { records, .. }) = world.hosts[&id(1)].replies.last().cloned() else {
            panic!("node {n} was not let in")
        };
        let records = records.iter().map(|r| Record::parse(library(), r).expect("valid")).collect();
        world.add(n, records);
        world.tell(n, Event::Say(vec![volume_info(v, media)]));
        world.tell(n, Event::VolumeOpened { volume: volume(v), shards: vec![] });
        // It has looked around before it met anybody.
        world.tell(n, Event::Tick);
        world.meet(1, n);
    }
    world.meet(2, 3);
    world
}

fn ingested_body(roll: RollId, seed: u8) -> Body {
    Body::Roll(Roll {
        roll,
        shoot: ShootId([seed; 16]),
        shoot_name: vec![],
        references: BTreeSet::new(),
        data_bytes: 1 << 20,
        catalog_bytes: 4096,
        sealed_hash: Hash([seed; 32]),
        wrapped_key: [0; 80],
        catalog_hash: Hash::of(&[seed]),
        files: 10,
        bytes: 1 << 20,
    })
}

/// The record that an effect spreads, if it does.
fn published(effect: Effect) -> Option<Vec<u8>> {
    match effect {
        Effect::Publish(bytes) => Some(bytes),
        _ => None,
    }
}

/// What an ingest tells: four shards, all staged on `staged`, wanted on volumes 1 to 4.
fn stored(seed: u8, staged: u8) -> Event {
    let (roll, coding) = (RollId([seed; 32]), CodingId([seed; 16]));
    let hashes: Vec<Hash> = (0..4u8).map(|index| Hash::of(&[seed, index])).collect();
    let bodies = vec![
        ingested_body(roll, seed),
        Body::Coding(Coding { roll, coding, k: 2, unit: 4096, shard_bytes: 600_000, shards: hashes.clone() }),
        Body::Layout(Layout { roll, coding, volumes: (1..=4).map(volume).collect() }),
    ];
    let shards = (0u8..)
        .zip(&hashes)
        .map(|(index, hash)| {
            (volume(staged), Shard { hash: *hash, bytes: 600_000, roll, coding, index, staged: false })
        })
        .collect();
    Event::Stored { bodies, shards, catalog: Hash::of(&[seed]) }
}

/// An ingest at node `n`, as [`stored`] tells of it.
fn ingested(world: &mut World, n: u8, seed: u8, staged: u8) -> RollId {
    let event = stored(seed, staged);
    if let (Some(host), Event::Stored { shards, .. }) = (world.hosts.get_mut(&id(n)), &event) {
        host.disk.extend(shards.iter().map(|(on, shard)| (*on, shard.hash)));
    }
    world.tell(n, event);
    RollId([seed; 32])
}

fn same_records(world: &World) -> bool {
    let mut sets = world.hosts.values().map(|host| host.node.manifest().ids());
    let first = sets.next().expect("a world has hosts");
    sets.all(|ids| ids == first)
}

#[test]
fn an_invite_lets_one_node_in() {
    let mut world = World::default();
    world.add(1, founding(1));
    world.tell(1, invite());
    let last = |world: &World| world.hosts[&id(1)].replies.last().cloned().expect("an answer");
    world.tell(1, join(9, [0; 16]));
    assert!(matches!(last(&world), JoinReply::Refused(why) if why.contains("not known")));
    world.tell(1, join(2, SECRET));
    assert!(matches!(last(&world), JoinReply::Welcome { reading_key: None, .. }));
    world.tell(1, join(3, SECRET));
    assert!(matches!(last(&world), JoinReply::Refused(why) if why.contains("used already")));
    world.tell(1, join(2, SECRET));
    assert!(matches!(last(&world), JoinReply::Welcome { .. }), "the same node may come again after a crash");
    assert!(world.node(1).manifest().members().get(&id(2)).is_some());
    assert!(world.node(1).manifest().members().get(&id(3)).is_none());
}

/// Studio 1 with an invite for another studio; its owner waits if `attended`.
fn studio_invited(attended: bool) -> World {
    let mut world = World::default();
    world.add(1, founding(1));
    world.hosts.get_mut(&id(1)).expect("there").node.identity.reading_key = Some([5; 32]);
    let authority = Some(Box::new(key(AUTHORITY)));
    let state = InviteState { authority, attended, ..InviteState::new(Role::Studio, 2_000_000) };
    world.tell(1, Event::Invite(Hash::of(&SECRET), state));
    world
}

/// What node 1 answers to node `n`, which comes with the studio's secret.
fn answer(world: &mut World, n: u8, comparison: Comparison) -> JoinReply {
    world.tell(1, join_as(n, SECRET, "mac", comparison));
    world.hosts[&id(1)].replies.last().cloned().expect("an answer")
}

fn role(world: &World, n: u8) -> Option<Role> {
    world.node(1).manifest().members().get(&id(n)).map(|member| member.role)
}

fn confirmed(newcomer: u8) -> Event {
    Event::Confirmed { invite: Hash::of(&SECRET), newcomer: id(newcomer) }
}

#[test]
fn a_studio_comes_in_when_both_sides_saw_the_same_code() {
    let mut world = studio_invited(true);
    let wait = JoinReply::Confirm { attended: true, site: site("studio") };
    assert_eq!(answer(&mut world, 2, Comparison::Equal), wait, "one side is not enough");
    let invite = world.node(1).invited(&Hash::of(&SECRET)).expect("known").clone();
    let newcomer = invite.newcomer.expect("it waits");
    assert_eq!((newcomer.node, newcomer.name.as_str(), newcomer.site), (id(2), "mac", site("friend")));
    assert_eq!(newcomer.code, ShortCode::of(&library(), &SECRET, &id(1), &id(2)));
    assert!(world.hosts[&id(1)].told[0].contains(&newcomer.code.to_string()), "its owner is told");
    world.tell(1, confirmed(3));
    assert_eq!(answer(&mut world, 2, Comparison::Equal), wait, "it was another that was confirmed");
    world.tell(1, confirmed(2));
    assert_eq!(answer(&mut world, 2, Comparison::Open), wait, "its own people still look");
    assert_eq!(role(&world, 2), None);
    let JoinReply::Welcome { reading_key, .. } = answer(&mut world, 2, Comparison::Equal) else {
        panic!("both sides agree")
    };
    assert_eq!((reading_key, role(&world, 2)), (Some([5; 32]), Some(Role::Studio)));

    // The same node may come again after a crash, and is asked again; nobody else, and nobody takes it back.
    assert!(matches!(answer(&mut world, 2, Comparison::Open), JoinReply::Confirm { attended: false, .. }));
    world.tell(1, Event::EndInvite(Hash::of(&SECRET), Ending::Withdrawn));
    assert!(matches!(answer(&mut world, 2, Comparison::Equal), JoinReply::Welcome { .. }));
    assert!(matches!(answer(&mut world, 3, Comparison::Equal), JoinReply::Refused(_)));
}

#[test]
fn a_studio_that_is_not_confirmed_ends_its_invite() {
    for (ending, words) in [(Ending::Refused, "refused there"), (Ending::Withdrawn, "nobody waits")] {
        let mut world = studio_invited(true);
        answer(&mut world, 2, Comparison::Equal);
        world.tell(1, Event::EndInvite(Hash::of(&SECRET), ending));
        world.tell(1, confirmed(2));
        for n in [2, 3] {
            let reply = answer(&mut world, n, Comparison::Equal);
            assert!(matches!(&reply, JoinReply::Refused(why) if why.contains(words)), "{reply:?}");
        }
        assert_eq!(role(&world, 2), None);
    }
    // The newcomer's people may say no as well; then the owner's yes comes too late.
    let mut world = studio_invited(true);
    answer(&mut world, 2, Comparison::Open);
    world.tell(1, confirmed(2));
    for comparison in [Comparison::Different, Comparison::Equal] {
        let reply = answer(&mut world, 2, comparison);
        assert!(matches!(&reply, JoinReply::Refused(why) if why.contains("not confirmed")), "{reply:?}");
    }
    let invite = world.node(1).invited(&Hash::of(&SECRET)).expect("known");
    assert_eq!((invite.ended, role(&world, 2)), (Some(Ending::Declined), None));
    assert!(invite.authority.is_none(), "the authority is forgotten with the invite");
}

#[test]
fn a_second_bearer_of_a_studios_code_is_refused_and_the_owner_told() {
    let mut world = studio_invited(true);
    answer(&mut world, 2, Comparison::Open);
    for n in [3, 4, 3] {
        let reply = answer(&mut world, n, Comparison::Equal);
        assert!(matches!(&reply, JoinReply::Refused(why) if why.contains("another node")), "{reply:?}");
    }
    let invite = world.node(1).invited(&Hash::of(&SECRET)).expect("known");
    assert_eq!(invite.rival, Some(("mac".into(), site("cloud"))));
    assert_eq!(world.hosts[&id(1)].told.len(), 2, "of the newcomer, and once of those that came after it");
    // What people were asked about is what comes in.
    world.tell(1, join_as(2, SECRET, "other name", Comparison::Equal));
    let reply = world.hosts[&id(1)].replies.last().expect("an answer");
    assert!(matches!(reply, JoinReply::Refused(why) if why.contains("mac at friend")), "{reply:?}");
    world.tell(1, confirmed(2));
    assert!(matches!(answer(&mut world, 2, Comparison::Equal), JoinReply::Welcome { .. }));
}

#[test]
fn where_nobody_waits_the_newcomers_word_is_enough() {
    let mut world = studio_invited(false);
    let reply = answer(&mut world, 2, Comparison::Open);
    assert_eq!(reply, JoinReply::Confirm { attended: false, site: site("studio") });
    assert!(matches!(answer(&mut world, 3, Comparison::Equal), JoinReply::Refused(_)));
    let reply = answer(&mut world, 2, Comparison::Equal);
    assert!(matches!(reply, JoinReply::Welcome { reading_key: Some(_), .. }));
    assert_eq!(role(&world, 2), Some(Role::Studio));

    // The authority is in memory only: what a restart leaves of an invite lets nobody in.
    let mut world = World::default();
    world.add(1, founding(1));
    world.tell(1, Event::Invite(Hash::of(&SECRET), InviteState::new(Role::Studio, 2_000_000)));
    let reply = answer(&mut world, 2, Comparison::Equal);
    assert!(matches!(reply, JoinReply::Refused(why) if why.contains("restarted")));
}

#[test]
fn an_expired_or_foreign_invite_is_refused() {
    let mut world = World::default();
    world.add(1, founding(1));
    world.tell(1, invite());
    world.steady = 2_000_000;
    world.tell(1, join(2, SECRET));
    assert!(matches!(&world.hosts[&id(1)].replies[0], JoinReply::Refused(why) if why.contains("expired")));
    let request = JoinRequest {
        library: LibraryId([0; 32]),
        proof: Proof::Invite(SECRET),
        site: site("x"),
        name: "nas".into(),
        comparison: Comparison::Open,
    };
    world.tell(1, Event::Join { from: id(2), request, token: Token(1) });
    assert!(
        matches!(&world.hosts[&id(1)].replies[1], JoinReply::Refused(why) if why.contains("another library"))
    );
}

#[test]
fn the_authoritys_word_for_the_peer_itself_opens_a_vaults_gate() {
    let mut world = three_sites();
    let admit = |node| {
        let body = Body::Admit(Admit { node, role: Role::Studio, site: site("new studio") });
        Record::sign(library(), record::Hlc(9), body, &key(AUTHORITY)).bytes
    };
    let ask = |from: u8, record| Event::Join {
        from: id(from),
        request: JoinRequest {
            library: library(),
            proof: Proof::Admit(record),
            site: site("new studio"),
            name: "rescue".into(),
            comparison: Comparison::Open,
        },
        token: Token(1),
    };
    world.tell(3, ask(7, admit(id(8))));
    world.tell(3, ask(8, admit(id(8))));
    let replies = &world.hosts[&id(3)].replies;
    assert!(matches!(&replies[0], JoinReply::Refused(_)), "another's admission is no use");
    assert!(matches!(&replies[1], JoinReply::Welcome { .. }));
    assert_eq!(world.node(1).manifest().members().get(&id(8)).map(|m| m.role), Some(Role::Studio));
}

#[test]
fn shards_reach_their_volumes_and_staging_is_freed() {
    let mut world = three_sites();
    let roll = ingested(&mut world, 1, 50, 1);
    world.pass(10_000);
    for (host, v, index) in [(1, 1, 0u8), (1, 2, 1), (2, 3, 2), (3, 4, 3)] {
        let hash = Hash::of(&[50, index]);
        assert!(
            world.hosts[&id(host)].disk.contains(&(volume(v), hash)),
            "shard {index} is where it is wanted"
        );
    }
    let on_first = world.hosts[&id(1)].disk.iter().filter(|(v, _)| *v == volume(1)).count();
    assert_eq!(on_first, 1, "what was staged is freed");
    assert!(same_records(&world));
    for n in 1..=3 {
        assert!(world.node(n).manifest().believed(&roll, &volume(3)), "the first audit is in");
        assert_eq!(world.node(n).missing_catalogs(), 0);
        assert_eq!(world.node(n).wants().count(), 0);
    }
}

#[test]
fn nothing_is_freed_for_a_vault_that_cannot_prove_what_it_holds() {
    let mut world = three_sites();
    world.hosts.get_mut(&id(2)).expect("there").liar = true;
    let roll = ingested(&mut world, 1, 51, 1);
    world.pass(30_000);
    assert!(!world.node(1).manifest().believed(&roll, &volume(3)));
    assert!(world.hosts[&id(1)].disk.contains(&(volume(1), Hash::of(&[51, 2]))), "the staged shard is kept");
    assert!(
        !world.hosts[&id(1)].disk.contains(&(volume(1), Hash::of(&[51, 3]))),
        "the honest vault's is freed"
    );
}

#[test]
fn an_answer_about_an_older_claim_says_nothing_of_the_present_one() {
    let mut world = three_sites();
    // A vault's ingest: it holds all four shards, and is asked to prove so; the answers take their time.
    world.late = Some(vec![]);
    let roll = ingested(&mut world, 2, 62, 3);
    world.pass(1_000);
    let late = world.late.take().expect("just put there");
    let (of_vault, others): (Vec<_>, Vec<_>) = late
        .into_iter()
        .partition(|(_, event)| matches!(event, Event::Audited { volume: on, .. } if *on == volume(3)));
    // Once the other vault is believed, the first frees what it had staged for it, and says so.
    let claim = world.node(1).manifest().claim(&roll, &volume(3));
    world.queue.extend(others);
    world.settle();
    assert_ne!(world.node(1).manifest().claim(&roll, &volume(3)), claim, "the claim has changed");
    // Then a "no" about what it gave up comes in.
    assert!(!of_vault.is_empty(), "a proof was asked for");
    for (at, event) in of_vault {
        let Event::Audited { roll, volume, claim, hash, .. } = event else { panic!("only audits are late") };
        world.queue.push_back((at, Event::Audited { roll, volume, claim, hash, outcome: Ok(false) }));
    }
    world.settle();
    world.pass(5_000);
    assert!(world.node(1).manifest().believed(&roll, &volume(3)), "the present claim was proven");
}

#[test]
fn a_claim_that_comes_before_its_coding_is_put_to_the_proof_all_the_same() {
    let mut world = three_sites();
    let (roll, coding, hash) = (RollId([64; 32]), CodingId([64; 16]), Hash::of(&[64]));
    let mut stored = stored(64, 3);
    let Event::Stored { bodies, shards, .. } = &mut stored else { panic!("an ingest") };
    // One whole copy, where it is wanted: nothing moves, so the vault has no reason ever to make another claim.
    bodies[1] =
        Body::Coding(Coding { roll, coding, k: 1, unit: 4096, shard_bytes: 600_000, shards: vec![hash] });
    bodies[2] = Body::Layout(Layout { roll, coding, volumes: vec![volume(3)] });
    *shards = vec![(volume(3), Shard { hash, bytes: 600_000, roll, coding, index: 0, staged: false })];
    let now = world.now();
    let vault = world.hosts.get_mut(&id(2)).expect("there");
    vault.disk.insert((volume(3), hash));
    let effects = vault.node.handle(stored, now).release(Committed::after_fsync());
    let mut said: Vec<_> = effects.into_iter().filter_map(published).collect();
    // Gossip keeps no order: the coding comes last.
    let is_coding =
        |bytes: &Vec<u8>| matches!(Record::parse(library(), bytes).expect("valid").body, Body::Coding(_));
    said.sort_by_key(is_coding);
    assert!(said.len() == 4 && is_coding(&said[3]));
    for bytes in said {
        world.tell(1, Event::Gossip { bytes, token: Token(0) });
    }
    world.pass(5_000);
    assert!(world.node(1).manifest().believed(&roll, &volume(3)));
}

#[test]
fn two_vaults_cannot_vouch_for_each_other() {
    let mut world = three_sites();
    world.hosts.get_mut(&id(2)).expect("there").liar = true;
    let roll = ingested(&mut world, 1, 63, 1);
    world.pass(10_000);
    let claim = world.node(3).manifest().claim(&roll, &volume(3)).expect("the liar says it holds its shard");
    let vouch = record::Audit { roll, volume: volume(3), holding: claim, passed: true };
    world.tell(3, Event::Say(vec![Body::Audit(vouch)]));
    world.pass(30_000);
    for n in [1, 3] {
        assert!(!world.node(n).manifest().believed(&roll, &volume(3)), "a studio has found otherwise");
    }
}

#[test]
fn a_vault_that_draws_shards_to_itself_takes_them_from_nobody() {
    let mut world = three_sites();
    let roll = ingested(&mut world, 1, 52, 1);
    world.pass(10_000);
    let before = world.hosts[&id(1)].disk.clone();
    let greedy = Layout { roll, coding: CodingId([52; 16]), volumes: vec![volume(3); 4] };
    world.tell(2, Event::Say(vec![Body::Layout(greedy)]));
    world.pass(30_000);
    assert_eq!(world.hosts[&id(1)].disk, before, "the studio gives up nothing for it");
    assert!(world.node(1).ledger().values().flat_map(BTreeMap::values).all(|shard| !shard.staged));
}

#[test]
fn two_that_were_cut_off_find_the_same_truth() {
    let mut world = three_sites();
    world.pass(1_000);
    for (a, b) in [(1, 2), (1, 3)] {
        world.tell(a, Event::Disconnected(id(b)));
        world.tell(b, Event::Disconnected(id(a)));
    }
    let ours = ingested(&mut world, 1, 60, 1);
    let theirs = ingested(&mut world, 2, 61, 3);
    world.pass(5_000);
    assert!(world.node(2).manifest().roll(&ours).is_none());
    world.meet(1, 2);
    world.meet(1, 3);
    world.pass(40_000);
    assert!(same_records(&world));
    for n in 1..=3 {
        assert!(
            world.node(n).manifest().roll(&ours).is_some()
                && world.node(n).manifest().roll(&theirs).is_some()
        );
        assert_eq!(world.node(n).wants().count(), 0);
    }
    assert_eq!(world.hosts[&id(2)].disk.iter().filter(|(v, _)| *v == volume(3)).count(), 2);
}

#[test]
fn both_sides_know_soon_that_they_heard_each_other() {
    let mut world = World::default();
    world.add(1, founding(1));
    world.add(2, founding(2));
    world.meet(1, 2);
    world.pass(3_000);
    assert!(world.node(1).has_heard(&id(2)) && world.node(2).has_heard(&id(1)));
}

#[test]
fn forged_gossip_is_blamed_on_its_sender() {
    let mut world = three_sites();
    let rule = Body::Rule(RuleInfo { shoot: None, rule: Rule { copies: 1, ..Rule::default() } });
    let stranger = Record::sign(library(), record::Hlc(5), rule.clone(), &key(77));
    let foreign = Record::sign(LibraryId([3; 32]), record::Hlc(5), rule, &key(1));
    let founding = Body::Founding(Founding { reading_public: [9; 32] });
    let usurper = Record::sign(library(), record::Hlc(5), founding, &key(2));
    let now = world.now();
    let host = world.hosts.get_mut(&id(1)).expect("there");
    for (bytes, judgement) in [
        (stranger.bytes, Judgement::Ignore),
        (foreign.bytes, Judgement::Reject),
        (usurper.bytes, Judgement::Reject),
        (vec![1, 2, 3], Judgement::Reject),
    ] {
        let step = host.node.handle(Event::Gossip { bytes, token: Token(3) }, now);
        assert!(step.writes().is_empty(), "state is unchanged");
        let effects = step.release(Committed::after_fsync());
        assert!(effects.contains(&Effect::Judge(Token(3), judgement)));
    }
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let mut world = three_sites();
    ingested(&mut world, 1, 70, 1);
    let told = Body::Node(NodeInfo { name: "one".into(), addresses: vec![] });
    world.tell(1, Event::Say(vec![told.clone()]));
    let before = world.node(1).manifest().ids().clone();
    world.restart(1);
    assert_eq!(world.node(1).manifest().ids(), &before, "the store has what the manifest had");
    for peer in [2, 3] {
        world.meet(1, peer);
    }
    world.tell(1, Event::Say(vec![told]));
    world.pass(30_000);
    assert!(same_records(&world));
    assert_eq!(world.node(1).wants().count(), 0);
}
