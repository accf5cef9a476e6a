//! Since when each member has been out of reach, by this node's own steady clock.

use std::collections::BTreeMap;

use safelight_proto::id::NodeId;

use crate::time::Now;

/// See the module's documentation. After a start everybody was within reach just now: nobody is given up for the time
/// that this node itself was away.
#[derive(Debug, Default)]
pub(super) struct Liveness {
    /// When each was last within reach, milliseconds of the steady clock.
    parted: BTreeMap<NodeId, u64>,
    started: Option<u64>,
}

impl Liveness {
    pub(super) fn start(&mut self, now: Now) {
        self.started.get_or_insert(now.steady);
    }

    /// How long this node has been running, milliseconds.
    pub(super) fn running_for(&self, now: Now) -> u64 {
        now.steady.saturating_sub(self.started.unwrap_or(now.steady))
    }

    pub(super) fn part(&mut self, peer: NodeId, now: Now) {
        self.parted.insert(peer, now.steady);
    }

    /// How long `peer` has been out of reach, milliseconds; only meaningful while it is.
    pub(super) fn away_for(&self, peer: &NodeId, now: Now) -> u64 {
        let since = self.parted.get(peer).copied().or(self.started).unwrap_or(now.steady);
        now.steady.saturating_sub(since)
    }
}
