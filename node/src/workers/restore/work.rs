//! From pass to pass until every file is back, or cannot come back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use safelight_proto::id::{CodingId, RollId};
use safelight_proto::vocabulary::Site;

use super::files::{Filter, WantedFile, wanted_files};
use super::passes::{Job, next_roll, ready, runs};
use super::rehearsal::Rehearsal;
use super::sources::{RollSources, Source, roll_sources};
use super::spread::Spread;
use super::tally::Tally;
use super::target::Target;
use super::trouble::{Obstacle, Troubles};
use super::writer::{Results, Writer};
use crate::admin::doc::{RestoreDoc, SourceDoc};
use crate::admin::operator::{Failure, Reporter};
use crate::shell::Shell;
use crate::view::ShootView;

/// How often what is waited for is looked for.
const GLANCE: Duration = Duration::from_millis(250);
/// What came of an attempt to read a roll.
pub(super) enum Attempt {
    /// All that was asked for was read.
    Read,
    /// It broke off, and why is known now: ask again.
    Moved,
    Not(Obstacle),
}

/// One restore: its target, what it learnt about sources, and what came of it.
pub(in crate::workers) struct Work<'a> {
    pub(super) shell: &'a Arc<Shell>,
    pub(super) reporter: &'a Reporter,
    target: Arc<Target>,
    pub(super) troubles: Troubles,
    pub(in crate::workers) tally: Arc<Tally>,
    pub(in crate::workers) doc: RestoreDoc,
    pub(super) taken: BTreeMap<String, u64>,
    pub(super) wrong_codings: BTreeSet<CodingId>,
    /// What a rehearsal takes note of; nothing when this is no rehearsal.
    pub(in crate::workers) rehearsal: Option<Rehearsal>,
    /// How long the caller was kept waiting so far, in all.
    waited: Duration,
}

impl<'a> Work<'a> {
    /// Nothing is back yet. `phase` is what it is called meanwhile.
    pub(in crate::workers) fn new(
        shell: &'a Arc<Shell>,
        target: Target,
        without: Vec<Site>,
        reporter: &'a Reporter,
        phase: &str,
    ) -> Self {
        Self {
            shell,
            reporter,
            target: Arc::new(target),
            troubles: Troubles::new(Arc::clone(shell), without),
            tally: Arc::new(Tally::new(reporter.clone(), phase)),
            doc: RestoreDoc::default(),
            taken: BTreeMap::new(),
            wrong_codings: BTreeSet::new(),
            rehearsal: None,
            waited: Duration::ZERO,
        }
    }

    /// Makes the names durable and gives the document.
    pub(in crate::workers) async fn finish(mut self, began: Instant) -> Result<RestoreDoc, Failure> {
        let target = Arc::clone(&self.target);
        blocking(move || target.finish())
            .await?
            .map_err(|error| Failure::new(format!("the target folder cannot be made durable: {error}")))?;
        self.doc.files_failed.sort_by(|a, b| a.path.cmp(&b.path));
        self.doc.renamed.sort_by(|a, b| a.path.cmp(&b.path));
        let source = |(site, bytes)| SourceDoc { site, bytes };
        self.doc.sources = self.taken.into_iter().map(source).collect();
        self.doc.seconds = began.elapsed().as_secs_f64();
        Ok(self.doc)
    }

    /// Brings the files of one shoot back.
    pub(super) async fn shoot(
        &mut self,
        shoot: &ShootView,
        folder: Option<&str>,
        filter: &Filter,
    ) -> Result<(), Failure> {
        let catalogs = self.catalogs(shoot, folder).await?;
        let mut files = wanted_files(&catalogs, folder, filter);
        drop(catalogs);
        self.tally.expect(files.len() as u64, files.iter().map(|file| file.wanted.len).sum());
        // The newest of each path first: the name is theirs.
        files.sort_by_key(|file| file.older);
        self.files(files).await.map(drop)
    }

    /// Brings these files back, the older versions of paths last; gives those that came.
    pub(in crate::workers) async fn files(
        &mut self,
        files: Vec<WantedFile>,
    ) -> Result<Vec<WantedFile>, Failure> {
        let (target, reporter, tally) =
            (Arc::clone(&self.target), self.reporter.clone(), Arc::clone(&self.tally));
        let (mut jobs, there) = blocking(move || {
            let mut jobs: Vec<Job> = files.into_iter().map(Job::new).collect();
            let mut there = Results::new();
            for (number, job) in jobs.iter_mut().enumerate().take_while(|_| !reporter.is_cancelled()) {
                if let Some(kept) = target.already_there(&job.file.path, &job.file.wanted) {
                    tally.written(job.file.wanted.len);
                    tally.file();
                    job.over = true;
                    there.insert(number, Ok(Some(kept)));
                }
            }
            (jobs, there)
        })
        .await?;
        self.settle(&mut jobs, there);
        let writer =
            Writer::start(Arc::clone(&self.target), jobs.iter().map(|j| &j.file), Arc::clone(&self.tally));
        let older = jobs.partition_point(|job| !job.file.older);
        // Only once the newer files have their names do the older ones begin.
        self.bring(&mut jobs[..older], 0, &writer).await?;
        self.bring(&mut jobs[older..], older, &writer).await?;
        Ok(jobs.into_iter().filter(|job| job.came).map(|job| job.file).collect())
    }

