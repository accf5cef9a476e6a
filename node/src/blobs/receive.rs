//! Shards taken in from peers: every group verified as it comes, resumable after a cut, a kill or a power
//! cut.
//!
//! What has come is in two files of ours, the data and its outboard as far as it is known. Which groups are
//! there is no record that could lie: it is found by verifying the two against the shard's hash, once per
//! process. A group that a power cut took is simply missing again.

use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use safelight_proto::id::Hash;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

use super::Result;
use super::durable::{Durable, Reservation, Sealed};
use super::error::StoreError;
use super::groups::{GROUP, Groups};
use super::stream::{Broken, Piece, decode, stream_len};
use super::tree::Tree;
use super::volume::{FsVolume, Inner, blocking};
use crate::disk::direct::{BLOCK, Block, bypass_cache, write_at};

/// Bytes read from a peer at a time.
const PIECE: usize = 64 * 1024;
/// Pieces that wait between the network and the disk.
const WAITING: usize = 16;

/// What became of a stream that was taken in.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// The shard is complete and durable.
    Complete(Durable),
    /// What was asked for has come; these groups are still missing.
    Partial(Groups),
}

impl FsVolume {
    /// The groups that are still to come: all when nothing is there, none when the shard is held. What lies
    /// there from before a restart is verified first; where all of it is there, it is made durable now.
    pub async fn missing(&self, hash: Hash, len: u64) -> Result<Groups> {
        if self.0.state().held.contains_key(&hash) {
            return Ok(Groups::none());
        }
        if !self.0.folders.partial(hash).exists() {
            return Ok(Groups::all(len));
        }
        let partial = self.partial(hash, len).await?;
        let missing = partial.missing();
        if missing.is_empty() {
            // The node ended between the last group and the shard's own name; nobody will send a group again.
            self.complete(partial).await?;
        }
        Ok(missing.bounded())
    }

    /// Takes in the stream of `groups` and keeps what verifies, whatever happens later. The shard that
    /// becomes complete by it is made durable.
    pub async fn receive(
        &self,
        hash: Hash,
        len: u64,
        groups: &Groups,
        reader: &mut (dyn AsyncRead + Send + Unpin),
    ) -> Result<Received> {
        let groups = groups.within(len);
        if groups.is_empty() {
            return Err(StoreError::Refused("no group of the shard was asked for"));
        }
        let partial = self.partial(hash, len).await?;
        let (pieces, waiting) = mpsc::channel(WAITING);
        let left = stream_len(len, &groups);
        let job = blocking(move || partial.take_in(&groups, Pieces { waiting, piece: Bytes::new() }));
        let ((partial, taken), pumped) = tokio::join!(job, pump(reader, left, pieces));
        match taken {
            Ok(()) => {}
            Err(Broken::Bad(why)) => return Err(StoreError::BadStream { hash, why }),
            Err(Broken::Keep(error)) => {
                return Err(self.0.judge(StoreError::io(&self.0.folders.partial(hash), error)));
            }
            Err(Broken::Cut(error)) => {
                let why = pumped.err().unwrap_or(error).to_string();
                return Err(StoreError::Cut { hash, why });
            }
        }
        let missing = partial.missing();
        if !missing.is_empty() {
            return Ok(Received::Partial(missing.bounded()));
        }
        self.complete(partial).await.map(Received::Complete)
    }

    /// A complete file goes the way of every shard: fsync, name, read back.
    async fn complete(&self, partial: Partial) -> Result<Durable> {
        let (hash, inner) = (partial.hash, self.0.clone());
        let (sealed, lease) = blocking(move || partial.seal()).await;
        let placed = self.place(vec![(hash, sealed)]).await.pop();
        // On failure the data was moved aside or is still there, to be verified again.
        inner.state().partial.remove(&hash);
        if let Some(Ok(_)) = placed {
            // The shard is durable under its own name; what stays of its parts is only room.
            let _ = blocking(move || inner.remove_partial(hash)).await;
        }
        drop(lease);
        placed.unwrap_or(Err(StoreError::NotHere(hash)))
    }

    async fn partial(&self, hash: Hash, len: u64) -> Result<Partial> {
        if self.0.state().held.contains_key(&hash) {
            return Err(StoreError::AlreadyHere(hash));
        }
        let lease = Lease::take(&self.0, hash)?;
        let there = fs::metadata(self.0.folders.partial(hash)).map_or(0, |meta| meta.len());
        let volume = self.clone();
        blocking(move || {
            // What was begun has its room: the file has its full length, and usage counts it.
            let _room = if there == len { Reservation::default() } else { volume.reserve(len)? };
            Partial::open(lease, len)
        })
        .await
        .map_err(|e| self.0.judge(e))
    }
}

/// The right to be the one who receives a shard.
#[derive(Debug)]
struct Lease {
    inner: Arc<Inner>,
    hash: Hash,
}

impl Lease {
    fn take(inner: &Arc<Inner>, hash: Hash) -> Result<Self> {
        if !inner.state().receiving.insert(hash) {
            return Err(StoreError::Busy(hash));
        }
        Ok(Self { inner: inner.clone(), hash })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.inner.state().receiving.remove(&self.hash);
    }
}

/// A shard being received.
#[derive(Debug)]
struct Partial {
    lease: Lease,
    hash: Hash,
    len: u64,
    data: File,
    outboard: File,
    have: Groups,
}

