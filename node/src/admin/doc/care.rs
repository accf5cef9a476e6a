//! What care of the library comes to: verifications.

use serde::{Deserialize, Serialize};

use super::Verdict;

/// `verify`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerifyDoc {
    /// Shards read to their end.
    pub shards: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Shards that this run found bad or missing; they were moved aside and count no longer.
    pub bad: Vec<BadShardDoc>,
    /// So many of them stand again where they belong.
    pub repaired: u64,
    /// Shards that belong on these volumes and are not there: repairs that have not ended, older ones included.
    pub missing: u64,
    /// Members that have to come back before some of these can be repaired, by name.
    pub awaited: Vec<String>,
    /// What was not verified, and why.
    pub unverified: Vec<UnverifiedDoc>,
    /// The library's verdict at the end.
    pub verdict: Verdict,
    /// How long the reading took.
    pub seconds: f64,
}

/// A shard that was found bad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadShardDoc {
    /// Id of the volume.
    pub volume: String,
    /// Id of its roll.
    pub roll: String,
    /// Its index.
    pub index: u8,
    /// The volume's folder.
    pub path: String,
}

/// A volume or a shard that could not be read to its end, without being found bad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnverifiedDoc {
    /// Id of the volume.
    pub volume: String,
    /// The volume's folder.
    pub path: String,
    /// Why.
    pub reason: String,
}
