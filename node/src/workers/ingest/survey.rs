//! What there is to take in: totals first, then one source after the other.
//!
//! The folders are walked twice, so that a card with a million files takes no more memory than one with ten.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use safelight_proto::limit::PATH_MAX;

use crate::disk::walk::{Entry, Kind, Skip, walk};

/// Files and bytes, as of now.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The totals of `paths`; ends early when `ended` says so.
pub fn totals(paths: &[PathBuf], ended: impl Fn() -> bool) -> Totals {
    let mut totals = Totals::default();
    for entry in walk(paths).take_while(|_| !ended()) {
        if let Kind::File { len } = entry.kind {
            totals.files += 1;
            totals.bytes += len;
        }
    }
    totals
}

/// A file to take in, with the name it is kept under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it lies.
    pub path: PathBuf,
    /// Its name in the shoot.
    pub name: String,
    /// The bytes of that name, where they are not UTF-8.
    pub raw_name: Option<Vec<u8>>,
    /// Bytes, as of the walk.
    pub len: u64,
}

/// One thing that the walk found.
#[derive(Debug)]
pub enum Found {
    /// A file to take in.
    File(Source),
    /// To be listed as failed.
    Failed(String, String),
    /// Left out, to be told.
    Told(String),
    /// A Safelight volume: left out, and the drive is not to be formatted.
    Volume(String),
}

/// Everything under `paths`, in order.
pub fn sources(paths: &[PathBuf]) -> impl Iterator<Item = Found> {
    walk(paths).map(found)
}

fn found(entry: Entry) -> Found {
    let shown = entry.path.display().to_string();
    match entry.kind {
        Kind::Failed(error) => Found::Failed(shown, error),
        Kind::Skipped(skip @ Skip::Link) => Found::Failed(shown, skip.to_string()),
        Kind::Skipped(skip @ Skip::Special) => Found::Told(format!("{shown} is left out: {skip}")),
        Kind::Skipped(skip @ Skip::Volume) => Found::Volume(format!("{shown} is left out: {skip}")),
        Kind::File { len } => match named(&entry.name) {
            Some((name, raw_name)) => Found::File(Source { path: entry.path, name, raw_name, len }),
            None => Found::Failed(shown, format!("its path is longer than {PATH_MAX} bytes")),
        },
    }
}

/// The name as text, with its own bytes where those are no UTF-8; `None` when it is too long for a catalog.
fn named(name: &Path) -> Option<(String, Option<Vec<u8>>)> {
    let bytes = name.as_os_str().as_bytes();
    let text = name.to_string_lossy();
    let raw = (text.as_bytes() != bytes).then(|| bytes.to_vec());
    (bytes.len() <= PATH_MAX && text.len() <= PATH_MAX).then(|| (text.into_owned(), raw))
}

impl Source {
    /// Most bytes that its entry takes in a catalog, extents left aside.
    pub fn entry_bytes(&self) -> u64 {
        (self.name.len() + self.raw_name.as_ref().map_or(0, Vec::len) + 160) as u64
    }
}
