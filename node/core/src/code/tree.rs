//! BLAKE3 with its tree left standing: the root, every 16 KiB group's chaining value, and the outboard, in one pass.
//!
//! The outboard is the one that iroh-blobs keeps in `.obao4` files: pairs of chaining values in pre-order,
//! without a length in front (bao-tree's `PreOrderOutboard` with `BlockSize(4)`).

use std::fmt;
use std::ops::Range;

use blake3::hazmat::{
    ChainingValue, HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root,
};
use safelight_proto::id::Hash;
use safelight_proto::limit::GROUP;

/// Takes bytes as they come.
pub struct TreeHasher {
    /// Chaining values of the groups that are complete: 32 bytes per 16 KiB.
    groups: Vec<ChainingValue>,
    /// The group that is not complete.
    open: blake3::Hasher,
    open_len: usize,
    /// What the hash is if nothing follows the first group.
    sole: Hash,
}

impl TreeHasher {
    /// A hasher that has seen nothing.
    pub fn new() -> Self {
        Self { groups: Vec::new(), open: blake3::Hasher::new(), open_len: 0, sole: Hash::of(&[]) }
    }

    /// Takes the next bytes. Whole groups on a group's boundary are fastest.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(GROUP - self.open_len));
            if self.open_len == 0 {
                self.open = blake3::Hasher::new();
                self.open.set_input_offset((self.groups.len() * GROUP) as u64);
            }
            self.open.update(now);
            self.open_len += now.len();
            bytes = rest;
            if self.open_len == GROUP {
                self.close();
            }
        }
    }

    /// Bytes taken so far.
    pub fn count(&self) -> u64 {
        (self.groups.len() * GROUP + self.open_len) as u64
    }

    /// Chaining values of the groups that are complete.
    pub fn groups(&self) -> &[ChainingValue] {
        &self.groups
    }

    /// The tree over all that was taken.
    pub fn finish(mut self) -> HashedTree {
        let len = self.count();
        if self.open_len > 0 {
            self.close();
        }
        let (hash, groups) = match self.groups.len() {
            0 | 1 => (self.sole, self.groups),
            _ => (root(&self.groups), self.groups),
        };
        HashedTree { groups, hash, len }
    }

    fn close(&mut self) {
        if self.groups.is_empty() {
            self.sole = self.open.finalize().into();
        }
        self.groups.push(self.open.finalize_non_root());
        self.open_len = 0;
    }
}

impl Default for TreeHasher {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TreeHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TreeHasher({} bytes)", self.count())
    }
}

/// The tree over a whole blob.
#[derive(Clone)]
pub struct HashedTree {
    groups: Vec<ChainingValue>,
    hash: Hash,
    len: u64,
}

impl HashedTree {
    /// BLAKE3 of the blob.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Bytes of the blob.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the blob has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The outboard: 64 bytes for each group but the last, in pre-order. Empty for a blob of one group.
    pub fn outboard(&self) -> Vec<u8> {
        let mut pairs = Vec::with_capacity(self.groups.len().saturating_sub(1) * 64);
        if self.groups.len() > 1 {
            subtree(&self.groups, &mut |at, left, right| {
                let place: Range<usize> = at * 64..at * 64 + 64;
                if pairs.len() < place.end {
                    pairs.resize(place.end, 0);
                }
                pairs[place.start..][..32].copy_from_slice(left);
                pairs[place.start + 32..place.end].copy_from_slice(right);
            });
        }
        pairs
    }
}

impl fmt::Debug for HashedTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HashedTree({:?}, {} bytes)", self.hash, self.len)
    }
}

/// The root over at least two groups.
fn root(groups: &[ChainingValue]) -> Hash {
    let (left, right) = groups.split_at(left_groups(groups.len()));
    let left = merge(left, 0, &mut |_, _, _| ());
    let right = merge(right, 0, &mut |_, _, _| ());
    merge_subtrees_root(&left, &right, Mode::Hash).into()
}

/// What is told of each parent: its place in pre-order, and the two values below it.
type Tell<'a> = dyn FnMut(usize, &ChainingValue, &ChainingValue) + 'a;

fn subtree(groups: &[ChainingValue], tell: &mut Tell<'_>) {
    merge(groups, 0, tell);
}

/// The chaining value over `groups`, whose topmost parent is number `at` in pre-order. The depth is the logarithm
/// of the number of groups.
fn merge(groups: &[ChainingValue], at: usize, tell: &mut Tell<'_>) -> ChainingValue {
    if let [group] = groups {
        return *group;
    }
    let (left, right) = groups.split_at(left_groups(groups.len()));
    // A subtree of g groups has g - 1 parents.
    let left_value = merge(left, at + 1, tell);
    let right_value = merge(right, at + left.len(), tell);
    tell(at, &left_value, &right_value);
    merge_subtrees_non_root(&left_value, &right_value, Mode::Hash)
}

/// How many of so many groups stand left of their topmost parent.
fn left_groups(groups: usize) -> usize {
    left_subtree_len((groups * GROUP) as u64) as usize / GROUP
}

#[cfg(test)]
mod tests {
    use bao_tree::BlockSize;
    use bao_tree::io::outboard::PreOrderMemOutboard;
    use proptest::prelude::*;

    use super::*;

    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i as u8).wrapping_mul(17) ^ (i >> 8) as u8 ^ (i >> 16) as u8).collect()
    }

    fn check(len: usize, step: usize) {
        let bytes = bytes(len);
        let mut hasher = TreeHasher::new();
        for piece in bytes.chunks(step) {
            hasher.update(piece);
        }
        let tree = hasher.finish();
        assert_eq!(tree.hash(), Hash::of(&bytes), "{len} by {step}");
        assert_eq!(tree.len(), len as u64);
        let theirs = PreOrderMemOutboard::create(&bytes, BlockSize::from_chunk_log(4));
        assert_eq!(tree.outboard(), theirs.data, "{len} by {step}");
    }

    #[test]
    fn edges() {
        for len in [0, 1, 1023, 1024, 1025, GROUP - 1, GROUP, GROUP + 1, 2 * GROUP, 3 * GROUP + 5] {
            check(len, GROUP);
            check(len, 1000);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn as_blake3_and_bao_say(len in 0usize..40 * GROUP, step in 1usize..3 * GROUP) {
            check(len, step.max(500));
        }
    }
}
