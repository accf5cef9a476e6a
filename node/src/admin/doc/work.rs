//! What a command did: photos taken in, brought back, nodes made.

use serde::{Deserialize, Serialize};

use super::library::{NodeDoc, Verdict};

/// A file that could not be dealt with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailedFileDoc {
    /// Its path.
    pub path: String,
    /// Why.
    pub error: String,
}

/// `ingest`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IngestDoc {
    /// The shoot, by name.
    pub shoot: String,
    /// Files stored now.
    pub files_new: u64,
    /// Files the library had already.
    pub files_known: u64,
    /// Files that were not taken in.
    pub files_failed: Vec<FailedFileDoc>,
    /// Bytes of the files stored now.
    pub bytes: u64,
    /// The rolls written.
    pub rolls: Vec<RollDoc>,
    /// Every file that did not fail is stored here and was read back.
    pub stored: bool,
    /// The shoot's verdict at the end.
    pub verdict: Verdict,
    /// The card may be formatted: nothing failed and the shoot is safe.
    pub safe_to_format: bool,
}

/// One roll and its coding: any `k` of its `n` shards rebuild it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RollDoc {
    /// Roll id.
    pub id: String,
    /// Shards needed.
    pub k: u32,
    /// Shards wanted.
    pub n: u32,
}

/// `restore` and `salvage`, and the greater part of `recover`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RestoreDoc {
    /// Files that came back, those that were there already included.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that did not come back.
    pub files_failed: Vec<FailedFileDoc>,
    /// Where the bytes came from.
    pub sources: Vec<SourceDoc>,
    /// How long it took.
    pub seconds: f64,
    /// Files written under another name than asked: a differing file stood there, or the name was not safe.
    #[serde(default)]
    pub renamed: Vec<RenamedDoc>,
    /// Files that stood in the target already, equal.
    #[serde(default)]
    pub files_kept: u64,
}

/// Bytes read from one site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceDoc {
    /// The site.
    pub site: String,
    /// Shard bytes read there.
    pub bytes: u64,
}

/// A file written under another name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RenamedDoc {
    /// Its path in the library.
    pub path: String,
    /// Its path under the target.
    pub written_as: String,
}

/// `recover`: a new studio node, and the files where `--to` was given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecoverDoc {
    /// What came back.
    #[serde(flatten)]
    pub restored: RestoreDoc,
    /// Library id.
    pub library: String,
    /// Id of the new node.
    pub node: String,
    /// Members that did not answer; none of them was declared lost.
    #[serde(default)]
    pub silent: Vec<NodeDoc>,
    /// How fresh the picture is: "as of Tuesday 14:02, 3 of 4 members".
    #[serde(default)]
    pub as_of: Option<String>,
}

/// `invite`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InviteDoc {
    /// What to type on the other machine.
    pub code: String,
    /// What the newcomer may do.
    pub role: String,
    /// When the code ends: RFC 3339, UTC.
    pub expires: String,
}

/// A studio that came with an invite: `invite` on a terminal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewcomerDoc {
    /// Node id.
    pub node: String,
    /// What it calls itself.
    pub name: String,
    /// Where it says that it stands.
    pub site: String,
    /// What its screen shows: `482 913`.
    pub short_code: String,
    /// It was let in.
    pub admitted: bool,
}

/// `init` and `join`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemberDoc {
    /// Library id.
    pub library: String,
    /// Node id.
    pub node: String,
}

/// `demo`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DemoDoc {
    /// What was done, in order.
    pub steps: Vec<StepDoc>,
    /// Photos in the demonstration shoot.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Every byte came back.
    pub identical: bool,
    /// Every step went well.
    pub passed: bool,
    /// Bytes on all volumes over bytes of photos; null if it did not come so far.
    pub storage_factor: Option<f64>,
}

/// One step of the demonstration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepDoc {
    /// What was done.
    pub name: String,
    /// It went well.
    pub ok: bool,
    /// How long it took.
    pub seconds: f64,
}

/// `kit`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KitDoc {
    /// Library id.
    pub library: String,
    /// The page; null when it was written to a file.
    pub text: Option<String>,
    /// Where it was written.
    pub out: Option<String>,
}
