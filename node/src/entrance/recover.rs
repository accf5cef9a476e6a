//! `recover`: back into a library with nothing but the recovery phrase and one surviving node.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use safelight_core::seal::RecoveryPhrase;
use safelight_proto::id::NodeId;
use safelight_proto::message::{Comparison, JoinRequest, Proof};

use super::found::studio_records;
use super::join::{ask_in, checked};
use super::make::{Keys, NodePlan, check, make};
use super::{node_id, random};
use crate::admin::command::Selection;
use crate::admin::doc::{NodeDoc, NodeState, RecoverDoc, RestoreDoc};
use crate::admin::operator::{Failure, Progress, Reporter};
use crate::net::Address;
use crate::shell::Shell;
use crate::startup::Running;
use crate::view::library::{Local, nodes};
use crate::workers::restore;

/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(200);
/// Catalogs that have not come within this time of the last news are read from shards instead.
const CATALOGS: Duration = Duration::from_secs(10);
/// Members that can be reached are reached within this time of the first.
const GATHER: Duration = Duration::from_secs(5);

/// What to recover, to where.
pub struct Recovery {
    /// The folder that becomes the home.
    pub home: PathBuf,
    /// The new node.
    pub plan: NodePlan,
    /// Addresses of one surviving node or several.
    pub peers: Vec<String>,
    /// Where the files go, if they are to come back now.
    pub to: Option<PathBuf>,
}

/// What came of it.
pub struct Recovered {
    /// For people and scripts.
    pub document: RecoverDoc,
    /// Whether every file that was asked for came back.
    pub complete: bool,
}

/// Makes this machine a studio of the library of `phrase`, takes in what the survivors know, and brings the files back
/// when asked to.
pub async fn recover(
    recovery: Recovery,
    phrase: &RecoveryPhrase,
    reporter: &Reporter,
) -> Result<Recovered, Failure> {
    let Recovery { home, plan, peers, to } = recovery;
    check(&home, &plan)?;
    let secret = random()?;
    let me = node_id(&secret);
    let mut records = studio_records(phrase, me, &plan.site);
    let (peer, proofs) = knock(secret, &peers, phrase, &plan, &records, reporter).await?;
    records.extend(proofs);
    let reading_key = *phrase.reading_key().to_secret();
    let keys = Keys { secret, library: phrase.library(), reading_key: Some(reading_key) };
    let made = make(&home, &plan, keys, &records, peers.clone()).await?;
    let _lock = made.lock().map_err(|error| crate::cli::client::explain(error, &home))?;
    let listen = vec![([0, 0, 0, 0], 0).into()];
    let running = Running::start(&made, listen).await.map_err(|error| Failure::new(error.to_string()))?;
    let outcome = gather_and_restore(&running.shell, peer, to.as_deref(), reporter).await;
    running.stop().await;
    let (restored, complete, silent, as_of) = outcome?;
    let (library, node) = (phrase.library().to_string(), me.to_string());
    Ok(Recovered { document: RecoverDoc { restored, library, node, silent, as_of }, complete })
}

/// Finds a survivor that lets this node in; gives its id and the records that prove it belongs.
async fn knock(
    secret: [u8; 32],
    peers: &[String],
    phrase: &RecoveryPhrase,
    plan: &NodePlan,
    records: &[safelight_proto::record::Record],
    reporter: &Reporter,
) -> Result<(NodeId, Vec<safelight_proto::record::Record>), Failure> {
    let admission = records[1].bytes.clone();
    let request = JoinRequest {
        library: phrase.library(),
        proof: Proof::Admit(admission),
        site: plan.site.clone(),
        name: plan.name.clone(),
        comparison: Comparison::Open,
    };
    let mut last = Failure::usage("say where a surviving node can be reached: --peer MULTIADDR");
    for peer in peers {
        let address: Address = peer
            .parse()
            .map_err(|error| Failure::usage(format!("'{peer}' is no address of a node: {error}")))?;
        match ask_in(secret, std::slice::from_ref(peer), Some(address.node()), &request, reporter).await {
            Ok((proofs, _)) => {
                let all: Vec<_> = records.iter().chain(&proofs).cloned().collect();
                if checked(phrase.library(), &all)?.members().get(&address.node()).is_some() {
                    return Ok((address.node(), proofs));
                }
                last = Failure::new("the node at that address does not belong to the library of this phrase");
            }
            Err(failure) => last = failure,
        }
    }
    Err(last.next("check the phrase and the address; any node of the library that still lives will do"))
}

