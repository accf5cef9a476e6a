//! What is deleted, and what was taken back.

use serde::{Deserialize, Serialize};

/// `trash`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrashDoc {
    /// What is deleted and still takes room: a line for each shoot, and one for each file that was deleted by itself.
    pub trash: Vec<DeletedDoc>,
    /// How long this node keeps what is deleted, by its own running time.
    pub quarantine_seconds: u64,
    /// The brake holds here: this node gives up nothing until its owner says so.
    pub braked: bool,
}

/// One line of the trash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeletedDoc {
    /// Name of the shoot; null on a vault.
    pub shoot: Option<String>,
    /// Shoot id.
    pub id: String,
    /// The file, where one was deleted by itself and this node can read its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Files in it.
    pub files: u64,
    /// Bytes of those files; null where this node cannot tell.
    pub bytes: Option<u64>,
    /// Bytes that it takes on all volumes, and that are freed in the end.
    pub stored_bytes: u64,
    /// When it was deleted: RFC 3339, UTC.
    pub deleted: String,
    /// How much longer this node has to run until it frees its part; null for what stays.
    pub running_seconds_left: Option<u64>,
    /// Why it stays; null when it goes.
    pub stays: Option<String>,
}

/// `delete`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeletionDoc {
    /// The shoot, by name.
    pub shoot: Option<String>,
    /// Files deleted now.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes on all volumes that are freed in the end.
    pub frees_bytes: u64,
    /// How long this node keeps them, by its own running time.
    pub quarantine_seconds: u64,
    /// The brake holds here.
    pub braked: bool,
}

/// `undelete`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UndeletionDoc {
    /// The shoot, by name.
    pub shoot: Option<String>,
    /// Files that are back.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were asked for and are gone for good.
    pub gone_files: u64,
}
