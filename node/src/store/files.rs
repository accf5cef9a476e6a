//! Which files the library holds already: an index over the catalogs, for an ingest that meets them again.
//!
//! Derived from the catalogs alone and filled as they come in; only a studio can read them. A candidate is found by
//! length and the hash of the first MiB, and taken for known only when the whole file's hash agrees.

use std::collections::BTreeSet;

use redb::{ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use safelight_proto::id::{Hash, RollId};

use super::{Result, Store, StoreError};

/// `length u64 BE | head 16 | file hash 32 | roll 32 | place in the catalog u32 BE`, and nothing: the key says all.
const FILES: TableDefinition<&[u8; 92], ()> = TableDefinition::new("files");
/// Catalogs whose files are all in the index, by the hash of their blob.
const INDEXED: TableDefinition<&[u8; 32], ()> = TableDefinition::new("indexed");

/// One file that a catalog names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownFile {
    /// Its length in bytes.
    pub bytes: u64,
    /// The first half of the BLAKE3 of its first MiB.
    pub head: [u8; 16],
    /// BLAKE3 of all of it.
    pub hash: Hash,
    /// The roll whose catalog names it.
    pub roll: RollId,
    /// Its place in that catalog.
    pub place: u32,
}

impl KnownFile {
    fn key(&self) -> [u8; 92] {
        let mut key = [0; 92];
        key[..8].copy_from_slice(&self.bytes.to_be_bytes());
        key[8..24].copy_from_slice(&self.head);
        key[24..56].copy_from_slice(&self.hash.0);
        key[56..88].copy_from_slice(&self.roll.0);
        key[88..].copy_from_slice(&self.place.to_be_bytes());
        key
    }

    fn from_key(key: &[u8; 92]) -> Result<Self> {
        let damaged = || StoreError::Damaged("file index");
        let (bytes, rest) = key.split_first_chunk::<8>().ok_or_else(damaged)?;
        let (head, rest) = rest.split_first_chunk::<16>().ok_or_else(damaged)?;
        let (hash, rest) = rest.split_first_chunk::<32>().ok_or_else(damaged)?;
        let (roll, rest) = rest.split_first_chunk::<32>().ok_or_else(damaged)?;
        let place = rest.try_into().map_err(|_| damaged())?;
        Ok(Self {
            bytes: u64::from_be_bytes(*bytes),
            head: *head,
            hash: Hash(*hash),
            roll: RollId(*roll),
            place: u32::from_be_bytes(place),
        })
    }
}

pub(super) fn create(write: &WriteTransaction) -> Result<()> {
    write.open_table(FILES)?;
    write.open_table(INDEXED)?;
    Ok(())
}

impl Store {
    /// Adds the files of one catalog.
    pub fn index_files(&self, catalog: Hash, files: &[KnownFile]) -> Result<()> {
        let write = self.db.begin_write()?;
        {
            let mut table = write.open_table(FILES)?;
            for file in files {
                table.insert(&file.key(), ())?;
            }
            write.open_table(INDEXED)?.insert(&catalog.0, ())?;
        }
        Ok(write.commit()?)
    }

    /// The catalogs whose files are in the index.
    pub fn indexed_catalogs(&self) -> Result<BTreeSet<Hash>> {
        let read = self.db.begin_read()?;
        read.open_table(INDEXED)?.iter()?.map(|row| Ok(Hash(*row?.0.value()))).collect()
    }

    /// Whether the files of this catalog are in the index.
    pub fn is_indexed(&self, catalog: &Hash) -> Result<bool> {
        let read = self.db.begin_read()?;
        Ok(read.open_table(INDEXED)?.get(&catalog.0)?.is_some())
    }

    /// Files of this length that begin so.
    pub fn files_like(&self, bytes: u64, head: [u8; 16]) -> Result<Vec<KnownFile>> {
        let bound = |fill: u8| {
            let mut key = [fill; 92];
            key[..8].copy_from_slice(&bytes.to_be_bytes());
            key[8..24].copy_from_slice(&head);
            key
        };
        let read = self.db.begin_read()?;
        let table = read.open_table(FILES)?;
        table
            .range::<&[u8; 92]>(&bound(0)..=&bound(0xff))?
            .map(|row| KnownFile::from_key(row?.0.value()))
            .collect()
    }
}
