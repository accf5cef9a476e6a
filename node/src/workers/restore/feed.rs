//! The units of one shard, verified, in order, read ahead a little: from a volume here or from another node.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use safelight_proto::id::Hash;
use safelight_proto::shard::{Geometry, unit_offset};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::blobs::{GROUP, Groups, ShardReader, StoreError, verify_stream};
use crate::net::limits::PROGRESS_TIMEOUT;

/// Bytes of one shard that are read and handed on at once, if a unit is not longer; a batch in work, one that waits
/// and one in use make three.
const BATCH: u64 = 1 << 20;
/// Bytes of all shards of a roll in such batches, for codings that need many shards.
const BATCHES: u64 = 8 << 20;
/// A source that gives nothing for so long has failed. A little longer than the network's own limit, which says more.
const STALLED: Duration = PROGRESS_TIMEOUT.saturating_add(Duration::from_secs(5));
/// How often a reader that waits looks whether it is to stop.
const GLANCE: Duration = Duration::from_millis(200);
/// Bytes asked of the network at a time.
const PIECE: usize = 64 * 1024;

/// Why a source gives no more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The shard on a volume here is not what its hash says.
    #[error("the shard is damaged")]
    Damaged,
    /// It will not do for this restore.
    #[error("{0}")]
    Bad(String),
    /// Its holder says that it does not have it, or does not give it. It may do later.
    #[error("its holder says: {0}")]
    Refused(String),
    /// It may do later.
    #[error("{0}")]
    Passing(String),
    /// The caller went away.
    #[error("stopped")]
    Stopped,
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Damaged(_) => Self::Damaged,
            StoreError::Cut { .. } | StoreError::Busy(_) => Self::Passing(error.to_string()),
            other => Self::Bad(other.to_string()),
        }
    }
}

type Batch = Result<(u64, Vec<u8>), Fault>;

/// See the module's documentation. Dropped, it ends the reading behind it.
pub struct Feed {
    /// The shard's index in its coding.
    pub index: u8,
    unit: u64,
    batches: Receiver<Batch>,
    /// The batch in use and the number of its first unit.
    batch: (u64, Vec<u8>),
    /// Bytes that were made use of.
    pub taken: u64,
    _stop: DropGuard,
}

/// Which units of a shard to feed.
#[derive(Debug, Clone)]
pub struct Spans {
    geometry: Geometry,
    units: Vec<Range<u64>>,
}

impl Spans {
    /// These units, in order; ranges neither touch nor overlap.
    pub fn new(geometry: Geometry, units: impl IntoIterator<Item = Range<u64>>) -> Self {
        Self { geometry, units: units.into_iter().filter(|range| !range.is_empty()).collect() }
    }

    /// The groups of the shard that hold them.
    pub fn groups(&self) -> Groups {
        let unit = self.geometry.unit;
        let groups = |units: &Range<u64>| {
            unit_offset(units.start, unit) / GROUP..unit_offset(units.end, unit).div_ceil(GROUP)
        };
        Groups::from_ranges(self.units.iter().map(groups))
    }

    /// The units.
    fn numbers(&self) -> impl Iterator<Item = u64> {
        self.units.iter().cloned().flatten()
    }

    fn batch_units(&self) -> u64 {
        (BATCH.min(BATCHES / u64::from(self.geometry.k)) / u64::from(self.geometry.unit)).max(1)
    }

    /// The units in batches.
    fn batches(&self) -> impl Iterator<Item = Range<u64>> {
        let most = self.batch_units();
        self.units.iter().flat_map(move |range| {
            range.clone().step_by(most as usize).map(move |start| start..(start + most).min(range.end))
        })
    }
}

impl Feed {
    /// Reads a shard on a volume here.
    pub fn local(index: u8, reader: ShardReader, spans: Spans) -> Self {
        Self::start(index, spans.geometry.unit, move |sender, stop| {
            for units in spans.batches() {
                let unit = spans.geometry.unit;
                let bytes = reader.read(unit_offset(units.start, unit)..unit_offset(units.end, unit));
                let batch = bytes.map(|bytes| (units.start, bytes)).map_err(Fault::from);
                let failed = batch.is_err();
                if stop.is_cancelled() || sender.send(batch).is_err() || failed {
                    return;
                }
            }
        })
    }

