//! What can go wrong with a volume. "Unavailable" is never "deleted": nothing here says that a shard is gone
//! for good.

use std::io;
use std::path::{Path, PathBuf};

use safelight_proto::id::{Hash, LibraryId, VolumeId};

use super::groups::Groups;

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The volume cannot be used now; its shards count as they did, and nothing was deleted.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The disk, or the volume's share of it, is full.
    #[error("the volume at {path} is full: {needed} bytes are needed, {room} are free")]
    Full {
        /// The volume's directory or the file being written.
        path: PathBuf,
        /// Bytes asked for; zero where the system did not say.
        needed: u64,
        /// Bytes of room left.
        room: u64,
    },
    /// The system failed at a file.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The volume does not hold the shard.
    #[error("shard {0} is not on this volume")]
    NotHere(Hash),
    /// The shard is on the volume already.
    #[error("shard {0} is on this volume already")]
    AlreadyHere(Hash),
    /// Another transfer is bringing the same shard.
    #[error("shard {0} is being received already")]
    Busy(Hash),
    /// The shard's bytes are not what its hash says: it is to be quarantined and repaired.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// What was read back after writing is not what was to be written. The bytes were moved aside.
    #[error("shard {expected} was read back from the disk as {got}")]
    ReadBack {
        /// The hash it was to have.
        expected: Hash,
        /// The hash it has.
        got: Hash,
    },
    /// A peer's stream does not verify: the peer is broken or lying. What came before the bad group is kept.
    #[error("the stream for shard {hash} does not verify: {why}")]
    BadStream {
        /// The shard.
        hash: Hash,
        /// Where it broke.
        why: String,
    },
    /// A transfer broke off; it goes on with what is missing.
    #[error("the transfer of shard {hash} broke off: {why}")]
    Cut {
        /// The shard.
        hash: Hash,
        /// What the connection said.
        why: String,
    },
    /// A request outside the bounds of this module.
    #[error("{0}")]
    Refused(&'static str),
    /// The index of iroh-blobs failed, also after it was rebuilt.
    #[error("the shard index failed: {0}")]
    Index(String),
}

/// Groups of a shard that are not what its hash says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("shard {hash} is damaged in {} of its groups", bad.count())]
pub struct Damage {
    /// The shard.
    pub hash: Hash,
    /// The bad groups; all of them where it cannot be told.
    pub bad: Groups,
}

/// Why a volume cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Nothing is at the path.
    #[error("{0} does not exist; mount the drive or create the folder")]
    Missing(PathBuf),
    /// The path is a file or something else.
    #[error("{0} is not a directory")]
    NotADirectory(PathBuf),
    /// An empty directory where a volume was: most likely a drive that is not mounted.
    #[error("{0} has no Safelight volume in it; is its drive mounted?")]
    NotMounted(PathBuf),
    /// The file system cannot be written.
    #[error("{0} is read-only")]
    ReadOnly(PathBuf),
    /// No right to write there.
    #[error("{0} cannot be written by this user")]
    Denied(PathBuf),
    /// Another volume's marker is there.
    #[error("{path} holds volume {found}, not volume {expected}; another drive seems to be mounted there")]
    OtherVolume {
        /// The directory.
        path: PathBuf,
        /// The volume that was expected.
        expected: VolumeId,
        /// The volume that is there.
        found: VolumeId,
    },
    /// Another library's volume is there.
    #[error("{path} holds a volume of another library ({found})")]
    OtherLibrary {
        /// The directory.
        path: PathBuf,
        /// The library it belongs to.
        found: LibraryId,
    },
    /// A volume is there where a new one was to be made.
    #[error("{path} holds volume {found} already")]
    Taken {
        /// The directory.
        path: PathBuf,
        /// The volume that is there.
        found: VolumeId,
    },
    /// The marker cannot be read.
    #[error("the marker {path} cannot be read: {why}")]
    Marker {
        /// The marker file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The marker is of a later version of this program.
    #[error("{path} was written by a newer Safelight (format {format}); update this node")]
    Newer {
        /// The marker file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// Another process uses it.
    #[error("{0} is in use by another Safelight process")]
    InUse(PathBuf),
    /// The drive went away or failed.
    #[error("{path} does not answer: {why}")]
    Gone {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
}

impl StoreError {
    /// Sorts an I/O error at `path`: a full disk, an unavailable volume, or a fault of that file.
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::Full { path, needed: 0, room: 0 }
            }
            io::ErrorKind::ReadOnlyFilesystem => Unavailable::ReadOnly(path).into(),
            io::ErrorKind::StaleNetworkFileHandle => {
                Unavailable::Gone { path, why: source.to_string() }.into()
            }
            _ => Self::Io { path, source },
        }
    }
}
