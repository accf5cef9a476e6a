//! What a node remembers beside its records.

use std::collections::BTreeMap;

use safelight_proto::id::{Hash, NodeId, RollId, VolumeId};

/// What a node remembers over a restart of what it is to drop and to keep.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// How long it has run, in all its life, milliseconds. Time off is not in it.
    pub running: u64,
    /// The rolls that may go, by how long it had run when it first saw them so.
    pub dead: BTreeMap<RollId, u64>,
    /// What its brake is about.
    pub brake: Brake,
    /// Shards that no layout wants where they lie, by how long it had run when that was first so. One that is in no
    /// ledger was given up, and its file may still be there after a crash.
    pub surplus: BTreeMap<(VolumeId, Hash), u64>,
    /// Shards that it has promised to keep, and until which running time.
    pub promised: BTreeMap<(VolumeId, Hash), u64>,
    /// The members, by how long it had run when it first heard of each.
    pub met: BTreeMap<NodeId, u64>,
}

/// The brake of one node: against a mistake or a thief who deletes everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Brake {
    /// Why it holds, when it does.
    pub held: Option<Mass>,
    /// What was deleted before this much of the node's running time was looked at by its owner.
    pub released: u64,
}

/// What was deleted within a day, against all there was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mass {
    /// Files of the rolls that were deleted.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files of the library before.
    pub of_files: u64,
    /// Its bytes.
    pub of_bytes: u64,
}
