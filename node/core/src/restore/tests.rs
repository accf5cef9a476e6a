use std::convert::Infallible;

use proptest::prelude::*;
use safelight_proto::limit::{SEGMENT, UNIT_MIN};
use safelight_proto::shard::unit_offset;

use super::*;
use crate::ingest::CodingPlan;
use crate::ingest::testing::{LIBRARY, Made, ROLL, make, photo};
use crate::seal::{FreshKey, Opener, ReadingKey};

fn unit(made: &Made, index: u8, stripe: u64) -> &[u8] {
    let at = unit_offset(stripe, made.geometry.unit) as usize;
    &made.shards[usize::from(index)][at..at + made.geometry.unit as usize]
}

/// Reads a plan from these shards alone.
fn read(made: &Made, reader: &RollReader, plan: ReadPlan, from: &[u8]) -> Result<Vec<u8>, RestoreError> {
    let mut plain = Vec::new();
    let start = plan.plain.start;
    let mut decoder = reader.read(plan);
    while let Some(stripe) = decoder.wants() {
        let units: Vec<(u8, &[u8])> = from.iter().map(|&index| (index, unit(made, index, stripe))).collect();
        decoder.stripe(&units, |offset, bytes| {
            assert_eq!(offset, start + plain.len() as u64);
            plain.extend_from_slice(bytes);
        })?;
    }
    Ok(plain)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_k_shards_give_every_range(
        k in 1u8..=5, extra in 0u8..=3, units in 1u32..=20, sizes in proptest::collection::vec(0usize..2_500_000, 1..4),
        picks: [u8; 8], from in 0u64..8_000_000, len in 1u64..3_000_000,
    ) {
        let files: Vec<Vec<u8>> = sizes.iter().map(|&len| photo(len as u8, len)).collect();
        let made = make(files, k, k + extra, units * UNIT_MIN);
        let reader = RollReader::new(made.geometry, made.opener()).expect("good numbers");
        let mut order: Vec<u8> = (0..k + extra).collect();
        order.sort_by_key(|i| picks[usize::from(*i)]);
        let some = &order[..usize::from(k)];

        let whole = made.files.concat();
        for (file, entry) in made.files.iter().zip(&made.catalog.entries) {
            for extent in &entry.extents {
                let plan = reader.plan_data(extent.offset..extent.offset + extent.len);
                prop_assert_eq!(&read(&made, &reader, plan, some)?, file);
            }
        }
        let range = from.min(whole.len() as u64)..(from + len).min(whole.len() as u64);
        let plan = reader.plan_data(range.clone());
        let expected = &whole[range.start as usize..range.end as usize];
        prop_assert_eq!(&read(&made, &reader, plan.clone(), some)?[..], expected);

        // The data units that the plan names are enough, though they may be fewer than k.
        let mut plain = Vec::new();
        let mut decoder = reader.read(plan.clone());
        while let Some(stripe) = decoder.wants() {
            let needed = reader.data_units(&plan, stripe);
            let units: Vec<_> = needed.map(|index| (index, unit(&made, index, stripe))).collect();
            decoder.stripe(&units, |_, bytes| plain.extend_from_slice(bytes))?;
        }
        prop_assert_eq!(&plain[..], expected);

        let plan = reader.plan_catalog();
        let plain = read(&made, &reader, plan, some)?;
        let catalog = safelight_proto::catalog::Catalog::from_plain(&plain, made.geometry.shape);
        prop_assert_eq!(catalog.as_ref(), Ok(&made.catalog));
        let blob = made.summary.sealed.catalog_blob.clone();
        prop_assert_eq!(open_catalog(blob, made.geometry.shape, &made.opener()), Ok(made.catalog.clone()));
    }
}

/// Makes the plan's shards from these of `made`.
fn rebuild(made: &Made, plan: &CodingPlan, from: &[u8]) -> Result<Vec<Vec<u8>>, RebuildError<Infallible>> {
    let hash = made.summary.sealed.sealed_hash;
    let mut rebuilder = Rebuilder::new(made.geometry, hash, plan).expect("good numbers");
    let mut shards: Vec<Vec<u8>> = rebuilder.headers().map(|(_, header)| header).collect();
    let mut write = |index: u8, unit: &[u8]| {
        let at = plan.indices.iter().position(|wanted| *wanted == index).expect("one that was asked for");
        shards[at].extend_from_slice(unit);
        Ok(())
    };
    while let Some(stripe) = rebuilder.wants() {
        let units: Vec<(u8, &[u8])> = from.iter().map(|&index| (index, unit(made, index, stripe))).collect();
        rebuilder.stripe(&units, &mut write)?;
    }
    for (shard, finished) in shards.iter_mut().zip(rebuilder.finish()?) {
        shard.extend_from_slice(&finished.trailer);
        assert_eq!(safelight_proto::id::Hash::of(shard), finished.tree.hash());
    }
    Ok(shards)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    /// Repair gives the very shards that were lost, and a new coding the ones that ingest would have made.
    #[test]
    fn shards_come_of_shards(
        k in 1u8..=4, to_k in 1u8..=4, units in 1u32..=9, to_units in 1u32..=9, len in 0usize..2_500_000,
    ) {
        let made = make(vec![photo(1, len)], k, k + 2, units * UNIT_MIN);
        let from: Vec<u8> = (1..=k).collect();
        let plan = CodingPlan { indices: vec![k + 1, 0], ..made.plan.clone() };
        let rebuilt = rebuild(&made, &plan, &from).expect("good units");
        prop_assert_eq!(&rebuilt[0], &made.shards[usize::from(k) + 1]);
        prop_assert_eq!(&rebuilt[1], &made.shards[0]);

        let other = make(vec![photo(1, len)], to_k, to_k + 1, to_units * UNIT_MIN);
        prop_assert_eq!(rebuild(&made, &other.plan, &from).expect("good units"), other.shards);
    }
}

