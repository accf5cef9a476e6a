//! How much has gone to each peer, of which shards, and how fast: for estimates of when it will be done. The speeds to
//! and from each peer are remembered until the node stops.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use safelight_proto::id::{Hash, NodeId};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A pause longer than this begins a new measurement.
const PAUSE: Duration = Duration::from_secs(60);
/// Shards that are remembered for each peer, the latest: more than it can have under way and not receipted.
const SHARDS: usize = 64;

/// A silence longer than this is no part of a measurement of speed.
const IDLE: Duration = Duration::from_secs(2);
/// Fewer bytes than these measure nothing.
const BYTES_LEAST: f64 = 256.0 * 1024.0;
/// Nor does a shorter time.
const TIME_LEAST: f64 = 0.02;
/// Seconds of moving after which what was measured before counts half.
const HALF_LIFE: f64 = 600.0;

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Meter {
    lines: Mutex<BTreeMap<NodeId, Line>>,
    gauges: Mutex<BTreeMap<NodeId, Gauges>>,
}

/// How fast bytes went between this node and another, bytes a second; nothing where too few have.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Speed {
    /// From here.
    pub up: Option<f64>,
    /// To here.
    pub down: Option<f64>,
}

#[derive(Debug, Default)]
struct Gauges {
    up: Gauge,
    down: Gauge,
}

/// Bytes, and the time in which they went.
#[derive(Debug, Default)]
struct Gauge {
    bytes: f64,
    seconds: f64,
    last: Option<Instant>,
}

impl Gauge {
    fn note(&mut self, bytes: u64, now: Instant) {
        // How long the first bytes after a silence took is not known.
        if let Some(gap) = self.last.map(|last| now - last).filter(|gap| *gap < IDLE) {
            self.bytes += bytes as f64;
            self.seconds += gap.as_secs_f64();
        }
        self.last = Some(now);
        if self.seconds > HALF_LIFE {
            self.bytes /= 2.0;
            self.seconds /= 2.0;
        }
    }

    fn speed(&self) -> Option<f64> {
        (self.bytes >= BYTES_LEAST && self.seconds >= TIME_LEAST).then(|| self.bytes / self.seconds)
    }
}

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

    /// A reader whose bytes come from `peer`.
    pub fn taken<R>(&self, peer: NodeId, inner: R) -> Taken<'_, R> {
        Taken { inner, meter: self, peer }
    }

    /// The speed to and from each peer, as far as it was measured.
    pub fn speeds(&self) -> BTreeMap<NodeId, Speed> {
        let gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        let speed = |gauges: &Gauges| Speed { up: gauges.up.speed(), down: gauges.down.speed() };
        gauges.iter().map(|(peer, gauges)| (*peer, speed(gauges))).collect()
    }

    fn gauge(&self, peer: NodeId, note: impl FnOnce(&mut Gauges)) {
        note(self.gauges.lock().unwrap_or_else(PoisonError::into_inner).entry(peer).or_default());
    }

    /// Notes bytes of a shard that went to `peer`.
    fn sent(&self, peer: NodeId, shard: Hash, bytes: u64) {
        let now = Instant::now();
        self.gauge(peer, |gauges| gauges.up.note(bytes, now));
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
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
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
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

/// A reader whose bytes a [`Meter`] notes.
pub struct Taken<'a, R> {
    inner: R,
    meter: &'a Meter,
    peer: NodeId,
}

impl<R: AsyncRead + Unpin> AsyncRead for Taken<'_, R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let (bytes, now) = ((buf.filled().len() - before) as u64, Instant::now());
        self.meter.gauge(self.peer, |gauges| gauges.down.note(bytes, now));
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[test]
    fn silence_is_no_part_of_a_speed() {
        let (mut gauge, start) = (Gauge::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        gauge.note(10_000_000, at(0));
        assert_eq!(gauge.speed(), None, "one piece has no speed");
        gauge.note(10_000_000, at(1));
        assert_eq!(gauge.speed(), Some(10_000_000.0));
        gauge.note(10_000_000, at(100));
        gauge.note(4_000_000, at(101));
        assert_eq!(gauge.speed(), Some(7_000_000.0));
    }

    #[tokio::test]
    async fn what_comes_in_is_measured_too() {
        let (meter, peer) = (Meter::default(), NodeId([1; 32]));
        let mut taken = meter.taken(peer, tokio::io::repeat(7));
        for _ in 0..5 {
            taken.read_exact(&mut vec![0; 100_000]).await.expect("endless");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let speed = meter.speeds()[&peer];
        assert!(speed.down.is_some_and(|speed| speed > 0.0) && speed.up.is_none(), "{speed:?}");
    }

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
