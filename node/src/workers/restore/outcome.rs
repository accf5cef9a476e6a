//! What became of each file: written, tried elsewhere, or failed.

use std::collections::BTreeMap;

use safelight_proto::id::RollId;

use super::passes::Job;
use super::trouble::Obstacle;
use super::work::Work;
use super::writer::{Results, Writer};
use crate::admin::doc::{FailedFileDoc, RenamedDoc};
use crate::disk::restore::Restored;

impl Work<'_> {
    pub(super) fn settle(&mut self, jobs: &mut [Job], results: Results) {
        for (number, result) in results {
            let Some(job) = jobs.get_mut(number) else { continue };
            job.over = true;
            match result {
                Ok(restored) => {
                    self.doc.files += 1;
                    self.doc.bytes += job.file.wanted.len;
                    job.came = true;
                    match restored {
                        None | Some(Restored::Written(_)) => {}
                        Some(Restored::Kept(_)) => self.doc.files_kept += 1,
                        Some(Restored::Renamed(path)) => self.doc.renamed.push(RenamedDoc {
                            path: job.file.shown.clone(),
                            written_as: path.to_string_lossy().into_owned(),
                        }),
                    }
                }
                Err(error) => self.fail(&job.file.shown, error.to_string()),
            }
        }
    }

    pub(super) fn fail(&mut self, path: &str, error: impl Into<String>) {
        self.doc.files_failed.push(FailedFileDoc { path: path.to_owned(), error: error.into() });
    }

    /// Gives up the rolls with such obstacles: files that lie elsewhere too are tried there, the others have failed.
    pub(super) fn give_up(
        &mut self,
        later: &mut BTreeMap<RollId, Obstacle>,
        jobs: &mut [Job],
        first: usize,
        writer: &Writer,
        which: impl Fn(&Obstacle) -> bool,
    ) {
        for (number, job) in jobs.iter_mut().enumerate() {
            let roll = job.next().map(|part| part.roll);
            let Some(obstacle) = roll.and_then(|roll| later.get(&roll)).filter(|o| which(o)) else {
                continue;
            };
            let why = obstacle.why.clone();
            self.lose(job, first + number, writer, &why);
        }
        later.retain(|_, obstacle| !which(obstacle));
    }

    /// A file whose bytes cannot be had from where they are looked for: it is tried elsewhere, or has failed.
    pub(super) fn lose(&mut self, job: &mut Job, number: usize, writer: &Writer, why: &str) {
        if job.over {
            return;
        }
        writer.forget(number);
        if !job.try_elsewhere() {
            job.over = true;
            self.fail(&job.file.shown, why);
        }
    }
}
