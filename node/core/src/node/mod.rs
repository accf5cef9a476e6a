//! One node: owns all state, routes events, and says what must be written before what is done.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::SigningKey;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use safelight_proto::id::{Hash, LibraryId, NodeId, RollId, VolumeId};
use safelight_proto::record::{Body, Key, Lost, Record, RecordError, VolumeInfo};
use safelight_proto::vocabulary::Role;

use crate::event::{Effect, Event, InviteState, Judgement, Shard, Step, Token, Write};
use crate::manifest::{Change, Manifest, Merged};
use crate::settings::Settings;
use crate::time::{Clock, Now};

mod admission;
mod care;
mod caretaker;
mod drill;
mod exchange;
mod forecast;
mod ground;
mod health;
mod hours;
mod ledger;
mod liveness;
mod picture;
mod removal;
mod repair;
mod room;
mod rota;
mod surplus;
mod survey;
mod transfer;
mod trash;

pub use forecast::{Forecast, Load, Lowest, Route, WhatIf, Why};
pub use picture::{Condition, TRUST_PERIOD};

use exchange::Exchange;
use transfer::Transfers;

/// Who this node is.
#[derive(Debug)]
pub struct Identity {
    /// Its key: signs its records, makes its PeerId.
    pub key: SigningKey,
    /// The library it belongs to.
    pub library: LibraryId,
    /// The reading key, on a studio.
    pub reading_key: Option<[u8; 32]>,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Node {
    identity: Identity,
    me: NodeId,
    manifest: Manifest,
    clock: Clock,
    rng: ChaCha20Rng,
    connected: BTreeSet<NodeId>,
    liveness: liveness::Liveness,
    settings: Settings,
    /// When the last event came in.
    now: Now,
    exchange: Exchange,
    transfers: Transfers,
    care: care::Care,
    bin: trash::Bin,
    surplus: surplus::Surplus,
    repairs: repair::Repairs,
    promised: room::Promised,
    invites: BTreeMap<Hash, InviteState>,
    ledger: ledger::Ledger,
    /// Rolls that something changed about, to be looked at before the step ends.
    dirty: BTreeSet<RollId>,
}

impl Node {
    /// A node with what its store kept. `seed` feeds all its choices. The step only opens the gate.
    pub fn new(
        identity: Identity,
        records: impl IntoIterator<Item = Record>,
        invites: BTreeMap<Hash, InviteState>,
        catalogs: BTreeSet<Hash>,
        seed: [u8; 32],
    ) -> (Self, Step) {
        let mut manifest = Manifest::new(identity.library);
        manifest.load(records);
        let me = NodeId(identity.key.verifying_key().to_bytes());
        let mut clock = Clock::default();
        if let Some((hlc, _)) = manifest.last_said_by(&me) {
            clock.resume(hlc);
        }
        let dirty = manifest.rolls().map(|(roll, _)| roll.roll).collect();
        let node = Self {
            identity,
            me,
            manifest,
            clock,
            rng: ChaCha20Rng::from_seed(seed),
            connected: BTreeSet::new(),
            liveness: liveness::Liveness::default(),
            settings: Settings::default(),
            now: Now::default(),
            exchange: Exchange::default(),
            transfers: Transfers::default(),
            care: care::Care::new(catalogs),
            bin: trash::Bin::new(),
            surplus: surplus::Surplus::default(),
            repairs: repair::Repairs::default(),
            promised: room::Promised::default(),
            invites,
            ledger: ledger::Ledger::default(),
            dirty,
        };
        let mut step = Step::default();
        node.open_gate(&mut step);
        (node, step)
    }

    /// This node's id.
    pub fn id(&self) -> NodeId {
        self.me
    }

    /// The records and what they say.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What its owner has set.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The members within reach.
    pub fn connected(&self) -> &BTreeSet<NodeId> {
        &self.connected
    }

    /// What lies on this node's open volumes.
    pub fn ledger(&self) -> &BTreeMap<VolumeId, BTreeMap<Hash, Shard>> {
        self.ledger.volumes()
    }

    /// The key that opens roll keys, on a studio.
    pub fn reading_key(&self) -> Option<&[u8; 32]> {
        self.identity.reading_key.as_ref()
    }

