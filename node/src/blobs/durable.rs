//! Durability is a type: [`Durable`] can be made only where the order of an honest write was kept.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use safelight_proto::id::Hash;

use super::error::StoreError;
use crate::disk::direct::Writer;

/// The proof that a shard is durable on a volume: its bytes were fsynced, its name was fsynced,
/// and a reading past the page cache gave its hash. Only this module makes one; the ledger demands
/// one before it records a holding.
///
/// On tmpfs and the like the same steps succeed and prove only that memory is sound: see
/// [`Device::volatile`](crate::disk::device::Device::volatile). Behind a network share or a drive's own cache
/// the reading may be answered from there; no program can see through that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durable {
    hash: Hash,
    len: u64,
}

impl Durable {
    pub(super) fn new(hash: Hash, len: u64) -> Self {
        Self { hash, len }
    }

    /// The shard's BLAKE3 hash.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Bytes of the shard.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The ledger's row for it.
    #[cfg(test)]
    pub fn row(&self) -> LedgerRow {
        LedgerRow { hash: self.hash, len: self.len }
    }
}

/// One shard that the ledger records on a volume. The ledger is the truth; it is kept by another module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRow {
    /// The shard.
    pub hash: Hash,
    /// Its bytes.
    pub len: u64,
}

/// A shard being written on a volume: one file, in order, from one thread that may block. Dropped before it
/// is finished, it leaves nothing behind.
#[derive(Debug)]
pub struct ShardDraft {
    writer: Writer,
    path: PathBuf,
    written: u64,
    reserved: Reservation,
    kept: bool,
}

impl ShardDraft {
    pub(super) fn create(path: PathBuf, reserved: Reservation) -> Result<Self, StoreError> {
        let writer = File::create_new(&path).and_then(Writer::new);
        let writer = writer.map_err(|e| StoreError::io(&path, e))?;
        Ok(Self { writer, path, written: 0, reserved, kept: false })
    }

    /// Appends bytes. More than was reserved is refused, so that a volume cannot overrun its capacity.
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let after = self.written + bytes.len() as u64;
        if after > self.reserved.bytes {
            return Err(StoreError::Refused("a shard came out longer than announced"));
        }
        self.writer.write_all(bytes).map_err(|e| StoreError::io(&self.path, e))?;
        self.written = after;
        Ok(())
    }

    /// Makes the bytes durable and hands over the file, which from now on is the caller's to place.
    pub(super) fn seal(mut self) -> Result<Sealed, StoreError> {
        self.writer.finish().map_err(|e| StoreError::io(&self.path, e))?;
        self.kept = true;
        let reserved = std::mem::take(&mut self.reserved);
        Ok(Sealed { path: self.path.clone(), len: self.written, fleeting: true, _reserved: reserved })
    }
}

impl Drop for ShardDraft {
    fn drop(&mut self) {
        if !self.kept {
            // What stays is swept away with all other drafts when the volume is opened next.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A finished file, fsynced under its draft name and not yet under its own.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) path: PathBuf,
    pub(super) len: u64,
    /// Nobody can go on with it if it is not placed: then it is removed.
    pub(super) fleeting: bool,
    pub(super) _reserved: Reservation,
}

impl Drop for Sealed {
    fn drop(&mut self) {
        // Once it has its own name, nothing is left at this one.
        if self.fleeting {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Room set aside for something being written; given back on drop.
#[derive(Debug, Default)]
pub(super) struct Reservation {
    pub(super) bytes: u64,
    pub(super) pool: Arc<AtomicU64>,
}

impl Reservation {
    pub(super) fn take(pool: &Arc<AtomicU64>, bytes: u64) -> Self {
        pool.fetch_add(bytes, Ordering::Relaxed);
        Self { bytes, pool: pool.clone() }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.pool.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
