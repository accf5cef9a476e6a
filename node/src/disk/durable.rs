//! The few system calls that durability is made of.
//!
//! On tmpfs all of these succeed and none of them makes anything durable: the bytes live in memory, and what
//! is "read back" comes from the same pages. [`super::device::Device::volatile`] says when that is so.

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::ops::Range;
use std::path::Path;

use rustix::fs::{Advice, fadvise};

/// Makes the entries of a directory durable: names created, renamed or removed in it.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Makes a file's bytes and length durable.
pub fn sync_file(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Asks the system to forget its cached pages of `file`, so that the next read comes from the medium.
///
/// Only clean pages are dropped: call it after an fsync. Network servers and the drive itself may still
/// answer from their own caches; no call can rule that out.
pub fn drop_cache(file: &File) -> io::Result<()> {
    fadvise(file, 0, None, Advice::DontNeed).map_err(io::Error::from)
}

/// Lets the system forget its cached pages of a part of `file` that was read and will not be read again soon.
pub fn forget(file: &File, bytes: Range<u64>) {
    let length = NonZeroU64::new(bytes.end - bytes.start);
    // It is advice: where it is not taken, only room in memory is lost.
    let _ = fadvise(file, bytes.start, length, Advice::DontNeed);
}

/// Writes `bytes` at `path` so that after a power cut either the old or the new content is there.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let temporary = path.with_extension("new");
    std::fs::write(&temporary, bytes)?;
    sync_file(&temporary)?;
    std::fs::rename(&temporary, path)?;
    sync_dir(dir)
}
