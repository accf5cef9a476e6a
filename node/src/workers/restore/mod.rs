//! Files brought back from shards here and on other nodes.
//!
//! ```text
//! catalogs ─▶ wanted files ─▶ passes over rolls ─▶ k feeds, stripe by stripe ─▶ open ─▶ write, check, name
//! ```
//!
//! In the order of the data: [`files`] which files under which names, [`passes`] what to read of a roll in one go,
//! [`sources`] where its shards are and which to take, [`feed`] one shard's units, [`stretch`] k of them made into
//! plaintext, [`spread`] cut into files, [`writer`] the disk. [`work`] goes from pass to pass: a source that fails
//! ([`trouble`]) is left out of the next one, a roll that cannot be rebuilt yet is left for later, and waited for once
//! nothing else is left to do.

mod catalogs;
mod feed;
pub mod files;
mod open;
mod outcome;
mod passes;
mod read;
pub(super) mod rehearsal;
mod sources;
mod spread;
mod stretch;
pub mod tally;
pub(super) mod target;
#[cfg(test)]
pub(crate) mod tests;
mod trouble;
pub(super) mod work;
pub mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use safelight_core::node::Node;
use safelight_proto::vocabulary::Site;

pub(super) use self::feed::{Fault, Feed, Spans};
pub(super) use self::open::open;
pub(super) use self::sources::{Source, roll_sources};
use crate::admin::command::Selection;
use crate::admin::doc::RestoreDoc;
use crate::admin::operator::{Failure, Outcome, Reporter};
use crate::shell::Shell;
use crate::view::{ShootView, find_shoot, shoots};
use files::{Filter, Folders};
use target::Target;
use work::Work;

/// What is to be brought back.
#[derive(Debug, Clone)]
pub struct Restore {
    /// One shoot, right below the folder, or all, each in a folder of its own.
    pub what: Selection,
    /// The folder to fill.
    pub to: PathBuf,
    /// Only files whose path matches one of these globs.
    pub include: Vec<String>,
    /// No file whose path matches one of these globs.
    pub exclude: Vec<String>,
    /// Sites whose shards are not touched.
    pub without: Vec<Site>,
}

/// The command `restore`.
pub async fn restore(shell: &Arc<Shell>, request: Restore, reporter: &Reporter) -> Result<Outcome, Failure> {
    let _busy = shell.scrubs.busy();
    let doc = restore_files(shell, request, reporter).await?;
    Ok(match doc.files_failed.is_empty() {
        true => Outcome::done(doc),
        false => Outcome::attention(doc),
    })
}

/// Brings files back and says what came of it.
pub async fn restore_files(
    shell: &Arc<Shell>,
    request: Restore,
    reporter: &Reporter,
) -> Result<RestoreDoc, Failure> {
    let began = Instant::now();
    if shell.reading_key.is_none() {
        return Err(Failure::new(
            "this node is a vault: it holds shards that it cannot read; restore on a studio node",
        )
        .next("safelight nodes"));
    }
    let filter = Filter::new(&request.include, &request.exclude)?;
    let sites = shell.core.ask(Node::sites).await.map_err(stopped)?;
    if let Some(unknown) = request.without.iter().find(|site| !sites.contains(site)) {
        let known: Vec<&str> = sites.iter().map(Site::name).collect();
        let message = format!("there is no site '{}'; the sites are: {}", unknown.name(), known.join(", "));
        return Err(Failure::usage(message));
    }
    let chosen = chosen(shell, &request.what).await?;
    let target = Target::folder(&request.to).map_err(|error| Failure::new(error.to_string()))?;
    let mut work = Work::new(shell, target, request.without, reporter, "restoring");
    let mut folders = Folders::default();
    for shoot in &chosen {
        let folder = match &request.what {
            Selection::All => Some(folders.name(&title(shoot))),
            Selection::Shoot(_) => None,
        };
        work.shoot(shoot, folder.as_deref(), &filter).await?;
    }
    work.finish(began).await
}

async fn chosen(shell: &Arc<Shell>, what: &Selection) -> Result<Vec<ShootView>, Failure> {
    let shared = Arc::clone(shell);
    let known = move |node: &Node| shoots(node, &shared.names, shared.reading_key.as_ref());
    let known = shell.core.ask(known).await.map_err(stopped)?;
    match what {
        Selection::All => Ok(known),
        Selection::Shoot(text) => Ok(vec![find_shoot(&known, text)?]),
    }
}

/// What to call a shoot whose name does not open.
pub(super) fn title(shoot: &ShootView) -> String {
    let id = || shoot.ids.first().map_or_else(String::new, |id| id.short());
    shoot.name.clone().unwrap_or_else(|| format!("shoot {}", id()))
}

pub(super) fn stopped(error: crate::driver::Stopped) -> Failure {
    Failure::new(error.to_string())
}
