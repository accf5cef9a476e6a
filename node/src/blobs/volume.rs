//! A volume on a file system: made, opened, reconciled with the ledger, accounted for, closed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use safelight_proto::id::{Hash, LibraryId, VolumeId};
use safelight_proto::vocabulary::{Media, Site};

use super::condition::{Reconciled, Usage};
use super::durable::{LedgerRow, Reservation, ShardDraft};
use super::error::{StoreError, Unavailable};
use super::groups::Groups;
use super::index::{Index, IndexError};
use super::marker::{Folders, Marker, base, hash_of, why};
use super::{MAX_SHARD, Result};
use crate::disk::device::{Device, Space};
use crate::disk::durable::sync_dir;
use crate::driver::wall_millis;

/// Room that is never used, so that databases, logs and the owner can still breathe: this much, or 2 % of a
/// small disk.
const RESERVE: u64 = 2_000_000_000;

/// A file system with less than this left is full: what a database takes when it grows.
const NO_ROOM: u64 = 1 << 20;

/// A volume to be made.
#[derive(Debug, Clone)]
pub struct VolumeSpec {
    /// The library it is to hold shards of.
    pub library: LibraryId,
    /// Its medium, where it was declared; else it is detected, else it is `hdd`.
    pub media: Option<Media>,
    /// Most bytes to use on it; `None` leaves it to the file system.
    pub capacity: Option<u64>,
    /// The site it is at while it travels unmounted, where it has one of its own.
    pub site: Option<Site>,
}

/// A volume on a file system. Cheap to clone; all clones are the same volume. It is locked against other
/// processes until the last one is gone.
#[derive(Debug, Clone)]
pub struct FsVolume(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) dir: PathBuf,
    pub(super) folders: Folders,
    pub(super) marker: Marker,
    pub(super) device: Device,
    pub(super) index: Index,
    pub(super) state: Mutex<State>,
    /// One shard or batch takes its place at a time: a spinning disk would gain nothing by more.
    pub(super) placing: tokio::sync::Mutex<()>,
    reserved: Arc<AtomicU64>,
    reserving: Mutex<()>,
    drafts: AtomicU64,
    _lock: File,
}

/// What is known of the files.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Shards the ledger counts, or is about to, and their lengths.
    pub(super) held: BTreeMap<Hash, u64>,
    /// What has come of shards being received, once it was verified in this process.
    pub(super) partial: BTreeMap<Hash, Groups>,
    /// Shards being received at this moment.
    pub(super) receiving: BTreeSet<Hash>,
    /// Bytes in `bad/`.
    pub(super) bad: u64,
}

impl FsVolume {
    /// Makes a new volume in `dir` and opens it. The directory is created if its parent is there; its other
    /// content is left alone.
    pub async fn create(dir: &Path, spec: VolumeSpec) -> Result<Self> {
        let dir = &absolute(dir)?;
        match fs::create_dir(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(why(dir, &error).into()),
            Err(_) => {}
            Ok(()) => dir.parent().map_or(Ok(()), sync_dir).map_err(|e| why(dir, &e))?,
        }
        match Marker::read(dir)? {
            Some(marker) if marker.library != spec.library => {
                return Err(Unavailable::OtherLibrary { path: dir.to_owned(), found: marker.library }.into());
            }
            Some(marker) => {
                return Err(Unavailable::Taken { path: dir.to_owned(), found: marker.volume }.into());
            }
            None => {}
        }
        let device = Device::of(dir).map_err(|e| why(dir, &e))?;
        let mut id = [0; VolumeId::LEN];
        getrandom::fill(&mut id).map_err(|e| StoreError::io(dir, io::Error::other(e)))?;
        let media = spec.media.or(device.media).unwrap_or(Media::Hdd);
        let marker = Marker {
            volume: VolumeId(id),
            library: spec.library,
            media,
            capacity: spec.capacity,
            made: wall_millis(),
            site: spec.site,
        };
        Folders::of(dir).make().map_err(|e| StoreError::from(why(&base(dir), &e)))?;
        marker.write(dir)?;
        Ok(Self::open(dir, marker.volume, spec.library, &[]).await?.0)
    }

    /// Unmakes a volume that was made for `library` and never held anything; one of another library, or with
    /// shards on it, is left as it is.
    pub async fn unmake(dir: &Path, library: LibraryId) -> Result<()> {
        let dir = &absolute(dir)?;
        let Some(marker) = Marker::read(dir)?.filter(|marker| marker.library == library) else {
            return Ok(());
        };
        let (open, found) = Self::open(dir, marker.volume, library, &[]).await?;
        open.shutdown().await;
        if found.unrecorded.is_empty() && found.partial.is_empty() {
            Marker::remove(dir)?;
        }
        Ok(())
    }

