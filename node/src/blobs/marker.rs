//! The marker of a volume, `safelight/volume.json`: how a drive is known again, wherever it is mounted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use safelight_proto::id::{Hash, LibraryId, VolumeId};
use safelight_proto::vocabulary::{Media, Site};
use serde::{Deserialize, Serialize};

use super::error::{StoreError, Unavailable};
use crate::disk::durable;

/// Format of the marker and of the folders beside it.
const FORMAT: u32 = 1;

/// What the marker says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// The volume.
    pub volume: VolumeId,
    /// The library whose shards it holds.
    pub library: LibraryId,
    /// Its medium, as declared or detected when it was made.
    pub media: Media,
    /// Most bytes Safelight may use on it; `None` leaves it to the file system.
    pub capacity: Option<u64>,
    /// When it was made, milliseconds since 1970: drives age. Zero where an older marker does not say.
    pub made: u64,
    /// The site it is at while it travels unmounted, where it has one of its own.
    pub site: Option<Site>,
}

/// The marker as it is written.
#[derive(Serialize, Deserialize)]
struct Text {
    format: u32,
    volume: String,
    library: String,
    media: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    capacity: Option<u64>,
    #[serde(default)]
    made: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    site: Option<String>,
}

impl Marker {
    /// Reads the marker of the volume in `dir`; `None` where there is none.
    pub fn read(dir: &Path) -> Result<Option<Self>, Unavailable> {
        match fs::metadata(dir) {
            Err(error) => return Err(why(dir, &error)),
            Ok(meta) if !meta.is_dir() => return Err(Unavailable::NotADirectory(dir.to_owned())),
            Ok(_) => {}
        }
        let path = base(dir).join("volume.json");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(None),
            Err(error) => return Err(why(&path, &error)),
        };
        Self::parse(&path, &bytes).map(Some)
    }

    /// Writes the marker durably.
    pub(super) fn write(&self, dir: &Path) -> Result<(), StoreError> {
        let path = base(dir).join("volume.json");
        let text = Text {
            format: FORMAT,
            volume: self.volume.to_string(),
            library: self.library.to_string(),
            media: self.media.to_string(),
            capacity: self.capacity,
            made: self.made,
            site: self.site.as_ref().map(|site| site.name().to_owned()),
        };
        let bytes = serde_json::to_vec_pretty(&text).map_err(|e| StoreError::io(&path, e.into()))?;
        durable::replace(&path, &bytes).map_err(|e| StoreError::io(&path, e))
    }

    /// Writes down where the volume in `dir` is while it travels.
    pub fn set_site(dir: &Path, site: &Site) -> Result<(), StoreError> {
        match Self::read(dir)? {
            Some(marker) => Self { site: Some(site.clone()), ..marker }.write(dir),
            None => Err(Unavailable::Missing(base(dir)).into()),
        }
    }

    /// Removes the marker durably; the directory holds no volume then.
    pub(super) fn remove(dir: &Path) -> Result<(), StoreError> {
        let path = base(dir).join("volume.json");
        let removed = fs::remove_file(&path).and_then(|()| durable::sync_dir(&base(dir)));
        removed.map_err(|e| StoreError::io(&path, e))
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self, Unavailable> {
        let bad = |why: String| Unavailable::Marker { path: path.to_owned(), why };
        let text: Text = serde_json::from_slice(bytes).map_err(|e| bad(e.to_string()))?;
        if text.format > FORMAT {
            return Err(Unavailable::Newer { path: path.to_owned(), format: text.format });
        }
        Ok(Self {
            volume: text.volume.parse().map_err(|e| bad(format!("{e}")))?,
            library: text.library.parse().map_err(|e| bad(format!("{e}")))?,
            media: text.media.parse().map_err(|e| bad(format!("{e}")))?,
            capacity: text.capacity,
            made: text.made,
            site: text.site.as_deref().and_then(Site::new),
        })
    }
}

/// The folder that holds everything of ours in a volume's directory.
pub(super) fn base(dir: &Path) -> PathBuf {
    dir.join("safelight")
}

/// An error at the volume's own folders, in its words.
pub(super) fn why(path: &Path, error: &io::Error) -> Unavailable {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound => Unavailable::Missing(path),
        io::ErrorKind::NotADirectory => Unavailable::NotADirectory(path),
        io::ErrorKind::ReadOnlyFilesystem => Unavailable::ReadOnly(path),
        io::ErrorKind::PermissionDenied => Unavailable::Denied(path),
        _ => Unavailable::Gone { path, why: error.to_string() },
    }
}

/// The files and folders of a volume.
#[derive(Debug, Clone)]
pub(super) struct Folders {
    base: PathBuf,
}

impl Folders {
    pub(super) fn of(dir: &Path) -> Self {
        Self { base: base(dir) }
    }

    pub(super) fn make(&self) -> io::Result<()> {
        for dir in [self.base.clone(), self.shards(), self.drafts(), self.bad(), self.store()] {
            fs::create_dir_all(dir)?;
        }
        // Their own names too: a power cut must not take the folder with everything in it.
        durable::sync_dir(&self.base)?;
        self.base.parent().map_or(Ok(()), durable::sync_dir)
    }

    /// Finished shards.
    pub(super) fn shards(&self) -> PathBuf {
        self.base.join("shards")
    }

    /// Unfinished files.
    pub(super) fn drafts(&self) -> PathBuf {
        self.base.join("drafts")
    }

    /// Damaged shards, moved aside.
    pub(super) fn bad(&self) -> PathBuf {
        self.base.join("bad")
    }

    /// iroh-blobs' store.
    pub(super) fn store(&self) -> PathBuf {
        self.base.join("store")
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.base.join("lock")
    }

    pub(super) fn shard(&self, hash: Hash) -> PathBuf {
        self.shards().join(format!("{hash}.shard"))
    }

    /// A shard being received.
    pub(super) fn partial(&self, hash: Hash) -> PathBuf {
        self.drafts().join(format!("{hash}.part"))
    }

    /// The outboard of a shard being received.
    pub(super) fn partial_outboard(&self, hash: Hash) -> PathBuf {
        self.drafts().join(format!("{hash}.tree"))
    }
}

/// The hash in a file name such as `<hash>.shard`.
pub(super) fn hash_of(path: &Path, ending: &str) -> Option<Hash> {
    path.file_name()?.to_str()?.strip_suffix(ending)?.parse().ok()
}
