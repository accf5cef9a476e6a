//! Any k shards in, files out.
//!
//! [`RollReader`] knows which stripes and units a range of plaintext needs, decodes them and opens their segments;
//! nothing leaves it that was not authenticated. [`Rebuilder`] makes shards of other shards and needs no key. [`salvage`] does the same from bare shard files, damaged ones
//! too, with nothing but the reading key.

mod reader;

mod catalog;

mod rebuild;

pub mod salvage;

pub use catalog::{CatalogBlobError, open_catalog};
pub use reader::{RangeDecoder, ReadPlan, RestoreError, RollReader};
pub use rebuild::{RebuildError, Rebuilder};

#[cfg(test)]
mod tests;
