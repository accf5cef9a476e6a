//! The hands of the node: each worker does one thing that the core asked for or a person did, and reports back.

/// Shards between nodes: bringing them here, and sending them there.
pub mod carry;
/// Recoveries rehearsed.
pub mod drill;
/// Catalogs, proofs, records: the small exchanges.
pub mod errands;
/// What a node tells of itself, and what it looks after by the clock.
pub mod housekeeping;
/// Which files the library holds already.
pub mod index;
/// Files taken in.
pub mod ingest;
/// Shards made out of others.
pub mod remake;
/// Files brought back from shards.
pub mod restore;
/// Files brought back from bare shard files and the phrase.
pub mod salvage;
/// Every shard read and verified, again and again.
pub mod scrub;
