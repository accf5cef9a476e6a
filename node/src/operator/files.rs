//! The lists of files of a shoot, as its catalogs give them.

use std::sync::Arc;
use std::time::Duration;

use safelight_proto::catalog::Catalog;
use safelight_proto::record::Roll;

use crate::admin::doc;
use crate::admin::operator::{Failure, Outcome, Reporter};
use crate::catalogs::CatalogError;
use crate::shell::Shell;
use crate::view;

/// Between two looks for a catalog that is on its way.
const CATALOG_PAUSE: Duration = Duration::from_secs(1);

/// The command `files`.
pub(super) async fn files(
    shell: &Arc<Shell>,
    shoot: String,
    reporter: &Reporter,
) -> Result<Outcome, Failure> {
    if shell.reading_key.is_none() {
        return Err(Failure::new("this node is a vault: it keeps the library and cannot read it")
            .next("ask a studio node for the files of a shoot"));
    }
    let shoot = super::shoot_of(shell, shoot).await?;
    let mut files = Vec::new();
    for (roll, catalog) in catalogs(shell, &shoot.rolls, reporter).await? {
        let visible = view::visible(&catalog, shoot.hidden.get(&roll.roll));
        files.extend(visible.map(|(_, entry)| doc::FileDoc {
            path: entry.path.clone(),
            bytes: entry.bytes,
            hash: entry.hash.to_string(),
        }));
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Outcome::done(doc::FilesDoc { files }))
}

/// The catalogs of `rolls`; those that are on their way are waited for as long as the caller has patience.
pub(super) async fn catalogs(
    shell: &Arc<Shell>,
    rolls: &[Roll],
    reporter: &Reporter,
) -> Result<Vec<(Roll, Catalog)>, Failure> {
    let deadline = tokio::time::Instant::now() + reporter.patience();
    loop {
        let (worker, rolls) = (Arc::clone(shell), rolls.to_vec());
        let read = tokio::task::spawn_blocking(move || read(&worker, rolls)).await;
        match read.map_err(|error| Failure::new(format!("listing files failed: {error}")))? {
            Ok(catalogs) => return Ok(catalogs),
            // The list may still be on its way from the node that took the files in.
            Err(_) if tokio::time::Instant::now() < deadline && !reporter.is_cancelled() => {
                reporter.notice("waiting for a list of files that is still on its way here");
                tokio::time::sleep(CATALOG_PAUSE).await;
            }
            Err(error) => {
                return Err(Failure::new(format!("the list of files is not complete here: {error}")).next(
                    "see with `safelight status` which nodes do not answer; `restore` works without the list",
                ));
            }
        }
    }
}

fn read(shell: &Shell, rolls: Vec<Roll>) -> Result<Vec<(Roll, Catalog)>, CatalogError> {
    let mut catalogs = Vec::with_capacity(rolls.len());
    for roll in rolls {
        let Some(key) = &shell.reading_key else { break };
        let catalog = shell.catalogs.catalog(shell.library, &roll, key)?;
        catalogs.push((roll, catalog));
    }
    Ok(catalogs)
}

/// Reads how large the files are that were deleted by themselves, so that shoots can be told without them. What cannot
/// be read yet is counted in, and read the next time.
pub(super) async fn measure_deleted(shell: &Arc<Shell>) -> Result<(), Failure> {
    if shell.reading_key.is_none() {
        return Ok(());
    }
    let asked = Arc::clone(shell);
    let unread = shell.core.ask(move |node| {
        let manifest = node.manifest();
        let unread = asked.names.unread(manifest).into_iter();
        let with_roll = unread.filter_map(|(id, record)| {
            let (roll, _) = manifest.roll(&id)?;
            Some((roll.clone(), record, manifest.hidden(roll)))
        });
        with_roll.collect::<Vec<_>>()
    });
    let unread = unread.await?;
    if unread.is_empty() {
        return Ok(());
    }
    let worker = Arc::clone(shell);
    let work = move || {
        for (roll, record, hidden) in unread {
            let Some(key) = &worker.reading_key else { return };
            let Ok(catalog) = worker.catalogs.catalog(worker.library, &roll, key) else { continue };
            let entries = hidden.iter().filter_map(|place| catalog.entries.get(*place as usize));
            worker.names.read(roll.roll, record, entries.map(|entry| entry.bytes).sum());
        }
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Failure::new(format!("the lists of files cannot be read: {error}")))
}
