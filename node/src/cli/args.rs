//! The command line: every command and flag, and what makes a word of it valid.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};
use libp2p::Multiaddr;
use safelight_proto::vocabulary::{Role, Rule, Site};

use super::drill::DrillArgs;
use super::removal::RemoveArgs;
use super::values::{self, HostPort};
use crate::admin::command::Wait;

mod volumes;

pub use volumes::{PlanVerb, VolumeVerb};

/// Keeps a photographer's work safe: every shoot survives the loss of any single site, and you can prove it.
#[derive(Debug, Parser)]
#[command(name = "safelight", version, propagate_version = true, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The node's data folder [default: ~/.safelight]
    #[arg(long, global = true, env = "SAFELIGHT_HOME", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub home: Option<PathBuf>,
    /// Print one JSON document on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// How long to wait for a node that starts, or for peers that do not answer
    #[arg(long, global = true, value_name = "TIME", default_value = "60s", value_parser = values::duration)]
    pub timeout: Duration,
    /// Say more on standard error; twice for everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Three sites on this machine: ingest, lose the studio, recover from the phrase, compare every byte
    Demo(DemoArgs),
    /// Found a library, with its first node on this machine
    Init(InitArgs),
    /// Run the node in the foreground, until Ctrl-C or SIGTERM
    Run(RunArgs),
    /// Make a code that lets one more node in
    Invite(InviteArgs),
    /// Make this machine a node of the library that a code is for
    Join(JoinArgs),
    /// Take photos in: cards, folders, files
    Ingest(IngestArgs),
    /// Say whether every shoot is safe, and what to do if not
    Status(ShootArg),
    /// List the shoots
    Shoots,
    /// List the files of a shoot
    Files(FilesArgs),
    /// List the nodes
    Nodes,
    /// List the volumes
    Volumes,
    /// Bring files back into a folder
    Restore(RestoreArgs),
    /// Found the library anew on this machine, from the phrase and one surviving node
    Recover(RecoverArgs),
    /// Read every shard on this node's volumes and check it; what is bad is moved aside and repaired
    Verify(VerifyArgs),
    /// Rehearse the loss of a site: really rebuild files from the other sites, and record what came of it
    Drill(DrillArgs),
    /// Put a shoot, or some of its files, into the trash; nothing is gone before its quarantine ran out
    Delete(DeleteArgs),
    /// List what is in the trash, and how long it can be taken back
    Trash,
    /// Take a shoot, or some of its files, back from the trash
    Undelete(DeleteArgs),
    /// Declare a node or a site lost, so that repairs begin at once
    Lost(LostArgs),
    /// Add a volume to this node, or let one leave
    #[command(subcommand)]
    Volume(VolumeVerb),
    /// Let a node leave: its volumes are emptied first
    Retire(NodeArg),
    /// Shut a stolen machine out, for good; says plainly what it can still do
    Remove(RemoveArgs),
    /// Say that a node which was filled elsewhere stands at its own site now
    Moved(NodeArg),
    /// Say what would happen if drives came, left or were lost; changes nothing
    #[command(subcommand)]
    Plan(PlanVerb),
    /// Bring files back from bare shard files alone, without node, network or database
    Salvage(SalvageArgs),
    /// Show or change the protection asked for
    #[command(subcommand)]
    Rule(RuleVerb),
    /// Make the page to keep in a drawer: the phrase, and how to come back from it
    Kit(KitArgs),
    /// Show or change this node's settings
    Config(ConfigArgs),
    /// Print the completion script of a shell
    Completions(CompletionsArgs),
    /// Print the manual page
    Man,
}

/// Who and where a new node is.
#[derive(Debug, Clone, Args)]
pub struct NewNode {
    /// The node's name
    #[arg(long, value_parser = values::name)]
    pub name: String,
    /// The place that can burn down: studio, home, friend, a cloud region
    #[arg(long, value_parser = values::site)]
    pub site: Site,
    /// A folder on a drive of this machine to keep shards in; may be given several times
    #[arg(long = "volume", required = true, value_name = "PATH[,media=ssd][,capacity=4TB][,site=S]")]
    pub volumes: Vec<String>,
}

/// `demo`
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Photos to use; made up when left out
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub photos: Option<PathBuf>,
}

/// `init`
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The first node.
    #[command(flatten)]
    pub node: NewNode,
    /// Write the recovery phrase to a new file instead of showing it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub phrase_out: Option<PathBuf>,
}

/// `run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Where peers reach this node, announced as it is; port 0 takes a free one [default: port 3210]
    #[arg(long, value_name = "HOST:PORT", value_parser = values::host_port)]
    pub listen: Option<HostPort>,
    /// Where the dashboard and commands reach it; port 0 takes a free one [default: 127.0.0.1:3211]
    #[arg(long, value_name = "HOST:PORT", value_parser = values::host_port)]
    pub dashboard: Option<HostPort>,
}

/// `invite`
#[derive(Debug, Args)]
pub struct InviteArgs {
    /// A vault stores what it cannot read; a studio reads everything, so on a terminal this command waits for it and
    /// asks you first, by a short code that both screens show
    #[arg(long, default_value_t = Role::Vault, value_parser = values::role)]
    pub role: Role,
    /// How long the code holds, 24 hours at most
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = values::expiry)]
    pub expires: Duration,
    /// The recovery phrase, which a studio invite needs; - reads standard input
    #[arg(long, value_name = "FILE|-", value_hint = ValueHint::FilePath, required_if_eq("role", "studio"))]
    pub phrase_file: Option<PathBuf>,
}

