//! The manifest: the set of valid records, and what it says.
//!
//! Merge laws. For each [`Key`] the record of highest rank (time, author, id) among the *valid* ones stands. Validity
//! follows from the membership records of the set alone, and those only ever add rights: what is valid stays valid, and
//! what is not yet valid waits. So the outcome depends on the set and on nothing else: merging is commutative,
//! associative and idempotent, whatever the order of arrival (property-tested in `tests.rs`).
//!
//! Kinds that the design calls grow-only have their author in the key: one author's second word on the same matter
//! replaces its first, and nobody's word replaces another's.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use safelight_proto::id::{LibraryId, NodeId, RecordId};
use safelight_proto::record::{Body, Hlc, Key, Record};

use crate::members::{Members, Permission};

mod drill;
mod trash;
mod view;

pub use drill::*;
pub use trash::*;
pub use view::*;

/// Most bytes of records that wait for their author's admission. Those beyond are dropped; reconciliation brings them
/// again.
pub const WAITING_BYTES: usize = 16 * 1024 * 1024;

/// A record as the core keeps it: without its bytes, which the store has.
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
}

impl Entry {
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
}

/// What merging changed: to be made durable before anyone is told.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Records that stand now.
    pub added: Vec<Record>,
    /// Records that stand no more.
    pub superseded: Vec<RecordId>,
}

/// See the module's documentation.
#[derive(Debug, Clone)]
pub struct Manifest {
    members: Members,
    entries: BTreeMap<Key, Entry>,
    ids: BTreeSet<(Hlc, RecordId)>,
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

    /// Takes in one record. Everything that changed, by it or because it let waiting records in, is added to `change`.
    pub fn merge(&mut self, record: Record, change: &mut Change) -> Merged {
        let membership = record.body.is_membership();
        let merged = self.merge_one(record, change);
        let mut grew = membership && merged == Merged::New;
        while grew {
            grew = false;
            self.waiting_bytes = 0;
            for waiting in std::mem::take(&mut self.waiting).into_values() {
                let membership = waiting.body.is_membership();
                grew |= self.merge_one(waiting, change) == Merged::New && membership;
            }
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
        match self.members.may(&record) {
            Permission::Yes => {}
            Permission::No(reason) => return Merged::Refused(reason),
            Permission::Unknown => {
                let fits = self.waiting_bytes + record.bytes.len() <= WAITING_BYTES;
                if fits && !self.waiting.contains_key(&record.id) {
                    self.waiting_bytes += record.bytes.len();
                    self.waiting.insert(record.id, record);
                }
                return Merged::Waiting;
            }
        }
        self.members.learn(&record);
        self.version += 1;
        self.ids.insert((record.hlc, record.id));
        let entry =
            Entry { id: record.id, hlc: record.hlc, author: record.author, body: record.body.clone() };
        if let Some(old) = self.entries.insert(key, entry) {
            self.ids.remove(&(old.hlc, old.id));
            change.added.retain(|added| added.id != old.id);
            change.superseded.push(old.id);
        }
        change.added.push(record);
        Merged::New
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

#[cfg(test)]
mod tests;
