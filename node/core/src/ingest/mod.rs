//! Files in, shards out, in bounded memory.
//!
//! ```text
//! caller fills buffer() ─▶ RollSealer ─▶ SealedBatch ─▶ RollCoder ─▶ units, one per shard and stripe
//! ```
//!
//! The stream is the files' bytes back to back, zeros up to a length that says little, and the catalog from a new
//! segment on. [`RollSealer`] and [`RollCoder`] may run on two threads with batches and empty buffers going to
//! and fro; [`RollEncoder`] is both in one. `RollCoder` alone makes a new coding, or missing shards, of a stream
//! that is already sealed. A file that breaks off leaves dead bytes in the stream, which nothing points to.
//!
//! After an error from a sink a roll is to be abandoned: it starts again with a new id and a new key.

mod coder;
mod encoder;
mod sealer;

pub use coder::{CodingPlan, RollCoder};
pub use encoder::{RollEncoder, RollSummary};
pub use sealer::{FinishError, NewRoll, RollSealer, SealedBatch, SealedRoll};

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests;
