//! Sealing and coding in one, for a caller with one thread.

use safelight_proto::catalog::Catalog;
use safelight_proto::id::RollId;
use safelight_proto::shard::BadShape;

use super::coder::{CodingPlan, RollCoder};
use super::sealer::{FinishError, NewRoll, RollSealer, SealedBatch, SealedRoll};
use crate::code::{FinishedShard, RollEnd};
use crate::seal::WrappedKey;

/// Makes a roll's shards from plaintext: [`Self::headers`] first, then [`Self::buffer`] and [`Self::advance`] for
/// every piece of every file, then [`Self::finish`]. Memory: a batch of 9 to 11 MiB, and what [`RollCoder`] takes.
#[derive(Debug)]
pub struct RollEncoder {
    roll: RollId,
    wrapped_key: WrappedKey,
    sealer: RollSealer,
    coder: RollCoder,
}

/// A roll that is written but for its trailers.
#[derive(Debug, Clone)]
pub struct RollSummary {
    /// The roll.
    pub roll: RollId,
    /// Its key, wrapped to the library.
    pub wrapped_key: WrappedKey,
    /// Lengths and hash of its stream, and the catalog blob.
    pub sealed: SealedRoll,
    /// The shards, with the trailers that are still to be written.
    pub shards: Vec<FinishedShard>,
}

impl RollEncoder {
    /// An encoder that has taken nothing. The plan is for `roll`.
    pub fn new(roll: NewRoll, plan: &CodingPlan) -> Result<Self, BadShape> {
        assert_eq!(
            (plan.roll, plan.wrapped_key),
            (roll.roll(), roll.wrapped_key()),
            "the plan is the roll's"
        );
        Ok(Self {
            roll: roll.roll(),
            wrapped_key: roll.wrapped_key(),
            coder: RollCoder::new(plan)?,
            sealer: RollSealer::new(roll, plan.stripe_len()),
        })
    }

    /// Each shard's index and first bytes.
    pub fn headers(&self) -> impl Iterator<Item = (u8, Vec<u8>)> {
        self.coder.headers()
    }

    /// Where the next plaintext goes. Never empty, 1 MiB at most.
    pub fn buffer(&mut self) -> &mut [u8] {
        self.sealer.buffer()
    }

    /// Offset in the plaintext stream of the first byte of [`Self::buffer`]: where the next extent starts.
    pub fn position(&self) -> u64 {
        self.sealer.position()
    }

    /// Takes the first `filled` bytes of [`Self::buffer`]; units that come of it go to `write`.
    pub fn advance<E>(
        &mut self,
        filled: usize,
        mut write: impl FnMut(u8, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let coder = &mut self.coder;
        self.sealer.advance(filled, &mut |batch: SealedBatch| {
            coder.push(&batch, &mut write)?;
            Ok(batch.into_buffer())
        })
    }

    /// Seals the catalog and hands over the last units.
    pub fn finish<E>(
        mut self,
        catalog: &Catalog,
        mut write: impl FnMut(u8, &[u8]) -> Result<(), E>,
    ) -> Result<RollSummary, FinishError<E>> {
        let coder = &mut self.coder;
        let sealed = self.sealer.finish(catalog, &mut |batch: SealedBatch| {
            coder.push(&batch, &mut write)?;
            Ok(batch.into_buffer())
        })?;
        let end = RollEnd { shape: sealed.shape, sealed_hash: sealed.sealed_hash };
        let shards = self.coder.finish(&end);
        Ok(RollSummary { roll: self.roll, wrapped_key: self.wrapped_key, sealed, shards })
    }
}
