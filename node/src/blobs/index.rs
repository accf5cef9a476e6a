//! iroh-blobs' `FsStore` as an index: it reads a finished shard where it lies, hashes it and keeps its
//! outboard. It owns no photo bytes, and its database can be thrown away at any time.
//!
//! What was learnt about 0.104, and shapes this file: an import is acknowledged before its transaction is
//! committed (hence [`Index::sync`]); a database whose creation was interrupted never opens again (hence the
//! temporary name); an entry in use keeps its old file handle over an import, and an entry remembers every
//! path its file ever had, so that what the database serves may not be what is on the disk (hence all reading
//! and sending is done from the files); there is no delete, so the entry of a removed shard stays behind and
//! is written over when the shard comes back. Garbage collection is off and nothing is inlined.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use iroh_blobs::BlobFormat;
use iroh_blobs::api::blobs::{AddPathOptions, AddProgressItem, ImportMode};
use iroh_blobs::store::fs::FsStore;
use iroh_blobs::store::fs::options::{InlineOptions, Options, PathOptions};
use safelight_proto::id::Hash;
use tokio::sync::RwLock;

use crate::disk::durable::sync_dir;

/// How long a database of this process that is still closing is waited for.
const CLOSING: Duration = Duration::from_secs(5);
/// How often the progress of an import is looked at.
const PROGRESS: Duration = Duration::from_millis(3);
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

    /// Reads the file at `path`, writes its outboard and enters it under the hash of what was read, which is
    /// returned. A database that fails is made anew once.
    pub(super) async fn import(&self, path: &Path) -> Result<Hash, IndexError> {
        let first = import(&*self.store.read().await, path).await;
        match first {
            Err(IndexError::Database(error)) => {
                tracing::warn!(%error, "the shard index failed; it is moved aside and made anew");
                self.remake().await?;
                import(&*self.store.read().await, path).await
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

async fn import(store: &FsStore, path: &Path) -> Result<Hash, IndexError> {
    let options =
        AddPathOptions { path: path.to_owned(), mode: ImportMode::TryReference, format: BlobFormat::Raw };
    let mut progress = pin!(store.add_path_with_opts(options).stream().await);
    while let Some(item) = progress.next().await {
        let mut ready = Some(item);
        while let Some(item) = ready {
            match item {
                AddProgressItem::Done(tag) => return Ok(Hash(*tag.hash().as_bytes())),
                AddProgressItem::Error(error) if error.raw_os_error().is_some() => {
                    return Err(IndexError::Io(error));
                }
                AddProgressItem::Error(error) => return Err(IndexError::Database(error.to_string())),
                _ => {}
            }
            ready = progress.next().now_or_never().flatten();
        }
        // There is an item for every 16 KiB, dropped when nobody takes it. Waking up for each costs more than
        // hashing.
        tokio::time::sleep(PROGRESS).await;
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
        options.inline = InlineOptions::NO_INLINE;
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