    /// Brings these files back; their numbers start at `first`.
    async fn bring(&mut self, jobs: &mut [Job], first: usize, writer: &Writer) -> Result<(), Failure> {
        let empty: Vec<usize> = jobs
            .iter()
            .enumerate()
            .filter(|(_, job)| !job.over && job.next().is_none())
            .map(|(n, _)| n)
            .collect();
        let hand = writer.clone();
        blocking(move || empty.into_iter().all(|number| hand.bytes(first + number, Bytes::new()))).await?;
        self.take_results(jobs, first, writer).await?;
        let mut later: BTreeMap<RollId, Obstacle> = BTreeMap::new();
        loop {
            self.check_cancelled()?;
            self.give_way().await?;
            match next_roll(jobs, |roll| later.contains_key(roll)) {
                Some(roll) => match self.pass(roll, jobs, first, writer).await? {
                    Attempt::Read | Attempt::Moved => {}
                    Attempt::Not(obstacle) => drop(later.insert(roll, obstacle)),
                },
                None if later.is_empty() => return Ok(()),
                None => {
                    self.give_up(&mut later, jobs, first, writer, |obstacle| !obstacle.hope);
                    if !later.is_empty() && !self.wait(&mut later).await? {
                        self.give_up(&mut later, jobs, first, writer, |_| true);
                    }
                }
            }
        }
    }

    /// Reads the pieces of `roll` whose turn it is.
    async fn pass(
        &mut self,
        roll: RollId,
        jobs: &mut [Job],
        first: usize,
        writer: &Writer,
    ) -> Result<Attempt, Failure> {
        let pieces = ready(jobs, roll);
        if pieces.is_empty() {
            return Ok(Attempt::Not(Obstacle { why: "other files come first".into(), hope: true }));
        }
        let hand = writer.clone();
        let mut spread = None;
        let attempt = self
            .read(roll, |reader| {
                let (runs, pieces) = runs(reader, pieces);
                let spread = spread.insert(Arc::new(Mutex::new(Spread::new(pieces, first))));
                let spread = Arc::clone(spread);
                let sink: Sink = Box::new(move |offset, bytes| {
                    let mut spread = spread.lock().unwrap_or_else(PoisonError::into_inner);
                    spread.give(offset, bytes, &hand)
                });
                (runs, sink)
            })
            .await?;
        let mut beyond = BTreeSet::new();
        if let Some(spread) = spread {
            let spread = spread.lock().unwrap_or_else(PoisonError::into_inner);
            for (piece, given) in spread.pieces.iter().zip(&spread.given) {
                jobs[piece.job].advance(*given);
                if matches!(attempt, Attempt::Read) && *given < piece.plain.end - piece.plain.start {
                    beyond.insert(piece.job);
                }
            }
        }
        self.take_results(jobs, first, writer).await?;
        for number in beyond {
            let why = format!("its file list points beyond the end of roll {}", roll.short());
            self.lose(&mut jobs[number], first + number, writer, &why);
        }
        Ok(attempt)
    }

    /// Takes in what the writer finished.
    async fn take_results(&mut self, jobs: &mut [Job], first: usize, writer: &Writer) -> Result<(), Failure> {
        let results = writer.results().await.ok_or_else(broken_off)?;
        let ours = results.into_iter().map(|(number, result)| (number - first, result)).collect();
        self.settle(jobs, ours);
        if writer.is_full() {
            for job in jobs.iter_mut().filter(|job| !job.over) {
                job.over = true;
                self.fail(&job.file.shown, "the disk of the target folder is full");
            }
        }
        Ok(())
    }

    /// Waits until one of the rolls can be read; `false` when the caller's patience is at its end.
    async fn wait(&mut self, later: &mut BTreeMap<RollId, Obstacle>) -> Result<bool, Failure> {
        let told = later.values().next().map(|obstacle| format!("waiting: {}", obstacle.why));
        self.tally.note(told);
        while self.pause().await? {
            let rolls: Vec<RollId> = later.keys().copied().collect();
            let known = move |node: &safelight_core::node::Node| -> Vec<_> {
                rolls.iter().map(|roll| (*roll, roll_sources(node, roll))).collect()
            };
            let known = self.shell.core.ask(known).await.map_err(super::stopped)?;
            let may = |source: &Source| source.within_reach && self.troubles.may(source);
            let readable = |known: &RollSources| known.choose(may).is_some();
            let found = known.into_iter().filter(|(_, known)| known.as_ref().is_some_and(readable));
            let found: Vec<RollId> = found.map(|(roll, _)| roll).collect();
            if !found.is_empty() {
                later.retain(|roll, _| !found.contains(roll));
                self.tally.note(None);
                return Ok(true);
            }
        }
        self.tally.note(None);
        Ok(false)
    }

    /// Waits a moment; `false` when the caller's patience is at its end.
    pub(super) async fn pause(&mut self) -> Result<bool, Failure> {
        if self.waited >= self.reporter.patience() {
            return Ok(false);
        }
        tokio::select! {
            () = tokio::time::sleep(GLANCE) => self.waited += GLANCE,
            () = self.reporter.cancelled() => self.check_cancelled()?,
        }
        Ok(true)
    }

    pub(super) fn check_cancelled(&self) -> Result<(), Failure> {
        match self.reporter.is_cancelled() {
            true => {
                Err(Failure::new("the restore was interrupted; the files that came back so far are whole")
                    .next("run it again: what is there already is kept"))
            }
            false => Ok(()),
        }
    }
}

/// Takes plaintext with its offset; says whether to go on.
pub(super) type Sink = Box<dyn FnMut(u64, &[u8]) -> bool + Send>;

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| broken_off())
}

fn broken_off() -> Failure {
    Failure::new("the restore broke off").next("run it again: what is there already is kept")
}
