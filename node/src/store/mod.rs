//! What a node must not forget, in one redb database of its home: identity, records, ledger, invites, settings.
//!
//! Every commit is fsynced before it returns; [`Committed`] is given out for nothing else. Only this module names redb.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use safelight_core::event::{Committed, InviteState, Shard, Step, Write};
use safelight_proto::id::{Hash, IdError, LibraryId, RecordId, VolumeId};
use safelight_proto::record::{Record, RecordError};
use safelight_proto::vocabulary::Site;

pub mod files;
mod rows;
pub mod scrubs;
mod trash;

use rows::{InviteRow, ShardRow};

/// Layout of the tables; a home of another version is refused.
const VERSION: u8 = 1;

const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
const SETTINGS: TableDefinition<&str, &str> = TableDefinition::new("settings");
const RECORDS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("records");
const LEDGER: TableDefinition<(&[u8; 16], &[u8; 32]), &[u8]> = TableDefinition::new("ledger");
const INVITES: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("invites");
const VOLUMES: TableDefinition<&[u8; 16], &[u8]> = TableDefinition::new("volumes");

/// Why the store cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed: mostly the disk below it.
    #[error("the node's database failed: {0}")]
    Database(#[from] Box<redb::Error>),
    /// A file operation beside the database failed.
    #[error("{}: {error}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What went wrong.
        error: std::io::Error,
    },
    /// A row is not what was written.
    #[error("the node's database holds a damaged {0}")]
    Damaged(&'static str),
    /// A record in it is no record.
    #[error("the node's database holds a damaged record: {0}")]
    Record(#[from] RecordError),
    /// Written by another version.
    #[error("the home was made by another version of Safelight (format {0})")]
    Version(u8),
}

impl From<IdError> for StoreError {
    fn from(_: IdError) -> Self {
        Self::Damaged("identifier")
    }
}

macro_rules! from_redb {
    ($($error:ty),*) => {$(
        impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                Self::Database(Box::new(error.into()))
            }
        }
    )*};
}
from_redb!(
    redb::DatabaseError,
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError
);

type Result<T> = std::result::Result<T, StoreError>;

/// Who this node is, as its home remembers it.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// Seed of its ed25519 key.
    pub secret: [u8; 32],
    /// Its library.
    pub library: LibraryId,
    /// The reading key, on a studio.
    pub reading_key: Option<[u8; 32]>,
    /// What people call it.
    pub name: String,
    /// Where it stands.
    pub site: Site,
    /// Addresses of members that it came in through: tried beside those that members announce.
    pub hints: Vec<String>,
}

/// See the module's documentation. Blocks: callers in async code use a thread that may.
#[derive(Debug)]
pub struct Store {
    db: Database,
}

impl Store {
    /// Makes the database of a new home, with the node's identity and first records. Nothing is at `path` until all of
    /// it is durable: the file is made under another name and renamed.
    pub fn create(
        path: &Path,
        identity: &Identity,
        records: &[Record],
        volumes: &[(VolumeId, PathBuf)],
    ) -> Result<()> {
        let io = |error| StoreError::Io { path: path.to_owned(), error };
        // Its name begins as the database's does: by that a home that broke off is known.
        let draft = path.with_extension("redb.new");
        match std::fs::remove_file(&draft) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
        let db = Database::create(&draft)?;
        let write = db.begin_write()?;
        {
            let mut meta = write.open_table(META)?;
            meta.insert("version", [VERSION].as_slice())?;
            meta.insert("secret", identity.secret.as_slice())?;
            meta.insert("library", identity.library.0.as_slice())?;
            meta.insert("name", identity.name.as_bytes())?;
            meta.insert("site", identity.site.name().as_bytes())?;
            meta.insert("hints", identity.hints.join("\n").as_bytes())?;
            if let Some(key) = &identity.reading_key {
                meta.insert("reading key", key.as_slice())?;
            }
            let mut table = write.open_table(RECORDS)?;
            for record in records {
                table.insert(&record.id.0, record.bytes.as_slice())?;
            }
            let mut table = write.open_table(VOLUMES)?;
            for (volume, path) in volumes {
                table.insert(&volume.0, path.as_os_str().as_encoded_bytes())?;
            }
            write.open_table(SETTINGS)?;
            write.open_table(LEDGER)?;
            write.open_table(INVITES)?;
            files::create(&write)?;
            scrubs::create(&write)?;
            trash::create(&write)?;
        }
        write.commit()?;
        drop(db);
        std::fs::File::open(&draft).and_then(|file| file.sync_all()).map_err(io)?;
        std::fs::rename(&draft, path).map_err(io)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::File::open(folder).and_then(|dir| dir.sync_all()).map_err(io)
    }

    /// Opens the database of a home.
    pub fn open(path: &Path) -> Result<Self> {
        let store = Self { db: Database::open(path)? };
        match store.meta("version")?.as_slice() {
            [VERSION] => Ok(store),
            [other] => Err(StoreError::Version(*other)),
            _ => Err(StoreError::Damaged("version")),
        }
    }

    fn meta(&self, key: &str) -> Result<Vec<u8>> {
        self.maybe_meta(key)?.ok_or(StoreError::Damaged("identity"))
    }

    fn maybe_meta(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let read = self.db.begin_read()?;
        Ok(read.open_table(META)?.get(key)?.map(|value| value.value().to_vec()))
    }

