//! The manifest: the set of valid records, and what it says.
//!
//! Merge laws. For each [`Key`] the record of highest rank (time, author, id) among the *valid* ones stands. What is
//! valid follows from the membership records and adoptions of the set alone, in layers of which none looks at a later
//! one: what the authority says of members; which adoptions count; what delegates say of vaults; all else. But for what
//! the authority says, the author is part of the key, so that a record only ever gives way to one of its author's own,
//! and with an author all of its words go at once, except those that were adopted; and an adoption carries what it
//! adopts. So the outcome depends on the set and on nothing else: merging is commutative, associative and idempotent,
//! whatever the order of arrival (property-tested in `tests.rs`).
//!
//! What is not valid and may be so later is kept: what stood before it fell with [`Manifest::settle`] in its place, what
//! never stood in a waiting room with bounds. What a node said that was removed for good is let go.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use safelight_proto::id::{Hash, LibraryId, NodeId, RecordId, VolumeId};
use safelight_proto::record::{Body, Hlc, Key, Record};

use crate::members::{Members, Permission};
use view::{HIGH_NODE, LOW_NODE};

mod drill;
mod legacy;
mod trash;
mod view;

pub use drill::*;
pub use trash::*;
pub use view::*;

/// Most bytes of records that wait for their author's admission. Those beyond are dropped; reconciliation brings them
/// again.
pub const WAITING_BYTES: usize = 16 * 1024 * 1024;

/// A record as the core keeps it: without its bytes, which the store has, but for kinds that may have to be adopted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: RecordId,
    /// When it was said.
    pub hlc: Hlc,
    /// Who said it.
    pub author: NodeId,
    /// What it says.
    pub body: Body,
    /// The very bytes; empty for what is never adopted.
    pub bytes: Vec<u8>,
}

impl Entry {
    /// `record`, in the form in which it is kept.
    fn of(record: &Record) -> Self {
        let Record { id, hlc, author, body, bytes } = record;
        let bytes = if body.is_adoptable() { bytes.clone() } else { Vec::new() };
        Self { id: *id, hlc: *hlc, author: *author, body: body.clone(), bytes }
    }

    /// The record, of a kind that can be adopted.
    pub fn adoptable(&self) -> Option<Record> {
        let Self { id, hlc, author, body, bytes } = self.clone();
        self.body.is_adoptable().then_some(Record { id, hlc, author, body, bytes })
    }

    fn rank(&self) -> (Hlc, NodeId, RecordId) {
        (self.hlc, self.author, self.id)
    }
}

/// What became of a record that was offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    /// It stands now.
    New,
    /// It stood already.
    Known,
    /// A later record of its key stands.
    Stale,
    /// Its author may not say it by what is known so far; it is kept aside.
    Waiting,
    /// Nobody but the authority may ever say it.
    Refused(&'static str),
    /// Its author was removed, and nobody has adopted it. It is not kept.
    Void,
}

/// What merging changed: to be made durable before anyone is told.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Records that stand now.
    pub added: Vec<Record>,
    /// Records that stand no more.
    pub superseded: Vec<RecordId>,
    /// Records that stood until now, and do so no more because their author was removed.
    pub fallen: Vec<Entry>,
    /// Whose words count has changed: any record may stand now, or stand no more.
    pub members: bool,
}

impl Change {
    /// A record is let go; what this very change brought is as if it had never come.
    fn drop(&mut self, entry: &Entry) {
        self.added.retain(|added| added.id != entry.id);
        self.superseded.push(entry.id);
    }
}

/// See the module's documentation.
#[derive(Debug, Clone)]
pub struct Manifest {
    members: Members,
    entries: BTreeMap<Key, Entry>,
    ids: BTreeSet<(Hlc, RecordId)>,
    /// The node that each volume hangs on: asked for each holding of each roll, so it is not looked for every time.
    hosts: BTreeMap<VolumeId, NodeId>,
    /// When each volume last passed an audit, by who asked.
    proven: BTreeMap<(VolumeId, NodeId), Hlc>,
    /// Records that stood, and may again: their author is no member as things are, but can be one.
    resting: BTreeMap<Key, Entry>,
    waiting: BTreeMap<RecordId, Record>,
    waiting_bytes: usize,
    version: u64,
}

impl Manifest {
    /// An empty manifest of `library`.
    pub fn new(library: LibraryId) -> Self {
        Self {
            members: Members::new(library),
            entries: BTreeMap::new(),
            ids: BTreeSet::new(),
            hosts: BTreeMap::new(),
            proven: BTreeMap::new(),
            resting: BTreeMap::new(),
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
            version: 0,
        }
    }

