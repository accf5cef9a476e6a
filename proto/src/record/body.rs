//! What a record can say: one type for each kind, in terms of the vocabulary.

use std::collections::{BTreeMap, BTreeSet};

use super::Hlc;
use super::adoption::Adopt;
use crate::id::{CodingId, Hash, NodeId, RecordId, RollId, ShootId, VolumeId};
use crate::vocabulary::{Media, Role, Rule, Site};

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The authority founds the library.
    Founding(Founding),
    /// A node is let in.
    Admit(Admit),
    /// A studio node may admit vaults.
    Delegate(Delegate),
    /// A node tells its name and addresses.
    Node(NodeInfo),
    /// A node tells of one of its volumes.
    Volume(VolumeInfo),
    /// A batch of files was sealed.
    Roll(Roll),
    /// A roll was erasure-coded.
    Coding(Coding),
    /// Where the shards of a coding are wanted.
    Layout(Layout),
    /// What shards of a roll a volume holds, fsynced and verified.
    Holding(Holding),
    /// A node has asked another for proof of a holding.
    Audit(Audit),
    /// The protection asked for.
    Rule(RuleInfo),
    /// A node was declared lost, or found again.
    Lost(Lost),
    /// How much its author knows.
    Head(Head),
    /// Files of a roll are deleted, or taken back.
    Trash(Trash),
    /// Every shard on a volume was verified.
    Scrubbed(Scrubbed),
    /// A node or a volume is to be emptied and leave.
    Retired(Retired),
    /// A node stands elsewhere while it is filled.
    Seeding(Seeding),
    /// The loss of a site was rehearsed.
    Drill(Drill),
    /// A node belongs to the library no more.
    Remove(Remove),
    /// Records of removed nodes are to stand.
    Adopt(Adopt),
}

/// The library's public reading key, signed by the authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Founding {
    /// X25519 public key that roll keys are wrapped to.
    pub reading_public: [u8; 32],
}

/// Lets a node in, with its role, at its site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admit {
    /// Who.
    pub node: NodeId,
    /// As what.
    pub role: Role,
    /// Where it stands.
    pub site: Site,
}

/// Lets a studio node admit vaults in the authority's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegate {
    /// Who.
    pub node: NodeId,
}

/// A node's own words about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeInfo {
    /// What people call it.
    pub name: String,
    /// Multiaddresses where it listens.
    pub addresses: Vec<String>,
}

/// A node's own words about one of its volumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeInfo {
    /// Which.
    pub volume: VolumeId,
    /// On what kind of medium.
    pub media: Media,
    /// Bytes it offers in all.
    pub capacity: u64,
    /// Bytes of that still free.
    pub free: u64,
    /// Its own site while it travels; else its node's.
    pub site: Option<Site>,
    /// Identity of the drive or filesystem below it: two volumes with one identity fail together.
    pub device: String,
    /// Identity of the machine it hangs on: two sites with one identity burn together.
    pub host: String,
    /// Device and host identities are not to be compared (a demonstration on one machine).
    pub trust_declared: bool,
    /// When it was made, milliseconds since 1970; zero where that is not known.
    pub since: u64,
    /// Since when its node cannot find it, milliseconds since 1970; zero while it is there.
    pub absent: u64,
}

/// An immutable batch of sealed files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roll {
    /// Which.
    pub roll: RollId,
    /// The shoot it belongs to.
    pub shoot: ShootId,
    /// The shoot's name, sealed to the library.
    pub shoot_name: Vec<u8>,
    /// Every roll its catalog refers to.
    pub references: BTreeSet<RollId>,
    /// Plain length of the data part of its stream.
    pub data_bytes: u64,
    /// Plain length of the catalog part.
    pub catalog_bytes: u64,
    /// BLAKE3 of the sealed stream.
    pub sealed_hash: Hash,
    /// The roll key, wrapped to the library.
    pub wrapped_key: [u8; 80],
    /// BLAKE3 of the catalog blob.
    pub catalog_hash: Hash,
    /// Files its catalog names.
    pub files: u64,
    /// Their lengths, summed.
    pub bytes: u64,
}

