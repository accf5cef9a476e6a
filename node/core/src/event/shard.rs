//! Shards as core and shell speak of them.

use safelight_proto::id::{CodingId, Hash, RollId, VolumeId};
use safelight_proto::record::Body;

/// One shard on one volume of this node, as the ledger has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard {
    /// BLAKE3 of the file.
    pub hash: Hash,
    /// Its length in bytes.
    pub bytes: u64,
    /// The roll it is of.
    pub roll: RollId,
    /// The coding it is of.
    pub coding: CodingId,
    /// Its index in the coding.
    pub index: u8,
    /// It lies here only until the volume that it is meant for has it. The core decides that when it is stored.
    pub staged: bool,
}

/// A shard that the layout wants on a volume of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Want {
    /// On which volume.
    pub volume: VolumeId,
    /// Of which roll.
    pub roll: RollId,
    /// Of which coding.
    pub coding: CodingId,
    /// At which index.
    pub index: u8,
}

/// Shards to be made out of others of the same roll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remake {
    /// Of which roll.
    pub roll: RollId,
    /// The coding they are of: one that there is, or a new one.
    pub coding: CodingId,
    /// Shards of it that rebuild the roll.
    pub k: u8,
    /// Bytes of a unit; zero for a new coding, whose maker chooses.
    pub unit: u32,
    /// The hashes of the shards that the coding has already, by index: what is made again must have the same.
    pub known: Vec<Hash>,
    /// Which to make, and the volumes they are meant for.
    pub make: Vec<(u8, VolumeId)>,
    /// The roll's layout from then on.
    pub layout: Vec<VolumeId>,
    /// The roll is in danger: it does not wait for anybody's hours.
    pub urgent: bool,
}

/// What came of a [`Remake`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Coding and layout, where they are news.
    pub bodies: Vec<Body>,
    /// The new shards, where they lie durably.
    pub shards: Vec<(VolumeId, Shard)>,
}
