//! The two checked blocks of a shard file: one in the header, one in the trailer.
//!
//! Both are 512 bytes: fields in little-endian, zeros, a BLAKE3 of all that stands before it, and an end mark.

use super::shape::{BadShape, Geometry, StreamShape, check_coding};
use crate::id::{CodingId, Hash, LibraryId, RollId};
use crate::limit::N_MAX;

/// Bytes of a block.
pub const BLOCK: usize = 512;

/// The version of the shard format that this program writes, and the only one it reads.
const VERSION: u16 = 1;
const MAGIC: &[u8; 9] = b"SAFELIGHT";
const HEADER: Kind = Kind { byte: b'H', end: b"SAFELIGHT-HEADER" };
const FOOTER: Kind = Kind { byte: b'F', end: b"SAFELIGHT-FOOTER" };
const CHECKSUM: usize = BLOCK - 16 - 32;
const END: usize = BLOCK - 16;

/// What tells the two blocks apart: a byte after the magic, and the end mark.
struct Kind {
    byte: u8,
    end: &'static [u8; 16],
}

/// Why bytes are no header or footer of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotABlock {
    /// Neither at the start nor at the end does it say that it is one.
    #[error("this is no Safelight shard")]
    Foreign,
    /// It says that it is one, and its checksum says that it is damaged.
    #[error("the header or footer of this shard is damaged")]
    Damaged,
    /// A later program wrote it.
    #[error("this shard has format version {0}; this program reads version 1")]
    Version(u16),
    /// A number in it is out of bounds.
    #[error("this shard cannot be: {0}")]
    Bounds(#[from] BadShape),
    /// A shard index that no code has.
    #[error("this shard cannot be: it has number 255")]
    Index,
}

/// What a shard is: everything that its header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShardId {
    /// Library that it belongs to.
    pub library: LibraryId,
    /// Roll that it is a piece of.
    pub roll: RollId,
    /// Coding that made it.
    pub coding: CodingId,
    /// Shards that rebuild the roll.
    pub k: u8,
    /// Row of the code; below k the units are the sealed stream itself.
    pub index: u8,
    /// Bytes of a unit.
    pub unit: u32,
    /// The roll key, wrapped to the library's reading key.
    pub wrapped_key: [u8; 80],
}

/// What a shard's trailer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Footer {
    /// The header once more.
    pub id: ShardId,
    /// Lengths of the roll's stream.
    pub shape: StreamShape,
    /// Units of this shard.
    pub units: u64,
    /// BLAKE3 of the sealed stream before it is padded to stripes.
    pub sealed_hash: Hash,
    /// BLAKE3 of the table of checks.
    pub table_hash: Hash,
}

impl ShardId {
    /// The header's block.
    pub fn to_block(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        self.write(&mut block);
        close(&mut block, &HEADER);
        block
    }

    /// The shard of a header's block.
    pub fn from_block(block: &[u8; BLOCK]) -> Result<Self, NotABlock> {
        open(block, &HEADER)?;
        Self::read(block)
    }

    fn write(&self, block: &mut [u8; BLOCK]) {
        block[..9].copy_from_slice(MAGIC);
        block[10..12].copy_from_slice(&VERSION.to_le_bytes());
        block[12] = self.k;
        block[13] = self.index;
        block[16..20].copy_from_slice(&self.unit.to_le_bytes());
        block[24..56].copy_from_slice(self.library.as_bytes());
        block[56..88].copy_from_slice(self.roll.as_bytes());
        block[88..104].copy_from_slice(self.coding.as_bytes());
        block[104..184].copy_from_slice(&self.wrapped_key);
    }

    fn read(block: &[u8; BLOCK]) -> Result<Self, NotABlock> {
        let id = Self {
            library: LibraryId(take(block, 24)),
            roll: RollId(take(block, 56)),
            coding: CodingId(take(block, 88)),
            k: block[12],
            index: block[13],
            unit: u32::from_le_bytes(take(block, 16)),
            wrapped_key: take(block, 104),
        };
        check_coding(id.k, id.unit)?;
        if id.index == N_MAX {
            return Err(NotABlock::Index);
        }
        Ok(id)
    }
}

impl Footer {
    /// The trailer's block.
    pub fn to_block(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        self.id.write(&mut block);
        block[184..192].copy_from_slice(&self.shape.data_bytes.to_le_bytes());
        block[192..200].copy_from_slice(&self.shape.catalog_bytes.to_le_bytes());
        block[200..208].copy_from_slice(&self.units.to_le_bytes());
        block[208..240].copy_from_slice(self.sealed_hash.as_bytes());
        block[240..272].copy_from_slice(self.table_hash.as_bytes());
        close(&mut block, &FOOTER);
        block
    }

    /// The footer of a trailer's block. Its lengths agree with each other.
    pub fn from_block(block: &[u8; BLOCK]) -> Result<Self, NotABlock> {
        open(block, &FOOTER)?;
        let id = ShardId::read(block)?;
        let data_bytes = u64::from_le_bytes(take(block, 184));
        let catalog_bytes = u64::from_le_bytes(take(block, 192));
        let shape = StreamShape::checked(data_bytes, catalog_bytes)?;
        let geometry = Geometry::checked(shape, id.k, id.unit)?;
        let units = u64::from_le_bytes(take(block, 200));
        if units != geometry.stripes() {
            return Err(NotABlock::Damaged);
        }
        let sealed_hash = Hash(take(block, 208));
        Ok(Self { id, shape, units, sealed_hash, table_hash: Hash(take(block, 240)) })
    }

    /// The geometry of the coding.
    pub fn geometry(&self) -> Geometry {
        Geometry { shape: self.shape, k: self.id.k, unit: self.id.unit }
    }
}

/// Puts kind, checksum and end mark.
fn close(block: &mut [u8; BLOCK], kind: &Kind) {
    block[9] = kind.byte;
    let checksum = blake3::hash(&block[..CHECKSUM]);
    block[CHECKSUM..END].copy_from_slice(checksum.as_bytes());
    block[END..].copy_from_slice(kind.end);
}

/// Whether a block is whole, and ours.
fn open(block: &[u8; BLOCK], kind: &Kind) -> Result<(), NotABlock> {
    if blake3::hash(&block[..CHECKSUM]) != take::<32>(block, CHECKSUM) {
        let ours = &block[..MAGIC.len()] == MAGIC || &block[END..] == kind.end;
        return Err(if ours { NotABlock::Damaged } else { NotABlock::Foreign });
    }
    // The checksum does not cover the end mark: a flip there harms nothing. It does cover the magic.
    if &block[..9] != MAGIC || block[9] != kind.byte {
        return Err(NotABlock::Foreign);
    }
    match u16::from_le_bytes(take(block, 10)) {
        VERSION => Ok(()),
        version => Err(NotABlock::Version(version)),
    }
}

fn take<const N: usize>(block: &[u8; BLOCK], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&block[at..at + N]);
    bytes
}
