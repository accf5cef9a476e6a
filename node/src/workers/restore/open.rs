//! Opening feeds: a reader on a volume here, or a stream from another node.

use std::sync::Arc;

use safelight_proto::message::{self, ShardRequest};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Handle;

use super::feed::{Fault, Feed, Spans};
use super::sources::Source;
use crate::shell::Shell;

/// Longest reply to a shard request, in bytes.
const REPLY: usize = 64 * 1024;

/// Starts to read units of a shard.
pub async fn open(shell: &Arc<Shell>, source: &Source, spans: Spans, bytes: u64) -> Result<Feed, Fault> {
    if !source.here {
        let stream = remote(shell, source, &spans, bytes).await?;
        return Ok(Feed::remote(source.index, source.hash, stream, spans, Handle::current()));
    }
    let volume = shell.volumes.get(&source.volume);
    let volume = volume.ok_or_else(|| Fault::Passing("the volume is not available".into()))?;
    let reader = volume.reader(source.hash).await?;
    match reader.len() == bytes {
        true => Ok(Feed::local(source.index, reader, spans)),
        false => Err(Fault::Damaged),
    }
}

/// Asks another node for units of a shard; what can be read from the result is their bao stream, unverified.
async fn remote(
    shell: &Shell,
    source: &Source,
    spans: &Spans,
    bytes: u64,
) -> Result<impl AsyncRead + Send + Unpin + use<>, Fault> {
    let passing = |error: &dyn std::fmt::Display| Fault::Passing(error.to_string());
    let stream = shell.net.open_stream(source.node).await.map_err(|error| passing(&error))?;
    let mut stream = stream.with_progress_timeout();
    let request = ShardRequest { hash: source.hash, groups: spans.groups().ranges().to_vec() }.encode();
    let asked = async {
        stream.write_u32_le(request.len() as u32).await?;
        stream.write_all(&request).await?;
        stream.flush().await?;
        stream.read_u32_le().await
    };
    let length = asked.await.map_err(|error: std::io::Error| passing(&error))? as usize;
    if length > REPLY {
        return Err(Fault::Bad("its answer is out of bounds".into()));
    }
    let mut reply = vec![0; length];
    stream.read_exact(&mut reply).await.map_err(|error| passing(&error))?;
    match message::decode_shard_reply(&reply) {
        Ok(Ok(length)) if length == bytes => Ok(stream),
        Ok(Ok(_)) => Err(Fault::Bad("the shard has another length there".into())),
        Ok(Err(reason)) => Err(Fault::Passing(format!("it says: {reason}"))),
        Err(error) => Err(Fault::Bad(error.to_string())),
    }
}
