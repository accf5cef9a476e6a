//! How much has gone to each peer, of which shards, and how fast: for estimates of when it will be done.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use safelight_proto::id::{Hash, NodeId};
use tokio::io::AsyncWrite;

/// A pause longer than this begins a new measurement.
const PAUSE: Duration = Duration::from_secs(60);
/// Shards that are remembered for each peer, the latest: more than it can have under way and not receipted.
const SHARDS: usize = 64;

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Meter(Mutex<BTreeMap<NodeId, Line>>);

#[derive(Debug)]
struct Line {
    bytes: u64,
    shards: VecDeque<(Hash, u64)>,
    began: Instant,
    last: Instant,
}

impl Line {
    fn new(now: Instant) -> Self {
        Self { bytes: 0, shards: VecDeque::new(), began: now, last: now }
    }
}

/// What went to one peer since the last pause.
#[derive(Debug, Clone, Default)]
pub struct Sent {
    /// Bytes in all.
    pub bytes: u64,
    /// Bytes a second.
    pub rate: f64,
    /// Bytes of the latest shards, those still on their way included.
    pub shards: Vec<(Hash, u64)>,
}

impl Meter {
    /// A writer to `peer` that notes the bytes of `shard` as they go.
    pub fn metered<W>(&self, peer: NodeId, shard: Hash, inner: W) -> Metered<'_, W> {
        Metered { inner, meter: self, peer, shard }
    }

    /// Notes bytes of a shard that went to `peer`.
    fn sent(&self, peer: NodeId, shard: Hash, bytes: u64) {
        let now = Instant::now();
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = lines.entry(peer).or_insert_with(|| Line::new(now));
        if now - line.last > PAUSE {
            *line = Line::new(now);
        }
        line.bytes += bytes;
        line.last = now;
        match line.shards.iter_mut().find(|(hash, _)| *hash == shard) {
            Some((_, sent)) => *sent += bytes,
            None => {
                line.shards.truncate(SHARDS - 1);
                line.shards.push_front((shard, bytes));
            }
        }
    }

    /// What was sent to each peer since the last pause.
    pub fn read(&self) -> BTreeMap<NodeId, Sent> {
        let now = Instant::now();
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines
            .iter()
            .filter(|(_, line)| now - line.last <= PAUSE)
            .map(|(peer, line)| {
                let seconds = (now - line.began).as_secs_f64().max(0.5);
                let rate = line.bytes as f64 / seconds;
                (*peer, Sent { bytes: line.bytes, rate, shards: line.shards.iter().copied().collect() })
            })
            .collect()
    }
}

/// A writer whose bytes a [`Meter`] notes.
pub struct Metered<'a, W> {
    inner: W,
    meter: &'a Meter,
    peer: NodeId,
    shard: Hash,
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Metered<'_, W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, bytes))?;
        self.meter.sent(self.peer, self.shard, written as u64);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn bytes_count_as_they_go_and_old_shards_are_forgotten() {
        let (meter, peer) = (Meter::default(), NodeId([1; 32]));
        for number in 0..=SHARDS as u8 {
            let mut out = meter.metered(peer, Hash([number; 32]), Vec::new());
            out.write_all(&[0; 10]).await.expect("memory takes it");
            out.write_all(&[0; 5]).await.expect("memory takes it");
        }
        let sent = &meter.read()[&peer];
        assert_eq!(sent.bytes, 15 * (SHARDS as u64 + 1));
        assert!(sent.rate > 0.0);
        assert_eq!(sent.shards.len(), SHARDS);
        assert_eq!(sent.shards[0], (Hash([SHARDS as u8; 32]), 15));
        assert!(sent.shards.iter().all(|(hash, _)| hash.0[0] != 0), "the oldest has gone");
    }
}
