//! Verified reading: BLAKE3's tree over 16 KiB groups, with the inner hashes in an outboard file beside the
//! data.
//!
//! The outboard is iroh-blobs' `.obao4`: the pairs of child hashes in pre-order, 64 bytes each. A subtree of
//! g groups has g-1 pairs, its left child is the largest power of two of groups below g, so every place
//! follows by arithmetic. Unlike a library's iterators this walk goes on after damage and reports which
//! groups are bad.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use safelight_core::code::{HashedTree, TreeHasher};
use safelight_proto::id::Hash;

use super::groups::{GROUP, Groups, count};
use crate::disk::direct::read_through;

/// Bytes of a pair of hashes.
const PAIR: u64 = 64;

/// Length of the outboard of a shard of `len` bytes; zero where the shard is one group.
pub(super) fn outboard_len(len: u64) -> u64 {
    count(len).saturating_sub(1) * PAIR
}

/// A shard's data and outboard, to be read with every group checked.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    pub(super) hash: Hash,
    pub(super) len: u64,
    pub(super) data: &'a File,
    /// Not read where the shard is one group.
    pub(super) outboard: Option<&'a File>,
}

impl Tree<'_> {
    /// Walks the wanted groups in order. `visit` gets each range of bytes with its verified content, or
    /// without it where it is damaged or unreadable; an unreadable pair of hashes takes all groups below it
    /// along.
    pub(super) fn walk<E>(
        &self,
        want: &Groups,
        visit: &mut impl FnMut(Range<u64>, Option<&[u8]>) -> Result<(), E>,
    ) -> Result<(), E> {
        let groups = 0..count(self.len).max(1);
        let mut buffer = vec![0; GROUP as usize];
        self.node(groups, 0, &self.hash.0, true, want, &mut buffer, visit)
    }

    #[expect(clippy::too_many_arguments, reason = "the state of one recursion, of at most 64 levels")]
    fn node<E>(
        &self,
        groups: Range<u64>,
        pair: u64,
        expected: &ChainingValue,
        root: bool,
        want: &Groups,
        buffer: &mut [u8],
        visit: &mut impl FnMut(Range<u64>, Option<&[u8]>) -> Result<(), E>,
    ) -> Result<(), E> {
        if !want.touches(&groups) {
            return Ok(());
        }
        let bytes = groups.start * GROUP..(groups.end * GROUP).min(self.len);
        if groups.end - groups.start == 1 {
            let buffer = &mut buffer[..(bytes.end - bytes.start) as usize];
            let good = self.data.read_exact_at(buffer, bytes.start).is_ok()
                && leaf_hash(bytes.start, buffer, root) == *expected;
            return visit(bytes, good.then_some(&*buffer));
        }
        let Some((left, right)) = self.pair(pair, expected, root) else {
            return visit(bytes, None);
        };
        let middle = groups.start + left_groups(groups.end - groups.start);
        self.node(groups.start..middle, pair + 1, &left, false, want, buffer, visit)?;
        self.node(middle..groups.end, pair + (middle - groups.start), &right, false, want, buffer, visit)
    }

    /// The pair at a place of the outboard, if it is readable and right.
    fn pair(&self, at: u64, expected: &ChainingValue, root: bool) -> Option<(ChainingValue, ChainingValue)> {
        let mut bytes = [0; PAIR as usize];
        self.outboard?.read_exact_at(&mut bytes, at * PAIR).ok()?;
        let (left, right) = bytes.split_at(32);
        let (left, right): (ChainingValue, ChainingValue) = (left.try_into().ok()?, right.try_into().ok()?);
        let parent = if root {
            *merge_subtrees_root(&left, &right, Mode::Hash).as_bytes()
        } else {
            merge_subtrees_non_root(&left, &right, Mode::Hash)
        };
        (parent == *expected).then_some((left, right))
    }
}

/// BLAKE3 of a whole file and its tree, from its bytes alone, as they are on the medium.
pub(super) fn read_tree(path: &Path) -> io::Result<HashedTree> {
    let mut hasher = TreeHasher::new();
    read_through(&File::open(path)?, |bytes| hasher.update(bytes))?;
    Ok(hasher.finish())
}

