//! Shard files: what stands at which byte. `FORMAT.md` is the normative text.
//!
//! ```text
//! header   16 KiB      one block, and again at 8 KiB
//! units    U x unit    this shard's row of every stripe
//! trailer  4 KiB       a footer block, then zeros
//!          table       16 bytes per unit, padded to 4 KiB
//!          4 KiB       zeros, then the footer block again as the last 512 bytes
//! ```

mod block;
mod shape;

pub use block::{BLOCK, Footer, NotABlock, ShardId};
pub use shape::{BadShape, Geometry, Part, Segment, StreamShape, padded};

use crate::limit::GROUP;

/// Bytes of a shard's header: one BLAKE3 group, so that every unit starts on a group.
pub const HEADER: usize = GROUP;
/// Where the header repeats its block: another sector, another page.
pub const HEADER_COPY: usize = HEADER / 2;
/// Bytes of a unit's check in the table.
pub const CHECK: usize = 16;
/// The trailer's parts start and end on multiples of this.
pub const TRAILER_GRAIN: u64 = 4096;

/// The check of one unit: enough to find damage, in any position.
pub type UnitCheck = [u8; CHECK];

/// The header of a shard, as it stands at the start of its file.
pub fn header(id: &ShardId) -> Vec<u8> {
    let block = id.to_block();
    let mut bytes = vec![0; HEADER];
    bytes[..BLOCK].copy_from_slice(&block);
    bytes[HEADER_COPY..HEADER_COPY + BLOCK].copy_from_slice(&block);
    bytes
}

/// The trailer of a shard, as it stands after the last unit. The footer's checksum of the table is taken
/// here.
pub fn trailer(
    id: &ShardId,
    shape: StreamShape,
    sealed_hash: crate::id::Hash,
    checks: &[UnitCheck],
) -> Vec<u8> {
    let table: Vec<u8> = checks.concat();
    let table_hash = crate::id::Hash::of(&table);
    let footer = Footer { id: *id, shape, units: checks.len() as u64, sealed_hash, table_hash };
    let block = footer.to_block();
    let mut bytes = vec![0; trailer_len(footer.units) as usize];
    let end = bytes.len() - BLOCK;
    bytes[..BLOCK].copy_from_slice(&block);
    bytes[TRAILER_GRAIN as usize..][..table.len()].copy_from_slice(&table);
    bytes[end..].copy_from_slice(&block);
    bytes
}

/// Length of the trailer of a shard of `units` units.
pub fn trailer_len(units: u64) -> u64 {
    2 * TRAILER_GRAIN + (units * CHECK as u64).next_multiple_of(TRAILER_GRAIN)
}

/// Where the table of checks stands in the file of a shard of `units` units.
pub fn table_offset(units: u64, unit: u32) -> u64 {
    unit_offset(units, unit) + TRAILER_GRAIN
}

/// Where unit number `unit_number` stands in a shard's file.
pub fn unit_offset(unit_number: u64, unit: u32) -> u64 {
    HEADER as u64 + unit_number * u64::from(unit)
}

/// Length of the file of a shard of `units` units.
pub fn shard_len(units: u64, unit: u32) -> u64 {
    unit_offset(units, unit) + trailer_len(units)
}

/// How many units a whole shard file of this length holds; `None` if no shard is that long.
pub fn units_of_len(len: u64, unit: u32) -> Option<u64> {
    let body = len.checked_sub(HEADER as u64 + 2 * TRAILER_GRAIN)?;
    // The table takes less than a unit's room per unit, so the guess is too high by few: walk down to it.
    let mut units = body / (u64::from(unit) + CHECK as u64);
    while shard_len(units, unit) > len {
        units = units.checked_sub(1)?;
    }
    (shard_len(units, unit) == len).then_some(units)
}

#[cfg(test)]
#[path = "shard/tests.rs"]
mod tests;
