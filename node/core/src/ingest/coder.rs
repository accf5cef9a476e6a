//! Sealed bytes in, units out: one for each shard and stripe.

use std::collections::BTreeSet;

use safelight_proto::id::{CodingId, LibraryId, RollId};
use safelight_proto::limit::{GRAIN, N_MAX};
use safelight_proto::shard::{BadShape, Geometry, ShardId, StreamShape};

use crate::code::{Coder, FinishedShard, RollEnd, ShardBuilder};
use crate::seal::WrappedKey;

/// Which shards to make of which roll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodingPlan {
    /// Library of the roll.
    pub library: LibraryId,
    /// The roll.
    pub roll: RollId,
    /// Its key, wrapped to the library.
    pub wrapped_key: WrappedKey,
    /// The coding.
    pub coding: CodingId,
    /// Shards that rebuild the roll.
    pub k: u8,
    /// Bytes of a unit; see [`crate::code::unit_for`].
    pub unit: u32,
    /// The shards to make: all of a new coding, or those that are missing.
    pub indices: Vec<u8>,
}

impl CodingPlan {
    /// Bytes of a stripe.
    pub fn stripe_len(&self) -> usize {
        usize::from(self.k) * self.unit as usize
    }

    /// Refuses numbers that no shard file may have.
    fn check(&self) -> Result<(), BadShape> {
        let distinct: BTreeSet<u8> = self.indices.iter().copied().collect();
        assert_eq!(distinct.len(), self.indices.len(), "a plan names each shard once");
        assert!(!distinct.contains(&N_MAX), "no code has a row 255");
        let smallest = StreamShape { data_bytes: 0, catalog_bytes: GRAIN };
        Geometry::checked(smallest, self.k, self.unit).map(drop)
    }
}

/// Makes shards of a sealed stream. Memory: a unit for each shard beyond the first k, 16 KiB for padding, and 33
/// bytes per 16 KiB of shard for hashes.
#[derive(Debug)]
pub struct RollCoder {
    coder: Coder,
    stripe: usize,
    unit: usize,
    /// Rows that are computed, and their units of the stripe in work.
    parity_rows: Vec<u8>,
    parity: Vec<Vec<u8>>,
    shards: Vec<ShardBuilder>,
    taken: u64,
    ended: bool,
}

impl RollCoder {
    /// A coder that has taken nothing.
    pub fn new(plan: &CodingPlan) -> Result<Self, BadShape> {
        plan.check()?;
        let coder = Coder::new(plan.k)?;
        let shard = |&index: &u8| {
            ShardBuilder::new(ShardId {
                library: plan.library,
                roll: plan.roll,
                coding: plan.coding,
                k: plan.k,
                index,
                unit: plan.unit,
                wrapped_key: plan.wrapped_key.0,
            })
        };
        let computed = |&index: &u8| plan.k > 1 && index >= plan.k;
        let parity_rows: Vec<u8> = plan.indices.iter().copied().filter(computed).collect();
        Ok(Self {
            coder,
            stripe: plan.stripe_len(),
            unit: plan.unit as usize,
            parity: vec![Vec::new(); parity_rows.len()],
            parity_rows,
            shards: plan.indices.iter().map(shard).collect(),
            taken: 0,
            ended: false,
        })
    }

    /// Each shard's index and first bytes, to be written before its units.
    pub fn headers(&self) -> impl Iterator<Item = (u8, Vec<u8>)> {
        self.shards.iter().map(|shard| (shard.id().index, shard.header()))
    }

    /// Takes the next sealed bytes: whole stripes, or the roll's last bytes, which are padded. Each shard's units
    /// go to `write` with its index, in order. A caller that can do without a shard whose volume failed returns `Ok`
    /// for it and drops the shard.
    pub fn push<E>(
        &mut self,
        sealed: &[u8],
        write: &mut impl FnMut(u8, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        assert!(!self.ended, "nothing follows a stripe that had to be padded");
        self.taken += sealed.len() as u64;
        let stripes = sealed.chunks_exact(self.stripe);
        let rest = stripes.remainder();
        for stripe in stripes {
            self.stripe(stripe, write)?;
        }
        if !rest.is_empty() {
            self.ended = true;
            let mut padded = rest.to_vec();
            padded.resize(self.stripe, 0);
            self.stripe(&padded, write)?;
        }
        Ok(())
    }

    /// Each shard's last bytes and hash.
    pub fn finish(self, end: &RollEnd) -> Vec<FinishedShard> {
        assert_eq!(self.taken, end.shape.sealed_len(), "the whole stream goes through the coder");
        self.shards.into_iter().map(|shard| shard.finish(end)).collect()
    }

    fn stripe<E>(
        &mut self,
        stripe: &[u8],
        write: &mut impl FnMut(u8, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.coder.encode(stripe, &self.parity_rows, &mut self.parity);
        let k = self.coder.k();
        for shard in &mut self.shards {
            let index = shard.id().index;
            let unit = if k == 1 {
                stripe
            } else if index < k {
                &stripe[usize::from(index) * self.unit..][..self.unit]
            } else {
                let at = self.parity_rows.iter().position(|row| *row == index);
                &self.parity[at.expect("every row beyond the first k is computed")]
            };
            shard.unit(unit);
            write(index, unit)?;
        }
        Ok(())
    }
}
