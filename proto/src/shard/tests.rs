use proptest::prelude::*;

use super::*;
use crate::id::{CodingId, Hash, LibraryId, RollId};
use crate::limit::{GRAIN, SEGMENT, TAG};

fn shard() -> ShardId {
    ShardId {
        library: LibraryId([1; 32]),
        roll: RollId([2; 32]),
        coding: CodingId([3; 16]),
        k: 4,
        index: 5,
        unit: 16 * 1024,
        wrapped_key: [4; 80],
    }
}

fn footer(shape: StreamShape) -> Footer {
    let id = shard();
    let units = Geometry { shape, k: id.k, unit: id.unit }.stripes();
    Footer { id, shape, units, sealed_hash: Hash([5; 32]), table_hash: Hash([6; 32]) }
}

fn shapes() -> impl Strategy<Value = StreamShape> {
    let pages = prop_oneof![0u64..600, 0u64..1_000_000];
    (pages, 1u64..600)
        .prop_map(|(data, catalog)| StreamShape { data_bytes: data * GRAIN, catalog_bytes: catalog * GRAIN })
}

proptest! {
    #[test]
    fn segments_tile_the_stream(data in 0u64..600, catalog in 1u64..600) {
        let shape = StreamShape::checked(data * GRAIN, catalog * GRAIN).expect("a good shape");
        let (mut plain, mut sealed) = (0, 0);
        for number in 0..shape.segments() {
            let segment = shape.segment(number).expect("within the roll");
            prop_assert_eq!(segment.plain_offset, plain);
            prop_assert_eq!(segment.sealed_offset, sealed);
            prop_assert!(segment.plain_len > 0 && segment.plain_len <= SEGMENT);
            prop_assert_eq!(segment.part == Part::Catalog, plain >= shape.data_bytes);
            prop_assert_eq!(segment.last, number + 1 == shape.segments());
            plain += segment.plain_len as u64;
            sealed += (segment.plain_len + TAG) as u64;
        }
        prop_assert_eq!(plain, shape.data_bytes + shape.catalog_bytes);
        prop_assert_eq!(sealed, shape.sealed_len());
        prop_assert_eq!(shape.segment(shape.segments()), None);
    }

    #[test]
    fn footers_there_and_back(shape in shapes()) {
        let footer = footer(shape);
        prop_assert_eq!(Footer::from_block(&footer.to_block()), Ok(footer));
    }

    #[test]
    fn a_flipped_bit_is_damage_or_harmless(at in 0..BLOCK * 8) {
        let mut block = shard().to_block();
        block[at / 8] ^= 1 << (at % 8);
        if at / 8 >= BLOCK - 16 {
            prop_assert_eq!(ShardId::from_block(&block), Ok(shard()));
        } else {
            prop_assert_eq!(ShardId::from_block(&block), Err(NotABlock::Damaged));
        }
    }

    #[test]
    fn a_length_gives_the_units(units in 0u64..100_000, grains in 1u32..=64) {
        let unit = grains * 16 * 1024;
        let len = shard_len(units, unit);
        prop_assert_eq!(units_of_len(len, unit), Some(units));
        prop_assert_eq!(units_of_len(len - 1, unit), None);
        prop_assert_eq!(units_of_len(len + 1, unit), None);
    }

    #[test]
    fn padding_is_small_and_monotone(bytes in 0u64..1 << 33) {
        let long = padded(bytes);
        prop_assert!(long >= bytes && long.is_multiple_of(GRAIN));
        prop_assert!(long - bytes <= (bytes / 8).max(GRAIN));
        prop_assert!(padded(bytes + 1) >= long);
        prop_assert_eq!(padded(long), long);
    }
}

#[test]
fn blocks_are_bounded() {
    for (k, unit) in [(0, 16384), (33, 16384), (4, 0), (4, 4096), (4, 2 << 20)] {
        let id = ShardId { k, unit, ..shard() };
        assert!(matches!(ShardId::from_block(&id.to_block()), Err(NotABlock::Bounds(_))), "{k} {unit}");
    }
    let beyond = ShardId { index: 255, ..shard() };
    assert_eq!(ShardId::from_block(&beyond.to_block()), Err(NotABlock::Index));
    for (data_bytes, catalog_bytes) in [(1, 4096), (4096, 0), (u64::MAX, 4096), (0, u64::MAX - 4095)] {
        assert!(StreamShape::checked(data_bytes, catalog_bytes).is_err());
    }
    let mut wrong = footer(StreamShape { data_bytes: 0, catalog_bytes: GRAIN });
    wrong.units += 1;
    assert_eq!(Footer::from_block(&wrong.to_block()), Err(NotABlock::Damaged));
    assert_eq!(ShardId::from_block(&[0; BLOCK]), Err(NotABlock::Foreign));
    let footer = footer(StreamShape { data_bytes: 0, catalog_bytes: GRAIN });
    assert_eq!(ShardId::from_block(&footer.to_block()), Err(NotABlock::Foreign));
}

#[test]
fn a_trailer_has_its_footer_at_both_ends() {
    let shape = StreamShape { data_bytes: 300 * GRAIN, catalog_bytes: GRAIN };
    let geometry = Geometry { shape, k: 4, unit: shard().unit };
    let checks = vec![[9; CHECK]; geometry.stripes() as usize];
    let bytes = trailer(&shard(), shape, Hash([5; 32]), &checks);
    assert_eq!(HEADER as u64 + geometry.stripes() * 16384 + bytes.len() as u64, geometry.shard_len());
    assert_eq!(bytes[..BLOCK], bytes[bytes.len() - BLOCK..]);
    assert!(bytes.ends_with(b"SAFELIGHT-FOOTER"));
    let footer = Footer::from_block(bytes[..BLOCK].try_into().expect("one block")).expect("whole");
    assert_eq!(footer.table_hash, Hash::of(&checks.concat()));
    let at = table_offset(footer.units, footer.id.unit) - unit_offset(footer.units, footer.id.unit);
    assert_eq!(bytes[at as usize..][..CHECK], [9; CHECK]);
}
