//! What commands do without asking a running node.
//!
//! Everything here blocks; a function that needs an async runtime starts its own.

use std::path::PathBuf;

use std::time::Duration;

use libp2p::Multiaddr;
use safelight_core::seal::RecoveryPhrase;
use safelight_proto::vocabulary::Site;
use zeroize::Zeroizing;

use super::client;
use super::values::HostPort;
use crate::admin::command::PhraseText;
use crate::admin::operator::{Failure, Outcome, Reporter};
use crate::entrance::{self, Compare, Joining, NodePlan};
use crate::home::Home;
use crate::serve;

/// Tasks that still run when a command is over get so long.
const SHUTDOWN: Duration = Duration::from_secs(2);

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
    /// It is filled elsewhere before it moves to its site.
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
    let mut entropy = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *entropy)
        .map_err(|error| Failure::new(format!("this machine has no randomness: {error}")))?;
    Ok(PhraseText::new(&RecoveryPhrase::from_entropy(*entropy).words()))
}

/// The phrase in a text; a failure names the word that is wrong.
pub fn parse_phrase(text: &PhraseText) -> Result<RecoveryPhrase, Failure> {
    RecoveryPhrase::parse(text.as_str()).map_err(|error| {
        Failure::new(format!("{error}; nothing was changed"))
            .next("compare it with the words as they were written down")
    })
}

/// The library that a phrase belongs to, in hex; a failure names the word that is wrong.
pub fn library_of(phrase: &PhraseText) -> Result<String, Failure> {
    Ok(parse_phrase(phrase)?.library().to_string())
}

/// Founds a library: fills the home in `home` with its first node. Answers with a `MemberDoc`.
///
/// Volumes are checked before anything is written.
pub fn init(home: PathBuf, node: NewNode, phrase: &PhraseText) -> Result<Outcome, Failure> {
    let (plan, phrase) = (node.plan()?, parse_phrase(phrase)?);
    block_on(async { Ok(Outcome::done(entrance::found(&home, &plan, &phrase).await?)) })
}

/// Gets ready to join the library that a code is for.
pub fn begin_join(options: JoinOptions) -> Result<Joining, Failure> {
    let plan = NodePlan { seeding: options.seeding, ..options.node.plan()? };
    Joining::begin(options.home, plan, &options.code)
}

/// Comes to the inviting node's door; a studio is sent back with a short code to compare.
pub fn knock(joining: &Joining, reporter: &Reporter) -> Result<Option<Compare>, Failure> {
    block_on(joining.knock(reporter))
}

/// Ends the joining, because the short code is not the same.
pub fn decline(joining: Joining, reporter: &Reporter) -> Result<(), Failure> {
    block_on(async {
        joining.decline(reporter).await;
        Ok(())
    })
}

/// Makes this machine a node of a library. Answers with a `MemberDoc`.
pub fn join(joining: Joining, reporter: &Reporter) -> Result<Outcome, Failure> {
    block_on(async { Ok(Outcome::done(joining.finish(reporter).await?)) })
}

/// Runs the node until a signal stops it. Answers with an empty object.
pub fn run(home: Home, options: RunOptions) -> Result<Outcome, Failure> {
    let _lock = home.lock().map_err(|error| client::explain(error, home.dir()))?;
    let resolve = |address: &HostPort| {
        address.resolve().map_err(|error| Failure::usage(format!("{address} cannot be listened on: {error}")))
    };
    let listen = options.listen.as_ref().map(resolve).transpose()?;
    let dashboard = options.dashboard.as_ref().map(resolve).transpose()?;
    block_on(serve::serve(&home, listen, dashboard))
}

/// Makes this machine a studio node of the library that the phrase is for. Answers with a `RecoverDoc`.
pub fn recover(options: RecoverOptions, reporter: &Reporter) -> Result<Outcome, Failure> {
    let (plan, phrase) = (options.node.plan()?, parse_phrase(&options.phrase)?);
    let peers = options.peers.iter().map(ToString::to_string).collect();
    let recovery = entrance::Recovery { home: options.home, plan, peers, to: options.to };
    block_on(async {
        let recovered = entrance::recover(recovery, &phrase, reporter).await?;
        Ok(if recovered.complete {
            Outcome::done(recovered.document)
        } else {
            Outcome::attention(recovered.document)
        })
    })
}

/// Brings files back from shard files alone. Answers with a `RestoreDoc`.
pub fn salvage(options: SalvageOptions, reporter: &Reporter) -> Result<Outcome, Failure> {
    let phrase = parse_phrase(&options.phrase)?;
    crate::workers::salvage::salvage(&options.dirs, &phrase, &options.to, reporter)
}

impl NewNode {
    fn plan(&self) -> Result<NodePlan, Failure> {
        NodePlan::parse(&self.name, &self.site, &self.volumes)
    }
}

fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("the system refused a thread: {error}")))?;
    let done = runtime.block_on(work);
    // What still runs in the background has nothing to say any more.
    runtime.shutdown_timeout(SHUTDOWN);
    done
}