    /// The one door: takes an event in, says what to write and then to do.
    pub fn handle(&mut self, event: Event, now: Now) -> Step {
        let mut step = Step::default();
        self.now = now;
        self.liveness.start(now);
        match event {
            Event::Configure(settings) => self.configure(settings),
            Event::Tick => self.tick(now, &mut step),
            Event::Connected(peer) => self.connect(peer, now, &mut step),
            Event::Disconnected(peer) => self.disconnect(peer, now),
            Event::Asked { from, request, token } => self.asked(from, request, token, now, &mut step),
            Event::Answered { from, question, answer } => {
                self.answered(from, question, answer, now, &mut step);
            }
            Event::Gossip { bytes, token } => self.gossip(&bytes, token, now, &mut step),
            Event::Told(records) => self.told(&records, now, &mut step),
            Event::Join { from, request, token } => self.join(from, request, token, now, &mut step),
            Event::Say(bodies) => self.say(bodies, now, &mut step),
            Event::SayAs(key, bodies) => self.say_as(&key, bodies, now, &mut step),
            Event::Remove { node, authority } => self.remove(node, authority.as_deref(), now, &mut step),
            Event::Invite(hash, state) => self.invite(hash, state, &mut step),
            Event::Confirmed { invite, newcomer } => self.confirm_newcomer(invite, newcomer),
            Event::EndInvite(invite, ending) => self.end_invite(invite, ending),
            Event::Stored { bodies, shards, catalog } => {
                self.care.catalogs.insert(catalog);
                self.keep_new(shards, bodies, now, &mut step);
            }
            Event::Brought(shards) => self.keep(shards, now, &mut step),
            Event::Pulled { want, outcome } => self.pulled(want, outcome, now, &mut step),
            Event::Remade { roll, outcome } => self.remade(roll, outcome, now, &mut step),
            Event::Audited { roll, volume, claim, hash, outcome } => {
                self.audited((roll, volume), claim, hash, outcome, now, &mut step);
            }
            Event::Catalog { hash, kept } => self.care.catalog(hash, kept, now),
            Event::VolumeOpened { volume, shards } => self.open_volume(volume, shards, now, &mut step),
            Event::Unrecorded { volume, hashes } => {
                self.finish_drops(volume, &hashes, &mut step);
                self.bin.unrecorded(volume, hashes);
            }
            Event::ReleaseBrake => self.release_brake(now, &mut step),
            Event::VolumeGone(volume) => self.close_volume(volume),
            Event::ShardBad { volume, hash } => self.drop_shard(volume, hash, now, &mut step),
        }
        self.part_with_strangers(now);
        self.sort_trash(now, &mut step);
        self.review(now, &mut step);
        self.exchange(now, &mut step);
        self.pump(now, &mut step);
        step
    }

    fn tick(&mut self, now: Now, step: &mut Step) {
        self.care_tick(now, step);
        self.trash_tick(now, step);
        self.surplus_tick(now, step);
        self.repair(now, step);
    }

    fn configure(&mut self, settings: Settings) {
        if self.settings.audit_period != settings.audit_period {
            self.care.rota = rota::Rota::default();
        }
        self.settings = settings;
        self.look_at_all();
    }

    fn connect(&mut self, peer: NodeId, now: Now, step: &mut Step) {
        if self.manifest.members().is_removed(&peer) {
            // It came a moment before the gate was closed to it.
            return;
        }
        self.connected.insert(peer);
        if self.manifest.is_lost(&peer) && self.role_of(&self.me) == Some(Role::Studio) {
            // It is there: what it holds counts again once it is proven anew.
            self.say(vec![Body::Lost(Lost { node: peer, lost: false })], now, step);
        }
        self.exchange.meet(peer, self.me < peer, now);
        self.care.retry(now);
        self.look_at_all();
    }

    fn disconnect(&mut self, peer: NodeId, now: Now) {
        self.connected.remove(&peer);
        self.liveness.part(peer, now);
        self.exchange.part(peer);
        self.transfers.part(peer, now);
        self.look_at_all();
    }

    /// Every roll is to be looked at again: who is within reach decides who sees to what.
    fn look_at_all(&mut self) {
        self.bin.look_again();
        self.dirty.extend(self.manifest.rolls().map(|(roll, _)| roll.roll));
    }

    /// Signs and takes in what this node says. Tells everyone once it is durable. One that was removed has no say.
    fn say(&mut self, bodies: Vec<Body>, now: Now, step: &mut Step) {
        if self.is_removed() {
            return;
        }
        let key = self.identity.key.clone();
        self.say_as(&key, bodies, now, step);
    }