    /// Reads a shard of that hash from the bao stream that another node sends; `stream` ends when nothing moves.
    pub fn remote(
        index: u8,
        hash: Hash,
        stream: impl AsyncRead + Send + Unpin + 'static,
        spans: Spans,
        runtime: Handle,
    ) -> Self {
        Self::start(index, spans.geometry.unit, move |sender, stop| {
            let (unit, len) = (spans.geometry.unit, spans.geometry.shard_len());
            let mut batches = spans.batches();
            let mut wanted = batches.next();
            let mut bytes = Vec::new();
            let reader = io::BufReader::with_capacity(PIECE, Blocking { stream, runtime, stop });
            let gone = || io::Error::other("nobody reads this any more");
            let read = verify_stream(hash, len, &spans.groups(), reader, |_, group| {
                let units = wanted.clone().ok_or_else(gone)?;
                bytes.extend_from_slice(group);
                if bytes.len() as u64 == (units.end - units.start) * u64::from(unit) {
                    let full = std::mem::take(&mut bytes);
                    sender.send(Ok((units.start, full))).map_err(|_| gone())?;
                    wanted = batches.next();
                }
                Ok(())
            });
            if let Err(error) = read {
                // Nobody may be there to hear it.
                drop(sender.send(Err(error.into())));
            }
        })
    }

    fn start(
        index: u8,
        unit: u32,
        work: impl FnOnce(SyncSender<Batch>, CancellationToken) + Send + 'static,
    ) -> Self {
        let (sender, batches) = sync_channel(1);
        let stop = CancellationToken::new();
        let token = stop.clone();
        drop(tokio::task::spawn_blocking(move || work(sender, token)));
        Self { index, unit: unit.into(), batches, batch: (0, Vec::new()), taken: 0, _stop: stop.drop_guard() }
    }

    /// Makes unit `number` the one that [`Feed::unit`] gives. Blocks; `stop` is asked while waiting.
    pub fn advance(&mut self, number: u64, stop: &dyn Fn() -> bool) -> Result<(), Fault> {
        while number >= self.batch.0 + self.batch.1.len() as u64 / self.unit {
            self.batch = self.receive(stop)?;
        }
        if number < self.batch.0 {
            return Err(Fault::Bad("a unit was asked for out of order".into()));
        }
        self.taken += self.unit;
        Ok(())
    }

    /// Unit `number`, after [`Feed::advance`] to it.
    pub fn unit(&self, number: u64) -> &[u8] {
        let start = (number - self.batch.0) * self.unit;
        &self.batch.1[start as usize..(start + self.unit) as usize]
    }

    /// Reads all units, for nothing but to know that they can be read. Blocks; `stop` is asked while waiting.
    pub fn drain(&mut self, spans: &Spans, stop: &dyn Fn() -> bool) -> Result<(), Fault> {
        spans.numbers().try_for_each(|number| self.advance(number, stop))
    }

    fn receive(&self, stop: &dyn Fn() -> bool) -> Batch {
        let began = Instant::now();
        loop {
            match self.batches.recv_timeout(GLANCE) {
                Ok(batch) => return batch,
                Err(_) if stop() => return Err(Fault::Stopped),
                Err(RecvTimeoutError::Disconnected) => return Err(Fault::Passing("it ended early".into())),
                Err(RecvTimeoutError::Timeout) if began.elapsed() > STALLED => {
                    return Err(Fault::Passing("nothing comes from it".into()));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

/// A stream of the network, read from a thread that may block.
struct Blocking<R> {
    stream: R,
    runtime: Handle,
    stop: CancellationToken,
}

impl<R: AsyncRead + Unpin> Read for Blocking<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Self { stream, runtime, stop } = self;
        runtime.block_on(async {
            tokio::select! {
                read = stream.read(into) => read,
                () = stop.cancelled() => Err(io::Error::other("nobody reads this any more")),
            }
        })
    }
}
