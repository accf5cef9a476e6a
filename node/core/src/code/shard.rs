//! Making one shard file: header, units, trailer, and its BLAKE3 tree in the same pass.

use std::fmt;

use blake3::hazmat::{ChainingValue, HasherExt};
use safelight_proto::id::Hash;
use safelight_proto::limit::GROUP;
use safelight_proto::shard::{CHECK, HEADER, ShardId, StreamShape, UnitCheck, header, trailer};

use super::tree::{HashedTree, TreeHasher};

/// What is known of a roll once it is sealed to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollEnd {
    /// Lengths of its two parts.
    pub shape: StreamShape,
    /// BLAKE3 of its sealed stream, before padding to stripes.
    pub sealed_hash: Hash,
}

/// A shard file in the making. The caller writes, in order: [`Self::header`], the units it hands to
/// [`Self::unit`], and the finished shard's trailer.
pub struct ShardBuilder {
    id: ShardId,
    tree: TreeHasher,
    checks: Vec<UnitCheck>,
}

impl ShardBuilder {
    /// A shard without units.
    pub fn new(id: ShardId) -> Self {
        let mut tree = TreeHasher::new();
        tree.update(&header(&id));
        Self { id, tree, checks: Vec::new() }
    }

    /// What shard it is.
    pub fn id(&self) -> &ShardId {
        &self.id
    }

    /// The file's first bytes.
    pub fn header(&self) -> Vec<u8> {
        header(&self.id)
    }

    /// Takes the next unit.
    pub fn unit(&mut self, bytes: &[u8]) {
        assert_eq!(bytes.len(), self.id.unit as usize, "all units of a coding have one length");
        let before = self.tree.groups().len();
        self.tree.update(bytes);
        self.checks.push(check_of(&self.tree.groups()[before..]));
    }

    /// The file's last bytes, and its hash.
    pub fn finish(mut self, end: &RollEnd) -> FinishedShard {
        let trailer = trailer(&self.id, end.shape, end.sealed_hash, &self.checks);
        self.tree.update(&trailer);
        FinishedShard { id: self.id, trailer, tree: self.tree.finish() }
    }
}

impl fmt::Debug for ShardBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShardBuilder({:?} {}, {} units)", self.id.roll, self.id.index, self.checks.len())
    }
}

/// A shard file that is complete but for the trailer's bytes.
#[derive(Debug, Clone)]
pub struct FinishedShard {
    /// What shard it is.
    pub id: ShardId,
    /// What stands behind the last unit.
    pub trailer: Vec<u8>,
    /// BLAKE3 and length of the whole file, and its outboard.
    pub tree: HashedTree,
}

/// The check of unit `number` of a shard, as its table has it: the first 16 bytes of a BLAKE3 over the chaining
/// values of its groups, which depend on where in the file they stand.
pub fn check_unit(number: u64, bytes: &[u8]) -> UnitCheck {
    let start = HEADER as u64 + number * bytes.len() as u64;
    let group = |(at, group): (usize, &[u8])| -> ChainingValue {
        let mut hasher = blake3::Hasher::new();
        hasher.set_input_offset(start + (at * GROUP) as u64);
        hasher.update(group);
        hasher.finalize_non_root()
    };
    let groups: Vec<ChainingValue> = bytes.chunks(GROUP).enumerate().map(group).collect();
    check_of(&groups)
}

fn check_of(groups: &[ChainingValue]) -> UnitCheck {
    let mut hasher = blake3::Hasher::new();
    for group in groups {
        hasher.update(group);
    }
    let mut check = [0; CHECK];
    check.copy_from_slice(&hasher.finalize().as_bytes()[..CHECK]);
    check
}

#[cfg(test)]
mod tests {
    use safelight_proto::id::{CodingId, LibraryId, RollId};
    use safelight_proto::shard::{BLOCK, Footer, Geometry, table_offset, unit_offset};

    use super::*;

    #[test]
    fn the_hash_is_of_the_file_and_checks_stand_in_the_table() {
        let id = ShardId {
            library: LibraryId([1; 32]),
            roll: RollId([2; 32]),
            coding: CodingId([3; 16]),
            k: 2,
            index: 1,
            unit: 32 * 1024,
            wrapped_key: [4; 80],
        };
        let shape = StreamShape { data_bytes: 50 * 4096, catalog_bytes: 4096 };
        let units = Geometry { shape, k: 2, unit: id.unit }.stripes();
        assert_eq!(units, 4);
        let mut builder = ShardBuilder::new(id);
        let mut file = builder.header();
        for number in 0..units {
            let unit = vec![number as u8; id.unit as usize];
            builder.unit(&unit);
            file.extend_from_slice(&unit);
        }
        let shard = builder.finish(&RollEnd { shape, sealed_hash: Hash([5; 32]) });
        file.extend_from_slice(&shard.trailer);
        assert_eq!(shard.tree.hash(), Hash::of(&file));
        assert_eq!(shard.tree.len(), file.len() as u64);

        let block = file[file.len() - BLOCK..].try_into().expect("one block");
        assert_eq!(Footer::from_block(block).map(|footer| footer.units), Ok(units));
        let table = table_offset(units, id.unit) as usize;
        for number in 0..units {
            let at = unit_offset(number, id.unit) as usize;
            let check = check_unit(number, &file[at..at + id.unit as usize]);
            assert_eq!(file[table + number as usize * CHECK..][..CHECK], check);
            assert_ne!(check, check_unit(number + 1, &file[at..at + id.unit as usize]));
        }
    }
}
