//! Hours of the day: outside of them nothing goes to or from other nodes but what cannot wait.

use safelight_proto::id::{NodeId, RollId};

use super::Node;

impl Node {
    /// Whether shards of `roll` may be brought from `from` now: it is within hours, or from drive to drive here, or the
    /// roll is in danger.
    pub(super) fn may_bring(&self, roll: &RollId, from: NodeId) -> bool {
        from == self.me || self.may_move(roll)
    }

    /// Whether shards of `roll` may go between nodes now.
    pub(super) fn may_move(&self, roll: &RollId) -> bool {
        self.settings.within_hours || self.is_endangered(roll)
    }

    /// Whether `roll` has lost something already and would not survive the next drive.
    pub fn is_endangered(&self, roll: &RollId) -> bool {
        self.is_endangered_on(roll, &self.repairs.ground)
    }
}
