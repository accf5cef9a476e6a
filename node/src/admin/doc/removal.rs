//! What a removal comes to.

use serde::{Deserialize, Serialize};

use super::{NodeDoc, Verdict};

/// `remove`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RemovalDoc {
    /// The node; its state is `removed` once it is.
    pub removed: NodeDoc,
    /// Nothing was changed: this is what it would mean.
    #[serde(default)]
    pub preview: bool,
    /// Records of its own and of others before it that stay, because this node adopts them: its rolls above all.
    pub adopted: u64,
    /// Shards on its volumes, which count no longer.
    pub shards: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What whoever has the machine can still do: sentences.
    pub can: Vec<String>,
    /// What it cannot do any more: sentences.
    pub cannot: Vec<String>,
    /// Nodes that it had let in, and that stay, by name.
    pub let_in: Vec<String>,
    /// Nodes that it had removed, and that stay so: their ids.
    pub had_removed: Vec<String>,
    /// Rolls of which it had deleted something; that stands, and can be taken back for a while.
    pub deletions: u64,
    /// Studios that are left, this one included.
    pub studios: u64,
    /// The library's verdict without it.
    pub verdict: Verdict,
    /// The shoots that are not safe without it.
    pub shoots: Vec<FallenShootDoc>,
}

/// A shoot that is not safe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FallenShootDoc {
    /// Its name; null on a vault.
    pub name: Option<String>,
    /// How it stands.
    pub verdict: Verdict,
}
