//! Opening a roll's catalog from the blob that every node keeps.

use safelight_proto::catalog::{Catalog, CatalogError};
use safelight_proto::shard::StreamShape;

use crate::seal::Opener;
use crate::seal::segment::BadSegment;

/// Why a catalog blob gives no catalog.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogBlobError {
    /// It has not the length that the roll's shape says.
    #[error("a catalog blob of {got} bytes; the roll's has {want}")]
    Length {
        /// Bytes of the blob.
        got: u64,
        /// Bytes it should have.
        want: u64,
    },
    /// A segment does not open.
    #[error(transparent)]
    Segment(#[from] BadSegment),
    /// What is in it is no catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// The catalog in a blob: the sealed catalog segments of a roll of that shape.
pub fn open_catalog(
    mut blob: Vec<u8>,
    shape: StreamShape,
    opener: &Opener,
) -> Result<Catalog, CatalogBlobError> {
    let range = shape.catalog_range();
    let want = range.end - range.start;
    if blob.len() as u64 != want {
        return Err(CatalogBlobError::Length { got: blob.len() as u64, want });
    }
    let mut plain = Vec::with_capacity(blob.len());
    for number in shape.catalog_segments() {
        let segment = shape.segment(number).expect("the catalog's segments are the roll's");
        let at = (segment.sealed_offset - range.start) as usize;
        plain.extend_from_slice(opener.open(&segment, &mut blob[at..at + segment.sealed_len()])?);
    }
    Ok(Catalog::from_plain(&plain, shape)?)
}
