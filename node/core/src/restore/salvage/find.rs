//! What a shard file says of itself, damaged or not.

use safelight_proto::limit::GROUP;
use safelight_proto::shard::{
    BLOCK, CHECK, Footer, Geometry, HEADER, HEADER_COPY, NotABlock, ShardId, UnitCheck, table_offset,
    unit_offset,
};

/// How far from its end a file is searched for the trailer's first footer, in bytes: the table of a shard of
/// 64 GiB. Only files that were cut off, or have something behind them, are searched.
const SEARCH: u64 = 4 * 1024 * 1024;

/// Bytes that a drive would not give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these bytes could not be read")]
pub struct Unreadable;

/// A file that may be a shard. Reading may fail in one place and go well in another.
pub trait ShardBytes {
    /// Length of the file in bytes.
    fn len(&self) -> u64;

    /// Fills `into` with the bytes at `offset`.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<(), Unreadable>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A shard, by its own account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundShard {
    /// Its header, or what its footer repeats of it.
    pub id: ShardId,
    /// Its footer, if one of its copies can be read.
    pub footer: Option<Footer>,
}

/// A shard and the file it was found in.
pub(super) type Gathered<S> = (FoundShard, S);

/// What shard this file is. Header and footer are each looked for in both their places.
pub fn examine(bytes: &impl ShardBytes) -> Result<FoundShard, NotABlock> {
    let header = header(bytes);
    let footer = footer_at_end(bytes).or_else(|| footer_before_end(bytes));
    match (header, footer) {
        (Ok(id), Some(footer)) if footer.id == id => Ok(FoundShard { id, footer: Some(footer) }),
        // Two files in one, or a header over another's body: the header speaks for what follows it.
        (Ok(id), _) => Ok(FoundShard { id, footer: None }),
        (Err(_), Some(footer)) => Ok(FoundShard { id: footer.id, footer: Some(footer) }),
        (Err(error), None) => Err(error),
    }
}

fn header(bytes: &impl ShardBytes) -> Result<ShardId, NotABlock> {
    let first = block(bytes, 0).map_or(Err(NotABlock::Foreign), |block| ShardId::from_block(&block));
    if first.is_ok() {
        return first;
    }
    let second =
        block(bytes, HEADER_COPY as u64).map_or(Err(NotABlock::Foreign), |b| ShardId::from_block(&b));
    match (first, second) {
        // The one that says more.
        (Err(NotABlock::Foreign), second) => second,
        (first, Err(_)) => first,
        (_, second) => second,
    }
}

fn footer_at_end(bytes: &impl ShardBytes) -> Option<Footer> {
    let block = block(bytes, bytes.len().checked_sub(BLOCK as u64)?)?;
    Footer::from_block(&block).ok()
}

/// The footer that stands before the table, always on a multiple of 16 KiB, and where its own count of units says.
fn footer_before_end(bytes: &impl ShardBytes) -> Option<Footer> {
    let last = bytes.len() - bytes.len() % GROUP as u64;
    let first = last.saturating_sub(SEARCH).max(HEADER as u64);
    let mut next = Some(last).filter(|last| *last >= first);
    while let Some(at) = next {
        next = at.checked_sub(GROUP as u64).filter(|at| *at >= first);
        let found = block(bytes, at).and_then(|block| Footer::from_block(&block).ok());
        if let Some(footer) = found.filter(|footer| unit_offset(footer.units, footer.id.unit) == at) {
            return Some(footer);
        }
    }
    None
}

fn block(bytes: &impl ShardBytes, at: u64) -> Option<[u8; BLOCK]> {
    let mut block = [0; BLOCK];
    let inside = at.checked_add(BLOCK as u64).is_some_and(|end| end <= bytes.len());
    (inside && bytes.read_at(at, &mut block).is_ok()).then_some(block)
}

/// The checks in a shard's table, by unit. Where it cannot be read there are none; a check that is damaged matches
/// nothing, which is all that is asked of it.
pub(super) fn checks(bytes: &impl ShardBytes, geometry: &Geometry) -> Vec<Option<UnitCheck>> {
    const PAGE: usize = 4096;
    let start = table_offset(geometry.stripes(), geometry.unit);
    let len = geometry.stripes() as usize * CHECK;
    let mut checks = Vec::new();
    for at in (0..len).step_by(PAGE) {
        let mut page = vec![0; PAGE.min(len - at)];
        let offset = start + at as u64;
        // What a footer promises beyond the file's end takes no memory.
        if offset + page.len() as u64 > bytes.len() {
            break;
        }
        let readable = bytes.read_at(offset, &mut page).is_ok();
        for check in page.chunks_exact(CHECK) {
            checks.push(check.try_into().ok().filter(|_| readable));
        }
    }
    checks
}
