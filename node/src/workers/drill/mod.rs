//! Drills: recoveries that are rehearsed. Files are really rebuilt while the shards of one site are not touched, every
//! unit verified and every file compared with its hash; nothing is written. What came of it is a record for everyone.
//!
//! ```text
//! shoots ─▶ a sample of their files, or all ─▶ restore machinery, without a site, into nothing but hashes ─▶ certificate
//!                                              once from the data, once more from parity
//! ```
//!
//! A command ([`drill`]), and once in a while by itself ([`keep`]).

mod course;
mod keep;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use safelight_core::drill::{Candidate, shares};
use safelight_core::event::Event;
use safelight_core::manifest::Standing;
use safelight_core::node::Node;
use safelight_proto::id::RollId;
use safelight_proto::record::{self, Body};
use safelight_proto::vocabulary::Site;

pub use keep::keep;

use crate::admin::command::Extent;
use crate::admin::doc::DrillDoc;
use crate::admin::operator::{Failure, Outcome, Reporter};
use crate::shell::Shell;
use crate::view::{self, ShootView, shoots};
use course::Course;

/// What is to be rehearsed.
#[derive(Debug, Clone)]
pub struct Drill {
    /// The site that is to be done without.
    pub without: Site,
    /// How many files.
    pub extent: Extent,
    /// Bytes of the files at most, where there is a bound.
    pub most_bytes: Option<u64>,
    /// Others' work comes first.
    pub polite: bool,
}

/// What a drill is about: the library as it stood when it began.
struct Scope {
    shoots: Vec<ShootView>,
    standing: Standing,
}

/// The command `drill`.
pub async fn drill(
    shell: &Arc<Shell>,
    without: Site,
    extent: Extent,
    reporter: &Reporter,
) -> Result<Outcome, Failure> {
    let _busy = shell.scrubs.busy();
    let request = Drill { without, extent, most_bytes: None, polite: false };
    let document = rehearse(shell, request, reporter).await?;
    Ok(if document.passed { Outcome::done(document) } else { Outcome::attention(document) })
}

/// Holds a drill, records what came of it and says so.
async fn rehearse(shell: &Arc<Shell>, request: Drill, reporter: &Reporter) -> Result<DrillDoc, Failure> {
    let began = Instant::now();
    if shell.reading_key.is_none() {
        return Err(Failure::new(
            "this node is a vault: it holds shards that it cannot read, so it cannot rehearse a recovery",
        )
        .next("run the drill on a studio node"));
    }
    let without = known_site(shell, &request.without).await?;
    let scope = scope(shell).await?;
    if scope.standing.files == 0 {
        return Err(Failure::new("there are no photos yet, so there is nothing to rebuild")
            .next("take some in with `safelight ingest`"));
    }
    let request = Drill { without, ..request };
    let shares = match request.extent {
        Extent::All => None,
        // A drill that tests nothing must not pass.
        Extent::Sample(most) => Some(sample(&scope, most.max(1))?),
    };
    let held = hold(shell, &request, &scope, shares, reporter).await;
    let mut document = held.map_err(|failure| match reporter.is_cancelled() {
        true => Failure::new("the drill was interrupted; nothing was changed, and no certificate recorded")
            .next("run it again: it begins anew"),
        false => failure,
    })?;
    document.seconds = began.elapsed().as_secs_f64();
    let certificate = certificate(&request, &scope.standing, &document);
    shell.core.settle(Event::Say(vec![Body::Drill(certificate)])).await?;
    Ok(document)
}

/// The site as the library spells it.
async fn known_site(shell: &Arc<Shell>, asked: &Site) -> Result<Site, Failure> {
    let sites = shell.core.ask(Node::sites).await?;
    let known: Vec<&str> = sites.iter().map(Site::name).collect();
    let unknown = || {
        let message = format!("there is no site '{}'; the sites are: {}", asked.name(), known.join(", "));
        Failure::new(message).next("safelight nodes")
    };
    sites.iter().find(|site| *site == asked).cloned().ok_or_else(unknown)
}

async fn scope(shell: &Arc<Shell>) -> Result<Scope, Failure> {
    let worker = Arc::clone(shell);
    let scope = shell.core.ask(move |node| Scope {
        shoots: shoots(node, &worker.names, worker.reading_key.as_ref()),
        standing: node.manifest().standing(),
    });
    Ok(scope.await?)
}

/// How many files of each roll.
fn sample(scope: &Scope, most: u64) -> Result<BTreeMap<RollId, u64>, Failure> {
    let mut draw = chance()?;
    let mut candidates = Vec::new();
    for shoot in &scope.shoots {
        candidates.extend(shoot.rolls.iter().map(|roll| Candidate {
            roll: roll.roll,
            shoot: roll.shoot,
            files: files_of(shoot, roll),
        }));
    }
    Ok(shares(&candidates, most, &mut draw))
}

/// Files of a roll that are not deleted.
fn files_of(shoot: &ShootView, roll: &record::Roll) -> u64 {
    roll.files.saturating_sub(shoot.hidden.get(&roll.roll).map_or(0, BTreeSet::len) as u64)
}

/// Numbers by chance, below what is given.
fn chance() -> Result<impl FnMut(u64) -> u64 + Send, Failure> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| Failure::new(format!("the system gives no random numbers: {error}")))?;
    let mut rng = ChaCha20Rng::from_seed(seed);
    // The bias of a remainder is of no matter here.
    Ok(move |end: u64| rng.next_u64() % end.max(1))
}

/// Rebuilds what is to be rebuilt.
async fn hold(
    shell: &Arc<Shell>,
    request: &Drill,
    scope: &Scope,
    shares: Option<BTreeMap<RollId, u64>>,
    reporter: &Reporter,
) -> Result<DrillDoc, Failure> {
    let mut course = Course::new(shell, request, shares, reporter)?;
    course.foresee(&scope.shoots);
    for turn in course.turns(scope.shoots.len()) {
        course.shoot(&scope.shoots[turn]).await?;
    }
    let worker = Arc::clone(shell);
    let verdict = move |node: &Node| view::library::verdict(node, &worker.names, worker.reading_key.as_ref());
    let mut document = course.finish().await?;
    document.files = scope.standing.files;
    document.all |= document.files_tested >= document.files;
    document.verdict = shell.core.ask(verdict).await?;
    Ok(document)
}

fn certificate(request: &Drill, standing: &Standing, document: &DrillDoc) -> record::Drill {
    record::Drill {
        without: request.without.clone(),
        passed: document.passed,
        all: document.all,
        files: document.files_tested,
        of_files: standing.files,
        bytes: document.bytes,
        failed: document.failed.len() as u64,
        rolls: standing.rolls,
        newest: standing.newest,
    }
}

#[cfg(test)]
mod tests;