    /// Opens the volume that is expected in `dir` and compares its files with the ledger's rows for it.
    /// Drafts that were being written are removed: their roll starts again. Nothing else is ever deleted
    /// here.
    pub async fn open(
        dir: &Path,
        expected: VolumeId,
        library: LibraryId,
        rows: &[LedgerRow],
    ) -> Result<(Self, Reconciled)> {
        let dir = &absolute(dir)?;
        let marker = Marker::read(dir)?.ok_or_else(|| Unavailable::NotMounted(dir.to_owned()))?;
        if marker.library != library {
            return Err(Unavailable::OtherLibrary { path: dir.to_owned(), found: marker.library }.into());
        }
        if marker.volume != expected {
            let (path, found) = (dir.to_owned(), marker.volume);
            return Err(Unavailable::OtherVolume { path, expected, found }.into());
        }
        let folders = Folders::of(dir);
        let lock = lock(&folders, dir)?;
        // A folder that is gone is made again: what was in it is then missing, by the ledger's rows.
        folders.make().map_err(|e| why(dir, &e))?;
        let device = Device::of(dir).map_err(|e| why(dir, &e))?;
        let (mut state, mut reconciled) = reconcile(&folders, rows).map_err(|e| StoreError::io(dir, e))?;
        state.bad = size_of(&folders.bad(), ".shard");
        let (index, rebuilt) = Index::open(folders.store()).await.map_err(|e| index_error(dir, e))?;
        reconciled.index_rebuilt = rebuilt;
        let inner = Inner {
            dir: dir.to_owned(),
            folders,
            marker,
            device,
            index,
            state: Mutex::new(state),
            placing: tokio::sync::Mutex::new(()),
            reserved: Arc::default(),
            reserving: Mutex::default(),
            drafts: AtomicU64::new(0),
            _lock: lock,
        };
        Ok((Self(Arc::new(inner)), reconciled))
    }

    /// The volume.
    pub fn id(&self) -> VolumeId {
        self.0.marker.volume
    }

    /// Its marker: medium, capacity, library.
    pub fn marker(&self) -> &Marker {
        &self.0.marker
    }

    /// The device it was on when it was opened.
    pub fn device(&self) -> &Device {
        &self.0.device
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// Whether it holds a shard.
    pub fn holds(&self, hash: &Hash) -> bool {
        self.0.state().held.contains_key(hash)
    }

    /// Whether the volume is still where it was. Cheap; asked again whenever a file is unexpectedly gone.
    pub fn check(&self) -> Result<()> {
        self.0.check()
    }

    /// What is used and what is free.
    pub fn usage(&self) -> Result<Usage> {
        let space = Space::of(&self.0.dir).map_err(|e| why(&self.0.dir, &e))?;
        let (shards, bad) = {
            let state = self.0.state();
            (state.held.values().sum::<u64>(), state.bad)
        };
        // A shard being received has its full length from the start.
        let receiving = size_of(&self.0.folders.drafts(), ".part");
        let reserved = self.0.reserved.load(Ordering::Relaxed) + receiving;
        let by_disk = space.free.saturating_sub(RESERVE.min(space.total / 50));
        let by_capacity = self.0.marker.capacity.map_or(u64::MAX, |c| c.saturating_sub(shards + bad));
        let room = by_disk.min(by_capacity).saturating_sub(reserved);
        Ok(Usage { shards, bad, reserved, room, space })
    }

    /// A new shard of at most `len` bytes, to be written from a thread that may block.
    pub fn draft(&self, len: u64) -> Result<ShardDraft> {
        let number = self.0.drafts.fetch_add(1, Ordering::Relaxed);
        let path = self.0.folders.drafts().join(format!("{number}.draft"));
        let reserved = self.reserve(len)?;
        ShardDraft::create(path, reserved).map_err(|e| self.0.judge(e))
    }

    /// Closes the index and waits for it. Transfers under way fail.
    pub async fn shutdown(&self) {
        self.0.index.shutdown().await;
    }

    /// Sets room aside, or says how much there is.
    pub(super) fn reserve(&self, len: u64) -> Result<Reservation> {
        if len == 0 || len > MAX_SHARD {
            return Err(StoreError::Refused("a shard has at least one byte, and at most 64 GiB"));
        }
        // One at a time, so that two shards are never promised the same room.
        let _one = self.0.reserving.lock().unwrap_or_else(PoisonError::into_inner);
        let room = self.usage()?.room;
        if room < len {
            return Err(StoreError::Full { path: self.0.dir.clone(), needed: len, room });
        }
        Ok(Reservation::take(&self.0.reserved, len))
    }
}

impl Inner {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // The state is a set of facts, each true by itself: a panic elsewhere does not make it wrong.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The length of a held shard.
    pub(super) fn held(&self, hash: Hash) -> Result<u64> {
        self.state().held.get(&hash).copied().ok_or(StoreError::NotHere(hash))
    }

