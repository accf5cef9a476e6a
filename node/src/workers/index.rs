//! Fills the index of known files from catalogs as they come in, on a node that can read them.

use std::sync::Arc;
use std::time::Duration;

use safelight_proto::record::Roll;

use crate::shell::Shell;
use crate::store::files::KnownFile;

/// New catalogs are looked for this often.
const ROUND: Duration = Duration::from_secs(3);

/// Keeps the index until the node stops. A vault has none.
pub async fn keep(shell: Arc<Shell>) {
    if shell.reading_key.is_none() {
        return;
    }
    let store = Arc::clone(&shell.store);
    let Ok(Ok(mut done)) = tokio::task::spawn_blocking(move || store.indexed_catalogs()).await else {
        return tracing::error!("the index of known files cannot be read; files are taken in again");
    };
    loop {
        let known = done.clone();
        let fresh = shell
            .core
            .ask(move |node| {
                let manifest = node.manifest();
                let rolls = manifest.rolls().map(|(roll, _)| roll);
                // What is taken back from the trash is met again in a later round.
                let fresh = |roll: &&Roll| !known.contains(&roll.catalog_hash) && !manifest.is_trashed(roll);
                rolls.filter(fresh).cloned().collect::<Vec<Roll>>()
            })
            .await;
        let Ok(fresh) = fresh else { return };
        for roll in fresh {
            let worker = Arc::clone(&shell);
            let hash = roll.catalog_hash;
            // A catalog that is not here yet is met again in the next round.
            if let Ok(true) = tokio::task::spawn_blocking(move || index(&worker, &roll)).await {
                done.insert(hash);
            }
        }
        tokio::time::sleep(ROUND).await;
    }
}

/// Puts the files of one catalog into the index; whether that is done for good.
fn index(shell: &Shell, roll: &Roll) -> bool {
    let Some(key) = &shell.reading_key else { return false };
    // Mostly this node's own ingest wrote it, and has put its files in already.
    if matches!(shell.store.is_indexed(&roll.catalog_hash), Ok(true)) {
        return true;
    }
    let Ok(catalog) = shell.catalogs.catalog(shell.library, roll, key) else { return false };
    let files: Vec<KnownFile> = (0u32..)
        .zip(&catalog.entries)
        .map(|(place, entry)| KnownFile {
            bytes: entry.bytes,
            head: entry.head,
            hash: entry.hash,
            roll: roll.roll,
            place,
        })
        .collect();
    match shell.store.index_files(roll.catalog_hash, &files) {
        Ok(()) => true,
        Err(error) => {
            tracing::error!("the index of known files cannot be written: {error}");
            false
        }
    }
}
