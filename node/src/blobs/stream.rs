//! The bytes that carry parts of a shard between nodes: the length (8 bytes, little-endian), then BLAKE3
//! inner hashes and groups in pre-order, as iroh and bao write them. The reader verifies every group before
//! it keeps it.

use std::io::{self, Read};

use bao_tree::io::DecodeError;
use bao_tree::io::sync::DecodeResponseIter;
use bao_tree::iter::{BaoChunk, ResponseIterRef};
use bao_tree::{BaoTree, BlockSize, ChunkNum, ChunkRanges};
use safelight_proto::id::Hash;

use super::error::StoreError;
use super::groups::{GROUP, Groups};

/// 16 chunks of 1 KiB: iroh's block size.
const BLOCK: BlockSize = BlockSize::from_chunk_log(4);
/// Chunks of BLAKE3 in a group.
const CHUNKS: u64 = GROUP / 1024;
/// Bytes of the length in front.
const HEADER: u64 = 8;
/// Most groups one proof may hold.
pub const MAX_PROOF_GROUPS: u64 = 64;

/// The geometry of a shard of `len` bytes.
pub(super) fn tree(len: u64) -> BaoTree {
    BaoTree::new(len, BLOCK)
}

/// Groups as bao knows ranges.
pub(super) fn chunk_ranges(groups: &Groups) -> ChunkRanges {
    let mut ranges = ChunkRanges::empty();
    for range in groups.ranges() {
        ranges |=
            ChunkRanges::from(ChunkNum(range.start * CHUNKS)..ChunkNum(range.end.saturating_mul(CHUNKS)));
    }
    ranges
}

/// Bytes of the stream that carries `groups` of a shard of `len` bytes.
pub fn stream_len(len: u64, groups: &Groups) -> u64 {
    let ranges = chunk_ranges(&groups.within(len));
    let ranges = bao_tree::io::sync::truncate_ranges(&ranges, len);
    let body: u64 = ResponseIterRef::new(tree(len), ranges)
        .map(|item| match item {
            BaoChunk::Parent { .. } => 64,
            BaoChunk::Leaf { size, .. } => size as u64,
        })
        .sum();
    HEADER + body
}

/// Whether `proof` holds exactly the given groups of the shard, every one of them right. Pure: needs no
/// store.
pub fn check_proof(hash: Hash, len: u64, groups: &Groups, proof: &[u8]) -> bool {
    let groups = groups.within(len);
    if groups.is_empty() || groups.count() > MAX_PROOF_GROUPS {
        return false;
    }
    let mut rest = proof;
    decode(hash, len, &groups, &mut rest, |_| Ok(())).is_ok() && rest.is_empty()
}

/// Reads the stream of `groups` of a shard that is to be used and not kept: hands on each group with its place in the
/// shard, in order, once it is verified. Blocks; holds one group.
pub fn verify_stream(
    hash: Hash,
    len: u64,
    groups: &Groups,
    reader: impl Read,
    mut sink: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> Result<(), StoreError> {
    let hand_on = |piece: Piece<'_>| match piece {
        Piece::Pair(..) => Ok(()),
        Piece::Group(at, bytes) => sink(at, bytes),
    };
    decode(hash, len, &groups.within(len), reader, hand_on).map_err(|broken| match broken {
        Broken::Bad(why) => StoreError::BadStream { hash, why },
        Broken::Cut(error) | Broken::Keep(error) => StoreError::Cut { hash, why: error.to_string() },
    })
}

/// A piece of a stream, already verified.
pub(super) enum Piece<'a> {
    /// A pair of hashes and its place in the outboard, in bytes.
    Pair(u64, [u8; 64]),
    /// A group and its place in the shard.
    Group(u64, &'a [u8]),
}

/// Why a stream ended early.
pub(super) enum Broken {
    /// It does not verify.
    Bad(String),
    /// It broke off.
    Cut(io::Error),
    /// What was verified could not be kept.
    Keep(io::Error),
}