    /// The library it is of.
    pub fn library(&self) -> LibraryId {
        self.members.library()
    }

    /// Who belongs to it.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// Takes in what a store kept, in an order in which nothing has to be judged twice.
    pub fn load(&mut self, records: impl IntoIterator<Item = Record>) {
        let mut layers: [Vec<Record>; 4] = Default::default();
        for record in records {
            let membership = record.body.is_membership();
            let layer = match &record.body {
                _ if membership && self.members.is_authority(&record.author) => 0,
                Body::Adopt(_) => 1,
                _ if membership => 2,
                _ => 3,
            };
            layers[layer].push(record);
        }
        for record in layers.into_iter().flatten() {
            self.merge(record, &mut Change::default());
        }
    }

    /// Takes in one record. Everything that changed, by it or because of what it made of others, is added to `change`.
    pub fn merge(&mut self, record: Record, change: &mut Change) -> Merged {
        let membership = record.body.is_membership();
        let adopted = match &record.body {
            Body::Adopt(adopt) => adopt.records.clone(),
            _ => Vec::new(),
        };
        let merged = self.merge_one(record, change);
        if merged == Merged::New && membership {
            self.settle(change);
        }
        // Whatever an adoption is worth: what it carries is there now, as if it had come by itself.
        for record in adopted {
            self.merge(record, change);
        }
        merged
    }

    fn merge_one(&mut self, record: Record, change: &mut Change) -> Merged {
        let key = record.key();
        if let Some(standing) = self.entries.get(&key) {
            if standing.id == record.id {
                return Merged::Known;
            }
            if standing.rank() > record.rank() {
                return Merged::Stale;
            }
        }
        match self.members.may(&record.id, &record.author, &record.body) {
            Permission::Yes => {}
            Permission::No(reason) => return Merged::Refused(reason),
            Permission::Void => return Merged::Void,
            Permission::Unknown => {
                let rests = self.resting.get(&key).is_some_and(|resting| resting.id == record.id);
                let fits = self.waiting_bytes + record.bytes.len() <= WAITING_BYTES;
                if fits && !rests && !self.waiting.contains_key(&record.id) {
                    self.waiting_bytes += record.bytes.len();
                    self.waiting.insert(record.id, record);
                }
                return Merged::Waiting;
            }
        }
        self.stand(key, Entry::of(&record), change);
        change.members |= self.members.learn(&record);
        change.added.push(record);
        Merged::New
    }

    /// Puts a valid record in its place. It outranks what stands there.
    fn stand(&mut self, key: Key, entry: Entry, change: &mut Change) {
        self.version += 1;
        self.ids.insert((entry.hlc, entry.id));
        // It rests no more, should it have done so.
        if self.resting.get(&key).is_some_and(|resting| resting.id == entry.id) {
            self.resting.remove(&key);
        }
        change.fallen.retain(|fallen| fallen.id != entry.id);
        change.superseded.retain(|gone| *gone != entry.id);
        let volume = volume_of(&key);
        self.note_proof(&entry);
        let old = self.entries.insert(key, entry);
        self.note_host(volume);
        if let Some(old) = old {
            self.ids.remove(&(old.hlc, old.id));
            self.members.forget(&old.id, &old.author, &old.body);
            change.drop(&old);
        }
    }

    fn note_proof(&mut self, entry: &Entry) {
        if let Body::Audit(audit) = &entry.body
            && audit.passed
        {
            let last = self.proven.entry((audit.volume, entry.author)).or_default();
            *last = entry.hlc.max(*last);
        }
    }

    /// Looks anew which node a volume hangs on: the latest that says so.
    fn note_host(&mut self, volume: Option<VolumeId>) {
        let Some(volume) = volume else { return };
        let claims = self.range(Key::Volume(volume, LOW_NODE)..=Key::Volume(volume, HIGH_NODE));
        match claims.max_by_key(|(_, entry)| entry.rank()).map(|(_, entry)| entry.author) {
            Some(host) => drop(self.hosts.insert(volume, host)),
            None => drop(self.hosts.remove(&volume)),
        }
    }

