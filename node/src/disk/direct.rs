//! Writing and reading past the page cache (`O_DIRECT`).
//!
//! A shard is written once, and what is read back must not come from the cache: to copy it through there costs
//! several times the processor's time of the transfer itself, and drives out what somebody may want. Where a file
//! system has no direct transfers (some in memory, some over a network) the same calls go through the cache.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::durable::drop_cache;

/// What places, lengths and memory of a direct transfer are multiples of: no drive is known to ask for more.
pub const ALIGN: usize = 4096;
/// Bytes of one transfer.
pub const BLOCK: usize = 1 << 20;

/// Memory for one transfer.
pub struct Block {
    bytes: Vec<u8>,
    start: usize,
}

impl Block {
    /// A block of zeros.
    pub fn new() -> Self {
        let bytes = vec![0; BLOCK + ALIGN];
        // The vector is never resized, so its memory stays where it is.
        let start = bytes.as_ptr().align_offset(ALIGN).min(ALIGN);
        Self { bytes, start }
    }
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..self.start + BLOCK]
    }
}

impl DerefMut for Block {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + BLOCK]
    }
}

/// Makes transfers of `file` go past the page cache, or through it again, and says which. Where a file system
/// cannot do without it, they go through it as before.
pub fn bypass_cache(file: &File, bypass: bool) -> io::Result<bool> {
    let flags = fcntl_getfl(file)?;
    let wanted = if bypass { flags | OFlags::DIRECT } else { flags - OFlags::DIRECT };
    match fcntl_setfl(file, wanted) {
        Err(rustix::io::Errno::INVAL) if bypass => Ok(false),
        other => other.map(|()| bypass).map_err(io::Error::from),
    }
}

fn is_direct(file: &File) -> io::Result<bool> {
    Ok(fcntl_getfl(file)?.contains(OFlags::DIRECT))
}

/// What a file system answers that takes the flag and not the transfer.
fn refused(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidInput
}

/// Writes bytes of a [`Block`], from its beginning, at an aligned place: past the cache as far as their number is
/// aligned too.
pub fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    let (aligned, tail) = bytes.split_at(bytes.len() / ALIGN * ALIGN);
    let direct = is_direct(file)?;
    match file.write_all_at(aligned, at) {
        // A write that came out short also ends here, with the rest no longer aligned.
        Err(error) if direct && refused(&error) => {
            bypass_cache(file, false)?;
            return file.write_all_at(bytes, at);
        }
        other => other?,
    }
    if tail.is_empty() {
        return Ok(());
    }
    bypass_cache(file, false)?;
    file.write_all_at(tail, at + aligned.len() as u64)?;
    bypass_cache(file, direct).map(drop)
}

/// Reads a file from front to back and hands on its pieces. What was cached of it before is dropped first, for
/// file systems that read through the cache all the same. Returns how long it was.
pub fn read_through(file: &File, mut each: impl FnMut(&[u8])) -> io::Result<u64> {
    drop_cache(file)?;
    bypass_cache(file, true)?;
    let (mut block, mut at) = (Block::new(), 0);
    loop {
        let read = match file.read_at(&mut block, at) {
            Ok(0) => return Ok(at),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if refused(&error) && is_direct(file)? => {
                bypass_cache(file, false)?;
                continue;
            }
            Err(error) => return Err(error),
        };
        each(&block[..read]);
        at += read as u64;
        if !read.is_multiple_of(ALIGN) {
            // The end, most likely. From such a place only the cache can tell.
            bypass_cache(file, false)?;
        }
    }
}

/// A new file that is written once, from front to back. Whole blocks are written by a thread of its own, so that
/// drives work side by side: without the cache nobody else would write while the next block is made. Holds two
/// blocks.
pub struct Writer {
    file: Arc<File>,
    block: Block,
    filled: usize,
    /// Where the block goes in the file.
    at: u64,
    /// None before the first block is full.
    behind: Option<Behind>,
}

impl Writer {
    /// A writer at the beginning of an empty file.
    pub fn new(file: File) -> io::Result<Self> {
        bypass_cache(&file, true)?;
        Ok(Self { file: Arc::new(file), block: Block::new(), filled: 0, at: 0, behind: None })
    }

    /// Appends bytes. What goes wrong with earlier ones may be told here.
    pub fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(BLOCK - self.filled));
            self.block[self.filled..][..now.len()].copy_from_slice(now);
            self.filled += now.len();
            bytes = rest;
            if self.filled == BLOCK {
                self.hand_over()?;
            }
        }
        Ok(())
    }

    /// Writes what is left, and returns when bytes and length are durable. Nothing can follow.
    pub fn finish(&mut self) -> io::Result<()> {
        if let Some(behind) = &mut self.behind {
            behind.end()?;
        }
        write_at(&self.file, &self.block[..self.filled], self.at)?;
        self.file.sync_all()
    }

    fn hand_over(&mut self) -> io::Result<()> {
        let behind = match &mut self.behind {
            Some(behind) => behind,
            none => none.insert(Behind::start(Arc::clone(&self.file))?),
        };
        let Ok(empty) = behind.empty.recv() else { return Err(behind.why()) };
        let full = std::mem::replace(&mut self.block, empty);
        if behind.send(full, self.at).is_err() {
            return Err(behind.why());
        }
        (self.at, self.filled) = (self.at + BLOCK as u64, 0);
        Ok(())
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Writer({} bytes)", self.at + self.filled as u64)
    }
}

