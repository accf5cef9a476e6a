//! Shards between nodes: a stream for each, bao-verified on arrival, resumed by what is missing.
//!
//! On a shard stream the asker sends a [`ShardRequest`], the other answers a [`ShardReply`](message::ShardReply), both
//! with their length before them (u32, little-endian), and then the bao bytes of the groups follow.

use std::io;
use std::sync::Arc;

use safelight_core::event::{Event, PullError, Want};
use safelight_proto::id::{Hash, NodeId};
use safelight_proto::message::{self, ShardRequest};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::blobs::{FsVolume, Groups, Received, StoreError};
use crate::net::{NetHandle, ShardStream};
use crate::pace::Paced;
use crate::shell::Shell;

/// Longest request or reply on a shard stream, in bytes.
const HEAD: usize = 128 * 1024;
/// Rounds of asking for what is missing before a pull is given up until later.
const ROUNDS: usize = 64;
/// Bytes between the two ends of a copy on this machine.
const PIPE: usize = 1 << 20;

/// Why a shard did not come.
#[derive(Debug, thiserror::Error)]
pub enum CarryError {
    /// The peer could not be asked, or broke off.
    #[error("{0}")]
    Peer(String),
    /// The peer does not give it.
    #[error("the other node says: {0}")]
    Refused(String),
    /// Reading or writing the stream failed.
    #[error("the stream broke off: {0}")]
    Stream(#[from] io::Error),
    /// The volume here failed.
    #[error(transparent)]
    Volume(#[from] StoreError),
}

impl CarryError {
    fn blame(&self) -> PullError {
        match self {
            Self::Volume(StoreError::BadStream { .. } | StoreError::Cut { .. } | StoreError::Busy(_)) => {
                PullError::Source
            }
            Self::Volume(_) => PullError::Volume,
            _ => PullError::Source,
        }
    }
}

/// Brings one wanted shard to its volume here, and tells the core how it went.
pub async fn pull(shell: Arc<Shell>, want: Want, (hash, bytes): (Hash, u64), from: NodeId, urgent: bool) {
    let _busy = shell.scrubs.busy();
    let pulled = try_pull(&shell, want, (hash, bytes), from, urgent);
    let pulled = match urgent || from == shell.me {
        true => pulled.await,
        false => within_hours(&shell, pulled).await,
    };
    let outcome = match pulled {
        Ok(()) => Ok(()),
        Err(error) => {
            tracing::debug!(%hash, %from, "a shard did not come: {error}");
            Err(error.blame())
        }
    };
    shell.core.tell(Event::Pulled { want, outcome }).await;
}

/// Breaks off when the node's hours end; what has come until then stays, and the rest is asked for when they begin.
async fn within_hours(
    shell: &Shell,
    work: impl Future<Output = Result<(), CarryError>>,
) -> Result<(), CarryError> {
    tokio::select! {
        done = work => done,
        () = shell.gate.closed() => Err(CarryError::Peer("it waits for this node's hours".into())),
    }
}

async fn try_pull(
    shell: &Shell,
    want: Want,
    (hash, bytes): (Hash, u64),
    from: NodeId,
    urgent: bool,
) -> Result<(), CarryError> {
    let volume = shell.volumes.get(&want.volume).ok_or(StoreError::Refused("the volume is not open"))?;
    // It may lie here already, from before a crash that came between the disk and the ledger.
    if volume.adopt(hash).await.is_ok() {
        return Ok(());
    }
    for _ in 0..ROUNDS {
        let missing = volume.missing(hash, bytes).await?;
        if missing.is_empty() {
            volume.verify(hash).await?;
            return Ok(());
        }
        let received = if from == shell.me {
            copy(shell, &volume, hash, bytes, &missing).await?
        } else {
            let stream = open_shard(&shell.net, from, (hash, bytes), &missing, urgent).await?;
            let mut stream = shell.meter.taken(from, Paced::new(stream, &shell.pace.down));
            volume.receive(hash, bytes, &missing, &mut stream).await?
        };
        if let Received::Complete(_) = received {
            return Ok(());
        }
    }
    Err(CarryError::Peer("the shard does not become complete".into()))
}

/// From one volume of this node to another.
async fn copy(
    shell: &Shell,
    to: &FsVolume,
    hash: Hash,
    bytes: u64,
    groups: &Groups,
) -> Result<Received, CarryError> {
    let source = holder(shell, &hash).ok_or_else(|| CarryError::Peer("no volume here has it".into()))?;
    let (mut reader, mut writer) = tokio::io::duplex(PIPE);
    let send = async move {
        let sent = source.send(hash, groups, &mut writer).await;
        drop(writer);
        sent
    };
    let (sent, received) = tokio::join!(send, to.receive(hash, bytes, groups, &mut reader));
    if let Err(error @ StoreError::Damaged(_)) = sent {
        return Err(CarryError::Peer(error.to_string()));
    }
    Ok(received?)
}

/// Asks `node` for groups of a shard of so many bytes; what can be read from the result is their bao stream, unverified.
/// What is `urgent` does not wait for the node's hours.
pub async fn open_shard(
    net: &NetHandle,
    node: NodeId,
    (hash, bytes): (Hash, u64),
    groups: &Groups,
    urgent: bool,
) -> Result<impl AsyncRead + Send + Unpin + use<>, CarryError> {
    let stream = net.open_stream(node).await.map_err(|error| CarryError::Peer(error.to_string()))?;
    let mut stream = stream.with_progress_timeout();
    let request = ShardRequest { hash, groups: groups.ranges().to_vec(), urgent };
    write_frame(&mut stream, &request.encode()).await?;
    stream.flush().await?;
    let reply = read_frame(&mut stream).await?;
    match message::decode_shard_reply(&reply).map_err(|error| CarryError::Peer(error.to_string()))? {
        Ok(length) if length == bytes => Ok(stream),
        Ok(length) => {
            Err(CarryError::Peer(format!("the shard has {length} bytes there and {bytes} by its coding")))
        }
        Err(reason) => Err(CarryError::Refused(reason)),
    }
}

/// Serves one shard stream that a member opened.
pub async fn serve(shell: Arc<Shell>, from: NodeId, stream: ShardStream) {
    let _busy = shell.scrubs.busy();
    let mut stream = stream.with_progress_timeout();
    if let Err(error) = try_serve(&shell, from, &mut stream).await {
        tracing::debug!(%from, "a shard stream ended early: {error}");
    }
}

async fn try_serve(
    shell: &Arc<Shell>,
    from: NodeId,
    stream: &mut (impl AsyncRead + AsyncWrite + Send + Unpin),
) -> Result<(), CarryError> {
    let request = read_frame(stream).await?;
    let request = ShardRequest::decode(&request).map_err(|error| {
        shell.net.disconnect(from, error.to_string());
        CarryError::Peer(error.to_string())
    })?;
    if let Some(hours) = shell.gate.awaited().filter(|_| !request.urgent) {
        let reply = Err(format!("it waits for its hours ({hours})"));
        write_frame(stream, &message::encode_shard_reply(&reply)).await?;
        return Ok(stream.flush().await?);
    }
    match request.urgent {
        true => send(shell, from, stream, request).await,
        false => within_hours(shell, send(shell, from, stream, request)).await,
    }
}

/// Answers a request with the groups that are here.
async fn send(
    shell: &Arc<Shell>,
    from: NodeId,
    stream: &mut (impl AsyncRead + AsyncWrite + Send + Unpin),
    request: ShardRequest,
) -> Result<(), CarryError> {
    let hash = request.hash;
    let Some((volume, bytes)) = held(shell, &hash).await else {
        write_frame(stream, &message::encode_shard_reply(&Err("it is not here".into()))).await?;
        return Ok(stream.flush().await?);
    };
    write_frame(stream, &message::encode_shard_reply(&Ok(bytes))).await?;
    let groups = if request.groups.is_empty() {
        Groups::all(bytes)
    } else {
        Groups::from_ranges(request.groups).within(bytes)
    };
    let paced = Paced::new(&mut *stream, &shell.pace.up);
    let sent = volume.send(hash, &groups, &mut shell.meter.metered(from, hash, paced)).await;
    if let Err(StoreError::Damaged(damage)) = &sent {
        tracing::warn!("{damage}; it is moved aside");
        set_aside(shell, &volume, hash).await;
    }
    sent?;
    stream.flush().await?;
    Ok(stream.shutdown().await?)
}

/// Moves a damaged shard aside and tells the core, so that it no longer counts. Whether that was done.
pub async fn set_aside(shell: &Shell, volume: &FsVolume, hash: Hash) -> bool {
    match volume.quarantine(hash).await {
        // A core that is gone has no use for news.
        Ok(()) => drop(shell.core.settle(Event::ShardBad { volume: volume.id(), hash }).await),
        Err(error) => {
            tracing::warn!(%hash, "a damaged shard could not be moved aside: {error}");
            return false;
        }
    }
    true
}

/// The open volume that the ledger says holds `hash`, with the shard's length.
async fn held(shell: &Shell, hash: &Hash) -> Option<(Arc<FsVolume>, u64)> {
    let hash = *hash;
    let (volume, bytes) = shell
        .core
        .ask(move |node| {
            node.ledger()
                .iter()
                .find_map(|(volume, shards)| shards.get(&hash).map(|shard| (*volume, shard.bytes)))
        })
        .await
        .ok()??;
    Some((shell.volumes.get(&volume)?, bytes))
}

/// An open volume that has the file, whatever the ledger says.
fn holder(shell: &Shell, hash: &Hash) -> Option<Arc<FsVolume>> {
    shell.volumes.open().into_iter().find(|volume| volume.holds(hash))
}

async fn write_frame(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.write_all(&length.to_le_bytes()).await?;
    stream.write_all(bytes).await
}

async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = stream.read_u32_le().await? as usize;
    if length > HEAD {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a head of {length} bytes")));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}
