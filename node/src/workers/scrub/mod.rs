//! Scrub: every shard on this node's volumes is read from its medium and verified, again and again, out of everybody's
//! way; and all of them at once when somebody asks for it (`verify`).
//!
//! ```text
//! rounds (by the clock, paced) ─┐
//!                               ├─▶ examine one shard ─▶ bad: moved aside, its holding withdrawn ─▶ repaired by the core
//! verify (a command)           ─┘
//! ```
//!
//! A volume is read by one of the two at a time, shard after shard in the order of their hashes, which is how a round
//! goes on after a restart where it stopped.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use safelight_proto::id::VolumeId;
use tokio::sync::{MutexGuard, watch};

use crate::store::scrubs::Round;

mod examine;
mod pace;
mod rounds;
mod verify;

pub use examine::{Finding, examine};
pub use rounds::keep;
pub use verify::verify;

/// Shortest period, whatever is set.
const PERIOD_LEAST: Duration = Duration::from_secs(1);

/// How far each volume is, and who works with the drives meanwhile.
#[derive(Debug)]
pub struct Scrubs {
    period: watch::Sender<Duration>,
    busy: AtomicUsize,
    turns: Mutex<BTreeMap<VolumeId, Arc<Turn>>>,
}

impl Default for Scrubs {
    fn default() -> Self {
        let period = watch::Sender::new(Duration::from_secs(30 * 24 * 3600));
        Self { period, busy: AtomicUsize::new(0), turns: Mutex::default() }
    }
}

impl Scrubs {
    /// Every shard is to be verified once in `period`, from now on.
    pub fn set_period(&self, period: Duration) {
        self.period.send_replace(period.max(PERIOD_LEAST));
    }

    /// Somebody works with the drives, as long as the guard lives.
    pub fn busy(&self) -> Busy<'_> {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Busy(self)
    }

    /// Whether somebody works with the drives.
    pub fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed) > 0
    }

    fn turn(&self, volume: VolumeId) -> Arc<Turn> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(volume).or_default())
    }
}

/// See [`Scrubs::busy`].
#[derive(Debug)]
pub struct Busy<'a>(&'a Scrubs);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The right to read a volume through, which one has at a time.
#[derive(Debug, Default)]
struct Turn {
    /// Commands that wait for the round's present shard to end.
    waiting: AtomicUsize,
    round: tokio::sync::Mutex<Progress>,
}

/// The round of a volume, as far as it is known.
#[derive(Debug, Default)]
struct Progress {
    round: Option<Round>,
    /// The store was asked.
    loaded: bool,
}

impl Turn {
    /// Takes the turn before the round does, which stops in the middle of a shard for it.
    async fn take(&self) -> MutexGuard<'_, Progress> {
        let _waiting = Waiting::new(&self.waiting);
        self.round.lock().await
    }

    fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}

/// Counts whoever waits; who gives up waiting is counted no longer.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