/// The thread that writes blocks.
struct Behind {
    full: Option<SyncSender<(Block, u64)>>,
    empty: Receiver<Block>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Behind {
    fn start(file: Arc<File>) -> io::Result<Self> {
        let ((full, incoming), (used, empty)) = (sync_channel(1), channel());
        // The second block: one is filled while the other is written.
        used.send(Block::new()).map_err(|_| ended())?;
        let work = move || write_blocks(&file, &incoming, &used);
        let thread = std::thread::Builder::new().name("shard-write".into()).spawn(work)?;
        Ok(Self { full: Some(full), empty, thread: Some(thread) })
    }

    fn send(&self, block: Block, at: u64) -> io::Result<()> {
        let full = self.full.as_ref().ok_or_else(ended)?;
        full.send((block, at)).map_err(|_| ended())
    }

    /// Waits until everything is written. It takes nothing more.
    fn end(&mut self) -> io::Result<()> {
        self.full = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(written)) => written,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Err(ended()),
        }
    }

    /// Why it takes no more.
    fn why(&mut self) -> io::Error {
        self.end().err().unwrap_or_else(ended)
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.full = None;
        if let Some(thread) = self.thread.take() {
            // Nobody asks any more what became of the bytes, only that nothing is written from now on.
            drop(thread.join());
        }
    }
}

fn write_blocks(file: &File, incoming: &Receiver<(Block, u64)>, used: &Sender<Block>) -> io::Result<()> {
    for (block, at) in incoming {
        write_at(file, &block, at)?;
        // Nobody waits for the last ones.
        let _ = used.send(block);
    }
    Ok(())
}

fn ended() -> io::Error {
    io::Error::other("a file was written on after it had failed")
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use proptest::prelude::*;

    use super::*;

    fn content(len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        blake3::Hasher::new().update(&len.to_le_bytes()).finalize_xof().fill(&mut bytes);
        bytes
    }

    /// Writes `bytes` in pieces of that many, and gives what is in the file then, however it is read.
    fn written(dir: &Path, bytes: &[u8], piece: usize) -> Vec<u8> {
        let path = dir.join("file");
        let mut writer = Writer::new(File::create(&path).unwrap()).unwrap();
        bytes.chunks(piece).for_each(|piece| writer.write_all(piece).unwrap());
        writer.finish().unwrap();
        let (mut read, plain) = (Vec::new(), std::fs::read(&path).unwrap());
        let len = read_through(&File::open(path).unwrap(), |piece| read.extend_from_slice(piece)).unwrap();
        assert!(read == plain && len == read.len() as u64, "both ways of reading agree");
        read
    }

    /// Where tests can write: the temporary folder, a folder beside the program (mostly a drive), memory.
    fn places() -> Vec<tempfile::TempDir> {
        let beside = std::env::current_exe().unwrap().parent().unwrap().to_owned();
        let there = [std::env::temp_dir(), beside, PathBuf::from("/dev/shm")];
        there.iter().filter_map(|dir| tempfile::tempdir_in(dir).ok()).collect()
    }

    #[test]
    fn memory_is_aligned() {
        let blocks: Vec<Block> = (0..8).map(|_| Block::new()).collect();
        for block in blocks {
            assert_eq!((block.as_ptr() as usize % ALIGN, block.len()), (0, BLOCK));
        }
    }

    #[test]
    fn every_tail_around_a_block_comes_out_on_every_file_system() {
        let around = |edge: usize| [edge - 1, edge, edge + 1];
        let lens =
            [0, 1].into_iter().chain([ALIGN, 2 * ALIGN, BLOCK, 3 * BLOCK].into_iter().flat_map(around));
        let lens: Vec<usize> = lens.chain(around(BLOCK + ALIGN)).collect();
        for dir in places() {
            for &len in &lens {
                let bytes = content(len);
                assert!(written(dir.path(), &bytes, 256 * 1024) == bytes, "{len} in {dir:?}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn pieces_of_any_size_make_the_same_file(len in 0usize..3 * BLOCK, piece in 1usize..2 * BLOCK) {
            let (dir, bytes) = (tempfile::tempdir().unwrap(), content(len));
            // Pieces of a few bytes only for short files.
            prop_assert!(written(dir.path(), &bytes, piece.max(len / 1000)) == bytes);
        }
    }

    #[test]
    fn a_refused_direct_write_goes_through_the_cache() {
        for dir in places() {
            let path = dir.path().join("file");
            let file = File::create(&path).unwrap();
            bypass_cache(&file, true).unwrap();
            // No place is aligned here: where the flag means something the system refuses the write.
            let bytes = content(2 * ALIGN + 1);
            write_at(&file, &bytes, 7).unwrap();
            assert!(std::fs::read(&path).unwrap()[7..] == bytes);
        }
    }

    #[test]
    fn a_tail_is_written_in_the_middle_of_direct_writes() {
        for dir in places() {
            let path = dir.path().join("file");
            let file = File::create(&path).unwrap();
            let direct = bypass_cache(&file, true).unwrap();
            let mut block = Block::new();
            block.copy_from_slice(&content(BLOCK));
            write_at(&file, &block[..ALIGN + 5], BLOCK as u64).unwrap();
            assert_eq!(is_direct(&file).unwrap(), direct);
            write_at(&file, &block, 0).unwrap();
            assert!(std::fs::read(&path).unwrap() == [&block[..], &block[..ALIGN + 5]].concat());
        }
    }

    #[test]
    fn what_fails_behind_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, b"").unwrap();
        // A file that cannot be written.
        let mut writer = Writer::new(File::open(&path).unwrap()).unwrap();
        let told = (0..8).map(|_| writer.write_all(&content(BLOCK))).find_map(Result::err);
        assert!(told.is_some());
        assert!(writer.finish().is_err(), "what failed once is not finished");
        let mut short = Writer::new(File::open(&path).unwrap()).unwrap();
        short.write_all(b"few").unwrap();
        assert!(short.finish().is_err());
    }
}
