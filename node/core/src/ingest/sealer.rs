//! Plaintext in, sealed batches of whole stripes out.

use std::fmt;
use std::ops::Deref;

use rand_core::CryptoRng;
use safelight_proto::catalog::{Catalog, CatalogError};
use safelight_proto::id::{Hash, LibraryId, RollId};
use safelight_proto::limit::{SEGMENT, TAG};
use safelight_proto::shard::{BadShape, Part, StreamShape, padded};

use crate::seal::{FreshKey, ReadingPublic, SealError, Sealer, WrappedKey};

/// Sealed bytes that a batch holds at least, but for a roll's last: enough that moving what is left over, less
/// than a stripe, costs little.
const BATCH: usize = 8 * 1024 * 1024;

/// A roll that is about to be written: ids, and a key that nothing was sealed with.
#[derive(Debug)]
pub struct NewRoll {
    library: LibraryId,
    roll: RollId,
    key: FreshKey,
    wrapped_key: WrappedKey,
}

impl NewRoll {
    /// A roll with this id and a key of 256 random bits, wrapped to the library.
    pub fn new(
        library: LibraryId,
        roll: RollId,
        key: FreshKey,
        reader: &ReadingPublic,
        random: &mut impl CryptoRng,
    ) -> Result<Self, SealError> {
        let wrapped_key = key.wrap(reader, library, roll, random)?;
        Ok(Self { library, roll, key, wrapped_key })
    }

    /// The library it belongs to.
    pub fn library(&self) -> LibraryId {
        self.library
    }

    /// Its id.
    pub fn roll(&self) -> RollId {
        self.roll
    }

    /// Its key, wrapped to the library.
    pub fn wrapped_key(&self) -> WrappedKey {
        self.wrapped_key
    }
}

/// Sealed bytes: whole stripes, unless they are the roll's last.
#[derive(Debug)]
pub struct SealedBatch {
    buffer: Vec<u8>,
    len: usize,
}

impl SealedBatch {
    /// The memory, to be given back to the sealer.
    pub fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }
}

impl Deref for SealedBatch {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

/// What a roll came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedRoll {
    /// Lengths of its two parts.
    pub shape: StreamShape,
    /// BLAKE3 of the sealed stream.
    pub sealed_hash: Hash,
    /// The sealed segments of the catalog, which every node keeps.
    pub catalog_blob: Vec<u8>,
}