/// Reads `groups` of a shard from `reader`, handing each piece on once it is verified.
pub(super) fn decode(
    hash: Hash,
    len: u64,
    groups: &Groups,
    mut reader: impl Read,
    mut keep: impl FnMut(Piece<'_>) -> io::Result<()>,
) -> Result<(), Broken> {
    let mut header = [0; HEADER as usize];
    reader.read_exact(&mut header).map_err(Broken::Cut)?;
    if u64::from_le_bytes(header) != len {
        return Err(Broken::Bad(format!("it claims {} bytes, not {len}", u64::from_le_bytes(header))));
    }
    let (tree, ranges) = (tree(len), chunk_ranges(groups));
    for item in DecodeResponseIter::new(hash.0.into(), tree, reader, &ranges) {
        match item {
            Ok(bao_tree::io::BaoContentItem::Parent(parent)) => {
                let Some(at) = tree.pre_order_offset(parent.node) else { continue };
                let mut pair = [0; 64];
                pair[..32].copy_from_slice(parent.pair.0.as_bytes());
                pair[32..].copy_from_slice(parent.pair.1.as_bytes());
                keep(Piece::Pair(at * 64, pair)).map_err(Broken::Keep)?;
            }
            Ok(bao_tree::io::BaoContentItem::Leaf(leaf)) => {
                keep(Piece::Group(leaf.offset, &leaf.data)).map_err(Broken::Keep)?;
            }
            Err(DecodeError::Io(error)) => return Err(Broken::Cut(error)),
            Err(error @ (DecodeError::ParentNotFound(_) | DecodeError::LeafNotFound(_))) => {
                return Err(Broken::Cut(io::Error::new(io::ErrorKind::UnexpectedEof, error)));
            }
            Err(error) => return Err(Broken::Bad(error.to_string())),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bao_tree::io::outboard::PreOrderMemOutboard;
    use bao_tree::io::sync::encode_ranges_validated;
    use proptest::prelude::*;

    use super::*;

    fn stream(bytes: &[u8], groups: &Groups) -> (Hash, Vec<u8>) {
        let outboard = PreOrderMemOutboard::create(bytes, BLOCK);
        let mut out = (bytes.len() as u64).to_le_bytes().to_vec();
        encode_ranges_validated(bytes, &outboard, &chunk_ranges(groups), &mut out).unwrap();
        (Hash(*outboard.root.as_bytes()), out)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn lengths_are_known_and_only_true_proofs_pass(
            len in 1usize..600_000,
            picks in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
            flip in any::<prop::sample::Index>(),
        ) {
            let bytes: Vec<u8> = (0..len).map(|i| (i / 100 % 251) as u8).collect();
            let n = len as u64;
            let groups = Groups::from_indexes(picks.iter().map(|p| p.index(n.div_ceil(GROUP) as usize) as u64));
            let (hash, proof) = stream(&bytes, &groups);
            prop_assert_eq!(stream_len(n, &groups), proof.len() as u64);
            prop_assert!(check_proof(hash, n, &groups, &proof));
            let mut seen = Vec::new();
            let read = verify_stream(hash, n, &groups, &proof[..], |at, group| {
                assert_eq!(&bytes[at as usize..at as usize + group.len()], group);
                seen.push(at / GROUP);
                Ok(())
            });
            prop_assert!(read.is_ok());
            prop_assert_eq!(Groups::from_indexes(seen), groups.clone());
            let mut forged = proof.clone();
            forged[flip.index(proof.len())] ^= 1;
            prop_assert!(!check_proof(hash, n, &groups, &forged));
            prop_assert!(verify_stream(hash, n, &groups, &forged[..], |_, _| Ok(())).is_err());
            prop_assert!(!check_proof(hash, n, &groups, &proof[..flip.index(proof.len())]));
            prop_assert!(!check_proof(hash, n, &groups, &[&proof[..], &[0]].concat()));
            prop_assert!(!check_proof(Hash::of(b"other"), n, &groups, &proof));
            // Another group of the same shard is no proof of this one.
            let others = Groups::all(n).minus(&groups);
            if let Some(other) = others.ranges().first() {
                prop_assert!(!check_proof(hash, n, &Groups::from_indexes([other.start]), &proof));
            }
        }
    }

    #[test]
    fn a_proof_has_bounds() {
        let bytes = vec![7; 100 * GROUP as usize];
        let groups = Groups::all(bytes.len() as u64);
        let (hash, proof) = stream(&bytes, &groups);
        assert!(!check_proof(hash, bytes.len() as u64, &groups, &proof));
        assert!(!check_proof(hash, bytes.len() as u64, &Groups::none(), &[]));
    }
}
