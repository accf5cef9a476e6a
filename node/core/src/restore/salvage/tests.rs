use std::convert::Infallible;
use std::ops::Range;

use proptest::prelude::*;
use safelight_proto::limit::UNIT_MIN;
use safelight_proto::shard::{BLOCK, HEADER, HEADER_COPY, trailer, unit_offset};

use super::*;
use crate::code::check_unit;
use crate::ingest::testing::{LIBRARY, Made, ROLL, make, photo, reading};

/// A file in memory, with a part that the drive does not give.
struct File {
    bytes: Vec<u8>,
    unreadable: Range<u64>,
}

impl ShardBytes for File {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<(), Unreadable> {
        let end = offset + into.len() as u64;
        if offset < self.unreadable.end && self.unreadable.start < end {
            return Err(Unreadable);
        }
        into.copy_from_slice(self.bytes.get(offset as usize..end as usize).ok_or(Unreadable)?);
        Ok(())
    }
}

fn file(bytes: Vec<u8>) -> File {
    File { bytes, unreadable: 0..0 }
}

fn gather(files: impl IntoIterator<Item = File>) -> Salvage<File> {
    let mut salvage = Salvage::new(LIBRARY, reading());
    for file in files {
        // Some are cut off so early that they say nothing any more.
        salvage.add(file).ok();
    }
    salvage
}

/// Which files come back whole. A file that comes back wrong fails the test.
fn recovered(made: &Made, salvage: &mut Salvage<File>) -> Vec<bool> {
    let Ok(catalog) = salvage.catalog(ROLL) else { return vec![false; made.files.len()] };
    assert_eq!(catalog, made.catalog);
    let one = |(entry, original): (&Entry, &Vec<u8>)| {
        let mut bytes = Vec::new();
        let result = salvage.file(ROLL, entry, |piece| {
            bytes.extend_from_slice(piece);
            Ok::<(), Infallible>(())
        });
        assert!(result.is_err() || bytes == *original);
        result.is_ok()
    };
    catalog.entries.iter().zip(&made.files).map(one).collect()
}

fn all_back(made: &Made, files: impl IntoIterator<Item = File>) -> bool {
    recovered(made, &mut gather(files)).into_iter().all(|whole| whole)
}

fn small(k: u8, n: u8) -> Made {
    make(vec![photo(1, 300_000), photo(2, 5), vec![], photo(3, 1_400_000)], k, n, 2 * UNIT_MIN)
}

#[test]
fn whole_shards_and_the_key_are_enough() {
    let made = small(2, 4);
    let mut salvage = gather(made.shards[2..].iter().cloned().map(file));
    assert_eq!(salvage.rolls().collect::<Vec<_>>(), vec![(ROLL, 2)]);
    assert_eq!(recovered(&made, &mut salvage), vec![true; 4]);

    let mut few = gather([file(made.shards[0].clone())]);
    assert!(matches!(few.catalog(ROLL), Err(SalvageError::Segment(_))));
    assert!(matches!(few.catalog(RollId([9; 32])), Err(SalvageError::Missing { .. })));
    let mut other = Salvage::new(LIBRARY, ReadingKey::from_secret(&[55; 32]));
    other.add(file(made.shards[0].clone())).expect("a shard");
    assert_eq!(other.catalog(ROLL), Err(SalvageError::Key { roll: ROLL }));
    let mut elsewhere = Salvage::new(LibraryId([8; 32]), reading());
    assert_eq!(elsewhere.add(file(made.shards[0].clone())), Err(NotOurs::OtherLibrary(LIBRARY)));
    let foreign = gather([]).add(file(photo(1, 100_000)));
    assert_eq!(foreign, Err(NotOurs::NotAShard(NotABlock::Foreign)));
    assert!(gather([]).add(file(vec![])).is_err());
}