/// Why a roll could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum FinishError<E> {
    /// The catalog breaks a bound.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The roll is too long.
    #[error(transparent)]
    Shape(#[from] BadShape),
    /// The shards could not be written.
    #[error("the shards could not be written")]
    Sink(#[source] E),
}

/// Seals a roll's stream where the caller put it. Memory: one batch.
pub struct RollSealer {
    sealer: Sealer,
    stripe: usize,
    /// A batch with this many sealed bytes is handed over; there is room for one more segment behind.
    full: usize,
    batch: Vec<u8>,
    /// Sealed bytes in the batch.
    fill: usize,
    /// Plaintext bytes of the segment in the making, behind the sealed ones.
    open: usize,
    /// Plaintext bytes of the data part so far.
    data: u64,
    tail: Vec<u8>,
    hash: blake3::Hasher,
}

impl RollSealer {
    /// A sealer whose batches are whole stripes of so many bytes.
    pub fn new(roll: NewRoll, stripe: usize) -> Self {
        let full = BATCH.next_multiple_of(stripe);
        Self {
            sealer: Sealer::new(roll.key, roll.library, roll.roll),
            stripe,
            full,
            batch: vec![0; full + SEGMENT + TAG],
            fill: 0,
            open: 0,
            data: 0,
            tail: Vec::with_capacity(stripe),
            hash: blake3::Hasher::new(),
        }
    }

    /// Where the next plaintext goes. Never empty, 1 MiB at most.
    pub fn buffer(&mut self) -> &mut [u8] {
        &mut self.batch[self.fill + self.open..self.fill + SEGMENT]
    }

    /// Offset in the plaintext stream of the first byte of [`Self::buffer`].
    pub fn position(&self) -> u64 {
        self.data
    }

    /// Takes the first `filled` bytes of [`Self::buffer`]. A batch that is full goes to `sink`, which returns a
    /// buffer to go on with: an old one, or a new `Vec`.
    pub fn advance<E>(
        &mut self,
        filled: usize,
        sink: &mut impl FnMut(SealedBatch) -> Result<Vec<u8>, E>,
    ) -> Result<(), E> {
        assert!(filled <= SEGMENT - self.open, "no more can be taken than there was room for");
        self.open += filled;
        self.data += filled as u64;
        if self.open == SEGMENT { self.seal(Part::Data, false, sink) } else { Ok(()) }
    }

    /// Pads the data, seals the catalog, and hands over what is left.
    pub fn finish<E>(
        mut self,
        catalog: &Catalog,
        sink: &mut impl FnMut(SealedBatch) -> Result<Vec<u8>, E>,
    ) -> Result<SealedRoll, FinishError<E>> {
        let data_bytes = padded(self.data);
        let plain = catalog.to_plain(data_bytes)?;
        let shape = StreamShape::checked(data_bytes, plain.len() as u64)?;
        while self.data < data_bytes {
            let missing = data_bytes - self.data;
            let room = self.buffer();
            let zeros = room.len().min(usize::try_from(missing).unwrap_or(usize::MAX));
            room[..zeros].fill(0);
            self.advance(zeros, sink).map_err(FinishError::Sink)?;
        }
        if self.open > 0 {
            self.seal(Part::Data, false, sink).map_err(FinishError::Sink)?;
        }
        let mut catalog_blob = Vec::with_capacity(plain.len() + plain.len().div_ceil(SEGMENT) * TAG);
        let mut segments = plain.chunks(SEGMENT).peekable();
        while let Some(segment) = segments.next() {
            self.buffer()[..segment.len()].copy_from_slice(segment);
            self.open = segment.len();
            let start = self.fill;
            self.seal_in_place(Part::Catalog, segments.peek().is_none());
            catalog_blob.extend_from_slice(&self.batch[start..self.fill]);
            self.hand_over_if_full(sink).map_err(FinishError::Sink)?;
        }
        if self.fill > 0 {
            let last = SealedBatch { buffer: std::mem::take(&mut self.batch), len: self.fill };
            sink(last).map_err(FinishError::Sink)?;
        }
        Ok(SealedRoll { shape, sealed_hash: self.hash.finalize().into(), catalog_blob })
    }

    fn seal<E>(
        &mut self,
        part: Part,
        last: bool,
        sink: &mut impl FnMut(SealedBatch) -> Result<Vec<u8>, E>,
    ) -> Result<(), E> {
        self.seal_in_place(part, last);
        self.hand_over_if_full(sink)
    }

    fn seal_in_place(&mut self, part: Part, last: bool) {
        let end = self.fill + self.open;
        let tag = self.sealer.seal(part, last, &mut self.batch[self.fill..end]);
        self.batch[end..end + TAG].copy_from_slice(&tag);
        self.hash.update(&self.batch[self.fill..end + TAG]);
        self.fill = end + TAG;
        self.open = 0;
    }

    fn hand_over_if_full<E>(
        &mut self,
        sink: &mut impl FnMut(SealedBatch) -> Result<Vec<u8>, E>,
    ) -> Result<(), E> {
        if self.fill < self.full {
            return Ok(());
        }
        let whole = self.fill - self.fill % self.stripe;
        self.tail.clear();
        self.tail.extend_from_slice(&self.batch[whole..self.fill]);
        let batch = SealedBatch { buffer: std::mem::take(&mut self.batch), len: whole };
        self.batch = sink(batch)?;
        self.batch.resize(self.full + SEGMENT + TAG, 0);
        self.batch[..self.tail.len()].copy_from_slice(&self.tail);
        self.fill = self.tail.len();
        Ok(())
    }
}

impl fmt::Debug for RollSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RollSealer({:?}, at {})", self.sealer, self.data)
    }
}
