//! Verified reading of held shards, for restores: every group is checked against the outboard before a byte
//! is handed out.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use safelight_proto::id::Hash;
use safelight_proto::shard::{BLOCK, ShardId};

use super::Result;
use super::error::{Damage, StoreError};
use super::groups::{GROUP, Groups};
use super::tree::{Tree, outboard_len};
use super::volume::{FsVolume, blocking};
use crate::disk::durable::forget;

/// Bytes between two steps of a verification.
const STEP: u64 = 1 << 20;

/// Most bytes of one reading.
pub const MAX_READ: u64 = 64 << 20;

/// An open shard, to be read from a thread that may block. Each reading is verified by itself; a file changed
/// under it is found.
#[derive(Debug)]
pub struct ShardReader {
    hash: Hash,
    len: u64,
    data: File,
    outboard: Option<File>,
}

impl ShardReader {
    /// Bytes of the shard.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Verified bytes. A damaged group among them is an error that names it.
    pub fn read(&self, bytes: Range<u64>) -> Result<Vec<u8>> {
        if bytes.start > bytes.end || bytes.end > self.len || bytes.end - bytes.start > MAX_READ {
            return Err(StoreError::Refused("a reading lies within its shard and is at most 64 MiB long"));
        }
        let mut out = Vec::with_capacity((bytes.end - bytes.start) as usize);
        let mut bad = Groups::none();
        self.tree().walk(&Groups::touching(bytes.clone()), &mut |group, content| {
            match content {
                None => bad.push(group.start / GROUP..group.end.div_ceil(GROUP)),
                Some(content) => {
                    let from = bytes.start.max(group.start) - group.start;
                    let to = bytes.end.min(group.end) - group.start;
                    out.extend_from_slice(&content[from as usize..to as usize]);
                }
            }
            Ok::<(), StoreError>(())
        })?;
        if bad.is_empty() { Ok(out) } else { Err(Damage { hash: self.hash, bad }.into()) }
    }

    /// The groups that are not right, all of them read; nothing when `step` did not let it go on. What was read leaves
    /// the page cache again: nobody is going to ask for it, and others' pages are worth more.
    pub(super) fn damaged(&self, step: &mut impl FnMut(u64) -> bool) -> Option<Groups> {
        let (mut bad, mut stepped) = (Groups::none(), 0);
        let walked = self.tree().walk(&Groups::all(self.len), &mut |group, content| {
            if content.is_none() {
                bad.push(group.start / GROUP..group.end.div_ceil(GROUP));
            }
            if group.end - stepped < STEP && group.end < self.len {
                return Ok(());
            }
            forget(&self.data, stepped..group.end);
            let bytes = group.end - std::mem::replace(&mut stepped, group.end);
            if step(bytes) { Ok(()) } else { Err(()) }
        });
        walked.is_ok().then_some(bad)
    }

    pub(super) fn hash(&self) -> Hash {
        self.hash
    }

    pub(super) fn data(&self) -> &File {
        &self.data
    }

    pub(super) fn outboard(&self) -> Option<&File> {
        self.outboard.as_ref()
    }

    fn tree(&self) -> Tree<'_> {
        Tree { hash: self.hash, len: self.len, data: &self.data, outboard: self.outboard.as_ref() }
    }
}

impl FsVolume {
    /// What a shard's file says of itself in its first block. To be believed only where the whole file was verified.
    pub fn header(&self, hash: Hash) -> Result<ShardId> {
        let path = self.0.folders.shard(hash);
        let mut block = [0; BLOCK];
        let read = File::open(&path).and_then(|file| file.read_exact_at(&mut block, 0));
        read.map_err(|error| self.fail(hash, error))?;
        ShardId::from_block(&block).map_err(|_| StoreError::Refused("a shard's header is no header"))
    }

    /// Opens a held shard for reading. A lost outboard is made again first, which reads the shard once.
    pub async fn reader(&self, hash: Hash) -> Result<ShardReader> {
        let len = self.0.held(hash)?;
        if !self.has_outboard(hash, len).await {
            let _one = self.0.placing.lock().await;
            self.heal(hash, len).await?;
        }
        self.open_reader(hash, len).await
    }

    /// Verified bytes of a held shard.
    #[cfg(test)]
    pub async fn read(&self, hash: Hash, bytes: Range<u64>) -> Result<Vec<u8>> {
        let reader = self.reader(hash).await?;
        blocking(move || reader.read(bytes)).await
    }

    /// Opens data and outboard as they are.
    pub(super) async fn open_reader(&self, hash: Hash, len: u64) -> Result<ShardReader> {
        let (data, outboard) = (self.0.folders.shard(hash), self.0.index.outboard(hash));
        let opened = blocking(move || {
            let outboard = match File::open(outboard) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                other => other.ok(),
            };
            Ok(ShardReader { hash, len, data: File::open(data)?, outboard })
        })
        .await;
        match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.0.check()?;
                Err(self.0.all_bad(hash, len))
            }
            other => other.map_err(|e| self.fail(hash, e)),
        }
    }

    /// Whether the outboard's file is there in full.
    pub(super) async fn has_outboard(&self, hash: Hash, len: u64) -> bool {
        let path = self.0.index.outboard(hash);
        outboard_len(len) == 0
            || blocking(move || std::fs::metadata(path).is_ok_and(|meta| meta.len() == outboard_len(len)))
                .await
    }

    /// Makes the outboard and the index entry of a held shard again, from its file. Damage is reported, and
    /// nothing moved.
    pub(super) async fn heal(&self, hash: Hash, len: u64) -> Result<()> {
        let path = self.0.folders.shard(hash);
        let there = {
            let path = path.clone();
            blocking(move || std::fs::metadata(path).map(|meta| meta.len())).await
        };
        match there {
            Ok(there) if there == len => {}
            Ok(_) => return Err(self.0.all_bad(hash, len)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.0.check()?;
                return Err(self.0.all_bad(hash, len));
            }
            Err(error) => return Err(self.fail(hash, error)),
        }
        let got = self.0.index.import(&path).await.map_err(|e| self.0.index_error(e))?;
        if got == hash { Ok(()) } else { Err(self.0.all_bad(hash, len)) }
    }
}
