//! What is recorded together, and what an ingest comes to.

use std::collections::{BTreeSet, HashMap};

use safelight_proto::catalog::{Catalog, Entry, Extent};
use safelight_proto::id::{Hash, RollId};
use safelight_proto::limit::{EXTENTS_MAX, REFERENCES};

use super::known::{Known, is_named};
use super::stream::{Stream, Written};
use super::survey::Source;
use crate::admin::doc::{FailedFileDoc, RollDoc};

/// Most bytes of a catalog in the making.
const CATALOG_MOST: u64 = 32 * 1024 * 1024;
/// Bytes that an extent takes in a catalog, at most.
const EXTENT: u64 = 64;
/// Sources that a batch remembers for every file that a roll may have.
const SOURCES: usize = 4;

/// What came of the files so far.
#[derive(Debug, Default)]
pub struct Tally {
    /// Files stored now.
    pub new: u64,
    /// Files that the library had.
    pub known: u64,
    /// Bytes of the files stored now.
    pub bytes: u64,
    /// Files that were not taken in.
    pub failed: Vec<FailedFileDoc>,
    /// Rolls written.
    pub rolls: Vec<RollDoc>,
    /// A Safelight volume lies among the files.
    pub over_a_volume: bool,
}

impl Tally {
    /// Adds what came of one batch.
    pub fn add(&mut self, other: Self) {
        self.new += other.new;
        self.known += other.known;
        self.bytes += other.bytes;
        self.failed.extend(other.failed);
        self.rolls.extend(other.rolls);
        self.over_a_volume |= other.over_a_volume;
    }

    /// Notes a file that was not taken in.
    pub fn fail(&mut self, path: impl Into<String>, error: impl Into<String>) {
        self.failed.push(FailedFileDoc { path: path.into(), error: error.into() });
    }
}

/// See the module's documentation.
#[derive(Default)]
pub struct Batch {
    /// The roll being written; none before the first byte.
    pub stream: Option<Stream>,
    /// Rolls that are full, and carry the beginning of a file that is still being read.
    pub full: Vec<Written>,
    /// Entries of the catalog in the making.
    pub entries: Vec<Entry>,
    /// What the files come to once this is recorded.
    pub tally: Tally,
    /// The files, to be read again should it fail.
    pub sources: Vec<Source>,
    /// Their bytes, as the walk found them.
    pub source_bytes: u64,
    references: BTreeSet<RollId>,
    entry_bytes: u64,
    by_head: HashMap<(u64, [u8; 16]), Vec<usize>>,
}

impl Batch {
    /// Whether one more file of that name, known or new, keeps all bounds.
    pub fn takes(&self, source: &Source, roll_files: usize) -> bool {
        let longest = source.entry_bytes() + EXTENT * EXTENTS_MAX as u64;
        let most = self.stream.as_ref().map_or(CATALOG_MOST, Stream::catalog_room);
        self.entries.len() < roll_files
            && self.sources.len() < roll_files.saturating_mul(SOURCES)
            && self.entry_bytes + longest <= most
    }

    /// Whether its catalog may refer to these rolls too.
    pub fn may_refer(&self, extents: &[Extent]) -> bool {
        let fresh: BTreeSet<RollId> = extents.iter().filter_map(|extent| extent.roll).collect();
        self.references.union(&fresh).count() <= REFERENCES
    }

    /// Bytes of catalog to allow for, with so many files still to come.
    pub fn catalog_bytes(&self, files: u64, roll_files: usize) -> u64 {
        let more = files.min(roll_files.saturating_sub(self.entries.len()) as u64);
        // A longest entry, the catalog's own fields, and a common length for each other.
        self.entry_bytes + 2 * EXTENT * EXTENTS_MAX as u64 + 16 * 1024 + more * 512
    }

    /// Adds a file.
    pub fn push(&mut self, entry: Entry, source: &Source) {
        self.references.extend(entry.extents.iter().filter_map(|extent| extent.roll));
        self.entry_bytes += source.entry_bytes() + EXTENT * entry.extents.len() as u64;
        self.by_head.entry((entry.bytes, entry.head)).or_default().push(self.entries.len());
        self.entries.push(entry);
    }

    /// Whether a file of that length that begins so is in this batch.
    pub fn has_like(&self, bytes: u64, head: [u8; 16]) -> bool {
        self.by_head.contains_key(&(bytes, head))
    }

    /// The file with this hash in this batch. Its extents may lie in the roll being written.
    pub fn find(&self, bytes: u64, head: [u8; 16], hash: Hash, source: &Source) -> Option<Known> {
        let places = self.by_head.get(&(bytes, head))?;
        let equal = places.iter().filter_map(|at| self.entries.get(*at)).filter(|entry| entry.hash == hash);
        let known =
            |entry: &Entry| Known { extents: entry.extents.clone(), same_place: is_named(entry, source) };
        equal.map(known).max_by_key(|known| known.same_place)
    }

    /// The catalog of what is here.
    pub fn catalog(&mut self, shoot: &super::Shoot, ingested_ms: u64) -> Catalog {
        Catalog {
            shoot: shoot.id,
            shoot_name: shoot.name.clone(),
            ingested_ms,
            entries: std::mem::take(&mut self.entries),
        }
    }

    /// Nothing would be lost by forgetting it: no file waits to be recorded.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.stream.is_none() && self.full.is_empty()
    }
}
