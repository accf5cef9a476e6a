//! Held shards as verified streams: to peers that ask for groups, and to auditors that ask for proofs.
//!
//! The stream is made from the shard's file and its outboard, not through iroh-blobs' `export_bao`: that one
//! needs its database, which may be lost or know the drive by an older mount point, and until the shard was
//! read through again no audit could be answered in time.

use std::io::{self, Write};

use bao_tree::io::EncodeError;
use bao_tree::io::outboard::PreOrderOutboard;
use bao_tree::io::sync::encode_ranges_validated;
use bytes::Bytes;
use safelight_proto::id::Hash;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::Result;
use super::error::StoreError;
use super::groups::Groups;
use super::read::ShardReader;
use super::stream::{MAX_PROOF_GROUPS, chunk_ranges, tree};
use super::volume::{FsVolume, blocking};

/// Bytes handed to the network at a time.
const PIECE: usize = 64 * 1024;
/// Pieces that wait between the disk and the network.
const WAITING: usize = 16;

impl FsVolume {
    /// Writes the stream of `groups`, and returns its length. Every group is verified before it is written,
    /// so a peer never gets a wrong byte from us. On [`StoreError::Damaged`] the shard is to be quarantined;
    /// on [`StoreError::Cut`] the writer failed, or the stream stopped over an outboard that has been made
    /// again: ask anew for what is missing.
    pub async fn send(
        &self,
        hash: Hash,
        groups: &Groups,
        writer: &mut (dyn AsyncWrite + Send + Unpin),
    ) -> Result<u64> {
        let reader = self.reader(hash).await?;
        let groups = groups.within(reader.len());
        if groups.is_empty() {
            return Err(StoreError::Refused("no group of the shard was asked for"));
        }
        let (pieces, waiting) = mpsc::channel(WAITING);
        let job = blocking(move || encode(&reader, &groups, pieces));
        let (encoded, written) = tokio::join!(job, write(waiting, writer));
        let cut = |why: io::Error| StoreError::Cut { hash, why: why.to_string() };
        let sent = written.map_err(cut)?;
        match encoded {
            Ok(()) => Ok(sent),
            Err(error) => Err(self.explain(hash, &error).await),
        }
    }

    /// The stream of a few groups, as a proof that the shard is here. [`super::check_proof`] checks it
    /// anywhere.
    pub async fn prove(&self, hash: Hash, groups: &Groups) -> Result<Vec<u8>> {
        if groups.count() > MAX_PROOF_GROUPS {
            return Err(StoreError::Refused("a proof holds at most 64 groups"));
        }
        let mut proof = Vec::new();
        self.send(hash, groups, &mut proof).await?;
        Ok(proof)
    }

    /// What a failed reading means: the shard is bad, or only its outboard was, which is then made again.
    async fn explain(&self, hash: Hash, error: &EncodeError) -> StoreError {
        match self.verify(hash).await {
            Err(error) => error,
            Ok(_) => StoreError::Cut { hash, why: format!("reading it failed and then succeeded ({error})") },
        }
    }
}

fn encode(
    reader: &ShardReader,
    groups: &Groups,
    pieces: mpsc::Sender<Bytes>,
) -> std::result::Result<(), EncodeError> {
    let (hash, len) = (reader.hash(), reader.len());
    // A shard of one group has no outboard, and none is read for it.
    let data = reader.outboard().unwrap_or(reader.data());
    let outboard = PreOrderOutboard { root: hash.0.into(), tree: tree(len), data };
    let mut out = Pieces { pieces, piece: Vec::with_capacity(PIECE) };
    out.write_all(&len.to_le_bytes())?;
    encode_ranges_validated(reader.data(), outboard, &chunk_ranges(groups), &mut out)?;
    Ok(out.flush()?)
}

async fn write(
    mut pieces: mpsc::Receiver<Bytes>,
    writer: &mut (dyn AsyncWrite + Send + Unpin),
) -> io::Result<u64> {
    let mut sent = 0;
    while let Some(piece) = pieces.recv().await {
        writer.write_all(&piece).await?;
        sent += piece.len() as u64;
    }
    writer.flush().await?;
    Ok(sent)
}

/// The writing end of a stream whose pieces go to the network's side.
struct Pieces {
    pieces: mpsc::Sender<Bytes>,
    piece: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.len() + bytes.len() > PIECE {
            self.flush()?;
        }
        self.piece.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        if piece.is_empty() {
            return Ok(());
        }
        self.pieces.blocking_send(piece.into()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
