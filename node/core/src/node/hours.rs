//! Hours of the day: outside of them nothing goes to or from other nodes but what cannot wait.

use safelight_proto::id::{NodeId, RollId, VolumeId};
use safelight_proto::vocabulary::Rule;

use super::Node;
use crate::place::evaluate_roll;

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

    /// Whether `roll` has lost a volume that held some of it, and would not survive the loss of one more drive. What a
    /// layout wishes by now is no matter: a wish that waits protects nothing.
    pub fn is_endangered(&self, roll: &RollId) -> bool {
        let Some((body, _)) = self.manifest.roll(roll) else { return false };
        let held = self.manifest.holdings(roll);
        let gone = |volume: &VolumeId| !self.volume_counts(volume);
        held.values().flatten().any(|(volume, indexes)| !indexes.is_empty() && gone(volume)) && {
            let standing = evaluate_roll(&self.topology(), &Rule::default(), &self.roll_view(body));
            standing.readable && standing.copies.survives_volumes == 0
        }
    }
}
