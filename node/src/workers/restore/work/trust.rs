//! Which sources are read from: those that did not fail, or may do better by now.

use std::time::Instant;

use safelight_core::event::Event;

use super::{Obstacle, RETRIES, RETRY, Trouble, Work};
use crate::workers::restore::feed::Fault;
use crate::workers::restore::sources::{RollSources, Source};

impl Work<'_> {
    /// Whether a source may be read, as far as this restore knows.
    pub(super) fn may(&self, source: &Source) -> bool {
        let trouble = self.troubles.get(&(source.volume, source.hash));
        let well = trouble.is_none_or(|trouble| trouble.until.is_some_and(|until| until <= Instant::now()));
        well && !self.without.contains(&source.site)
    }

    /// Whether a source may be read some day.
    pub(super) fn may_later(&self, source: &Source) -> bool {
        let trouble = self.troubles.get(&(source.volume, source.hash));
        trouble.is_none_or(|trouble| trouble.until.is_some()) && !self.without.contains(&source.site)
    }

    pub(super) fn obstacle(&self, known: &RollSources) -> Obstacle {
        let why = known.shortfall(|source| source.within_reach && self.may(source), &self.without);
        Obstacle { why, hope: known.choose(|source| self.may_later(source)).is_some() }
    }

    /// Notes that a source failed. A damaged shard of ours is looked at as a whole and moved aside.
    pub(super) async fn blame(&mut self, source: &Source, fault: Fault) {
        tracing::warn!(shard = %source.hash.short(), node = %source.node.short(), "a shard cannot be read: {fault}");
        if fault == Fault::Damaged && source.here {
            self.set_aside(source).await;
        }
        let trouble =
            self.troubles.entry((source.volume, source.hash)).or_insert(Trouble { times: 0, until: None });
        trouble.times += 1;
        let again = matches!(fault, Fault::Passing(_) | Fault::Damaged) && trouble.times <= RETRIES;
        trouble.until = again.then(|| Instant::now() + RETRY);
    }

    /// Moves a shard aside that is really damaged, and tells the core. Where only its outboard was bad, that is made
    /// again and the shard stays.
    async fn set_aside(&self, source: &Source) {
        let Some(volume) = self.shell.volumes.get(&source.volume) else { return };
        match volume.verify(source.hash).await {
            Err(crate::blobs::StoreError::Damaged(_)) => {}
            _ => return,
        }
        if let Err(error) = volume.quarantine(source.hash).await {
            tracing::warn!(shard = %source.hash.short(), %error, "a damaged shard could not be moved aside");
            return;
        }
        let (volume, hash) = (source.volume, source.hash);
        // A core that is gone has no use for news.
        let _ = self.shell.core.settle(Event::ShardBad { volume, hash }).await;
    }
}
