//! Held shards as verified streams: to peers that ask for groups, and to auditors that ask for proofs.

use std::pin::pin;

use futures::StreamExt;
use safelight_proto::id::Hash;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::Result;
use super::error::StoreError;
use super::groups::Groups;
use super::stream::MAX_PROOF_GROUPS;
use super::volume::FsVolume;

/// Bytes gathered before they are handed to the writer.
const BUFFER: usize = 256 * 1024;

impl FsVolume {
    /// Writes the stream of `groups`, and returns its length. Every group is verified before it is written, so a peer never
    /// gets a wrong byte from us. On [`StoreError::Damaged`] the shard is to be quarantined; on [`StoreError::Cut`] the
    /// writer failed, or the stream stopped over an outboard that has been made again: ask anew for what is missing.
    pub async fn send(
        &self,
        hash: Hash,
        groups: &Groups,
        writer: &mut (dyn AsyncWrite + Send + Unpin),
    ) -> Result<u64> {
        let len = self.0.held(hash)?;
        let groups = groups.within(len);
        if groups.is_empty() {
            return Err(StoreError::Refused("no group of the shard was asked for"));
        }
        if !self.0.index.has(hash, len).await || !self.has_outboard(hash, len).await {
            let _one = self.0.placing.lock().await;
            self.heal(hash, len).await?;
        }
        let cut = |why: std::io::Error| StoreError::Cut { hash, why: why.to_string() };
        let (mut sent, mut buffer) = (0, Vec::with_capacity(BUFFER));
        let mut stream = pin!(self.0.index.export(hash, &groups).await);
        while let Some(piece) = stream.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => return Err(self.explain(hash, &error.to_string()).await),
            };
            if buffer.len() + piece.len() > BUFFER {
                writer.write_all(&buffer).await.map_err(cut)?;
                buffer.clear();
            }
            sent += piece.len() as u64;
            buffer.extend_from_slice(&piece);
        }
        writer.write_all(&buffer).await.map_err(cut)?;
        writer.flush().await.map_err(cut)?;
        Ok(sent)
    }

    /// The stream of a few groups, as a proof that the shard is here. [`super::check_proof`] checks it anywhere.
    pub async fn prove(&self, hash: Hash, groups: &Groups) -> Result<Vec<u8>> {
        if groups.count() > MAX_PROOF_GROUPS {
            return Err(StoreError::Refused("a proof holds at most 64 groups"));
        }
        let mut proof = Vec::new();
        self.send(hash, groups, &mut proof).await?;
        Ok(proof)
    }

    /// What an error of the index means. It may be an old file handle, a bad outboard or a bad shard: only the files tell.
    async fn explain(&self, hash: Hash, error: &str) -> StoreError {
        match self.verify(hash).await {
            Err(error) => error,
            Ok(_) => match self.adopt(hash).await {
                Err(error) => error,
                Ok(_) => StoreError::Cut { hash, why: format!("the index was mended ({error})") },
            },
        }
    }
}
