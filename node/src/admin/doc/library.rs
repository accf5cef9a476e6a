//! The library as it stands: verdicts, shoots, nodes, volumes, rule, settings.

use serde::{Deserialize, Serialize};

use super::LinkDoc;

/// What a rule comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The rule is met by counting holdings.
    Safe,
    /// Not met yet; transfers or plans that meet it are under way.
    CatchingUp,
    /// Readable, but no layout over the known volumes can meet the rule.
    AtRisk,
    /// Some roll cannot be rebuilt from anything known.
    Lost,
}

/// How a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// Heard from just now.
    Online,
    /// Expected back.
    Away,
    /// Declared lost.
    Lost,
    /// Left for good, in order.
    Retired,
    /// Shut out for good: it belongs to the library no more.
    Removed,
}

/// How a volume stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VolumeState {
    /// Mounted and written to.
    Ok,
    /// Mounted, and no room left.
    Full,
    /// Mounted, and takes no writes.
    ReadOnly,
    /// Not there now: unmounted, another volume in its place, or its node is away. Never "deleted".
    Unavailable,
    /// Declared lost, or on a lost node.
    Lost,
    /// To be emptied; some shoots still need what is on it.
    Leaving,
    /// Emptied: nothing on it is needed any more.
    Retired,
}

/// `status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusDoc {
    /// Library id.
    pub library: String,
    /// The library's rule, `C-M-S`.
    pub rule: String,
    /// The worst verdict of its shoots; `safe` when there are none.
    pub verdict: Verdict,
    /// The shoots, newest first.
    pub shoots: Vec<ShootDoc>,
    /// The nodes, this one included.
    pub nodes: Vec<NodeDoc>,
    /// The volumes.
    pub volumes: Vec<VolumeDoc>,
    /// What moves now.
    pub transfers: Vec<TransferDoc>,
    /// What care has to do, on its way or not: what goes where, and why.
    #[serde(default)]
    pub work: Vec<LinkDoc>,
    /// The hours in which shards may go to and from this node; null when they may at any time.
    #[serde(default)]
    pub hours: Option<HoursDoc>,
    /// The last drill without each site, where there was one.
    #[serde(default)]
    pub drills: Vec<super::CertificateDoc>,
    /// Sentences on anything that makes the verdict weaker than it looks (shared drives, a clock that is wrong).
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Declarations are taken as they are (`SAFELIGHT_TRUST_DECLARED`): for demonstrations only.
    #[serde(default)]
    pub trust_declared: bool,
}

/// One shoot, in `status` and `shoots`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShootDoc {
    /// Shoot id.
    pub id: String,
    /// Its name; null on a vault.
    pub name: Option<String>,
    /// Files in it.
    pub files: u64,
    /// Bytes of those files.
    pub bytes: u64,
    /// Bytes that its shards take on all volumes.
    pub stored_bytes: u64,
    /// What its rule comes to.
    pub verdict: Verdict,
    /// The rule, clause by clause.
    pub rule: ClausesDoc,
    /// Whether it survives the loss of each site.
    pub sites: Vec<SurvivalDoc>,
    /// Bytes that still have to move until the layout stands.
    pub pending_bytes: u64,
    /// Why it is not safe, with a counterexample; null when it is.
    pub reason: Option<String>,
    /// The cheapest remedy; null when none is needed.
    pub remedy: Option<String>,
}

/// The clauses of a rule and whether each holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClausesDoc {
    /// C.
    pub copies: CopiesDoc,
    /// M.
    pub media: ClauseDoc,
    /// S.
    pub offsite: ClauseDoc,
}

/// The clause on copies.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CopiesDoc {
    /// It holds.
    pub met: bool,
    /// Any that many volumes may be lost at once.
    pub survives_volumes: u64,
}

/// A clause that holds or not.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClauseDoc {
    /// It holds.
    pub met: bool,
}

