use std::convert::Infallible;

use proptest::prelude::*;
use safelight_proto::id::Hash;
use safelight_proto::limit::{SEGMENT, UNIT_MIN};
use safelight_proto::shard::{HEADER, padded};

use super::testing::{LIBRARY, ROLL, make, photo, reading};
use super::*;
use crate::code::RollEnd;
use crate::seal::FreshKey;

/// The sealed stream, from the first k shards.
fn sealed(made: &testing::Made) -> Vec<u8> {
    let (unit, k) = (made.geometry.unit as usize, usize::from(made.geometry.k));
    let mut sealed = Vec::new();
    for stripe in 0..made.geometry.stripes() as usize {
        for shard in &made.shards[..k] {
            sealed.extend_from_slice(&shard[HEADER + stripe * unit..][..unit]);
        }
    }
    sealed
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    let size = prop_oneof![Just(0), 1usize..5000, Just(SEGMENT), Just(2 * SEGMENT + 1), 1usize..3_000_000];
    proptest::collection::vec(size, 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn shards_are_what_the_summary_says(sizes in sizes(), k in 1u8..=5, extra in 0u8..=3, units in 1u32..=8) {
        let files: Vec<Vec<u8>> = sizes.iter().map(|&len| photo(len as u8, len)).collect();
        let made = make(files, k, k + extra, units * UNIT_MIN);
        let shape = made.geometry.shape;
        let total: usize = sizes.iter().sum();
        prop_assert_eq!(shape.data_bytes, padded(total as u64));
        for (bytes, shard) in made.shards.iter().zip(&made.summary.shards) {
            prop_assert_eq!(bytes.len() as u64, made.geometry.shard_len());
            prop_assert_eq!(bytes.len() as u64, shard.tree.len());
            prop_assert_eq!(Hash::of(bytes), shard.tree.hash());
        }
        let padded = sealed(&made);
        let (stream, zeros) = padded.split_at(shape.sealed_len() as usize);
        prop_assert_eq!(Hash::of(stream), made.summary.sealed.sealed_hash);
        prop_assert!(zeros.iter().all(|byte| *byte == 0));
        let blob = shape.catalog_range();
        prop_assert_eq!(&stream[blob.start as usize..], &made.summary.sealed.catalog_blob[..]);
    }
}

/// Shards that are added later, from the sealed stream alone, are those that a larger n would have made at once.
#[test]
fn a_coding_grows_without_touching_old_shards() {
    let files = vec![photo(1, 700_000), photo(2, 1_500_000)];
    let large = make(files.clone(), 3, 7, 4 * UNIT_MIN);
    let small = make(files, 3, 5, 4 * UNIT_MIN);
    assert_eq!(small.shards[..], large.shards[..5]);

    let plan = CodingPlan { indices: vec![6, 1], ..small.plan.clone() };
    let mut coder = RollCoder::new(&plan).expect("good numbers");
    let mut added: Vec<Vec<u8>> = coder.headers().map(|(_, header)| header).collect();
    let sealed = sealed(&small);
    let stream = &sealed[..small.geometry.shape.sealed_len() as usize];
    let mut write = |index: u8, unit: &[u8]| {
        added[if index == 6 { 0 } else { 1 }].extend_from_slice(unit);
        Ok::<(), Infallible>(())
    };
    for piece in stream.chunks(2 * plan.stripe_len()) {
        let Ok(()) = coder.push(piece, &mut write);
    }
    let end = RollEnd { shape: small.geometry.shape, sealed_hash: small.summary.sealed.sealed_hash };
    let shards = coder.finish(&end);
    for (bytes, shard) in added.iter_mut().zip(&shards) {
        bytes.extend_from_slice(&shard.trailer);
    }
    assert_eq!(added[0], large.shards[6]);
    assert_eq!(added[1], large.shards[1]);
}

/// Whatever a sink gives back, old memory or new, the stream is the same; and so is a roll of more than a batch.
#[test]
fn batches_are_whole_stripes() {
    let stripe = 3 * 16 * 1024;
    let files = photo(8, 20_000_000);
    let seal = |reuse: bool| {
        let key = FreshKey::from_random([9; 32]);
        let mut random = <rand_chacha::ChaCha8Rng as rand_core::SeedableRng>::seed_from_u64(5);
        let roll = NewRoll::new(LIBRARY, ROLL, key, &reading().public(), &mut random).expect("a good key");
        let mut sealer = RollSealer::new(roll, stripe);
        let mut batches: Vec<Vec<u8>> = Vec::new();
        let mut sink = |batch: SealedBatch| {
            batches.push(batch.to_vec());
            Ok::<_, Infallible>(if reuse { batch.into_buffer() } else { Vec::new() })
        };
        let mut rest = files.as_slice();
        while !rest.is_empty() {
            let buffer = sealer.buffer();
            let take = buffer.len().min(rest.len());
            buffer[..take].copy_from_slice(&rest[..take]);
            rest = &rest[take..];
            let Ok(()) = sealer.advance(take, &mut sink);
        }
        let catalog = make(vec![], 1, 1, UNIT_MIN).catalog;
        let sealed = sealer.finish(&catalog, &mut sink).expect("in bounds");
        (batches, sealed)
    };
    let (batches, sealed) = seal(true);
    assert!(batches.len() > 1);
    assert!(batches[..batches.len() - 1].iter().all(|batch| batch.len() % stripe == 0));
    assert_eq!(Hash::of(&batches.concat()), sealed.sealed_hash);
    assert_eq!(seal(false), (batches, sealed));
}

/// Frozen: fixed ids, key and randomness give these very files. A change here is a new format version.
#[test]
fn the_format_is_frozen() {
    let golden = include_str!("../../../../proto/golden/shards-v1.txt");
    let mut lines = String::new();
    for (k, n, unit) in [(1, 2, UNIT_MIN), (2, 3, 2 * UNIT_MIN), (4, 6, UNIT_MIN)] {
        let made = make(vec![photo(1, 10), photo(2, 1_200_000), vec![]], k, n, unit);
        for (index, shard) in made.shards.iter().enumerate() {
            lines += &format!("{k} {n} {unit} {index} {}\n", Hash::of(shard));
        }
        lines += &format!("{k} {n} {unit} sealed {}\n", made.summary.sealed.sealed_hash);
    }
    let expected: String =
        golden.lines().filter(|line| !line.starts_with('#')).map(|l| format!("{l}\n")).collect();
    assert_eq!(lines, expected, "\n{lines}");
}
