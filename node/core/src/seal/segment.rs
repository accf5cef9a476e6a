//! Segments: AES-256-GCM in place, 1 MiB at a time.
//!
//! The nonce is the segment's number; the associated data binds it to the library, the roll, its number, its part
//! and whether it is the last. So segments cannot be swapped, taken from another roll, cut off, or passed off as a
//! catalog. `ring` keeps its expanded key in memory that it does not wipe; ours is wiped.

use std::fmt;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use safelight_proto::id::{LibraryId, RollId};
use safelight_proto::limit::TAG;
use safelight_proto::shard::{Part, Segment};

use super::keys::{FreshKey, RollKey};

const DOMAIN: &[u8; 20] = b"safelight segment v1";
const AAD: usize = DOMAIN.len() + 32 + 32 + 8 + 1;

/// A segment that does not open: damaged, misplaced, or of another roll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("segment {number} of roll {} does not open: damaged, misplaced, or sealed with another key", roll.short())]
pub struct BadSegment {
    /// The roll it should be of.
    pub roll: RollId,
    /// The number it should have.
    pub number: u64,
}

/// Seals the segments of one roll, each number once, in order.
pub struct Sealer {
    key: LessSafeKey,
    library: LibraryId,
    roll: RollId,
    next: u64,
    ended: bool,
}

impl Sealer {
    /// The one sealer of a fresh key.
    pub fn new(key: FreshKey, library: LibraryId, roll: RollId) -> Self {
        Self { key: aes(key.secret()), library, roll, next: 0, ended: false }
    }

    /// Seals the next segment in place and returns its tag, which stands behind it.
    pub fn seal(&mut self, part: Part, last: bool, plain: &mut [u8]) -> [u8; TAG] {
        assert!(!self.ended, "nothing is sealed after the last segment");
        let number = self.next;
        self.next += 1;
        self.ended = last;
        let aad = aad(self.library, self.roll, number, part, last);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce(number), Aad::from(aad), plain)
            .expect("a segment is far below the length that AES-GCM can seal");
        tag.as_ref().try_into().expect("an AES-GCM tag has 16 bytes")
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer({:?}, next {})", self.roll, self.next)
    }
}

/// Opens the segments of one roll, in any order.
pub struct Opener {
    key: LessSafeKey,
    library: LibraryId,
    roll: RollId,
}

impl Opener {
    /// An opener for the roll that the key was wrapped for.
    pub fn new(key: &RollKey, library: LibraryId, roll: RollId) -> Self {
        Self { key: aes(key.secret()), library, roll }
    }

    /// The roll whose segments it opens.
    pub fn roll(&self) -> RollId {
        self.roll
    }

    /// Opens a sealed segment in place; what is returned is its plaintext. After an error the bytes are worthless.
    pub fn open<'a>(&self, segment: &Segment, sealed: &'a mut [u8]) -> Result<&'a mut [u8], BadSegment> {
        let bad = BadSegment { roll: self.roll, number: segment.number };
        if sealed.len() != segment.sealed_len() {
            return Err(bad);
        }
        let aad = aad(self.library, self.roll, segment.number, segment.part, segment.last);
        self.key.open_in_place(nonce(segment.number), Aad::from(aad), sealed).map_err(|_| bad)
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opener({:?})", self.roll)
    }
}

fn aes(secret: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, secret).expect("an AES-256 key has 32 bytes"))
}

fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

fn aad(library: LibraryId, roll: RollId, number: u64, part: Part, last: bool) -> [u8; AAD] {
    let mut bytes = [0; AAD];
    bytes[..20].copy_from_slice(DOMAIN);
    bytes[20..52].copy_from_slice(library.as_bytes());
    bytes[52..84].copy_from_slice(roll.as_bytes());
    bytes[84..92].copy_from_slice(&number.to_le_bytes());
    bytes[92] = u8::from(last) | u8::from(part == Part::Catalog) << 1;
    bytes
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;
    use safelight_proto::shard::StreamShape;

    use super::super::keys::ReadingKey;
    use super::*;

    const LIBRARY: LibraryId = LibraryId([1; 32]);
    const ROLL: RollId = RollId([2; 32]);
    const SHAPE: StreamShape = StreamShape { data_bytes: 4096, catalog_bytes: 4096 };

    fn keys() -> (Sealer, Opener) {
        let fresh = FreshKey::from_random([9; 32]);
        let reading = ReadingKey::from_secret(&[3; 32]);
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let wrapped = fresh.wrap(&reading.public(), LIBRARY, ROLL, &mut random).expect("a good key");
        let opened = wrapped.open(&reading, LIBRARY, ROLL).expect("ours");
        (Sealer::new(fresh, LIBRARY, ROLL), Opener::new(&opened, LIBRARY, ROLL))
    }

    fn sealed() -> (Vec<Vec<u8>>, Opener) {
        let (mut sealer, opener) = keys();
        let seal = |(part, last)| {
            let mut bytes = vec![if last { 7 } else { 6 }; 4096];
            let tag = sealer.seal(part, last, &mut bytes);
            bytes.extend_from_slice(&tag);
            bytes
        };
        ([(Part::Data, false), (Part::Catalog, true)].map(seal).to_vec(), opener)
    }

    #[test]
    fn segments_open_in_their_own_place_only() {
        let (segments, opener) = sealed();
        for (place, at) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let segment = SHAPE.segment(at).expect("within the roll");
            let mut bytes = segments[place].clone();
            let opened = opener.open(&segment, &mut bytes);
            assert_eq!(opened.is_ok(), place as u64 == at);
        }
        let segment = SHAPE.segment(0).expect("within the roll");
        for wrong in [Segment { last: true, ..segment }, Segment { part: Part::Catalog, ..segment }] {
            let error = opener.open(&wrong, &mut segments[0].clone()).expect_err("another place");
            assert_eq!(error, BadSegment { roll: ROLL, number: 0 });
        }
        assert!(opener.open(&segment, &mut segments[0].clone()[1..]).is_err());
        let elsewhere = Opener { key: aes(&[9; 32]), library: LibraryId([5; 32]), roll: ROLL };
        assert!(elsewhere.open(&segment, &mut segments[0].clone()).is_err());
        let elsewhere = Opener { key: aes(&[9; 32]), library: LIBRARY, roll: RollId([5; 32]) };
        assert!(elsewhere.open(&segment, &mut segments[0].clone()).is_err());
    }

    #[test]
    #[should_panic(expected = "after the last")]
    fn nothing_follows_the_last_segment() {
        let (mut sealer, _) = keys();
        sealer.seal(Part::Catalog, true, &mut [0; 16]);
        sealer.seal(Part::Catalog, true, &mut [0; 16]);
    }
}