#[test]
fn a_wrong_coding_is_found_out() {
    let mut made = make(vec![photo(1, 2_000_000)], 2, 4, UNIT_MIN);
    made.shards[3][unit_offset(9, UNIT_MIN) as usize] ^= 1;
    let none = CodingPlan { indices: vec![], ..made.plan.clone() };
    assert!(rebuild(&made, &none, &[1, 2]).is_ok());
    assert!(matches!(rebuild(&made, &none, &[1, 3]), Err(RebuildError::WrongStream)));
    assert!(matches!(rebuild(&made, &none, &[1]), Err(RebuildError::Code { stripe: 0, .. })));
    let early = Rebuilder::new(made.geometry, made.summary.sealed.sealed_hash, &none).expect("good numbers");
    assert!(matches!(early.finish::<Infallible>(), Err(RebuildError::Stripe(0))));
}

#[test]
fn one_file_reads_only_what_it_needs() {
    let files: Vec<Vec<u8>> = (0..20).map(|i| photo(i, 500_000)).collect();
    let made = make(files, 4, 6, 2 * UNIT_MIN);
    let reader = RollReader::new(made.geometry, made.opener()).expect("good numbers");
    let plan = reader.plan_data(5_000_000..5_500_000);
    assert_eq!(plan.segments, 4..6);
    assert!(plan.stripes.end - plan.stripes.start <= 2 * SEGMENT as u64 / made.geometry.stripe_len() + 2);
    assert!(reader.plan_data(7..7).stripes.is_empty());
    assert!(reader.plan_data(u64::MAX - 5..u64::MAX).stripes.is_empty());
}

#[test]
fn errors_name_roll_and_segment() {
    let mut made = make(vec![photo(1, 2_500_000)], 2, 3, UNIT_MIN);
    let reader = RollReader::new(made.geometry, made.opener()).expect("good numbers");
    let at = unit_offset(40, UNIT_MIN) as usize + 7;
    made.shards[2][at] ^= 1;
    let plan = reader.plan_data(0..2_500_000);
    assert!(read(&made, &reader, plan.clone(), &[0, 1]).is_ok());
    let error = read(&made, &reader, plan.clone(), &[0, 2]).expect_err("a flipped bit");
    assert!(matches!(error, RestoreError::Segment(bad) if bad.roll == ROLL && bad.number == 1), "{error}");
    let error = read(&made, &reader, plan.clone(), &[0]).expect_err("one shard of two");
    assert!(matches!(error, RestoreError::Code { stripe: 0, .. }), "{error}");

    let mut decoder = reader.read(reader.plan_data(0..1));
    while decoder.wants().is_some() {
        let stripe = decoder.wants().expect("just asked");
        let units = [(0, unit(&made, 0, stripe)), (1, unit(&made, 1, stripe))];
        decoder.stripe(&units, |_, _| ()).expect("whole");
    }
    assert!(matches!(decoder.stripe(&[], |_, _| ()), Err(RestoreError::Beyond(_))));
}

#[test]
fn another_key_opens_nothing() {
    let made = make(vec![photo(1, 5_000)], 1, 1, UNIT_MIN);
    let other = ReadingKey::from_secret(&[77; 32]);
    assert!(made.summary.wrapped_key.open(&other, LIBRARY, ROLL).is_err());
    let fresh = FreshKey::from_random([8; 32]);
    let mut random = <rand_chacha::ChaCha8Rng as rand_core::SeedableRng>::seed_from_u64(5);
    let wrapped = fresh.wrap(&other.public(), LIBRARY, ROLL, &mut random).expect("a good key");
    let opener = Opener::new(&wrapped.open(&other, LIBRARY, ROLL).expect("its own"), LIBRARY, ROLL);
    let blob = made.summary.sealed.catalog_blob.clone();
    let opened = open_catalog(blob, made.geometry.shape, &opener);
    assert!(matches!(opened, Err(CatalogBlobError::Segment(_))));
    let short = open_catalog(vec![1; 5], made.geometry.shape, &opener);
    assert!(matches!(short, Err(CatalogBlobError::Length { got: 5, .. })));
}
