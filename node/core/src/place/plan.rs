//! What the planner answers: a code and a volume for every shard, or why there is none.

use safelight_proto::id::VolumeId;
use safelight_proto::vocabulary::Rule;

/// Where the shards of one roll should go.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Shards that rebuild the roll.
    pub k: u8,
    /// Shards there are.
    pub n: u8,
    /// The volume of each shard, by index. Those that hold the bytes as they are (index below k) are nearest to
    /// the origin.
    pub assignment: Vec<VolumeId>,
    /// Whether the rule is met once all shards are there.
    pub meets: bool,
    /// What of the rule is met.
    pub reached: Reached,
    /// Estimated chance per year of losing the roll.
    pub yearly_loss: f64,
    /// Bytes of one shard on its volume.
    pub shard_bytes: u64,
}

impl Plan {
    /// Bytes stored for each byte of data.
    pub fn stretch(&self) -> f64 {
        f64::from(self.n) / f64::from(self.k)
    }

    /// What of `rule` this plan misses, as a sentence; nothing when it meets it.
    pub fn shortfall(&self, rule: &Rule) -> Option<String> {
        if self.meets {
            return None;
        }
        let Reached { copies, media, offsite } = self.reached;
        let mut missing = Vec::new();
        if offsite < rule.offsite {
            missing.push(format!("it survives the loss of {offsite} of {} sites", rule.offsite));
        }
        if copies < rule.copies {
            missing.push(format!(
                "it survives the loss of {} of {} volumes",
                copies.saturating_sub(1),
                rule.copies.saturating_sub(1)
            ));
        }
        if media < rule.media {
            missing.push(format!(
                "it survives the loss of {} of {} media",
                media.saturating_sub(1),
                rule.media.saturating_sub(1)
            ));
        }
        if missing.is_empty() {
            missing.push(format!("there are no {} full copies", rule.copies));
        }
        Some(format!("The volumes cannot meet {rule}: {}.", missing.join(", ")))
    }
}

/// The numbers of a rule that are met: at most those asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reached {
    /// Any `copies - 1` volumes may be lost.
    pub copies: u8,
    /// Every volume of any `media - 1` media may be lost.
    pub media: u8,
    /// Any `offsite` sites may be lost.
    pub offsite: u8,
}

/// Why there is no plan at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No volume takes new shards.
    #[error("there is no volume to store on; {needed} bytes of room are needed")]
    NoVolumes {
        /// Bytes that one whole copy takes.
        needed: u64,
    },
    /// Not even one whole copy fits.
    #[error("not even one copy fits: {needed} bytes of room are needed, the roomiest volume has {roomiest}")]
    NoRoom {
        /// Bytes that one whole copy takes.
        needed: u64,
        /// Free bytes of the roomiest volume.
        roomiest: u64,
    },
}
