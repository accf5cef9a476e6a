//! iroh-blobs' `FsStore` as an index: the outboard of every shard is a blob in it, named by the shard's hash. It
//! owns no photo bytes, and its database can be thrown away at any time.
//!
//! The shards themselves are not imported. An import reads what it enters, through the page cache and a buffer of
//! its own, and that was more than half of what an ingest cost, beside a reading past the cache that proves more.
//! That reading makes the outboard, too; there is no way to hand it in for a shard without another reading.
//!
//! What was learnt about 0.104, and shapes this file: an import is acknowledged before its transaction is
//! committed (hence [`Index::sync`]); a database whose creation was interrupted never opens again (hence the
//! temporary name); an entry in use keeps its old file handle over an import, and an entry remembers every
//! path its file ever had, so that what the database serves may not be what is on the disk (hence all reading
//! and sending is done from the files); there is no delete, so the entry of a removed shard stays behind and
//! is written over when the shard comes back. Garbage collection is off, and no outboard is inlined.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use iroh_blobs::BlobFormat;
use iroh_blobs::api::blobs::{AddPathOptions, AddProgressItem, ImportMode};
use iroh_blobs::store::fs::FsStore;
use iroh_blobs::store::fs::options::{InlineOptions, Options, PathOptions};
use safelight_core::code::HashedTree;
use safelight_proto::id::Hash;
use tokio::sync::RwLock;

use super::volume::blocking;
use crate::disk::durable::sync_dir;

/// How long a database of this process that is still closing is waited for.
const CLOSING: Duration = Duration::from_secs(5);
/// Most bytes of hashes over an outboard that are kept in the database: enough for the largest shard's.
const INLINED: u64 = 1 << 20;
/// How long a clean close may take.
const SHUTDOWN: Duration = Duration::from_secs(10);

/// Why the index could not do its part.
#[derive(Debug)]
pub(super) enum IndexError {
    /// A file could not be read or written: data, outboard, or the disk is full.
    Io(io::Error),
    /// The database or its actor failed.
    Database(String),
}

/// One volume's `FsStore`.
#[derive(Debug)]
pub(super) struct Index {
    root: PathBuf,
    store: RwLock<FsStore>,
}

impl Index {
    /// Opens the index in `root`, making it where there is none; one that does not open is moved aside and
    /// made anew. The flag says whether that happened.
    pub(super) async fn open(root: PathBuf) -> Result<(Self, bool), IndexError> {
        std::fs::create_dir_all(&root).map_err(IndexError::Io)?;
        clear_temporary(&root);
        let (store, rebuilt) = match load_or_create(&root).await {
            Ok(store) => (store, false),
            Err(IndexError::Io(error)) => return Err(IndexError::Io(error)),
            Err(IndexError::Database(error)) => {
                tracing::warn!(%error, "the shard index does not open; it is moved aside and made anew");
                set_aside(&root).map_err(IndexError::Io)?;
                (load_or_create(&root).await?, true)
            }
        };
        Ok((Self { root, store: RwLock::new(store) }, rebuilt))
    }

    /// Keeps the outboard of a shard that was read to its end: the file at its place, its line in the database.
    /// A database that fails is made anew once. A shard of one group needs none.
    pub(super) async fn enter(&self, shard: HashedTree) -> Result<(), IndexError> {
        let (hash, outboard) = (shard.hash(), shard.outboard());
        drop(shard);
        if outboard.is_empty() {
            return Ok(());
        }
        let path = self.outboard(hash);
        let (from, to) = (PathOptions::new(&self.root).temp_path.join(hash.to_string()), path.clone());
        blocking(move || std::fs::write(&from, outboard).and_then(|()| std::fs::rename(&from, to)))
            .await
            .map_err(IndexError::Io)?;
        let first = enter(&*self.store.read().await, hash, &path).await;
        match first {
            Err(IndexError::Database(error)) => {
                tracing::warn!(%error, "the shard index failed; it is moved aside and made anew");
                self.remake().await?;
                enter(&*self.store.read().await, hash, &path).await
            }
            other => other,
        }
    }

    /// Returns when everything entered before is committed to disk.
    pub(super) async fn sync(&self) -> Result<(), IndexError> {
        self.store.read().await.sync_db().await.map_err(|e| IndexError::Database(e.to_string()))
    }

    /// Where a shard's outboard lies. There is none for a shard of one group.
    pub(super) fn outboard(&self, hash: Hash) -> PathBuf {
        PathOptions::new(&self.root).outboard_path(&iroh(hash))
    }

