//! One roll out of whatever shards of it were found.

use std::collections::{BTreeMap, BTreeSet};

use safelight_proto::catalog::{Catalog, CatalogError};
use safelight_proto::id::{CodingId, LibraryId, RollId};
use safelight_proto::limit::PART_BYTES_MAX;
use safelight_proto::shard::{Segment, ShardId, StreamShape};

use super::coding::Coding;
use super::find::{Gathered, ShardBytes};
use crate::seal::segment::BadSegment;
use crate::seal::{Opener, ReadingKey, RollKey, WrappedKey};

/// Different pairs of wrapped key and shape of one roll that are tried: honest shards all have the same.
const VARIANTS: usize = 32;

/// Why bytes of a roll did not come back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SalvageError {
    /// No shard of the roll was found.
    #[error("no shard of roll {} was found", roll.short())]
    Missing {
        /// The roll.
        roll: RollId,
    },
    /// The phrase is another library's, or every copy of the key is damaged.
    #[error("the key of roll {} does not open with this phrase", roll.short())]
    Key {
        /// The roll.
        roll: RollId,
    },
    /// No shard of the roll has a readable footer.
    #[error("every trailer of roll {} is lost", roll.short())]
    NoFooter {
        /// The roll.
        roll: RollId,
    },
    /// Too few good units are left for a segment.
    #[error(transparent)]
    Segment(#[from] BadSegment),
    /// The catalog was opened and makes no sense.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// An extent lies outside its roll.
    #[error("roll {} has no bytes where a catalog says there are some", roll.short())]
    Extent {
        /// The roll.
        roll: RollId,
    },
}

/// A roll whose key is open. Sources are named by their place in the list of its shards.
pub(super) struct OpenRoll {
    id: RollId,
    shape: StreamShape,
    opener: Opener,
    codings: Vec<Coding>,
    /// The segment that was opened last: small files share one.
    last: Option<(u64, Vec<u8>)>,
}

impl OpenRoll {
    /// Settles which key and which shape are the roll's: of those that shards name, the pair whose catalog opens,
    /// most shards first; else the pair that most shards name. A member that lies can wrap a key of its own to the
    /// library, so that a key opens is not enough.
    pub(super) fn open<S: ShardBytes>(
        id: RollId,
        library: LibraryId,
        reading: &ReadingKey,
        shards: &[Gathered<S>],
    ) -> Result<Self, SalvageError> {
        let open = |wrapped: [u8; WrappedKey::LEN]| WrappedKey(wrapped).open(reading, library, id).ok();
        let mut variants: BTreeMap<([u8; WrappedKey::LEN], StreamShape), usize> = BTreeMap::new();
        for (found, _) in shards {
            if let Some(footer) = found.footer {
                *variants.entry((found.id.wrapped_key, footer.shape)).or_default() += 1;
            }
        }
        let mut variants: Vec<_> = variants.into_iter().map(|(variant, count)| (count, variant)).collect();
        variants.sort_by(|a, b| b.cmp(a));
        let mut first = None;
        for (_, (wrapped, shape)) in variants.into_iter().take(VARIANTS) {
            let Some(key) = open(wrapped) else { continue };
            let mut roll = Self::with(id, library, &key, &wrapped, shape, shards);
            if roll.catalog(shards).is_ok() {
                return Ok(roll);
            }
            first.get_or_insert(roll);
        }
        let keys: BTreeSet<_> = shards.iter().map(|(found, _)| found.id.wrapped_key).collect();
        let no_key = !keys.into_iter().take(VARIANTS).any(|wrapped| open(wrapped).is_some());
        first.ok_or(if no_key { SalvageError::Key { roll: id } } else { SalvageError::NoFooter { roll: id } })
    }

    fn with<S: ShardBytes>(
        id: RollId,
        library: LibraryId,
        key: &RollKey,
        wrapped: &[u8; WrappedKey::LEN],
        shape: StreamShape,
        shards: &[Gathered<S>],
    ) -> Self {
        let mut codings: BTreeMap<(CodingId, u8, u32), Coding> = BTreeMap::new();
        for (at, (found, bytes)) in shards.iter().enumerate() {
            // A shard that lost its footer is read with the roll's shape; one that has another shape, or another
            // key, is left out.
            let other_shape = found.footer.is_some_and(|footer| footer.shape != shape);
            if other_shape || found.id.wrapped_key != *wrapped {
                continue;
            }
            let ShardId { coding, k, unit, index, .. } = found.id;
            let Ok(new) = Coding::new(shape, k, unit) else { continue };
            codings.entry((coding, k, unit)).or_insert(new).add(at, index, bytes);
        }
        // The stream's own units first: they need no arithmetic.
        let mut codings: Vec<Coding> = codings.into_values().collect();
        codings.iter_mut().for_each(Coding::sort);
        Self { id, shape, opener: Opener::new(key, library, id), codings, last: None }
    }

    /// The roll's catalog.
    pub(super) fn catalog<S: ShardBytes>(&mut self, shards: &[Gathered<S>]) -> Result<Catalog, SalvageError> {
        let mut plain = Vec::new();
        for number in self.shape.catalog_segments() {
            plain.extend_from_slice(self.segment(shards, number)?.1);
        }
        Ok(Catalog::from_plain(&plain, self.shape)?)
    }

    /// Bytes of the data part, in order.
    pub(super) fn read<S: ShardBytes, E: From<SalvageError>>(
        &mut self,
        shards: &[Gathered<S>],
        offset: u64,
        len: u64,
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let end = offset.checked_add(len).filter(|end| *end <= self.shape.data_bytes.min(PART_BYTES_MAX));
        let end = end.ok_or(SalvageError::Extent { roll: self.id })?;
        for number in self.shape.data_segments_of(offset..end) {
            let (segment, plain) = self.segment(shards, number)?;
            let from = offset.max(segment.plain_offset) - segment.plain_offset;
            let to = end.min(segment.plain_offset + plain.len() as u64) - segment.plain_offset;
            sink(&plain[from as usize..to as usize])?;
        }
        Ok(())
    }

    /// A segment's plaintext, from the first coding that gives it.
    fn segment<S: ShardBytes>(
        &mut self,
        shards: &[Gathered<S>],
        number: u64,
    ) -> Result<(Segment, &[u8]), SalvageError> {
        let bad = BadSegment { roll: self.id, number };
        let segment = self.shape.segment(number).ok_or(bad)?;
        if self.last.as_ref().is_none_or(|(last, _)| *last != number) {
            let opener = &self.opener;
            let plain = self.codings.iter_mut().find_map(|coding| coding.segment(shards, &segment, opener));
            self.last = Some((number, plain.ok_or(bad)?));
        }
        let (_, plain) = self.last.as_ref().ok_or(bad)?;
        Ok((segment, plain))
    }
}