    /// Who this node is.
    pub fn identity(&self) -> Result<Identity> {
        let damaged = || StoreError::Damaged("identity");
        let text = |bytes| String::from_utf8(bytes).map_err(|_| damaged());
        let reading_key = match self.maybe_meta("reading key")? {
            Some(key) => Some(key.try_into().map_err(|_| damaged())?),
            None => None,
        };
        Ok(Identity {
            secret: self.meta("secret")?.try_into().map_err(|_| damaged())?,
            library: LibraryId::from_slice(&self.meta("library")?)?,
            reading_key,
            name: text(self.meta("name")?)?,
            site: Site::new(&text(self.meta("site")?)?).ok_or_else(damaged)?,
            hints: text(self.meta("hints")?)?.lines().map(str::to_owned).collect(),
        })
    }

    /// All records. They were verified before they were written.
    pub fn records(&self) -> Result<Vec<Record>> {
        let read = self.db.begin_read()?;
        let table = read.open_table(RECORDS)?;
        table.iter()?.map(|row| Ok(Record::trusted(row?.1.value())?)).collect()
    }

    /// The bytes of those of `ids` that are there, in their order, up to `most` bytes in all but at least one.
    pub fn record_bytes(&self, ids: &[RecordId], most: usize) -> Result<Vec<Vec<u8>>> {
        let read = self.db.begin_read()?;
        let table = read.open_table(RECORDS)?;
        let mut found: Vec<Vec<u8>> = Vec::new();
        let mut total = 0;
        for id in ids {
            if let Some(bytes) = table.get(&id.0)? {
                let bytes = bytes.value();
                if total + bytes.len() > most && !found.is_empty() {
                    break;
                }
                total += bytes.len();
                found.push(bytes.to_vec());
            }
        }
        Ok(found)
    }

    /// The node's volumes and where they were when they were added.
    pub fn volumes(&self) -> Result<BTreeMap<VolumeId, PathBuf>> {
        use std::os::unix::ffi::OsStrExt;
        let read = self.db.begin_read()?;
        let table = read.open_table(VOLUMES)?;
        let path = |bytes: &[u8]| PathBuf::from(std::ffi::OsStr::from_bytes(bytes));
        table
            .iter()?
            .map(|row| {
                let (id, bytes) = row?;
                Ok((VolumeId(*id.value()), path(bytes.value())))
            })
            .collect()
    }

    /// Adds a volume, durably, or notes that it is at another place now.
    pub fn add_volume(&self, volume: VolumeId, path: &Path) -> Result<()> {
        let write = self.db.begin_write()?;
        write.open_table(VOLUMES)?.insert(&volume.0, path.as_os_str().as_encoded_bytes())?;
        Ok(write.commit()?)
    }

    /// What the ledger says lies on `volume`.
    pub fn shards(&self, volume: &VolumeId) -> Result<Vec<Shard>> {
        let read = self.db.begin_read()?;
        let table = read.open_table(LEDGER)?;
        table
            .range((&volume.0, &[0; 32])..=(&volume.0, &[0xff; 32]))?
            .map(|row| {
                let (key, value) = row?;
                ShardRow::decode(Hash(*key.value().1), value.value())
            })
            .collect()
    }

    /// The invites that this node gave out. A studio's authority is not among what is kept.
    pub fn invites(&self) -> Result<BTreeMap<Hash, InviteState>> {
        let read = self.db.begin_read()?;
        let table = read.open_table(INVITES)?;
        table
            .iter()?
            .map(|row| {
                let (key, value) = row?;
                Ok((Hash(*key.value()), InviteRow::decode(value.value())?))
            })
            .collect()
    }

    /// One of the node's settings, as it was set.
    pub fn setting(&self, key: &str) -> Result<Option<String>> {
        let read = self.db.begin_read()?;
        Ok(read.open_table(SETTINGS)?.get(key)?.map(|value| value.value().to_owned()))
    }

    /// Changes a setting, durably.
    pub fn set(&self, key: &str, value: &str) -> Result<()> {
        let write = self.db.begin_write()?;
        write.open_table(SETTINGS)?.insert(key, value)?;
        Ok(write.commit()?)
    }

    /// Makes the writes of steps durable, in their order, in one transaction; gives the key to the effects of each.
    pub fn commit(&self, steps: &[Step]) -> Result<Vec<Committed>> {
        if steps.iter().any(|step| !step.writes().is_empty()) {
            let write = self.db.begin_write()?;
            {
                let mut records = write.open_table(RECORDS)?;
                let mut ledger = write.open_table(LEDGER)?;
                let mut invites = write.open_table(INVITES)?;
                for step in steps.iter().flat_map(|step| step.writes()) {
                    match step {
                        Write::PutRecord(id, bytes) => drop(records.insert(&id.0, bytes.as_slice())?),
                        Write::DropRecord(id) => drop(records.remove(&id.0)?),
                        Write::PutShard(volume, shard) => {
                            let row = ShardRow::encode(shard);
                            ledger.insert((&volume.0, &shard.hash.0), row.as_slice())?;
                        }
                        Write::DropShard(volume, hash) => drop(ledger.remove((&volume.0, &hash.0))?),
                        Write::PutInvite { hash, role, expires, used_by } => {
                            let row = InviteRow::encode(*role, *expires, *used_by);
                            invites.insert(&hash.0, row.as_slice())?;
                        }
                        other => trash::keep(&write, other)?,
                    }
                }
            }
            write.commit()?;
        }
        Ok(steps.iter().map(|_| Committed::after_fsync()).collect())
    }
}

#[cfg(test)]
mod tests;
