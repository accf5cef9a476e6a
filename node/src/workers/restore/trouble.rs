//! Sources that failed, and what that means for the rolls that need them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use safelight_proto::id::{Hash, VolumeId};
use safelight_proto::vocabulary::Site;

use super::feed::Fault;
use super::sources::{RollSources, Source};
use crate::blobs::StoreError;
use crate::shell::Shell;
use crate::workers::carry;

/// A source that failed is tried again after this long, so many times.
const RETRY: Duration = Duration::from_secs(2);
pub(super) const RETRIES: u32 = 3;

/// Why a roll is not read now.
#[derive(Debug)]
pub(super) struct Obstacle {
    pub(super) why: String,
    /// Waiting may help.
    pub(super) hope: bool,
}

/// A source that failed.
#[derive(Debug)]
struct Trouble {
    times: u32,
    /// When it may be tried again; never, when nothing.
    until: Option<Instant>,
}

/// What one restore learnt about sources.
pub(super) struct Troubles {
    shell: Arc<Shell>,
    without: Vec<Site>,
    known: BTreeMap<(VolumeId, Hash), Trouble>,
}

impl Troubles {
    pub(super) fn new(shell: Arc<Shell>, without: Vec<Site>) -> Self {
        Self { shell, without, known: BTreeMap::new() }
    }

    /// Whether a source may be read, as far as this restore knows.
    pub(super) fn may(&self, source: &Source) -> bool {
        let trouble = self.known.get(&(source.volume, source.hash));
        let well = trouble.is_none_or(|trouble| trouble.until.is_some_and(|until| until <= Instant::now()));
        well && !self.without.contains(&source.site)
    }

    /// Whether a source may be read some day.
    fn may_later(&self, source: &Source) -> bool {
        let trouble = self.known.get(&(source.volume, source.hash));
        trouble.is_none_or(|trouble| trouble.until.is_some()) && !self.without.contains(&source.site)
    }

    /// Why a roll with these sources cannot be read now.
    pub(super) fn obstacle(&self, known: &RollSources) -> Obstacle {
        let why = known.shortfall(|source| source.within_reach && self.may(source), &self.without);
        Obstacle { why, hope: known.choose(|source| self.may_later(source)).is_some() }
    }

    /// Notes that a source failed. A damaged shard of ours is looked at as a whole and moved aside; says whether it was.
    pub(super) async fn blame(&mut self, source: &Source, fault: &Fault) -> bool {
        tracing::warn!(shard = %source.hash.short(), node = %source.node.short(), "a shard cannot be read: {fault}");
        let bad = *fault == Fault::Damaged && source.here && self.set_aside(source).await;
        let trouble =
            self.known.entry((source.volume, source.hash)).or_insert(Trouble { times: 0, until: None });
        trouble.times += 1;
        let again = matches!(fault, Fault::Passing(_) | Fault::Refused(_) | Fault::Damaged);
        trouble.until = (again && trouble.times <= RETRIES).then(|| Instant::now() + RETRY);
        bad
    }

    /// Moves a shard aside that is really damaged, and tells the core. Where only its outboard was bad, that is made
    /// again and the shard stays.
    async fn set_aside(&self, source: &Source) -> bool {
        let Some(volume) = self.shell.volumes.get(&source.volume) else { return false };
        match volume.verify(source.hash).await {
            Err(StoreError::Damaged(_)) => carry::set_aside(&self.shell, &volume, source.hash).await,
            _ => false,
        }
    }
}