fn leaf_hash(offset: u64, bytes: &[u8], root: bool) -> ChainingValue {
    if root {
        return *blake3::hash(bytes).as_bytes();
    }
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(offset);
    hasher.update(bytes);
    hasher.finalize_non_root()
}

/// Groups in the left child of a node of `groups` (at least two).
fn left_groups(groups: u64) -> u64 {
    groups.div_ceil(2).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::io::Write;

    use bao_tree::BlockSize;
    use bao_tree::io::outboard::PreOrderMemOutboard;
    use proptest::prelude::*;

    use super::*;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn content(len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        blake3::Hasher::new().update(&len.to_le_bytes()).finalize_xof().fill(&mut bytes);
        bytes
    }

    fn damaged(tree: &Tree<'_>, want: &Groups) -> (Vec<u8>, Groups) {
        let (mut good, mut bad) = (Vec::new(), Groups::none());
        let done: Result<(), Infallible> = tree.walk(want, &mut |bytes, content| {
            match content {
                Some(content) => good.extend_from_slice(content),
                None => bad.push(bytes.start / GROUP..bytes.end.div_ceil(GROUP)),
            }
            Ok(())
        });
        done.unwrap();
        (good, bad)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn agrees_with_bao_and_finds_every_flip(
            len in prop_oneof![1usize..40_000, 300_000usize..330_000, Just(GROUP as usize), Just(8 * GROUP as usize)],
            flips in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        ) {
            let mut bytes = content(len);
            let bao = PreOrderMemOutboard::create(&bytes, BlockSize::from_chunk_log(4));
            prop_assert_eq!(bao.data.len() as u64, outboard_len(len as u64));
            let outboard = file(&bao.data);
            let bad = Groups::from_indexes(flips.iter().map(|f| {
                let at = f.index(len);
                bytes[at] ^= 0x40;
                at as u64 / GROUP
            }));
            // Two flips of one bit in one place undo each other.
            let intact = content(len);
            let really = Groups::from_indexes(
                bad.ranges().iter().cloned().flatten().filter(|g| {
                    let range = (*g * GROUP) as usize..((*g + 1) * GROUP).min(len as u64) as usize;
                    bytes[range.clone()] != intact[range]
                }));
            let data = file(&bytes);
            let tree = Tree { hash: Hash(*bao.root.as_bytes()), len: len as u64, data: &data, outboard: Some(&outboard) };
            let (good, found) = damaged(&tree, &Groups::all(len as u64));
            prop_assert_eq!(good.len() as u64, len as u64 - found.bytes(len as u64));
            prop_assert_eq!(found, really);
            let mut named = tempfile::NamedTempFile::new().unwrap();
            named.write_all(&intact).unwrap();
            let read = read_tree(named.path()).unwrap();
            prop_assert_eq!((read.hash(), read.len(), read.outboard()), (tree.hash, len as u64, bao.data));
        }
    }

    #[test]
    fn a_part_is_read_alone_and_a_lost_outboard_verifies_nothing() {
        let bytes = content(10 * GROUP as usize + 5);
        let bao = PreOrderMemOutboard::create(&bytes, BlockSize::from_chunk_log(4));
        let (data, outboard, empty) = (file(&bytes), file(&bao.data), file(&[]));
        let hash = Hash(*bao.root.as_bytes());
        let tree = Tree { hash, len: bytes.len() as u64, data: &data, outboard: Some(&outboard) };
        let (part, bad) = damaged(&tree, &Groups::from_ranges([3..5, 10..11]));
        assert!(bad.is_empty());
        assert_eq!(
            part,
            [&bytes[3 * GROUP as usize..5 * GROUP as usize], &bytes[10 * GROUP as usize..]].concat()
        );
        let blind = Tree { outboard: Some(&empty), ..tree };
        let (nothing, bad) = damaged(&blind, &Groups::all(blind.len));
        assert!(nothing.is_empty() && bad == Groups::all(blind.len));
    }
}