    /// After a change of who belongs to the library: lets go of what stands no more, and takes in what stands now. What
    /// that changes about members is looked at again; there are few layers, so that it ends.
    fn settle(&mut self, change: &mut Change) {
        loop {
            let mut again = false;
            for (key, permission) in self.misplaced(&self.entries, |permission| permission != Permission::Yes)
            {
                again |= self.fall(key, permission, change);
            }
            for (key, _) in self.misplaced(&self.resting, |permission| permission != Permission::Unknown) {
                again |= self.rise(key, change);
            }
            self.waiting_bytes = 0;
            for waiting in std::mem::take(&mut self.waiting).into_values() {
                let bears = waiting.body.is_membership() || matches!(waiting.body, Body::Adopt(_));
                again |= self.merge_one(waiting, change) == Merged::New && bears;
            }
            for adopted in self.adopted() {
                let bears = adopted.body.is_membership();
                again |= self.merge_one(adopted, change) == Merged::New && bears;
            }
            if !again {
                break;
            }
        }
    }

    fn misplaced(
        &self,
        entries: &BTreeMap<Key, Entry>,
        is: impl Fn(Permission) -> bool,
    ) -> Vec<(Key, Permission)> {
        let judged = entries.iter().map(|(key, entry)| (key, self.permission(entry)));
        judged.filter(|(_, permission)| is(*permission)).map(|(key, p)| (key.clone(), p)).collect()
    }

    fn permission(&self, entry: &Entry) -> Permission {
        self.members.may(&entry.id, &entry.author, &entry.body)
    }

    /// A record stands no more. Whether that bears on others.
    fn fall(&mut self, key: Key, permission: Permission, change: &mut Change) -> bool {
        let Some(entry) = self.entries.remove(&key) else { return false };
        self.note_host(volume_of(&key));
        self.version += 1;
        self.ids.remove(&(entry.hlc, entry.id));
        if self.members.is_removed(&entry.author) {
            change.fallen.push(entry.clone());
        }
        let bears = self.members.forget(&entry.id, &entry.author, &entry.body);
        if permission == Permission::Unknown {
            // Of one author's words on one matter the last will stand, should the author be let in again.
            match self.resting.get(&key) {
                Some(resting) if resting.rank() > entry.rank() => change.drop(&entry),
                _ => {
                    if let Some(old) = self.resting.insert(key, entry) {
                        change.drop(&old);
                    }
                }
            }
        } else {
            change.drop(&entry);
        }
        change.members |= bears;
        bears
    }

    /// A record that rested stands again, or is let go. Whether that bears on others.
    fn rise(&mut self, key: Key, change: &mut Change) -> bool {
        let Some(entry) = self.resting.remove(&key) else { return false };
        let outranked = self.entries.get(&key).is_some_and(|standing| standing.rank() >= entry.rank());
        if outranked || self.permission(&entry) != Permission::Yes {
            change.drop(&entry);
            return false;
        }
        let record = entry.adoptable();
        self.stand(key, entry, change);
        let bears = record.is_some_and(|record| self.members.learn(&record));
        change.members |= bears;
        bears
    }

    /// What the standing adoptions carry and does not stand.
    fn adopted(&self) -> Vec<Record> {
        let (low, high) = (Key::Adopt(Hash([0; 32]), LOW_NODE), Key::Adopt(Hash([0xff; 32]), HIGH_NODE));
        let carried = self.range(low..=high).flat_map(|(_, entry)| match &entry.body {
            Body::Adopt(adopt) => adopt.records.as_slice(),
            _ => &[],
        });
        let missing = |record: &&Record| !self.ids.contains(&(record.hlc, record.id));
        carried.filter(missing).cloned().collect()
    }

    /// The standing record of `key`.
    pub fn get(&self, key: &Key) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// The standing records of a range of keys, in order.
    pub fn range(&self, keys: RangeInclusive<Key>) -> impl DoubleEndedIterator<Item = (&Key, &Entry)> {
        self.entries.range(keys)
    }

    /// All standing records, in the order of their keys.
    pub fn entries(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.entries.iter()
    }

    /// The set that reconciliation compares: all standing records by time and id.
    pub fn ids(&self) -> &BTreeSet<(Hlc, RecordId)> {
        &self.ids
    }

    /// Grows with every change; equal numbers of one manifest mean equal sets.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// An order-free fingerprint of the set: the sum of all ids, as 32-byte little-endian numbers.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut sum = [0u8; 32];
        for (_, id) in &self.ids {
            let mut carry = 0u16;
            for (total, byte) in sum.iter_mut().zip(id.0) {
                carry += u16::from(*total) + u16::from(byte);
                *total = (carry & 0xff) as u8;
                carry >>= 8;
            }
        }
        sum
    }
}

fn volume_of(key: &Key) -> Option<VolumeId> {
    match key {
        Key::Volume(volume, _) => Some(*volume),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