/// What the loss of one site would mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SurvivalDoc {
    /// The site.
    pub site: String,
    /// Every file comes back without it.
    pub survives: bool,
}

/// One node, in `status` and `nodes`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeDoc {
    /// Node id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its site.
    pub site: String,
    /// `studio` or `vault`.
    pub role: String,
    /// How it stands.
    pub state: NodeState,
    /// Multiaddrs, each ending in `/p2p/` and its peer id.
    #[serde(default)]
    pub addresses: Vec<String>,
}

/// One volume, in `status` and `volumes`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VolumeDoc {
    /// Volume id.
    pub id: String,
    /// Id of its node.
    pub node: String,
    /// Where it is.
    pub site: String,
    /// What it is.
    pub media: String,
    /// Room on it that Safelight may use.
    pub capacity_bytes: u64,
    /// Room that shards, staging and trash take.
    pub used_bytes: u64,
    /// How it stands.
    pub state: VolumeState,
    /// When every shard on it was last read and verified: RFC 3339, UTC; null when it never was.
    #[serde(default)]
    pub scrubbed: Option<String>,
    /// Shards that were found bad then.
    #[serde(default)]
    pub scrubbed_bad: u64,
    /// Bytes on it that moves and repairs left over, and that go after their quarantine; known on its own node only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surplus_bytes: Option<u64>,
    /// When it was made: RFC 3339, UTC; null where that is not known.
    #[serde(default)]
    pub since: Option<String>,
    /// How old it is since then.
    #[serde(default)]
    pub age_days: Option<u64>,
    /// It is as old as `volume.age` or older: its replacement is to be planned.
    #[serde(default)]
    pub replace: bool,
    /// Its folder, known on its own node only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// One peer to or from which shards move now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransferDoc {
    /// Its name.
    pub peer: String,
    /// Bytes moved.
    pub bytes_done: u64,
    /// Bytes to move in all.
    pub bytes_total: u64,
    /// Time to go at the present pace; null while unknown.
    pub eta_seconds: Option<u64>,
}

/// The hours of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoursDoc {
    /// As `limit.hours` says: `22:00-07:00`.
    pub limit: String,
    /// It is within them.
    pub within: bool,
}

/// `shoots`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShootsDoc {
    /// The shoots, newest first.
    pub shoots: Vec<ShootDoc>,
}

/// `nodes`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodesDoc {
    /// The nodes, this one included.
    pub nodes: Vec<NodeDoc>,
}

/// `volumes`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VolumesDoc {
    /// The volumes.
    pub volumes: Vec<VolumeDoc>,
}

/// `files`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FilesDoc {
    /// The files, by path.
    pub files: Vec<FileDoc>,
}

/// One file of a shoot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileDoc {
    /// Its path, relative to what was ingested.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// BLAKE3, in hex.
    pub hash: String,
}

/// `lost`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LostDoc {
    /// The nodes now declared lost.
    pub lost: Vec<NodeDoc>,
    /// The library's verdict without them.
    pub verdict: Verdict,
}

/// `rule show` and `rule set`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleDoc {
    /// The rule, `C-M-S` with an optional `full`.
    pub rule: String,
    /// Most storage to spend, in percent of the data; null for the cheapest that meets the rule.
    pub spend_percent: Option<u32>,
    /// The shoot asked for; null for the library.
    pub shoot: Option<String>,
    /// Estimated chance to lose something within a year, 0 to 1; null when it cannot be told.
    pub yearly_loss: Option<f64>,
    /// What would change it: "a fourth site makes it ten times less likely".
    pub advice: Option<String>,
}

/// `config`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfigDoc {
    /// The settings asked for, by key.
    pub settings: Vec<SettingDoc>,
}

/// One setting of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SettingDoc {
    /// Its key, such as `limit.up`.
    pub key: String,
    /// Its value as it would be typed.
    pub value: String,
    /// It was never changed.
    pub default: bool,
    /// What it does, in a few words.
    pub about: String,
}
