//! Ending a node's membership: what it said is adopted as far as it is worth keeping, and it is left alone from then on.

use ed25519_dalek::SigningKey;
use safelight_proto::id::{NodeId, RecordId};
use safelight_proto::message::{Comparison, JoinRequest, Proof};
use safelight_proto::record::{Adopt, Body, Key, Leaver, Record, Remove, Retired};
use safelight_proto::vocabulary::Role;

use super::Node;
use crate::event::Step;
use crate::manifest::{Entry, Merged};
use crate::members::Permission;
use crate::time::Now;

impl Node {
    /// Whether this node itself was removed from the library.
    pub fn is_removed(&self) -> bool {
        self.manifest.members().is_removed(&self.me)
    }

    /// What this node asks a member that takes it for a stranger: it shows its admission, and is told why.
    pub fn knock(&self) -> Option<JoinRequest> {
        let members = self.manifest.members();
        let member = members.get(&self.me)?;
        Some(JoinRequest {
            library: self.identity.library,
            proof: Proof::Admit(members.admission(&self.me)?.bytes.clone()),
            site: member.site.clone(),
            name: self.manifest.node(&self.me).map_or_else(|| self.me.short(), |info| info.name.clone()),
            comparison: Comparison::Open,
        })
    }

    /// Takes in what a member answered to that.
    pub(super) fn told(&mut self, records: &[Vec<u8>], now: Now, step: &mut Step) {
        // What is no record is the other's affair: nothing rests on its answer.
        let removals = self.take_all(records, now, step).unwrap_or_default();
        self.take_each(removals, step);
    }

    /// Removes `node` by the authority's word, or by this node's own as a delegate. What is to stay of its words is
    /// adopted before, in the same step.
    pub(super) fn remove(&mut self, node: NodeId, authority: Option<&SigningKey>, now: Now, step: &mut Step) {
        let adoptions = Adopt::of(self.manifest.legacy(&node)).into_iter().map(Body::Adopt).collect();
        self.say(adoptions, now, step);
        // A drive that was carried over to it is gone with it, and must not be waited for where it hung before.
        // One that is open here is here, whatever the other said.
        let gone = self.manifest.taken_along(&node).into_iter().filter(|v| !self.ledger.is_open(v));
        let gone = gone.map(|volume| Body::Retired(Retired { what: Leaver::Volume(volume), retired: true }));
        self.say(gone.collect(), now, step);
        let removal = vec![Body::Remove(Remove { node })];
        match authority {
            Some(authority) => self.say_as(authority, removal, now, step),
            None => self.say(removal, now, step),
        }
    }

    /// Adopts rolls and codings that stood here until their author was removed. Whoever removed it adopted those that
    /// were known there. What comes later is never taken: a removed node could say anything of the past.
    pub(super) fn adopt(&mut self, fallen: Vec<Entry>, step: &mut Step) {
        if fallen.is_empty() || self.role_of(&self.me) != Some(Role::Studio) {
            return;
        }
        let rolls = fallen.iter().filter(|entry| matches!(entry.body, Body::Roll(_) | Body::Coding(_)));
        let records: Vec<Record> = rolls.filter_map(Entry::adoptable).collect();
        let adoptions = Adopt::of(records).into_iter().map(Body::Adopt).collect();
        self.say(adoptions, self.now, step);
    }

    /// Who was removed is no longer within reach, whatever the network says yet.
    pub(super) fn part_with_strangers(&mut self, now: Now) {
        let members = self.manifest.members();
        let gone = |peer: &&NodeId| self.is_removed() || members.is_removed(peer);
        let gone: Vec<NodeId> = self.connected.iter().filter(gone).copied().collect();
        for peer in gone {
            self.disconnect(peer, now);
        }
    }

    /// A removal that comes by gossip is passed on, and fetched with all that its author adopted: alone it would make
    /// members that the removed node had let in strangers for a while, perhaps the very ones that could tell the rest.
    pub(super) fn removal_in_gossip(&mut self, bytes: &[u8], now: Now) -> Option<Merged> {
        let record = Record::parse(self.identity.library, bytes).ok()?;
        let Body::Remove(remove) = &record.body else { return None };
        if remove.node == self.me || self.manifest.get(&record.key()).is_some() {
            return None;
        }
        let permission = self.manifest.members().may(&record.id, &record.author, &record.body);
        if permission != Permission::Yes {
            return None;
        }
        self.exchange.hurry(now);
        Some(Merged::New)
    }

    /// Puts removals behind all else, for the same reason.
    pub(super) fn removals_last(&self, ids: &mut [RecordId]) {
        let (low, high) = (NodeId([0; 32]), NodeId([0xff; 32]));
        let removals = self.manifest.range(Key::Remove(low, low)..=Key::Remove(high, high));
        let removals: Vec<RecordId> = removals.map(|(_, entry)| entry.id).collect();
        ids.sort_by_key(|id| removals.contains(id));
    }
}
