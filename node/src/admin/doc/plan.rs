//! What would happen: `plan`. And what is being done: the same ways in `status`.

use serde::{Deserialize, Serialize};

use super::Verdict;

/// `plan`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanDoc {
    /// What was asked: `add`, `lose` or `retire`.
    pub event: String,
    /// The volumes that would come, be lost or leave.
    pub volumes: Vec<PlanVolumeDoc>,
    /// The library's verdict now.
    pub before: Verdict,
    /// The library's verdict when all is done.
    pub after: Verdict,
    /// Each shoot.
    pub shoots: Vec<PlanShootDoc>,
    /// Rolls that something moves or is made of.
    pub rolls: u64,
    /// Bytes in all.
    pub bytes: u64,
    /// What goes where, and why.
    pub links: Vec<LinkDoc>,
    /// How long it takes at the speeds measured; null while one of them is not measured, and where nothing goes from node
    /// to node.
    pub days: Option<f64>,
    /// The protection right after the event, before anything is repaired; null without photos.
    pub lowest: Option<LowestDoc>,
    /// All is safe then, and every further loss of one site or volume could be made up for.
    pub heals: bool,
    /// The losses that could not.
    pub unhealable: Vec<UnhealableDoc>,
}

/// One volume that a plan is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanVolumeDoc {
    /// Volume id; null for one that there is not yet.
    pub id: Option<String>,
    /// Its node's name; null for a node that there is not yet.
    pub node: Option<String>,
    /// Where it is.
    pub site: String,
    /// What it is.
    pub media: String,
    /// Room on it.
    pub capacity_bytes: u64,
}

/// What a plan comes to for one shoot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanShootDoc {
    /// Shoot id.
    pub id: String,
    /// Its name; null on a vault.
    pub name: Option<String>,
    /// Files in it.
    pub files: u64,
    /// Its verdict now.
    pub before: Verdict,
    /// Its verdict when all is done.
    pub after: Verdict,
    /// Why it would fall short; null when it would not.
    pub reason: Option<String>,
    /// What would help, for all such shoots together; null when none is needed or known.
    pub remedy: Option<String>,
}

/// Bytes that go from one node to another, or from drive to drive of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkDoc {
    /// Who sends.
    pub from: EndDoc,
    /// Who takes.
    pub to: EndDoc,
    /// Why: `new` (first placement), `re-made`, `moved`, `better`, `re-coded`.
    pub why: String,
    /// Rolls that it is about.
    pub rolls: u64,
    /// Shards, those read to make others included.
    pub shards: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How fast bytes went this way lately; null where this node has not measured it.
    pub bytes_per_second: Option<u64>,
    /// How long it takes at that speed.
    pub days: Option<f64>,
}

/// One end of a [`LinkDoc`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndDoc {
    /// Node id; null for a node that there is not yet.
    pub id: Option<String>,
    /// Its name.
    pub name: String,
    /// Its site.
    pub site: String,
}

/// What everything survives on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LowestDoc {
    /// Everything can be read then.
    pub readable: bool,
    /// Any so many volumes may be lost then.
    pub survives_volumes: u32,
    /// Any one site may be lost then.
    pub survives_any_site: bool,
    /// The sites of which each alone would take something with it.
    pub fatal_sites: Vec<String>,
    /// Files that would be lost for good.
    pub files_lost: u64,
}

/// A loss that could not be made up for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnhealableDoc {
    /// The site.
    pub site: String,
    /// The id of the volume; null when all of the site is meant.
    pub volume: Option<String>,
    /// What to call it.
    pub name: String,
    /// No studio would be left, and only studios make new codings.
    pub last_studio: bool,
}
