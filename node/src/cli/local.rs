//! What commands do without asking a running node.
//!
//! Everything here blocks; a function that needs an async runtime starts its own.

use std::path::PathBuf;

use libp2p::Multiaddr;
use safelight_proto::vocabulary::Site;

use super::values::HostPort;
use crate::admin::command::PhraseText;
use crate::admin::operator::{Failure, Outcome, Reporter};
use crate::home::Home;

/// Who and where a node to be made is.
#[derive(Debug, Clone)]
pub struct NewNode {
    /// Its name.
    pub name: String,
    /// Its site.
    pub site: Site,
    /// Its volumes, as typed: `PATH[,media=ssd][,capacity=4TB][,site=S]`.
    pub volumes: Vec<String>,
}

/// What `run` was told.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Where peers reach the node, to be announced as it is.
    pub listen: Option<HostPort>,
    /// Where commands and the dashboard reach it.
    pub dashboard: Option<HostPort>,
}

/// What `join` was told.
#[derive(Debug, Clone)]
pub struct JoinOptions {
    /// The folder that becomes the home.
    pub home: PathBuf,
    /// The invite.
    pub code: String,
    /// The new node.
    pub node: NewNode,
    /// Shards come on a drive first.
    pub seeding: bool,
}

/// What `recover` was told.
#[derive(Debug, Clone)]
pub struct RecoverOptions {
    /// The folder that becomes the home.
    pub home: PathBuf,
    /// The phrase, not yet checked.
    pub phrase: PhraseText,
    /// Surviving nodes.
    pub peers: Vec<Multiaddr>,
    /// The new node.
    pub node: NewNode,
    /// Where the files go, if they are to come back now.
    pub to: Option<PathBuf>,
}

/// What `salvage` was told.
#[derive(Debug, Clone)]
pub struct SalvageOptions {
    /// Folders with shard files.
    pub dirs: Vec<PathBuf>,
    /// The phrase, not yet checked.
    pub phrase: PhraseText,
    /// The folder to fill.
    pub to: PathBuf,
}

/// A new recovery phrase.
pub fn new_phrase() -> Result<PhraseText, Failure> {
    Err(not_in_this_build())
}

/// The library that a phrase belongs to, in hex; a failure names the word that is wrong.
pub fn library_of(_phrase: &PhraseText) -> Result<String, Failure> {
    Err(not_in_this_build())
}

/// Founds a library: fills the home in `home` with its first node. Answers with a `MemberDoc`.
///
/// Volumes are checked before anything is written.
pub fn init(_home: PathBuf, _node: NewNode, _phrase: &PhraseText) -> Result<Outcome, Failure> {
    Err(not_in_this_build())
}

/// Makes this machine a node of a library. Answers with a `MemberDoc`.
pub fn join(_options: JoinOptions, _reporter: &Reporter) -> Result<Outcome, Failure> {
    Err(not_in_this_build())
}

/// Runs the node until a signal stops it. Answers with an empty object.
pub fn run(_home: Home, _options: RunOptions) -> Result<Outcome, Failure> {
    Err(not_in_this_build())
}

/// Makes this machine a studio node of the library that the phrase is for. Answers with a `RecoverDoc`.
pub fn recover(_options: RecoverOptions, _reporter: &Reporter) -> Result<Outcome, Failure> {
    Err(not_in_this_build())
}

/// Brings files back from shard files alone. Answers with a `RestoreDoc`.
pub fn salvage(_options: SalvageOptions, _reporter: &Reporter) -> Result<Outcome, Failure> {
    Err(not_in_this_build())
}

fn not_in_this_build() -> Failure {
    Failure::new("this command is not available in this build")
}