    fn say_as(&mut self, key: &SigningKey, bodies: Vec<Body>, now: Now, step: &mut Step) {
        if !bodies.is_empty() {
            self.exchange.follow_up(now);
        }
        for body in bodies {
            let record = Record::sign(self.identity.library, self.clock.tick(now), body, key);
            step.effects.push(Effect::Publish(record.bytes.clone()));
            self.take(record, step);
        }
    }

    /// Merges one record and notes what follows: writes, dirty rolls, a wider gate.
    fn take(&mut self, record: Record, step: &mut Step) -> Merged {
        let mut change = Change::default();
        let drive = match &record.body {
            Body::Volume(info) => Some((info.volume, self.stand_of(&info.volume))),
            _ => None,
        };
        let merged = self.manifest.merge(record, &mut change);
        let mut gate = false;
        for record in &change.added {
            gate |= matches!(record.body, Body::Node(_));
            let only_room = drive.as_ref().is_some_and(|(volume, stood)| {
                matches!(record.key(), Key::Volume(of, _) if of == *volume) && *stood == self.stand_of(volume)
            });
            if !only_room {
                self.note(record);
            }
        }
        if change.members {
            gate = true;
            self.look_at_all();
        }
        step.writes.extend(change.superseded.into_iter().map(Write::DropRecord));
        step.writes.extend(change.added.into_iter().map(|r| Write::PutRecord(r.id, r.bytes)));
        if gate {
            self.open_gate(step);
        }
        self.adopt(change.fallen, step);
        merged
    }

    /// All about a volume but for its room, which every shard changes and which bears on plans alone.
    fn stand_of(&self, volume: &VolumeId) -> Option<(NodeId, VolumeInfo)> {
        let (host, info) = self.manifest.volume(volume)?;
        Some((host, VolumeInfo { capacity: 0, free: 0, ..info.clone() }))
    }

    /// Marks the rolls that a record bears on.
    fn note(&mut self, record: &Record) {
        match record.key() {
            Key::Roll(roll, _) => {
                self.dirty.insert(roll);
                self.bin.roll_came(record, &self.manifest);
            }
            Key::Coding(roll, ..) | Key::Layout(roll, _) | Key::Holding(roll, ..) | Key::Audit(roll, ..) => {
                self.dirty.insert(roll);
            }
            Key::Trash(roll, _) => {
                self.dirty.insert(roll);
                self.bin.look_again();
            }
            // Who hosts a volume, whether it is believed, and what is asked for, bears on every roll.
            Key::Volume(..) | Key::Lost(..) | Key::Rule(..) => {
                self.look_at_all();
            }
            _ => {}
        }
    }

    /// Parses and takes in a record from outside.
    fn accept(&mut self, bytes: &[u8], now: Now, step: &mut Step) -> Result<Merged, RecordError> {
        let record = Record::parse(self.identity.library, bytes)?;
        self.clock.observe(record.hlc, now);
        Ok(self.take(record, step))
    }

    fn gossip(&mut self, bytes: &[u8], token: Token, now: Now, step: &mut Step) {
        let judgement =
            match self.removal_in_gossip(bytes, now).map_or_else(|| self.accept(bytes, now, step), Ok) {
                Ok(Merged::New) => Judgement::Accept,
                // Who passes on the words of a removed node may not know yet.
                Ok(Merged::Known | Merged::Stale | Merged::Waiting | Merged::Void) => Judgement::Ignore,
                Ok(Merged::Refused(_)) | Err(_) => Judgement::Reject,
            };
        step.effects.push(Effect::Judge(token, judgement));
    }

    fn open_gate(&self, step: &mut Step) {
        // A node that was removed leaves the others alone, as they do it.
        let others = |node: &NodeId| *node != self.me && !self.is_removed();
        let members = self.manifest.members().iter().filter(|(node, _)| others(node));
        let addresses =
            |node| self.manifest.node(node).map(|info| info.addresses.clone()).unwrap_or_default();
        step.effects.retain(|effect| !matches!(effect, Effect::Gate(_)));
        step.effects.push(Effect::Gate(members.map(|(node, _)| (*node, addresses(node))).collect()));
    }

    /// Random bytes for an id.
    fn draw(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    /// A number below `bound`, for spreading things out; not for secrets.
    fn below(&mut self, bound: u64) -> u64 {
        // The bias of a remainder is of no matter where bounds are far below 2^64.
        self.rng.next_u64() % bound.max(1)
    }
}

#[cfg(test)]
mod tests;
