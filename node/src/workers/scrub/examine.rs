//! One shard, read from the medium and judged.

use rustix::io::Errno;
use safelight_core::event::Shard;
use safelight_proto::id::VolumeId;

use crate::blobs::StoreError;
use crate::shell::Shell;
use crate::workers::carry;

/// What the reading of a shard came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Finding {
    /// Every byte is right.
    Good,
    /// It is bad or missing. It was moved aside and counts no longer.
    Bad,
    /// It was given up in the meantime, in order.
    Gone,
    /// It was not read to its end: the volume was closed, or somebody said stop.
    Stopped,
    /// It could not be judged, and why: the system failed at it, and said nothing of the medium.
    Unread(String),
}

/// Reads a shard of the ledger; one that is bad is moved aside at once, which has it repaired from elsewhere. An error is
/// that of the volume, which has gone: nothing is known of its shards then, and nothing is given up.
pub async fn examine(
    shell: &Shell,
    volume: VolumeId,
    shard: &Shard,
    step: impl FnMut(u64) -> bool + Send + 'static,
) -> Result<Finding, StoreError> {
    let Some(open) = shell.volumes.get(&volume) else { return Ok(Finding::Stopped) };
    let suspect = match sort(open.verify_stepwise(shard.hash, step).await)? {
        Finding::Bad => !is_given_up(shell, volume, shard).await,
        other => return Ok(other),
    };
    if !suspect {
        return Ok(Finding::Gone);
    }
    // Once more before it is taken for damage: a cable or the memory may have been at fault, not the medium.
    match sort(open.verify(shard.hash).await)? {
        Finding::Bad => {}
        Finding::Good => {
            tracing::warn!(volume = %volume, shard = %shard.hash.short(), "a shard was read wrong once and right after that");
            return Ok(Finding::Good);
        }
        other => return Ok(other),
    }
    tracing::warn!(volume = %volume, roll = %shard.roll.short(), index = shard.index, "a shard is bad; it is moved aside");
    match carry::set_aside(shell, &open, shard.hash).await {
        true => Ok(Finding::Bad),
        false => {
            open.check()?;
            Ok(Finding::Unread("it is bad and could not be moved aside".into()))
        }
    }
}

fn sort<T>(verified: Result<T, StoreError>) -> Result<Finding, StoreError> {
    match verified {
        Ok(_) => Ok(Finding::Good),
        Err(StoreError::Damaged(_) | StoreError::NotHere(_) | StoreError::ReadBack { .. }) => {
            Ok(Finding::Bad)
        }
        Err(StoreError::Refused(_)) => Ok(Finding::Stopped),
        // The drive cannot read it. Anything else, such as too many open files, is no fault of the medium.
        Err(StoreError::Io { source, .. }) if source.raw_os_error() == Some(Errno::IO.raw_os_error()) => {
            Ok(Finding::Bad)
        }
        Err(error @ StoreError::Unavailable(_)) => Err(error),
        Err(error) => Ok(Finding::Unread(error.to_string())),
    }
}

/// A shard leaves the ledger before its file is removed. So a file that is missing is no damage when the ledger has
/// given it up.
async fn is_given_up(shell: &Shell, volume: VolumeId, shard: &Shard) -> bool {
    let hash = shard.hash;
    let held =
        shell.core.ask(move |node| node.ledger().get(&volume).is_some_and(|held| held.contains_key(&hash)));
    !held.await.unwrap_or(false)
}
