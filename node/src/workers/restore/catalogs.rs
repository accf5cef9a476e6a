//! The file lists of a shoot's rolls: from the blobs kept here, or from the ends of the rolls themselves.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use safelight_proto::catalog::Catalog;
use safelight_proto::id::RollId;
use safelight_proto::record::Roll;
use safelight_proto::shard::StreamShape;

use super::trouble::{Obstacle, RETRIES};
use super::work::{Attempt, Sink, Work, blocking};
use crate::admin::operator::Failure;
use crate::catalogs::CatalogError;
use crate::view::ShootView;

impl Work<'_> {
    /// The catalogs of a shoot, without the files that are deleted. Those that are not here yet are waited for, and in the end read from shards; what
    /// cannot be had either way is listed as failed.
    pub(in crate::workers) async fn catalogs(
        &mut self,
        shoot: &ShootView,
        folder: Option<&str>,
    ) -> Result<Vec<(RollId, Catalog)>, Failure> {
        let mut found = Vec::with_capacity(shoot.rolls.len());
        let mut missing: Vec<Roll> = shoot.rolls.clone();
        loop {
            self.check_cancelled()?;
            let (here, still) = self.catalogs_here(std::mem::take(&mut missing)).await?;
            found.extend(here);
            missing = still;
            // Whatever can be read is worth more than what is waited for.
            let mut unread = Vec::new();
            for roll in missing {
                match self.catalog_from_shards(&roll).await? {
                    Ok(catalog) => found.push((roll.roll, catalog)),
                    Err(obstacle) => unread.push((roll, obstacle)),
                }
            }
            if let Some((_, obstacle)) = unread.first() {
                let note = format!("waiting for the file lists of {} rolls: {}", unread.len(), obstacle.why);
                self.tally.note(Some(note));
            }
            if unread.is_empty() || !self.pause().await? {
                self.tally.note(None);
                found.iter_mut().for_each(|(roll, catalog)| hide(catalog, shoot.hidden.get(roll)));
                for (roll, obstacle) in &unread {
                    let shown = format!("{} files of roll {}", roll.files, roll.roll.short());
                    let shown = folder.map_or(shown.clone(), |folder| format!("{folder}/{shown}"));
                    self.fail(&shown, format!("the list of files has not come; {}", obstacle.why));
                }
                return Ok(found);
            }
            missing = unread.into_iter().map(|(roll, _)| roll).collect();
        }
    }

    /// The catalogs that are kept here, and the rolls whose are not.
    async fn catalogs_here(&self, rolls: Vec<Roll>) -> Result<(Vec<(RollId, Catalog)>, Vec<Roll>), Failure> {
        let shell = Arc::clone(self.shell);
        blocking(move || {
            let (mut found, mut missing) = (Vec::new(), Vec::new());
            for roll in rolls {
                let key = shell.reading_key.as_ref();
                match key.map(|key| shell.catalogs.catalog(shell.library, &roll, key)) {
                    Some(Ok(catalog)) => found.push((roll.roll, catalog)),
                    Some(Err(error)) => {
                        if !matches!(&error, CatalogError::Io(io) if io.kind() == std::io::ErrorKind::NotFound) {
                            tracing::warn!(%error, "a catalog cannot be used");
                        }
                        missing.push(roll);
                    }
                    None => missing.push(roll),
                }
            }
            (found, missing)
        })
        .await
    }

    /// A catalog read from the end of its roll.
    async fn catalog_from_shards(&mut self, roll: &Roll) -> Result<Result<Catalog, Obstacle>, Failure> {
        let shape = StreamShape { data_bytes: roll.data_bytes, catalog_bytes: roll.catalog_bytes };
        for _ in 0..=RETRIES {
            self.check_cancelled()?;
            let plain = Arc::<Mutex<Vec<u8>>>::default();
            let into = Arc::clone(&plain);
            let attempt = self.read(roll.roll, |reader| {
                let sink: Sink = Box::new(move |_, bytes| {
                    into.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
                    true
                });
                (vec![reader.plan_catalog()], sink)
            });
            if let Attempt::Not(obstacle) = attempt.await? {
                return Ok(Err(obstacle));
            }
            let plain = std::mem::take(&mut *plain.lock().unwrap_or_else(PoisonError::into_inner));
            if let Ok(catalog) = Catalog::from_plain(&plain, shape) {
                return Ok(Ok(catalog));
            }
        }
        Ok(Err(Obstacle { why: "its shards cannot be read".into(), hope: true }))
    }
}

impl Work<'_> {
    /// Whether the list of files of `roll`, read from its shards, is the one that is known; else why not.
    pub(in crate::workers) async fn prove_catalog(
        &mut self,
        roll: &Roll,
        hidden: Option<&BTreeSet<u32>>,
        known: &Catalog,
    ) -> Result<Result<(), String>, Failure> {
        loop {
            match self.catalog_from_shards(roll).await? {
                Ok(mut catalog) => {
                    hide(&mut catalog, hidden);
                    let other = || "it is not the one that is known here".into();
                    return Ok(if catalog == *known { Ok(()) } else { Err(other()) });
                }
                Err(obstacle) if obstacle.hope && self.pause().await? => {}
                Err(obstacle) => return Ok(Err(obstacle.why)),
            }
        }
    }
}

/// Takes the deleted files out of a catalog.
fn hide(catalog: &mut Catalog, hidden: Option<&BTreeSet<u32>>) {
    let mut places = 0u32..;
    let is_hidden = |place: Option<u32>| place.is_some_and(|p| hidden.is_some_and(|h| h.contains(&p)));
    catalog.entries.retain(|_| !is_hidden(places.next()));
}