    /// The folder of the outboards.
    pub(super) fn outboards(&self) -> PathBuf {
        PathOptions::new(&self.root).data_path
    }

    /// Closes the database. Whatever is asked afterwards fails.
    pub(super) async fn shutdown(&self) {
        shutdown(&*self.store.read().await).await;
    }

    async fn remake(&self) -> Result<(), IndexError> {
        let mut store = self.store.write().await;
        shutdown(&store).await;
        set_aside(&self.root).map_err(IndexError::Io)?;
        *store = load_or_create(&self.root).await?;
        Ok(())
    }
}

/// Enters the outboard at `path` as a blob under its own hash, with the shard's hash as its name.
async fn enter(store: &FsStore, shard: Hash, path: &Path) -> Result<(), IndexError> {
    let options =
        AddPathOptions { path: path.to_owned(), mode: ImportMode::TryReference, format: BlobFormat::Raw };
    let mut progress = pin!(store.add_path_with_opts(options).stream().await);
    while let Some(item) = progress.next().await {
        match item {
            AddProgressItem::Done(blob) => {
                let named = store.tags().set(shard.0, blob.hash_and_format()).await;
                return named.map_err(|e| IndexError::Database(e.to_string()));
            }
            AddProgressItem::Error(error) if error.raw_os_error().is_some() => {
                return Err(IndexError::Io(error));
            }
            AddProgressItem::Error(error) => return Err(IndexError::Database(error.to_string())),
            _ => {}
        }
    }
    Err(IndexError::Database("the import ended without a result".to_owned()))
}

/// Opens the database, after making it under a temporary name if there is none, and reads it through once.
async fn load_or_create(root: &Path) -> Result<FsStore, IndexError> {
    let database = database(root);
    if !database.try_exists().map_err(IndexError::Io)? {
        let new = database.with_extension("new");
        // Nothing there is the rule; what cannot be removed fails the creation below.
        let _ = std::fs::remove_file(&new);
        shutdown(&load(root, &new).await?).await;
        std::fs::rename(&new, &database).map_err(IndexError::Io)?;
        sync_dir(root).map_err(IndexError::Io)?;
    }
    let store = load(root, &database).await?;
    match store.list().hashes().await {
        Ok(_) => Ok(store),
        Err(error) => {
            shutdown(&store).await;
            Err(IndexError::Database(error.to_string()))
        }
    }
}

async fn load(root: &Path, database: &Path) -> Result<FsStore, IndexError> {
    let started = std::time::Instant::now();
    loop {
        let mut options = Options::new(root);
        options.inline = InlineOptions { max_outboard_inlined: INLINED, ..InlineOptions::NO_INLINE };
        match FsStore::load_with_opts(database.to_owned(), options).await {
            Ok(store) => return Ok(store),
            // The volume's lock is ours, so it can only be a store of this process that is still closing.
            Err(error) if still_open(&format!("{error:?} {error:#}")) && started.elapsed() < CLOSING => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => return Err(IndexError::Database(format!("{error:#}"))),
        }
    }
}

/// redb's words for a database that is locked; iroh-blobs hands on no kind of error that could be matched.
fn still_open(error: &str) -> bool {
    let error = error.to_ascii_lowercase();
    ["already open", "alreadyopen", "acquire lock"].iter().any(|words| error.contains(words))
}

async fn shutdown(store: &FsStore) {
    if tokio::time::timeout(SHUTDOWN, store.shutdown()).await.is_err() {
        tracing::warn!("the shard index did not close in time");
    }
}

fn database(root: &Path) -> PathBuf {
    root.join("blobs.db")
}

/// One broken database is kept for whoever wants to look at it; an older one gives way.
fn set_aside(root: &Path) -> io::Result<()> {
    let database = database(root);
    match std::fs::rename(&database, database.with_extension("aside")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => sync_dir(root),
    }
}

/// Removes outboards that were being written when the process was killed.
fn clear_temporary(root: &Path) {
    let temporary = PathOptions::new(root).temp_path;
    for entry in std::fs::read_dir(temporary).into_iter().flatten().flatten() {
        // Left over from a process that died; what stays costs room and is tried again at the next start.
        let _ = std::fs::remove_file(entry.path());
    }
}

fn iroh(hash: Hash) -> iroh_blobs::Hash {
    iroh_blobs::Hash::from_bytes(hash.0)
}
