//! Files from bare shard files: no manifest, no database, no network; only the reading key.
//!
//! Damage is expected. Header and footer stand twice each, a unit that does not match its check is kept as a
//! candidate, and the segment's seal decides: so a flipped bit costs nothing while enough other units are whole, and
//! a segment at most when they are not.
//!
//! What is not attempted: a roll of which no shard has a readable footer, that is, of which every trailer was lost.

mod find;

mod coding;

mod roll;

use std::collections::BTreeMap;
use std::fmt;

pub use find::{FoundShard, ShardBytes, Unreadable, examine};
use safelight_proto::catalog::{Catalog, Entry};
use safelight_proto::id::{Hash, LibraryId, RollId};
use safelight_proto::shard::NotABlock;

use self::find::Gathered;
use self::roll::OpenRoll;
pub use self::roll::SalvageError;
use crate::seal::ReadingKey;

/// Rolls kept open at a time: tables of checks, a stripe and a segment of each.
const OPEN_ROLLS: usize = 4;

/// Why a file is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotOurs {
    /// It is no shard, or its header and footer are all damaged.
    #[error(transparent)]
    NotAShard(#[from] NotABlock),
    /// It is another library's.
    #[error("this shard belongs to another library, {0}")]
    OtherLibrary(LibraryId),
}

/// Why a file did not come back.
#[derive(Debug, thiserror::Error)]
pub enum FileError<E> {
    /// Some of its bytes are gone.
    #[error(transparent)]
    Salvage(#[from] SalvageError),
    /// Its bytes came back and are not those that were ingested. The seal makes this next to impossible.
    #[error("the bytes of this file are not those that were ingested")]
    Hash,
    /// They could not be written.
    #[error("the file could not be written")]
    Sink(#[source] E),
}

/// An open roll and its shards.
type Opened<'a, S> = (&'a mut OpenRoll, &'a [Gathered<S>]);

/// Gathers shards, then gives back catalogs and files.
pub struct Salvage<S> {
    library: LibraryId,
    key: ReadingKey,
    shards: BTreeMap<RollId, Vec<Gathered<S>>>,
    open: BTreeMap<RollId, OpenRoll>,
}

impl<S: ShardBytes> Salvage<S> {
    /// Nothing found yet.
    pub fn new(library: LibraryId, key: ReadingKey) -> Self {
        Self { library, key, shards: BTreeMap::new(), open: BTreeMap::new() }
    }

    /// Takes a file that may be a shard, and says of which roll.
    pub fn add(&mut self, source: S) -> Result<RollId, NotOurs> {
        let found = examine(&source)?;
        if found.id.library != self.library {
            return Err(NotOurs::OtherLibrary(found.id.library));
        }
        let roll = found.id.roll;
        self.shards.entry(roll).or_default().push((found, source));
        self.open.remove(&roll);
        Ok(roll)
    }

    /// The rolls of which a shard was found, and how many of each.
    pub fn rolls(&self) -> impl Iterator<Item = (RollId, usize)> {
        self.shards.iter().map(|(roll, shards)| (*roll, shards.len()))
    }

    /// The catalog of a roll.
    pub fn catalog(&mut self, roll: RollId) -> Result<Catalog, SalvageError> {
        let (open, shards) = self.roll(roll)?;
        open.catalog(shards)
    }

    /// The bytes of one file of `roll`'s catalog, in order. Unless this returns `Ok`, what went to `sink` is to be
    /// thrown away.
    pub fn file<E>(
        &mut self,
        roll: RollId,
        entry: &Entry,
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), FileError<E>> {
        let mut hasher = blake3::Hasher::new();
        for extent in &entry.extents {
            let (open, shards) = self.roll(extent.roll.unwrap_or(roll))?;
            open.read(shards, extent.offset, extent.len, |bytes| {
                hasher.update(bytes);
                sink(bytes).map_err(FileError::Sink)
            })?;
        }
        if Hash::from(hasher.finalize()) == entry.hash { Ok(()) } else { Err(FileError::Hash) }
    }

    fn roll(&mut self, id: RollId) -> Result<Opened<'_, S>, SalvageError> {
        let shards = self.shards.get(&id).ok_or(SalvageError::Missing { roll: id })?;
        if !self.open.contains_key(&id) {
            if self.open.len() >= OPEN_ROLLS {
                self.open.clear();
            }
            let roll = OpenRoll::open(id, self.library, &self.key, shards)?;
            self.open.insert(id, roll);
        }
        let open = self.open.get_mut(&id).expect("opened just now");
        Ok((open, shards))
    }
}

impl<S> fmt::Debug for Salvage<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Salvage({:?}, {} rolls)", self.library, self.shards.len())
    }
}

#[cfg(test)]
#[path = "salvage/tests.rs"]
mod tests;
