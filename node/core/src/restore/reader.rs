//! Units in, authenticated plaintext out, for a whole roll or a range of it.

use std::ops::Range;

use safelight_proto::shard::{BadShape, Geometry};

use crate::code::{CodeError, Coder};
use crate::seal::Opener;
use crate::seal::segment::BadSegment;

/// Why plaintext did not come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The units given for a stripe do not decode.
    #[error("stripe {stripe}: {error}")]
    Code {
        /// Number of the stripe.
        stripe: u64,
        /// What is wrong with them.
        error: CodeError,
    },
    /// A segment does not open: a unit was not what its hash promised, or the wrong roll's.
    #[error(transparent)]
    Segment(#[from] BadSegment),
    /// More stripes than the plan has.
    #[error("stripe {0} is not part of what was asked for")]
    Beyond(u64),
}

/// Reads one coding of a roll.
#[derive(Debug)]
pub struct RollReader {
    geometry: Geometry,
    coder: Coder,
    opener: Opener,
}

/// What a range of plaintext needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadPlan {
    /// The plaintext that was asked for.
    pub plain: Range<u64>,
    /// Segments that hold it.
    pub segments: Range<u64>,
    /// Their place in the sealed stream.
    pub sealed: Range<u64>,
    /// Stripes that hold them, which are also the numbers of the units in every shard.
    pub stripes: Range<u64>,
}

impl RollReader {
    /// A reader of a roll's coding, with its key.
    pub fn new(geometry: Geometry, opener: Opener) -> Result<Self, BadShape> {
        let geometry = Geometry::checked(geometry.shape, geometry.k, geometry.unit)?;
        Ok(Self { geometry, coder: Coder::new(geometry.k)?, opener })
    }

    /// The coding's numbers.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// What a range of the data part needs; an extent's range, for one.
    pub fn plan_data(&self, plain: Range<u64>) -> ReadPlan {
        self.plan(self.geometry.shape.data_segments_of(plain.clone()), plain)
    }

    /// What the catalog needs. Its plaintext follows the data part's.
    pub fn plan_catalog(&self) -> ReadPlan {
        let shape = self.geometry.shape;
        self.plan(shape.catalog_segments(), shape.data_bytes..shape.data_bytes + shape.catalog_bytes)
    }

    fn plan(&self, segments: Range<u64>, plain: Range<u64>) -> ReadPlan {
        let shape = self.geometry.shape;
        let last = segments.end.checked_sub(1).and_then(|number| shape.segment(number));
        let (Some(first), Some(last), false) = (shape.segment(segments.start), last, segments.is_empty())
        else {
            return ReadPlan { plain, segments: 0..0, sealed: 0..0, stripes: 0..0 };
        };
        let sealed = first.sealed_offset..last.sealed_range().end;
        let stripe = self.geometry.stripe_len();
        let stripes = sealed.start / stripe..sealed.end.div_ceil(stripe);
        ReadPlan { plain, segments, sealed, stripes }
    }

    /// The first k shards whose unit of that stripe is needed: with these units alone the plan can be read, else
    /// with any k.
    pub fn data_units(&self, plan: &ReadPlan, stripe: u64) -> Range<u8> {
        let unit = u64::from(self.geometry.unit);
        let start = stripe * self.geometry.stripe_len();
        let end = start + self.geometry.stripe_len();
        let (from, to) = (plan.sealed.start.clamp(start, end), plan.sealed.end.clamp(start, end));
        ((from - start) / unit) as u8..(to - start).div_ceil(unit) as u8
    }

    /// Starts reading what the plan says.
    pub fn read(&self, plan: ReadPlan) -> RangeDecoder<'_> {
        RangeDecoder {
            reader: self,
            next_stripe: plan.stripes.start,
            done: plan.segments.start,
            plan,
            sealed: Vec::new(),
        }
    }
}

/// Takes a plan's stripes in order. Memory: a stripe and a segment.
#[derive(Debug)]
pub struct RangeDecoder<'a> {
    reader: &'a RollReader,
    plan: ReadPlan,
    next_stripe: u64,
    /// First segment that is not opened.
    done: u64,
    /// Sealed bytes from the start of that segment on.
    sealed: Vec<u8>,
}

impl RangeDecoder<'_> {
    /// The stripe to give next; nothing when all were given.
    pub fn wants(&self) -> Option<u64> {
        self.plan.stripes.contains(&self.next_stripe).then_some(self.next_stripe)
    }

    /// Takes the next stripe: the units that [`RollReader::data_units`] names, or any k, each with its shard's
    /// index, and each already checked. Plaintext that comes of it goes to `sink` with its offset in the stream,
    /// cut to what was asked for. After an error the decoder is of no more use.
    pub fn stripe(
        &mut self,
        units: &[(u8, &[u8])],
        mut sink: impl FnMut(u64, &[u8]),
    ) -> Result<(), RestoreError> {
        let stripe = self.wants().ok_or(RestoreError::Beyond(self.next_stripe))?;
        self.next_stripe += 1;
        let shape = self.reader.geometry.shape;
        let len = self.reader.geometry.stripe_len() as usize;
        let start = self.sealed.len();
        self.sealed.resize(start + len, 0);
        self.decode(stripe, units, start).map_err(|error| RestoreError::Code { stripe, error })?;
        // What stands before the first segment is nobody's: the stripe began earlier.
        let stripe_offset = stripe * len as u64;
        let lead = self.plan.sealed.start.saturating_sub(stripe_offset) as usize;
        let mut at = if start == 0 { lead } else { 0 };
        while let Some(segment) = shape.segment(self.done).filter(|s| self.plan.segments.contains(&s.number))
        {
            let Some(sealed) = self.sealed.get_mut(at..at + segment.sealed_len()) else { break };
            let plain = self.reader.opener.open(&segment, sealed)?;
            let end = segment.plain_offset + plain.len() as u64;
            let from = self.plan.plain.start.clamp(segment.plain_offset, end);
            let to = self.plan.plain.end.clamp(from, end);
            if from < to {
                let cut = (from - segment.plain_offset) as usize..(to - segment.plain_offset) as usize;
                sink(from, &plain[cut]);
            }
            at += segment.sealed_len();
            self.done += 1;
        }
        self.sealed.drain(..at);
        Ok(())
    }

    /// Puts the stripe's sealed bytes at `start` of the buffer.
    fn decode(&mut self, stripe: u64, units: &[(u8, &[u8])], start: usize) -> Result<(), CodeError> {
        let unit = self.reader.geometry.unit as usize;
        let needed = self.reader.data_units(&self.plan, stripe);
        let out = &mut self.sealed[start..];
        let own = |row: u8| {
            let same = |(index, bytes): &&(u8, &[u8])| *index == row && bytes.len() == unit;
            units.iter().find(same).map(|(_, bytes)| (row, *bytes))
        };
        match needed.map(own).collect::<Option<Vec<_>>>() {
            Some(direct) => {
                for (row, bytes) in direct {
                    out[usize::from(row) * unit..][..unit].copy_from_slice(bytes);
                }
                Ok(())
            }
            None => self.reader.coder.decode(units, out),
        }
    }
}
