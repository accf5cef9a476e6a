//! The rounds that go by the clock.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use safelight_core::event::{Event, Shard};
use safelight_proto::id::{Hash, VolumeId};
use safelight_proto::record::{Body, Scrubbed};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::examine::{Finding, examine};
use super::{Progress, Turn, pace};
use crate::driver::wall_millis;
use crate::shell::Shell;
use crate::store::StoreError;
use crate::store::scrubs::Round;

/// Between two looks for volumes that came.
const LOOK: Duration = Duration::from_secs(2);
/// Longest wait for a round without a look at the clock, which may be set.
const WAIT_MOST: Duration = Duration::from_secs(60);
/// After something failed that is not the volume.
const AGAIN: Duration = Duration::from_secs(30);
/// How far a round is, is written down this often,
const SAVE: Duration = Duration::from_secs(30);
/// or after so many shards.
const SAVE_SHARDS: u32 = 256;
/// Shards asked of the core at once.
const AHEAD: usize = 64;
/// A rest is cut into pieces of this length, to hear when it is over.
const NAP: Duration = Duration::from_millis(100);

/// Scrubs every open volume until the node stops: each by itself, one shard at a time.
pub async fn keep(shell: Arc<Shell>) {
    let mut tasks = JoinSet::new();
    let mut kept = BTreeMap::new();
    loop {
        while let Some(ended) = tasks.try_join_next_with_id() {
            let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
            kept.retain(|_, task| *task != id);
        }
        for volume in shell.volumes.open() {
            let id = volume.id();
            kept.entry(id).or_insert_with(|| tasks.spawn(keep_volume(Arc::clone(&shell), id)).id());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Scrubs one volume until it is closed.
async fn keep_volume(shell: Arc<Shell>, volume: VolumeId) {
    let (turn, mut period) = (shell.scrubs.turn(volume), shell.scrubs.period.subscribe());
    let mut course =
        Course { saved: Instant::now(), unsaved: 0, unread: 0, ahead: VecDeque::new(), after: None, left: 0 };
    while shell.volumes.get(&volume).is_some() {
        let wait = match advance(&shell, volume, &turn, &mut course).await {
            Ok(wait) => wait,
            Err(error) => {
                tracing::warn!(%volume, "the scrub cannot go on: {error}");
                AGAIN
            }
        };
        if !wait.is_zero() {
            // A period that was changed is looked at at once.
            let _ = tokio::time::timeout(wait.min(WAIT_MOST), period.changed()).await;
        }
    }
}

/// What need not outlive the process.
struct Course {
    /// When the round was last written down, and how many shards were read since.
    saved: Instant,
    unsaved: u32,
    /// Shards of this round that could not be judged.
    unread: u64,
    /// The shards that come after this one.
    ahead: VecDeque<Shard>,
    after: Option<Hash>,
    /// Bytes from there to the end of the round.
    left: u64,
}

/// Does the next thing for a volume, and says how long there is nothing to do.
async fn advance(
    shell: &Arc<Shell>,
    volume: VolumeId,
    turn: &Arc<Turn>,
    course: &mut Course,
) -> Result<Duration, StoreError> {
    let mut progress = turn.round.lock().await;
    load(shell, volume, &mut progress).await?;
    let (now, period) = (wall_millis(), *shell.scrubs.period.borrow());
    let mut round = match progress.round {
        // Whatever lies there now was read back when it was placed: its first turn comes in due time.
        None => {
            return begin(shell, volume, &mut progress, Round { ended: now, ..Round::default() }, now).await;
        }
        Some(round) => Round { started: round.started.min(now), ..round },
    };
    if round.ended > 0 {
        let wait = pace::next_start(&round, period).saturating_sub(now);
        if wait > 0 {
            return Ok(Duration::from_millis(wait));
        }
        course.unread = 0;
        return begin(shell, volume, &mut progress, Round::default(), now).await;
    }
    let Some((shard, left)) = next(shell, volume, round.last, course).await else {
        round.ended = now.max(1);
        progress.round = Some(round);
        finish(shell, volume, &round, course.unread).await?;
        return Ok(Duration::ZERO);
    };
    let rate = pace::rate(left, pace::time_left(round.started, now, period));
    let found = match examine_paced(shell, volume, turn, &shard, rate).await {
        Ok(found) => found,
        Err(gone) => {
            tracing::info!(%volume, "the scrub waits, nothing on the volume is given up: {gone}");
            save(shell, volume, &round).await?;
            return Ok(LOOK);
        }
    };
    match found {
        Finding::Stopped => return Ok(NAP),
        Finding::Unread(why) => {
            tracing::warn!(%volume, shard = %shard.hash.short(), "a shard could not be verified: {why}");
            course.unread += 1;
        }
        Finding::Gone => {}
        Finding::Good | Finding::Bad => {
            round.shards += 1;
            round.bytes += shard.bytes;
            round.bad += u64::from(found == Finding::Bad);
        }
    }
    round.last = Some(shard.hash);
    progress.round = Some(round);
    course.pass(&shard);
    if course.unsaved >= SAVE_SHARDS || course.saved.elapsed() >= SAVE {
        save(shell, volume, &round).await?;
        (course.saved, course.unsaved) = (Instant::now(), 0);
    }
    Ok(Duration::ZERO)
}

/// Reads what the store knows of the round, once.
pub(super) async fn load(
    shell: &Arc<Shell>,
    volume: VolumeId,
    progress: &mut Progress,
) -> Result<(), StoreError> {
    if !progress.loaded {
        let store = Arc::clone(&shell.store);
        let read = tokio::task::spawn_blocking(move || store.scrub(&volume)).await;
        progress.round = read.unwrap_or(Ok(None))?;
        progress.loaded = true;
    }
    Ok(())
}

async fn begin(
    shell: &Arc<Shell>,
    volume: VolumeId,
    progress: &mut Progress,
    round: Round,
    now: u64,
) -> Result<Duration, StoreError> {
    let round = Round { started: now, ..round };
    save(shell, volume, &round).await?;
    progress.round = Some(round);
    Ok(Duration::ZERO)
}

/// Writes a round that came to its end, and tells everyone.
pub(super) async fn finish(
    shell: &Arc<Shell>,
    volume: VolumeId,
    round: &Round,
    unread: u64,
) -> Result<(), StoreError> {
    save(shell, volume, round).await?;
    if round.shards > 0 && unread == 0 {
        tracing::info!(%volume, shards = round.shards, bad = round.bad, "every shard was verified");
        let body = Body::Scrubbed(Scrubbed { volume, shards: round.shards, bad: round.bad });
        shell.core.tell(Event::Say(vec![body])).await;
    }
    Ok(())
}

async fn save(shell: &Arc<Shell>, volume: VolumeId, round: &Round) -> Result<(), StoreError> {
    let (store, round) = (Arc::clone(&shell.store), *round);
    let saved = tokio::task::spawn_blocking(move || store.set_scrub(&volume, &round)).await;
    // Only a node that is stopping has no thread for it.
    saved.unwrap_or(Ok(()))
}

/// The first shard of the volume after `last`, and the bytes from there on.
async fn next(
    shell: &Shell,
    volume: VolumeId,
    last: Option<Hash>,
    course: &mut Course,
) -> Option<(Shard, u64)> {
    if course.after != last || course.ahead.is_empty() {
        let after = last.map_or(Bound::Unbounded, Bound::Excluded);
        let asked = shell.core.ask(move |node| {
            let shards = node.ledger().get(&volume)?;
            let rest = || shards.range((after, Bound::Unbounded)).map(|(_, shard)| *shard);
            Some((rest().take(AHEAD).collect(), rest().map(|shard| shard.bytes).sum()))
        });
        (course.ahead, course.left) = asked.await.ok().flatten().unwrap_or_default();
        course.after = last;
    }
    Some((*course.ahead.front()?, course.left))
}

impl Course {
    /// The first of those ahead is done with.
    fn pass(&mut self, shard: &Shard) {
        self.ahead.pop_front();
        self.after = Some(shard.hash);
        self.left = self.left.saturating_sub(shard.bytes);
        self.unsaved += 1;
    }
}

/// Examines a shard, resting after each step, until it is done or a command wants the volume for itself.
async fn examine_paced(
    shell: &Arc<Shell>,
    volume: VolumeId,
    turn: &Arc<Turn>,
    shard: &Shard,
    rate: f64,
) -> Result<Finding, crate::blobs::StoreError> {
    let cut = CancellationToken::new();
    // The reading is on a thread of its own: it ends with this future.
    let _cut = cut.clone().drop_guard();
    let (worker, turn) = (Arc::clone(shell), Arc::clone(turn));
    let goes_on = move || !cut.is_cancelled() && !turn.is_wanted() && worker.volumes.get(&volume).is_some();
    let (worker, mut since) = (Arc::clone(shell), Instant::now());
    let step = move |bytes| {
        let end = Instant::now() + pace::rest(bytes, since.elapsed(), rate, worker.scrubs.is_busy());
        while goes_on() {
            match end.saturating_duration_since(Instant::now()) {
                Duration::ZERO => {
                    since = Instant::now();
                    return true;
                }
                left => std::thread::sleep(left.min(NAP)),
            }
        }
        false
    };
    examine(shell, volume, shard, step).await
}
