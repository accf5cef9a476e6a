//! What a node remembers of its trash, and its brake.

use std::collections::BTreeMap;

use safelight_proto::id::RollId;

/// What a node remembers of its trash over a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// How long it has run, in all its life, milliseconds. Time off is not in it.
    pub running: u64,
    /// The rolls that may go, by how long it had run when it first saw them so.
    pub dead: BTreeMap<RollId, u64>,
    /// What its brake is about.
    pub brake: Brake,
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
