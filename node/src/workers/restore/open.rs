//! Opening feeds: a reader on a volume here, or a stream from another node.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::feed::{Fault, Feed, Spans};
use super::sources::Source;
use crate::shell::Shell;
use crate::workers::carry::{CarryError, open_shard};

/// Starts to read units of a shard of `bytes`. What is `urgent` does not wait for another node's hours.
pub async fn open(
    shell: &Arc<Shell>,
    source: &Source,
    spans: Spans,
    bytes: u64,
    urgent: bool,
) -> Result<Feed, Fault> {
    if !source.here {
        let (shard, groups) = ((source.hash, bytes), spans.groups());
        let stream = open_shard(&shell.net, source.node, shard, &groups, urgent).await;
        // Whatever it was, the node may do better the next time it is asked.
        let stream = stream.map_err(|error| match error {
            CarryError::Refused(why) => Fault::Refused(why),
            other => Fault::Passing(other.to_string()),
        })?;
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