type Gathered = (RestoreDoc, bool, Vec<NodeDoc>, Option<String>);

async fn gather_and_restore(
    shell: &Arc<Shell>,
    peer: NodeId,
    to: Option<&Path>,
    reporter: &Reporter,
) -> Result<Gathered, Failure> {
    hear(shell, peer, reporter).await?;
    let met = Instant::now();
    let as_of = as_of(shell).await?;
    let (restored, complete) = match to {
        Some(to) => {
            let restored = restore_all(shell, to, reporter).await?;
            let complete = restored.files_failed.is_empty();
            (restored, complete)
        }
        None => (RestoreDoc::default(), true),
    };
    let silent = silent(shell, met + GATHER).await?;
    for node in &silent {
        reporter.notice(format!(
            "{} at {} does not answer. If it is gone for good, run next: safelight lost {}",
            node.name, node.site, node.name
        ));
    }
    Ok((restored, complete, silent, as_of))
}

/// When the others last said how much they know: the picture is no older than that.
async fn as_of(shell: &Arc<Shell>) -> Result<Option<String>, Failure> {
    let said = shell.core.ask(|node| {
        let others = node.manifest().heads().filter(|(member, ..)| *member != node.id());
        others.map(|(_, hlc, _)| hlc.millis()).max()
    });
    let text =
        |millis| humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(millis)).to_string();
    Ok(said.await?.map(text))
}

async fn restore_all(shell: &Arc<Shell>, to: &Path, reporter: &Reporter) -> Result<RestoreDoc, Failure> {
    let request = restore::Restore {
        what: Selection::All,
        to: std::path::absolute(to).map_err(|error| Failure::usage(format!("{}: {error}", to.display())))?,
        include: Vec::new(),
        exclude: Vec::new(),
        without: Vec::new(),
    };
    restore::restore_files(shell, request, reporter).await
}

/// Waits until the survivor's manifest is here, and the catalogs it names as far as they come. What does not come is
/// no reason to give up: a list of files stands in the shards, too.
async fn hear(shell: &Arc<Shell>, peer: NodeId, reporter: &Reporter) -> Result<(), Failure> {
    let mut deadline = Instant::now() + reporter.patience();
    let (mut before, mut quiet) = ((0, usize::MAX), Instant::now());
    loop {
        let (heard, records, missing) = shell
            .core
            .ask(move |node| (node.has_heard(&peer), node.manifest().count(), node.missing_catalogs()))
            .await?;
        if heard && (missing == 0 || quiet.elapsed() >= CATALOGS) {
            return Ok(());
        }
        // As long as something comes in there is no reason to give up.
        if (records, missing) != before {
            before = (records, missing);
            quiet = Instant::now();
            deadline = quiet + reporter.patience();
        }
        reporter.progress(Progress {
            phase: "taking in what the library knows".into(),
            note: Some(format!("{records} records, {missing} catalogs to come")),
            ..Progress::default()
        });
        if Instant::now() >= deadline || reporter.is_cancelled() {
            return Err(Failure::new("the surviving node let this one in, and then fell silent")
                .next("the home is complete: start it with `safelight run`, then `safelight restore --all --to DIR`"));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The members that do not answer; until `deadline` they have time to.
async fn silent(shell: &Arc<Shell>, deadline: Instant) -> Result<Vec<NodeDoc>, Failure> {
    loop {
        let local = Local::default();
        let away: Vec<NodeDoc> = shell
            .core
            .ask(move |node| {
                let away = |node: &NodeDoc| node.state == NodeState::Away;
                nodes(node, &local).into_iter().filter(away).collect()
            })
            .await?;
        if away.is_empty() || Instant::now() >= deadline {
            return Ok(away);
        }
        tokio::time::sleep(LOOK).await;
    }
}