/// `join`
#[derive(Debug, Args)]
pub struct JoinArgs {
    /// The code that `invite` printed; on a terminal, one for a studio asks you to compare a short code
    pub code: String,
    /// The new node.
    #[command(flatten)]
    pub node: NewNode,
    /// It is filled here before it moves to its site; until `moved` it counts where the inviting node is
    #[arg(long)]
    pub seeding: bool,
}

/// `ingest`
#[derive(Debug, Args)]
pub struct IngestArgs {
    /// Cards, folders, files
    #[arg(required = true, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub paths: Vec<PathBuf>,
    /// The shoot they belong to, new or known
    #[arg(long, value_name = "NAME", value_parser = values::shoot)]
    pub shoot: String,
    /// When to end: stored on this node, or safe by the rule
    #[arg(long, value_enum, default_value_t = Wait::Stored)]
    pub wait: Wait,
}

/// A shoot or none.
#[derive(Debug, Args)]
pub struct ShootArg {
    /// One shoot only, by name or id
    #[arg(value_name = "SHOOT", value_parser = values::shoot)]
    pub shoot: Option<String>,
}

/// `files`
#[derive(Debug, Args)]
pub struct FilesArgs {
    /// The shoot, by name or id
    #[arg(value_parser = values::shoot)]
    pub shoot: String,
}

/// `restore`
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The shoot, by name or id
    #[arg(required_unless_present = "all", conflicts_with = "all", value_parser = values::shoot)]
    pub shoot: Option<String>,
    /// Everything, a folder for each shoot
    #[arg(long)]
    pub all: bool,
    /// The folder to fill; nothing in it is ever overwritten
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub to: PathBuf,
    /// Only files whose path matches; may be given several times
    #[arg(long, value_name = "GLOB", value_parser = values::glob)]
    pub include: Vec<String>,
    /// No file whose path matches; may be given several times
    #[arg(long, value_name = "GLOB", value_parser = values::glob)]
    pub exclude: Vec<String>,
    /// Do as if this site were gone; may be given several times
    #[arg(long, value_name = "SITE", value_parser = values::site)]
    pub without: Vec<Site>,
}

/// `recover`
#[derive(Debug, Args)]
pub struct RecoverArgs {
    /// The recovery phrase; - reads standard input
    #[arg(long, value_name = "FILE|-", value_hint = ValueHint::FilePath)]
    pub phrase_file: PathBuf,
    /// A surviving node, as `nodes` listed it; may be given several times
    #[arg(long = "peer", required = true, value_name = "MULTIADDR")]
    pub peers: Vec<Multiaddr>,
    /// The new node.
    #[command(flatten)]
    pub node: NewNode,
    /// Bring every file back into this folder, too
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub to: Option<PathBuf>,
}

/// `verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// One volume only, by its folder or id
    #[arg(long, value_name = "VOLUME")]
    pub volume: Option<String>,
}

/// `delete`, `undelete`
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// The shoot, by name or id
    #[arg(value_parser = values::shoot)]
    pub shoot: String,
    /// Only these files: paths or globs as `files` lists them
    #[arg(value_name = "PATH")]
    pub paths: Vec<String>,
}

/// `lost`
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct LostArgs {
    /// One node, by name or id
    #[arg(value_parser = values::name)]
    pub node: Option<String>,
    /// A whole site with its nodes
    #[arg(long, value_parser = values::site)]
    pub site: Option<Site>,
}

/// A node.
#[derive(Debug, Args)]
pub struct NodeArg {
    /// The node, by name or id
    #[arg(value_parser = values::name)]
    pub node: String,
}

/// `salvage`
#[derive(Debug, Args)]
pub struct SalvageArgs {
    /// Folders with shard files: drives, copies of drives
    #[arg(required = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dirs: Vec<PathBuf>,
    /// The recovery phrase; - reads standard input
    #[arg(long, value_name = "FILE|-", value_hint = ValueHint::FilePath)]
    pub phrase_file: PathBuf,
    /// The folder to fill; nothing in it is ever overwritten
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub to: PathBuf,
}

/// `rule`
#[derive(Debug, Subcommand)]
pub enum RuleVerb {
    /// Show the rule, what it costs and what it buys
    Show {
        /// The rule of one shoot
        #[arg(long, value_parser = values::shoot)]
        shoot: Option<String>,
    },
    /// Ask for another rule
    Set(RuleSetArgs),
}

/// `rule set`
#[derive(Debug, Args)]
pub struct RuleSetArgs {
    /// Copies-media-offsite, such as 3-2-1
    #[arg(value_name = "C-M-S", value_parser = values::rule)]
    pub rule: Rule,
    /// Literal copies, each complete by itself
    pub full: Option<FullWord>,
    /// Let spare room buy more than the rule asks, up to this factor
    #[arg(long, value_name = "FACTOR", value_parser = values::spend_percent)]
    pub spend: Option<u32>,
    /// For one shoot only
    #[arg(long, value_parser = values::shoot)]
    pub shoot: Option<String>,
}

/// The word `full` after a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FullWord {
    /// Literal copies.
    Full,
}

/// `kit`
#[derive(Debug, Args)]
pub struct KitArgs {
    /// The recovery phrase; - reads standard input
    #[arg(long, value_name = "FILE|-", value_hint = ValueHint::FilePath)]
    pub phrase_file: PathBuf,
    /// Write the page to a new file instead of printing it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub out: Option<PathBuf>,
}

/// `config`
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// One setting, such as limit.up
    pub key: Option<String>,
    /// Its new value, such as 5MB, 30d, 22:00-07:00
    #[arg(allow_hyphen_values = true)]
    pub value: Option<String>,
}

/// `completions`
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