    /// Whether our marker is still at the path.
    pub(super) fn check(&self) -> Result<()> {
        match Marker::read(&self.dir)? {
            None => Err(Unavailable::NotMounted(self.dir.clone()).into()),
            Some(marker) if marker.volume != self.marker.volume => {
                let (path, expected, found) = (self.dir.clone(), self.marker.volume, marker.volume);
                Err(Unavailable::OtherVolume { path, expected, found }.into())
            }
            Some(_) => Ok(()),
        }
    }

    /// The error itself, or that the whole volume went away or is full, which explains it better.
    pub(super) fn judge(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Io { .. } => self.check().err().unwrap_or(error),
            StoreError::Index(_) => self.check().err().or_else(|| self.full()).unwrap_or(error),
            other => other,
        }
    }

    /// That the file system has no room left. The index does not say so by itself: its database just fails.
    fn full(&self) -> Option<StoreError> {
        let room = Space::of(&self.dir).ok()?.free;
        (room < NO_ROOM).then(|| StoreError::Full { path: self.dir.clone(), needed: NO_ROOM, room })
    }

    pub(super) fn index_error(&self, error: IndexError) -> StoreError {
        self.judge(index_error(&self.dir, error))
    }
}

/// Runs work that blocks where it may.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that is shutting down cancels blocking work, and then nobody is waiting for us.
            Err(_) => std::future::pending().await,
        },
    }
}

fn index_error(dir: &Path, error: IndexError) -> StoreError {
    match error {
        IndexError::Io(source) => StoreError::io(dir, source),
        IndexError::Database(why) => StoreError::Index(why),
    }
}

/// The index takes no relative path, and the working directory may change.
fn absolute(dir: &Path) -> std::result::Result<PathBuf, Unavailable> {
    std::path::absolute(dir).map_err(|e| why(dir, &e))
}

fn lock(folders: &Folders, dir: &Path) -> std::result::Result<File, Unavailable> {
    let path = folders.lock();
    let file =
        File::options().create(true).truncate(false).write(true).open(&path).map_err(|e| why(dir, &e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Unavailable::InUse(dir.to_owned())),
        Err(TryLockError::Error(error)) => {
            // Some network file systems have no locks. The database below still has its own.
            tracing::warn!(%error, "the volume cannot be locked against other processes");
            Ok(file)
        }
    }
}

/// Compares rows and files, and clears the drafts away.
fn reconcile(folders: &Folders, rows: &[LedgerRow]) -> io::Result<(State, Reconciled)> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folders.shards())? {
        let entry = entry?;
        match hash_of(&entry.path(), ".shard") {
            Some(hash) => drop(files.insert(hash, entry.metadata()?.len())),
            None => tracing::warn!("a file that is no shard lies among the shards; it is left alone"),
        }
    }
    let (mut state, mut found) = (State::default(), Reconciled::default());
    for row in rows {
        match files.remove(&row.hash) {
            None => found.missing.push(row.hash),
            Some(len) => {
                state.held.insert(row.hash, row.len);
                if len != row.len {
                    found.damaged.push(row.hash);
                }
            }
        }
    }
    found.unrecorded.extend(files.keys());
    for entry in fs::read_dir(folders.drafts())? {
        let path = entry?.path();
        match hash_of(&path, ".part") {
            Some(hash) if state.held.contains_key(&hash) => drop(fs::remove_file(path)),
            Some(hash) => found.partial.push(hash),
            None if hash_of(&path, ".tree").is_some_and(|hash| folders.partial(hash).exists()) => {}
            // One that cannot be removed is in nobody's way.
            None => drop(fs::remove_file(path)),
        }
    }
    found.partial.sort();
    Ok((state, found))
}

/// Bytes of the files in a folder whose names end so.
pub(super) fn size_of(dir: &Path, ending: &str) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(ending));
    ours.filter_map(|entry| entry.metadata().ok()).map(|meta| meta.len()).sum()
}