/// Places of a shard's file: header, units, footers, table.
fn places(made: &Made) -> [Range<usize>; 6] {
    let units = unit_offset(made.geometry.stripes(), made.geometry.unit) as usize;
    let len = made.geometry.shard_len() as usize;
    [
        0..BLOCK,
        HEADER_COPY..HEADER_COPY + BLOCK,
        HEADER..units,
        units..units + BLOCK,
        units + 4096..units + 4096 + made.geometry.stripes() as usize * 16,
        len - BLOCK..len,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// One shard, k = 1: there is nothing else to read. A flip outside the units costs nothing at all; in a unit it
    /// costs the files of one segment.
    #[test]
    fn a_flip_anywhere_costs_one_segment_at_most(place in 0usize..6, at: prop::sample::Index, bit in 0u8..8) {
        let made = small(1, 1);
        let place_range = places(&made)[place].clone();
        let mut shard = made.shards[0].clone();
        let at = place_range.start + at.index(place_range.len());
        shard[at] ^= 1 << bit;
        let mut salvage = gather([file(shard)]);
        let whole = recovered(&made, &mut salvage);
        if place != 2 {
            prop_assert_eq!(whole, vec![true; 4]);
        } else if at < HEADER + made.geometry.shape.catalog_range().start as usize {
            prop_assert!(whole.iter().filter(|whole| **whole).count() >= 1, "the empty file at least");
            let second_segment = at >= HEADER + (1 << 20) + 16;
            prop_assert_eq!(whole[0], second_segment, "the first file lies in the first segment");
        }
    }

    /// Damage to as many shards as the code can do without, a different place in each, is undone.
    #[test]
    fn scattered_flips_are_undone(seeds in proptest::collection::vec(any::<(u32, u8)>(), 1..12)) {
        let made = small(3, 5);
        let mut shards = made.shards.clone();
        // Two of five in every stripe: which two goes with the stripe.
        for (where_, bit) in seeds {
            let stripe = u64::from(where_) % made.geometry.stripes();
            let shard = (stripe as usize + (where_ as usize >> 16) % 2) % 5;
            let at = unit_offset(stripe, made.geometry.unit) as usize + (where_ as usize % made.geometry.unit as usize);
            shards[shard][at] ^= 1 << (bit % 8);
        }
        prop_assert!(all_back(&made, shards.into_iter().map(file)));
    }

    /// A file cut anywhere still gives the units that it has.
    #[test]
    fn truncated_shards_still_help(cut: prop::sample::Index) {
        let made = small(2, 3);
        let len = made.shards[0].len();
        let at = cut.index(len);
        let cut = made.shards[0][..at].to_vec();
        // Shard 1 is whole; what the cut one has of the stripes is read, so every file before the cut is back.
        let files = [file(cut.clone()), file(made.shards[1].clone()), file(made.shards[2].clone())];
        prop_assert!(all_back(&made, files));
        let whole = recovered(&made, &mut gather([file(cut), file(made.shards[1].clone())]));
        if at >= unit_offset(made.geometry.stripes(), made.geometry.unit) as usize {
            prop_assert_eq!(whole, vec![true; 4]);
        }
    }
}

#[test]
fn a_table_that_lies_is_overruled_by_the_seal() {
    let made = small(2, 3);
    let (units, unit) = (made.geometry.stripes(), made.geometry.unit);
    let mut shards = made.shards.clone();
    // The whole table of one shard is gone, and another shard is missing.
    let table = places(&made)[4].clone();
    shards[0][table].fill(0xee);
    assert!(all_back(&made, [file(shards[0].clone()), file(shards[2].clone())]));

    // A shard that is wrong throughout, with checks that match: a liar's.
    let mut lie = made.shards[0].clone();
    let mut checks = Vec::new();
    for number in 0..units {
        let at = unit_offset(number, unit) as usize..unit_offset(number + 1, unit) as usize;
        lie[at.clone()].fill(number as u8);
        checks.push(check_unit(number, &lie[at]));
    }
    let id = made.summary.shards[0].id;
    let tail = trailer(&id, made.geometry.shape, made.summary.sealed.sealed_hash, &checks);
    let end = lie.len() - tail.len();
    lie[end..].copy_from_slice(&tail);
    let rest = [file(made.shards[1].clone()), file(made.shards[2].clone())];
    assert!(all_back(&made, [file(lie)].into_iter().chain(rest)));
}

/// Every table is gone, and in every stripe another shard is wrong: only the seal can tell which.
#[test]
fn without_any_check_the_seal_chooses_stripe_by_stripe() {
    let made = make(vec![photo(1, 300_000), photo(2, 3_000_000)], 2, 3, 32 * UNIT_MIN);
    let mut shards = made.shards.clone();
    let table = places(&made)[4].clone();
    shards.iter_mut().for_each(|shard| shard[table.clone()].fill(0xee));
    for stripe in 0..made.geometry.stripes() {
        let wrong = &mut shards[stripe as usize % 3];
        wrong[unit_offset(stripe, made.geometry.unit) as usize..][..made.geometry.unit as usize].fill(9);
    }
    assert!(all_back(&made, shards.into_iter().map(file)));
}

/// Whoever knows the library's public key can wrap another key to it, and write headers to match.
#[test]
fn a_key_that_is_not_the_rolls_is_passed_over() {
    let made = small(2, 4);
    let mut random = <rand_chacha::ChaCha8Rng as rand_core::SeedableRng>::seed_from_u64(77);
    let liar = |index: usize| {
        let fresh = crate::seal::FreshKey::from_random([index as u8; 32]);
        let wrapped = fresh.wrap(&reading().public(), LIBRARY, ROLL, &mut random).expect("a good key");
        let id = safelight_proto::shard::ShardId { wrapped_key: wrapped.0, ..made.summary.shards[index].id };
        let units = made.geometry.stripes() as usize;
        let body = HEADER..unit_offset(made.geometry.stripes(), made.geometry.unit) as usize;
        let hash = made.summary.sealed.sealed_hash;
        let mut bytes = safelight_proto::shard::header(&id);
        bytes.extend_from_slice(&made.shards[index][body]);
        bytes.extend_from_slice(&trailer(&id, made.geometry.shape, hash, &vec![[0; 16]; units]));
        file(bytes)
    };
    let lies: Vec<File> = (0..4).map(liar).collect();
    let honest = made.shards[2..].iter().cloned().map(file);
    assert!(all_back(&made, lies.into_iter().chain(honest)));
}

#[test]
fn bad_sectors_duplicates_and_strangers_do_no_harm() {
    let made = small(2, 3);
    let other = make(vec![photo(9, 100)], 2, 3, UNIT_MIN);
    let len = made.shards[0].len() as u64;
    // Header, both footers and a unit of shard 0 cannot be read in one copy each; the copies are apart.
    for unreadable in [0..4096, len - 4096..len, 50_000..120_000, 0..unit_offset(3, made.geometry.unit)] {
        let broken = File { bytes: made.shards[0].clone(), unreadable };
        let files = [broken, file(made.shards[0].clone()), file(made.shards[2].clone())];
        assert!(all_back(&made, files));
    }
    // A file of another roll under the same id, as a liar might make it: it has another shape.
    let files = made.shards.iter().chain(&other.shards[..1]).cloned().map(file);
    assert!(all_back(&made, files));
}

#[test]
fn a_shard_without_any_footer_is_read_with_the_others_shape() {
    let made = small(2, 3);
    let units = unit_offset(made.geometry.stripes(), made.geometry.unit) as usize;
    let headless = made.shards[0][..units].to_vec();
    assert!(all_back(&made, [file(headless.clone()), file(made.shards[2].clone())]));
    let mut alone = gather([file(headless)]);
    assert_eq!(alone.catalog(ROLL), Err(SalvageError::NoFooter { roll: ROLL }));
    // Something appended hides the last footer, not the first.
    let longer = [made.shards[0].clone(), vec![7; 100_001]].concat();
    let found = examine(&file(longer)).expect("a shard");
    assert!(found.footer.is_some());
    // No header: the footer repeats it.
    let mut beheaded = made.shards[0].clone();
    beheaded[..HEADER].fill(0);
    assert_eq!(examine(&file(beheaded)).map(|found| found.id), Ok(made.summary.shards[0].id));
}
