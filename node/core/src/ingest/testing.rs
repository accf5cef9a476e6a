//! A roll made in memory, for the tests of both directions.

use std::convert::Infallible;

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use safelight_proto::catalog::{Catalog, Entry, Extent};
use safelight_proto::id::{CodingId, Hash, LibraryId, RollId, ShootId};
use safelight_proto::shard::Geometry;

use super::{CodingPlan, NewRoll, RollEncoder, RollSummary};
use crate::seal::{FreshKey, Opener, ReadingKey};

pub(crate) const LIBRARY: LibraryId = LibraryId([1; 32]);
pub(crate) const ROLL: RollId = RollId([2; 32]);

pub(crate) fn reading() -> ReadingKey {
    ReadingKey::from_secret(&[3; 32])
}

/// Bytes that do not repeat.
pub(crate) fn photo(seed: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let mut output = blake3::Hasher::new_derive_key("test photo").update(&[seed]).finalize_xof();
    output.fill(&mut bytes);
    bytes
}

pub(crate) struct Made {
    pub files: Vec<Vec<u8>>,
    pub catalog: Catalog,
    /// Whole shard files, by index.
    pub shards: Vec<Vec<u8>>,
    pub summary: RollSummary,
    pub geometry: Geometry,
    pub plan: CodingPlan,
}

impl Made {
    pub fn opener(&self) -> Opener {
        let key = self.summary.wrapped_key.open(&reading(), LIBRARY, ROLL).expect("wrapped to this key");
        Opener::new(&key, LIBRARY, ROLL)
    }
}

/// A roll of these files, coded (k, n).
pub(crate) fn make(files: Vec<Vec<u8>>, k: u8, n: u8, unit: u32) -> Made {
    let key = FreshKey::from_random([9; 32]);
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let roll = NewRoll::new(LIBRARY, ROLL, key, &reading().public(), &mut random).expect("a good key");
    let plan = CodingPlan {
        library: LIBRARY,
        roll: ROLL,
        wrapped_key: roll.wrapped_key(),
        coding: CodingId([4; 16]),
        k,
        unit,
        indices: (0..n).collect(),
    };
    let mut encoder = RollEncoder::new(roll, &plan).expect("good numbers");
    let mut shards: Vec<Vec<u8>> = encoder.headers().map(|(_, header)| header).collect();
    let mut write = |index: u8, unit: &[u8]| {
        shards[usize::from(index)].extend_from_slice(unit);
        Ok::<(), Infallible>(())
    };
    let mut entries = Vec::new();
    for (number, file) in files.iter().enumerate() {
        let offset = encoder.position();
        let mut rest = file.as_slice();
        while !rest.is_empty() {
            let buffer = encoder.buffer();
            let take = buffer.len().min(rest.len()).min(300_000);
            buffer[..take].copy_from_slice(&rest[..take]);
            rest = &rest[take..];
            let Ok(()) = encoder.advance(take, &mut write);
        }
        let extent = Extent { roll: None, offset, len: file.len() as u64 };
        entries.push(Entry {
            path: format!("card/{number}.NEF"),
            raw_path: None,
            bytes: file.len() as u64,
            hash: Hash::of(file),
            head: Entry::head_of(file),
            modified_ns: None,
            extents: if file.is_empty() { vec![] } else { vec![extent] },
        });
    }
    let catalog =
        Catalog { shoot: ShootId([6; 16]), shoot_name: "Smith wedding".into(), ingested_ms: 1_000, entries };
    let summary = encoder.finish(&catalog, &mut write).expect("in bounds");
    for (shard, finished) in shards.iter_mut().zip(&summary.shards) {
        shard.extend_from_slice(&finished.trailer);
    }
    let geometry = Geometry { shape: summary.sealed.shape, k, unit };
    Made { files, catalog, shards, summary, geometry, plan }
}
