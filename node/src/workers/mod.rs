//! The hands of the node: each worker does one thing that the core asked for or a person did, and reports back.

/// Files brought back from shards.
pub mod restore;
/// Files brought back from bare shard files and the phrase.
pub mod salvage;
