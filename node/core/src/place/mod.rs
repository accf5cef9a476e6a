//! Where shards go, and what a shoot's protection comes to. Pure functions of what is known; no clock, no I/O.
//!
//! ```text
//! volumes ─▶ Topology ─▶ Planner ─▶ Plan (k, n, shard index -> volume)      what should be
//! holdings ─▶ RollView ─▶ evaluate ─▶ Standing ─▶ judge ─▶ Verdict, reason, remedy      what is
//! ```
//!
//! The planner deals in wishes, the evaluator in counting holdings. They share the topology and the clauses of
//! the rule and nothing else, so that a mistake of the one is not repeated by the other.

// What there is, and how it fails together.
mod topology;
pub use topology::{Collision, Topology, VolumeView};

mod loss;
pub use loss::{LossRates, yearly_loss};

// The planner: shapes by storage and loss, then real volumes for a shape.
mod bind;
mod plan;
mod planner;
mod shape;
pub use plan::{Plan, PlanError, Reached};
pub use planner::Planner;

// The evaluator: what survives, and the verdict that follows.
mod evaluate;
mod full;
mod survive;
pub use evaluate::{CodingView, Copies, Holding, RollStanding, RollView, Standing, evaluate, evaluate_roll};
pub use survive::Culprit;

mod judge;
mod remedy;
pub use judge::{Judgement, Verdict, can_meet, judge, judge_at_rest, library_verdict};
pub use remedy::{Remedy, remedy};

/// Most shards that any coding needs to rebuild a roll.
pub const MAX_K: u8 = 8;

/// Most shards that a planned coding has.
pub const MAX_N: u8 = 12;

/// Room kept per shard beyond its share of the sealed bytes: header, trailer and the padding of the last row.
pub const SHARD_OVERHEAD: u64 = 320 * 1024;

/// Bytes that one shard of a roll of `sealed_len` bytes takes on a volume when `k` shards rebuild it.
///
/// An upper estimate: the share of the stream, a 4096th of it for the hashes in the trailer, [`SHARD_OVERHEAD`].
pub fn shard_room(sealed_len: u64, k: u8) -> u64 {
    let share = sealed_len.div_ceil(u64::from(k.max(1)));
    share.saturating_add(share / 4096).saturating_add(SHARD_OVERHEAD)
}

#[cfg(test)]
mod tests;
