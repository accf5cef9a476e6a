//! Shards out of other shards, without any key: repair, a new coding, or just the proof that a coding is right.

use safelight_proto::id::Hash;
use safelight_proto::shard::{BadShape, Geometry};

use crate::code::{CodeError, Coder, FinishedShard, RollEnd};
use crate::ingest::{CodingPlan, RollCoder};

/// Why shards could not be made from others.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError<E> {
    /// The units given for a stripe do not decode.
    #[error("stripe {stripe}: {error}")]
    Code {
        /// Number of the stripe.
        stripe: u64,
        /// What is wrong with them.
        error: CodeError,
    },
    /// More stripes than the roll has, or the end before its last.
    #[error("stripe {0} is not the next of this roll")]
    Stripe(u64),
    /// The stream that came of them is not the roll's: the coding is wrong, whatever its shards' hashes.
    #[error("the shards decode to another stream than the roll's")]
    WrongStream,
    /// The new shards could not be written.
    #[error("the shards could not be written")]
    Sink(#[source] E),
}

/// Decodes one coding's stripes and makes shards of the same or of another coding. With a plan for no shards it
/// only proves that the coding decodes to the roll's sealed hash. Memory: a stripe of each coding.
#[derive(Debug)]
pub struct Rebuilder {
    from: Geometry,
    end: RollEnd,
    decoder: Coder,
    coder: RollCoder,
    /// Bytes of a stripe of the coding that is made.
    to_stripe: usize,
    hash: blake3::Hasher,
    next: u64,
    /// Sealed bytes that are decoded and not yet coded.
    sealed: Vec<u8>,
}

impl Rebuilder {
    /// From shards of this geometry, of a roll with this sealed hash, to the shards that the plan names.
    pub fn new(from: Geometry, sealed_hash: Hash, plan: &CodingPlan) -> Result<Self, BadShape> {
        let from = Geometry::checked(from.shape, from.k, from.unit)?;
        Ok(Self {
            from,
            end: RollEnd { shape: from.shape, sealed_hash },
            decoder: Coder::new(from.k)?,
            coder: RollCoder::new(plan)?,
            to_stripe: plan.stripe_len(),
            hash: blake3::Hasher::new(),
            next: 0,
            sealed: Vec::new(),
        })
    }

    /// Each new shard's index and first bytes, to be written before its units.
    pub fn headers(&self) -> impl Iterator<Item = (u8, Vec<u8>)> {
        self.coder.headers()
    }

    /// The stripe to give next; nothing when all were given.
    pub fn wants(&self) -> Option<u64> {
        (self.next < self.from.stripes()).then_some(self.next)
    }

    /// Takes the next stripe: any k units with their shards' indices, each already checked. Units of the new
    /// shards go to `write`. After an error the rebuilder is of no more use.
    pub fn stripe<E>(
        &mut self,
        units: &[(u8, &[u8])],
        write: &mut impl FnMut(u8, &[u8]) -> Result<(), E>,
    ) -> Result<(), RebuildError<E>> {
        let stripe = self.wants().ok_or(RebuildError::Stripe(self.next))?;
        self.next += 1;
        let len = self.from.stripe_len();
        let start = self.sealed.len();
        self.sealed.resize(start + len as usize, 0);
        let decoded = self.decoder.decode(units, &mut self.sealed[start..]);
        decoded.map_err(|error| RebuildError::Code { stripe, error })?;
        // The last stripe's padding is no part of the stream.
        let left = self.from.shape.sealed_len() - stripe * len;
        self.sealed.truncate(start + left.min(len) as usize);
        self.hash.update(&self.sealed[start..]);

        let whole = self.sealed.len() - self.sealed.len() % self.to_stripe;
        let ready = if self.wants().is_none() { self.sealed.len() } else { whole };
        self.coder.push(&self.sealed[..ready], write).map_err(RebuildError::Sink)?;
        self.sealed.drain(..ready);
        Ok(())
    }

    /// The new shards' last bytes and hashes, once every stripe was given and the stream is the roll's.
    pub fn finish<E>(self) -> Result<Vec<FinishedShard>, RebuildError<E>> {
        if let Some(stripe) = self.wants() {
            return Err(RebuildError::Stripe(stripe));
        }
        if Hash::from(self.hash.finalize()) != self.end.sealed_hash {
            return Err(RebuildError::WrongStream);
        }
        Ok(self.coder.finish(&self.end))
    }
}
