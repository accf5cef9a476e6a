//! Erasure coding: k units in, any number of rows out, and any k rows give the units back.
//!
//! The field and its SIMD kernels are `reed-solomon-erasure`'s, and so is the code itself (a test compares every
//! row); the few lines of matrix are ours, because then one pass makes just the rows that are wanted. Row `i`
//! depends on `(k, i)` alone: shards can be added later without touching those that exist. The coder trusts its
//! inputs: check units before decoding.

mod cpu;
mod matrix;

mod coder;

mod tree;

mod shard;

pub use coder::{CodeError, Coder, unit_for};
pub use cpu::{OldCpu, check_cpu};
pub use shard::{FinishedShard, RollEnd, ShardBuilder, check_unit};
pub use tree::{HashedTree, TreeHasher};
