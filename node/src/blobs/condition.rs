//! What a volume is found to hold, and what room it has.

use safelight_proto::id::Hash;

use crate::disk::device::Space;

/// How the files on a volume compare with the ledger's rows, found when it was opened.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Recorded as good, and no file is there. Missing, not deleted: repair it from elsewhere.
    pub missing: Vec<Hash>,
    /// Recorded as good, and the file has another length: damaged.
    pub damaged: Vec<Hash>,
    /// A file is there that the ledger does not count: [`FsVolume::adopt`] verifies it and gives the proof
    /// for a row.
    pub unrecorded: Vec<Hash>,
    /// Shards being received when the volume was last closed; they go on where they stopped.
    pub partial: Vec<Hash>,
    /// The index did not open and was made anew. Nothing is lost; shards enter it again when they are next
    /// used.
    pub index_rebuilt: bool,
}

/// What a volume holds and what it can still take, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Finished shards.
    pub shards: u64,
    /// Damaged shards, moved aside.
    pub bad: u64,
    /// Set aside for shards being written or received.
    pub reserved: u64,
    /// What may still be written: the least of what capacity and file system leave.
    pub room: u64,
    /// The file system.
    pub space: Space,
}
