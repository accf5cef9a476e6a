//! One file, read once from front to back, and whether it stayed the same meanwhile.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::num::NonZeroU64;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{Advice, fadvise};
use safelight_proto::id::Hash;
use safelight_proto::limit::SEGMENT;

/// Bytes read after which the page cache is asked to let them go.
const CACHED: u64 = 8 << 20;

/// Why a file was not read.
#[derive(Debug)]
pub enum ReadError {
    /// The system said no.
    Io(io::Error),
    /// Its length or time changed: what was read is neither the old file nor the new one.
    Changed,
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Changed,
            _ => Self::Io(error),
        }
    }
}

/// What the first MiB says of a file.
pub struct Head {
    /// By which the file may be known; as [`Entry::head_of`](safelight_proto::catalog::Entry::head_of).
    pub id: [u8; 16],
    /// Has taken that MiB. A small file needs no further hashing, and of a large one nothing is hashed twice.
    pub hasher: blake3::Hasher,
}

impl Head {
    fn of(first: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        let hash = hasher.update(first).finalize();
        Self { id: std::array::from_fn(|at| hash.as_bytes()[at]), hasher }
    }
}

/// Called between two reads of a file, with its path and the bytes read: here tests change files.
#[cfg(test)]
pub type Between = std::sync::Arc<dyn Fn(&Path, u64) + Send + Sync>;

/// An open file.
pub struct Reading {
    file: File,
    path: PathBuf,
    len: u64,
    modified: Option<SystemTime>,
    /// Bytes behind the read position.
    at: u64,
    /// Bytes of them that the page cache may have let go.
    let_go: u64,
    #[cfg(test)]
    pub between: Option<Between>,
}

impl Reading {
    /// Opens a file.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        // Should a pipe have taken the file's place since the walk, opening it must not wait for a writer.
        let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(ReadError::Io(io::Error::other("it is no longer a regular file")));
        }
        Ok(Self {
            path: path.to_owned(),
            len: meta.len(),
            modified: meta.modified().ok(),
            file,
            at: 0,
            let_go: 0,
            #[cfg(test)]
            between: None,
        })
    }

    /// Its length when it was opened.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// When it was last changed, in nanoseconds since 1970, where known.
    pub fn modified_ns(&self) -> Option<i64> {
        let time = self.modified?;
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_nanos()).ok(),
            Err(before) => i64::try_from(before.duration().as_nanos()).ok().map(|ns| -ns),
        }
    }

    /// Reads up to the first MiB into `first`, and hashes it.
    pub fn first(&mut self, first: &mut Vec<u8>) -> Result<Head, ReadError> {
        first.resize(self.len.min(SEGMENT as u64) as usize, 0);
        self.file.seek(SeekFrom::Start(0))?;
        self.file.read_exact(first)?;
        self.at = first.len() as u64;
        Ok(Head::of(first))
    }

    /// Hashes the whole file, whose first bytes were read already, then goes back to behind those.
    pub fn hash_ahead(
        &mut self,
        head: &Head,
        mut each: impl FnMut() -> Result<(), ReadError>,
    ) -> Result<Hash, ReadError> {
        let (mut hasher, first) = (head.hasher.clone(), self.at);
        if self.at < self.len {
            let mut buffer = vec![0; SEGMENT];
            while self.at < self.len {
                each()?;
                let read = self.read(&mut buffer)?;
                hasher.update(&buffer[..read]);
            }
            self.at = first;
            self.file.seek(SeekFrom::Start(self.at))?;
        }
        self.unchanged()?;
        Ok(hasher.finalize().into())
    }

    /// Reads the next bytes; never beyond the length that the file had when it was opened.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        #[cfg(test)]
        if let Some(between) = &self.between {
            between(&self.path, self.at);
        }
        let most = usize::try_from(self.len - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let read = loop {
            match self.file.read(&mut buffer[..most]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if read == 0 && most > 0 {
            return Err(ReadError::Changed);
        }
        self.at += read as u64;
        Ok(read)
    }

    /// Lets the page cache forget what was read for good. A card goes through it once: what is cached of it costs
    /// fresh memory at every page and drives out what is wanted.
    pub fn let_go(&mut self) {
        if self.at >= self.let_go + CACHED || self.at == self.len {
            // It is only a wish. What the system read ahead stays.
            let _ = fadvise(&self.file, 0, NonZeroU64::new(self.at), Advice::DontNeed);
            self.let_go = self.at;
        }
    }

    /// Whether the file is still what it was when it was opened, and still the one at its path.
    pub fn unchanged(&self) -> Result<(), ReadError> {
        let same = |meta: &Metadata| meta.len() == self.len && meta.modified().ok() == self.modified;
        let open = self.file.metadata()?;
        // A camera's software may put a new file in the old one's place.
        let still_named = match std::fs::metadata(&self.path) {
            Ok(named) => same(&named),
            // Deleted meanwhile: all the more reason to keep what was read of it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(error.into()),
        };
        if same(&open) && still_named { Ok(()) } else { Err(ReadError::Changed) }
    }
}
