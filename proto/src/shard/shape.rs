//! The arithmetic of a roll's stream: from two lengths and a coding, every offset in closed form.

use std::ops::Range;

use crate::limit::{CATALOG_BYTES_MAX, GRAIN, K_MAX, PART_BYTES_MAX, SEGMENT, TAG, UNIT_MAX, UNIT_MIN};

const PLAIN: u64 = SEGMENT as u64;
const SEALED: u64 = (SEGMENT + TAG) as u64;

/// Lengths that no roll can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadShape {
    /// The data part is too long or not padded.
    #[error("a data part of {0} bytes is too long or not padded")]
    Data(u64),
    /// The catalog part is missing, too long or not padded.
    #[error("a catalog part of {0} bytes is missing, too long or not padded")]
    Catalog(u64),
    /// k is 0 or too large.
    #[error("a coding cannot need {0} shards")]
    K(u8),
    /// The unit is no multiple of 16 KiB, or too large.
    #[error("a coding cannot have units of {0} bytes")]
    Unit(u32),
}

/// Lengths of a roll's two plaintext parts, padding included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamShape {
    /// Bytes of the data part: files back to back, then zeros. May be 0.
    pub data_bytes: u64,
    /// Bytes of the catalog part. Never 0.
    pub catalog_bytes: u64,
}

/// The two parts of a roll's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The files.
    Data,
    /// The file list.
    Catalog,
}

/// One segment: where it stands in plaintext and in the sealed stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Its number, counted through both parts; also its nonce.
    pub number: u64,
    /// The part it belongs to.
    pub part: Part,
    /// Whether it is the last of the roll.
    pub last: bool,
    /// Offset of its plaintext. The catalog part follows the data part.
    pub plain_offset: u64,
    /// Bytes of its plaintext.
    pub plain_len: usize,
    /// Offset in the sealed stream.
    pub sealed_offset: u64,
}

impl Segment {
    /// Bytes of the sealed segment.
    pub fn sealed_len(&self) -> usize {
        self.plain_len + TAG
    }

    /// Its place in the sealed stream.
    pub fn sealed_range(&self) -> Range<u64> {
        self.sealed_offset..self.sealed_offset + self.sealed_len() as u64
    }
}

impl StreamShape {
    /// A shape that a roll can have.
    pub fn checked(data_bytes: u64, catalog_bytes: u64) -> Result<Self, BadShape> {
        if data_bytes > PART_BYTES_MAX || !data_bytes.is_multiple_of(GRAIN) {
            return Err(BadShape::Data(data_bytes));
        }
        let most = padded(CATALOG_BYTES_MAX + 8);
        if catalog_bytes == 0 || catalog_bytes > most || !catalog_bytes.is_multiple_of(GRAIN) {
            return Err(BadShape::Catalog(catalog_bytes));
        }
        Ok(Self { data_bytes, catalog_bytes })
    }

    /// Segments of the data part.
    pub fn data_segments(&self) -> u64 {
        self.data_bytes.div_ceil(PLAIN)
    }

    /// Segments of both parts.
    pub fn segments(&self) -> u64 {
        self.data_segments() + self.catalog_bytes.div_ceil(PLAIN)
    }

    /// Bytes of the whole sealed stream, before it is padded to stripes.
    pub fn sealed_len(&self) -> u64 {
        self.data_bytes + self.catalog_bytes + self.segments() * TAG as u64
    }

    /// Where the sealed catalog stands: the last bytes of the stream, from a segment's start.
    pub fn catalog_range(&self) -> Range<u64> {
        self.data_bytes + self.data_segments() * TAG as u64..self.sealed_len()
    }

    /// Segment `number`, if the roll has it.
    pub fn segment(&self, number: u64) -> Option<Segment> {
        if number >= self.segments() {
            return None;
        }
        let before = self.data_segments();
        let (part, part_bytes, plain_start, sealed_start, index) = if number < before {
            (Part::Data, self.data_bytes, 0, 0, number)
        } else {
            let start = self.catalog_range().start;
            (Part::Catalog, self.catalog_bytes, self.data_bytes, start, number - before)
        };
        Some(Segment {
            number,
            part,
            last: number + 1 == self.segments(),
            plain_offset: plain_start + index * PLAIN,
            plain_len: (part_bytes - index * PLAIN).min(PLAIN) as usize,
            sealed_offset: sealed_start + index * SEALED,
        })
    }

    /// Numbers of the segments that hold this range of the data part's plaintext. What lies beyond the part
    /// is left out.
    pub fn data_segments_of(&self, plain: Range<u64>) -> Range<u64> {
        let end = plain.end.min(self.data_bytes);
        if plain.start >= end { 0..0 } else { plain.start / PLAIN..end.div_ceil(PLAIN) }
    }

    /// Numbers of the catalog's segments.
    pub fn catalog_segments(&self) -> Range<u64> {
        self.data_segments()..self.segments()
    }
}

/// One coding of a stream: its stripes and units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Geometry {
    /// The stream.
    pub shape: StreamShape,
    /// Shards that rebuild it.
    pub k: u8,
    /// Bytes of a unit.
    pub unit: u32,
}

impl Geometry {
    /// A geometry that a coding can have.
    pub fn checked(shape: StreamShape, k: u8, unit: u32) -> Result<Self, BadShape> {
        check_coding(k, unit)?;
        StreamShape::checked(shape.data_bytes, shape.catalog_bytes)?;
        Ok(Self { shape, k, unit })
    }

    /// Sealed bytes in one stripe: one unit of each of k shards.
    pub fn stripe_len(&self) -> u64 {
        u64::from(self.k) * u64::from(self.unit)
    }

    /// Stripes of the padded sealed stream; a shard has one unit of each.
    pub fn stripes(&self) -> u64 {
        self.shape.sealed_len().div_ceil(self.stripe_len())
    }

    /// Bytes of one shard's file.
    pub fn shard_len(&self) -> u64 {
        super::shard_len(self.stripes(), self.unit)
    }
}

/// Whether a coding may have these numbers.
pub(super) fn check_coding(k: u8, unit: u32) -> Result<(), BadShape> {
    if k == 0 || k > K_MAX {
        return Err(BadShape::K(k));
    }
    if unit == 0 || unit > UNIT_MAX || !unit.is_multiple_of(UNIT_MIN) {
        return Err(BadShape::Unit(unit));
    }
    Ok(())
}

/// `bytes` padded so that the length says little about what is inside: Padmé (Nikitin et al., "Reducing
/// Metadata Leakage from Encrypted Files", 2019), and at least to a multiple of 4 KiB. It adds 4 KiB or 6 %
/// at most, 3 % from 64 KiB on, and 0.8 % on average to a roll just short of 4 GiB.
pub fn padded(bytes: u64) -> u64 {
    if bytes <= GRAIN {
        return bytes.next_multiple_of(GRAIN);
    }
    let exponent = bytes.ilog2();
    let mantissa = exponent.ilog2() + 1;
    bytes.next_multiple_of(1 << (exponent - mantissa)).next_multiple_of(GRAIN)
}