/// One way in which a roll is erasure-coded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coding {
    /// Of which roll.
    pub roll: RollId,
    /// Which.
    pub coding: CodingId,
    /// Shards needed.
    pub k: u8,
    /// Bytes of a unit.
    pub unit: u32,
    /// Bytes of each shard.
    pub shard_bytes: u64,
    /// BLAKE3 of each shard, by index.
    pub shards: Vec<Hash>,
}

/// A wish: which volume is to hold which shard of a coding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Of which roll.
    pub roll: RollId,
    /// Of which coding.
    pub coding: CodingId,
    /// The volume for each index.
    pub volumes: Vec<VolumeId>,
}

/// A signed statement: this volume holds these shards of this roll, fsynced and verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Of which roll.
    pub roll: RollId,
    /// On which volume.
    pub volume: VolumeId,
    /// Indexes by coding.
    pub held: BTreeMap<CodingId, BTreeSet<u8>>,
}

/// What came of asking for proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Of a shard of which roll.
    pub roll: RollId,
    /// On which volume.
    pub volume: VolumeId,
    /// The very claim that was put to the proof: a later claim asks for a proof of its own.
    pub holding: RecordId,
    /// Whether the proof held.
    pub passed: bool,
}

/// The rule of the library, or of one shoot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleInfo {
    /// One shoot, or all that have no rule of their own.
    pub shoot: Option<ShootId>,
    /// The rule.
    pub rule: Rule,
}

/// Whether a node is given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// Who.
    pub node: NodeId,
    /// Given up, or back.
    pub lost: bool,
}

/// A node's measure of its own manifest, so that another can tell how fresh a picture is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Records it holds.
    pub records: u64,
    /// Order-free fingerprint of their ids.
    pub fingerprint: [u8; 32],
}

/// Which files of a roll are deleted. Nothing is dropped by it before every holder's own quarantine ran out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trash {
    /// Of which roll.
    pub roll: RollId,
    /// All of them, and the roll with them.
    pub all: bool,
    /// Places in the roll's catalog, when not all.
    pub hidden: BTreeSet<u32>,
}

/// Every shard on a volume was read and verified by its node; the record's time says when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scrubbed {
    /// Which volume.
    pub volume: VolumeId,
    /// Shards that were read.
    pub shards: u64,
    /// Shards that were bad, and moved aside.
    pub bad: u64,
}

/// A node or a volume that is to be emptied and leave, or stays after all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retired {
    /// Which.
    pub what: Leaver,
    /// It leaves, or it stays.
    pub retired: bool,
}

/// What can leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Leaver {
    /// A node with all its volumes.
    Node(NodeId),
    /// One volume.
    Volume(VolumeId),
}

/// Where a node stands while it is filled, before it moves to its own site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seeding {
    /// Who.
    pub node: NodeId,
    /// Where; nothing once it has moved.
    pub at: Option<Site>,
}

/// A rehearsed recovery: files were rebuilt without the shards of a site; the record's time says when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drill {
    /// The site whose shards were not touched.
    pub without: Site,
    /// Every file was rebuilt and identical, and no shard that was met on the way was bad.
    pub passed: bool,
    /// Every file that stood was to be rebuilt; else a sample of them.
    pub all: bool,
    /// Files that were to be rebuilt.
    pub files: u64,
    /// Files that stood.
    pub of_files: u64,
    /// Bytes of the files that were rebuilt and identical.
    pub bytes: u64,
    /// Files that were not, and bad shards that were met.
    pub failed: u64,
    /// Rolls that stood.
    pub rolls: u64,
    /// When the latest of these rolls was said: what came later is not covered.
    pub newest: Hlc,
}

/// Ends a node's membership for good: its key never returns, and nothing it says counts but what was adopted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remove {
    /// Who.
    pub node: NodeId,
}
