//! What care of the library comes to: verifications, drills.

use serde::{Deserialize, Serialize};

use super::{SourceDoc, Verdict};

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

/// `drill`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DrillDoc {
    /// The site whose shards were not touched.
    pub without: String,
    /// Files that were to be rebuilt.
    pub files_tested: u64,
    /// Files that were rebuilt and identical.
    pub files_passed: u64,
    /// Files that the library has.
    pub files: u64,
    /// Bytes of the files that were rebuilt and identical.
    pub bytes: u64,
    /// Files that were not, and bad shards that were met on the way.
    pub failed: Vec<DrillFailureDoc>,
    /// Nothing failed.
    pub passed: bool,
    /// Every file was to be rebuilt, not a sample.
    pub all: bool,
    /// Where the bytes came from.
    pub sources: Vec<SourceDoc>,
    /// The library's verdict at the end: a drill does not change it, what it found may.
    pub verdict: Verdict,
    /// How long it took.
    pub seconds: f64,
}

/// A file that was not rebuilt, or a shard that was bad.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillFailureDoc {
    /// The file; null when it is a shard or a whole roll.
    pub path: Option<String>,
    /// What is wrong.
    pub error: String,
    /// The roll of a bad shard.
    pub roll: Option<String>,
    /// Its index.
    pub index: Option<u8>,
    /// Its volume.
    pub volume: Option<String>,
    /// The name of the node that has it.
    pub node: Option<String>,
    /// Where that is.
    pub site: Option<String>,
}

/// The last drill without a site, in `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateDoc {
    /// The site.
    pub without: String,
    /// Every file was rebuilt and identical, and no bad shard was met.
    pub passed: bool,
    /// When: RFC 3339, UTC.
    pub at: String,
    /// How long ago.
    pub age_seconds: u64,
    /// Files that were to be rebuilt.
    pub files_tested: u64,
    /// Files that the library had then.
    pub files: u64,
    /// Bytes of the files that were rebuilt and identical.
    pub bytes: u64,
    /// Files that were not, and bad shards that were met.
    pub failed: u64,
    /// All that stands now was rebuilt then: it was no sample, and nothing came since.
    pub covers_all: bool,
    /// Something came since.
    pub outdated: bool,
    /// The name of the node that held it.
    pub by: String,
}