impl Partial {
    fn open(lease: Lease, len: u64) -> Result<Self> {
        let (inner, hash) = (&lease.inner, lease.hash);
        let (path, tree) = (inner.folders.partial(hash), inner.folders.partial_outboard(hash));
        let open = |path: &std::path::Path| {
            let file = File::options().create(true).truncate(false).read(true).write(true).open(path);
            file.map_err(|e| StoreError::io(path, e))
        };
        let (data, outboard) = (open(&path)?, open(&tree)?);
        let fail = |e| StoreError::io(&path, e);
        let known = inner.state().partial.get(&hash).cloned();
        let have = if data.metadata().map_err(fail)?.len() != len {
            data.set_len(0).and_then(|()| data.set_len(len)).map_err(fail)?;
            outboard.set_len(0).map_err(fail)?;
            Groups::none()
        } else {
            known.unwrap_or_else(|| verified(hash, len, &data, &outboard))
        };
        inner.state().partial.insert(hash, have.clone());
        // From here on the data is only written; in whole groups but for the end.
        bypass_cache(&data, true).map_err(fail)?;
        Ok(Self { hash, len, data, outboard, have, lease })
    }

    fn missing(&self) -> Groups {
        Groups::all(self.len).minus(&self.have)
    }

    /// Decodes a stream into the files and gives itself back, with what was verified before it ended.
    fn take_in(mut self, groups: &Groups, pieces: Pieces) -> (Self, std::result::Result<(), Broken>) {
        let (mut pairs, mut bytes) = (Run::new(&self.outboard), Run::new(&self.data));
        let have = &mut self.have;
        let mut write = |pairs: &mut Run<'_>, bytes: &mut Run<'_>| {
            pairs.write()?;
            let written = bytes.write()?;
            *have = have.union(&Groups::touching(written));
            Ok::<(), io::Error>(())
        };
        let taken = decode(self.hash, self.len, groups, pieces, |piece| {
            let takes = match &piece {
                Piece::Pair(at, pair) => pairs.takes(*at, pair),
                Piece::Group(at, group) => bytes.takes(*at, group),
            };
            if !takes {
                write(&mut pairs, &mut bytes)?;
            }
            match piece {
                Piece::Pair(at, pair) => pairs.add(at, &pair),
                Piece::Group(at, group) => bytes.add(at, group),
            }
            Ok(())
        });
        let written = write(&mut pairs, &mut bytes).map_err(Broken::Keep);
        self.lease.inner.state().partial.insert(self.hash, self.have.clone());
        (self, taken.and(written))
    }

    fn seal(self) -> (Result<Sealed>, Lease) {
        let path = self.lease.inner.folders.partial(self.hash);
        let synced = self.data.sync_all().map_err(|e| StoreError::io(&path, e));
        (
            synced.map(|()| Sealed {
                path,
                len: self.len,
                fleeting: false,
                _reserved: Reservation::default(),
            }),
            self.lease,
        )
    }
}

/// Verified bytes that lie side by side in a file, gathered into one write.
struct Run<'a> {
    file: &'a File,
    start: u64,
    block: Block,
    len: usize,
}

impl<'a> Run<'a> {
    fn new(file: &'a File) -> Self {
        Self { file, start: 0, block: Block::new(), len: 0 }
    }

    /// Whether so many bytes of that place can be added before a write.
    fn takes(&self, at: u64, bytes: &[u8]) -> bool {
        self.len == 0 || (at == self.start + self.len as u64 && self.len + bytes.len() <= BLOCK)
    }

    fn add(&mut self, at: u64, bytes: &[u8]) {
        if self.len == 0 {
            self.start = at;
        }
        self.block[self.len..][..bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Writes what was gathered and returns where it lies.
    fn write(&mut self) -> io::Result<Range<u64>> {
        write_at(self.file, &self.block[..self.len], self.start)?;
        let written = self.start..self.start + self.len as u64;
        self.len = 0;
        Ok(written)
    }
}

/// The reading end of a stream whose pieces come from the network's side.
struct Pieces {
    waiting: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.waiting.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let n = out.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut out[..n]);
        Ok(n)
    }
}

/// Reads exactly `left` bytes and hands them to the disk's side, until one of the two ends.
async fn pump(
    reader: &mut (dyn AsyncRead + Send + Unpin),
    mut left: u64,
    pieces: mpsc::Sender<Bytes>,
) -> io::Result<()> {
    while left > 0 {
        let mut piece = BytesMut::with_capacity(PIECE);
        let n = (&mut *reader).take(left.min(PIECE as u64)).read_buf(&mut piece).await?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        left -= n as u64;
        if pieces.send(piece.freeze()).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// The groups that verify against the hash, by reading what is there.
fn verified(hash: Hash, len: u64, data: &File, outboard: &File) -> Groups {
    let mut good = Groups::none();
    let tree = Tree { hash, len, data, outboard: Some(outboard) };
    let walked = tree.walk(&Groups::all(len), &mut |group, content| {
        if content.is_some() {
            good.push(group.start / GROUP..group.end.div_ceil(GROUP));
        }
        Ok::<(), std::convert::Infallible>(())
    });
    match walked {
        Ok(()) => good,
    }
}

impl Inner {
    /// Removes what has come of a shard, unless it is being received; whether there was any.
    pub(super) fn forget_partial(&self, hash: Hash) -> Result<bool> {
        if self.state().receiving.contains(&hash) || !self.folders.partial(hash).exists() {
            return Ok(false);
        }
        self.state().partial.remove(&hash);
        self.remove_partial(hash)?;
        Ok(true)
    }

    fn remove_partial(&self, hash: Hash) -> Result<()> {
        for path in [self.folders.partial(hash), self.folders.partial_outboard(hash)] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(self.judge(StoreError::io(&path, error)));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
