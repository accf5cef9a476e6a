//! The one thread of an ingest: takes file after file, and decides where rolls begin and end.

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use rand_chacha::ChaCha20Rng;
use safelight_proto::catalog::{Entry, Extent};
use safelight_proto::id::{Hash, VolumeId};
use tokio::runtime::Handle;

use super::batch::{Batch, Tally};
use super::known::Library;
use super::reading::{Head, ReadError, Reading};
use super::rolls::Halt;
use super::survey::{Found, Source, Totals, sources, totals};
use super::{Settings, Shoot};
use crate::admin::operator::{Failure, Progress, Reporter};
use crate::driver::wall_millis;
use crate::shell::Shell;
use crate::store::files::KnownFile;

/// A file that changes while it is read is read this often.
const TRIES: u32 = 3;

/// Why a file was not taken in.
enum Trouble {
    /// It cannot be read.
    File(String),
    /// It changed while it was read.
    Changed,
    /// The reason is not the file's.
    Halt(Halt),
}

impl From<ReadError> for Trouble {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => Self::File(error.to_string()),
            ReadError::Changed => Self::Changed,
        }
    }
}

impl<E: Into<Halt>> From<E> for Trouble {
    fn from(halt: E) -> Self {
        Self::Halt(halt.into())
    }
}

/// See the module's documentation. Blocks.
pub struct Worker {
    pub(super) shell: Arc<Shell>,
    pub(super) shoot: Shoot,
    pub(super) settings: Settings,
    pub(super) reporter: Reporter,
    pub(super) runtime: Handle,
    pub(super) random: ChaCha20Rng,
    pub(super) library: Library,
    pub(super) batch: Batch,
    pub(super) total: Tally,
    pub(super) expected: Totals,
    pub(super) done: Totals,
    /// Volumes that failed: for good, or until a batch was stored without them, where they were only full.
    pub(super) broken: BTreeSet<VolumeId>,
    pub(super) crowded: BTreeSet<VolumeId>,
    /// What the last of them said.
    pub(super) last_fault: String,
    pub(super) ingested_ms: u64,
    pub(super) first: Vec<u8>,
}

impl Worker {
    /// A worker that has done nothing.
    pub fn new(
        shell: Arc<Shell>,
        shoot: Shoot,
        settings: Settings,
        reporter: Reporter,
        runtime: Handle,
        random: ChaCha20Rng,
    ) -> Self {
        let library = Library::new(Arc::clone(&shell), runtime.clone(), &shoot.name);
        Self {
            shell,
            shoot,
            settings,
            reporter,
            runtime,
            random,
            library,
            batch: Batch::default(),
            total: Tally::default(),
            expected: Totals::default(),
            done: Totals::default(),
            broken: BTreeSet::new(),
            crowded: BTreeSet::new(),
            last_fault: String::new(),
            ingested_ms: wall_millis(),
            first: Vec::new(),
        }
    }

    /// Takes in everything under `paths`.
    pub fn run(&mut self, paths: &[PathBuf]) -> Result<Tally, Failure> {
        self.expected = totals(paths, || self.reporter.is_cancelled());
        let mut walk = sources(paths);
        let mut again = VecDeque::new();
        loop {
            let next = again.pop_front().map(Found::File).or_else(|| walk.next());
            let (current, outcome) = match next {
                Some(Found::File(source)) => {
                    let outcome = self.take(&source);
                    (Some(source), outcome)
                }
                Some(Found::Failed(path, error)) => {
                    self.total.fail(path, error);
                    continue;
                }
                Some(Found::Told(text)) => {
                    self.reporter.notice(text);
                    continue;
                }
                Some(Found::Volume(text)) => {
                    self.total.over_a_volume = true;
                    self.reporter.notice(text);
                    continue;
                }
                None => (None, self.commit()),
            };
            match outcome {
                Ok(()) if current.is_none() => return Ok(std::mem::take(&mut self.total)),
                Ok(()) => {}
                Err(Halt::Volume(fault)) => {
                    let sources = self.give_up(fault)?;
                    current.into_iter().for_each(|source| again.push_front(source));
                    sources.into_iter().rev().for_each(|source| again.push_front(source));
                }
                Err(Halt::Room(no_room)) => self.out_of_room(&no_room),
                Err(Halt::Stop(failure)) => return Err(self.stop(failure)),
            }
        }
    }

    /// One file, with what is to be said of it if it cannot be had.
    fn take(&mut self, source: &Source) -> Result<(), Halt> {
        let mut tries = 0;
        let outcome = loop {
            tries += 1;
            match self.read(source) {
                Err(Trouble::Changed) if tries < TRIES => self.drop_pieces(),
                other => break other,
            }
        };
        let failed = match outcome {
            Ok(()) => None,
            Err(Trouble::File(error)) => Some(error),
            Err(Trouble::Changed) => Some(format!("it changed while it was read, {TRIES} times")),
            Err(Trouble::Halt(Halt::Room(no_room))) => Some(no_room.to_string()),
            Err(Trouble::Halt(halt)) => return Err(halt),
        };
        if let Some(error) = failed {
            self.drop_pieces();
            self.batch.tally.fail(source.path.display().to_string(), error);
        }
        self.done.files += 1;
        self.done.bytes += source.len;
        self.batch.source_bytes += source.len;
        self.batch.sources.push(source.clone());
        if self.batch.is_empty() {
            self.close_tally();
        }
        self.report(0);
        Ok(())
    }

    fn read(&mut self, source: &Source) -> Result<(), Trouble> {
        if !self.batch.takes(source, self.settings.roll_files) {
            self.commit()?;
        }
        let mut reading = Reading::open(&source.path)?;
        #[cfg(test)]
        {
            reading.between = self.settings.between.clone();
        }
        let mut first = std::mem::take(&mut self.first);
        let outcome = self.read_open(source, &mut reading, &mut first);
        self.first = first;
        outcome
    }

    fn read_open(
        &mut self,
        source: &Source,
        reading: &mut Reading,
        first: &mut Vec<u8>,
    ) -> Result<(), Trouble> {
        let head = reading.first(first)?;
        let candidates = self.library.like(reading.len(), head.id);
        if !candidates.is_empty() || self.batch.has_like(reading.len(), head.id) {
            let cancelled = || self.reporter.is_cancelled();
            let hash = reading.hash_ahead(&head, || match cancelled() {
                true => Err(ReadError::Io(std::io::Error::other("cancelled"))),
                false => Ok(()),
            });
            self.check_cancelled()?;
            if self.refer(source, reading, head.id, hash?, &candidates)? {
                return Ok(());
            }
        }
        self.store(source, reading, head, first)
    }

    /// Counts a file that is known, with an entry that refers to its bytes where it needs one.
    fn refer(
        &mut self,
        source: &Source,
        reading: &Reading,
        head: [u8; 16],
        hash: Hash,
        candidates: &[KnownFile],
    ) -> Result<bool, Trouble> {
        let here = self.batch.find(reading.len(), head, hash, source);
        let known = match here {
            Some(here) => Some(here),
            None => self.library.find(candidates, hash, source)?,
        };
        // Of empty files there is nothing to refer to: they are new unless they are there already.
        let Some(known) = known.filter(|known| known.same_place || reading.len() > 0) else {
            return Ok(false);
        };
        if !known.same_place {
            if !self.batch.may_refer(&known.extents) {
                self.commit()?;
                // What was in the batch is in a recorded roll now.
                let candidates = self.library.like(reading.len(), head);
                return self.refer(source, reading, head, hash, &candidates);
            }
            self.batch.push(entry(source, reading, head, hash, known.extents), source);
        }
        self.batch.tally.known += 1;
        Ok(true)
    }

    /// Puts a file's bytes into the stream, and its entry into the catalog.
    fn store(
        &mut self,
        source: &Source,
        reading: &mut Reading,
        head: Head,
        first: &[u8],
    ) -> Result<(), Trouble> {
        let len = reading.len();
        let Head { id, mut hasher } = head;
        let mut extents: Vec<Extent> = Vec::new();
        let (mut done, mut waiting) = (0, first);
        if len > 0 {
            self.make_room(len)?;
        }
        while done < len {
            self.check_cancelled()?;
            if self.batch.stream.as_ref().is_none_or(|stream| stream.room() == 0) {
                self.next_roll(&mut extents, len - done)?;
            }
            let Some(stream) = &mut self.batch.stream else { continue };
            let offset = stream.position();
            let buffer = stream.buffer();
            let filled = if waiting.is_empty() {
                let filled = reading.read(buffer)?;
                hasher.update(&buffer[..filled]);
                reading.let_go();
                filled
            } else {
                let filled = waiting.len().min(buffer.len());
                buffer[..filled].copy_from_slice(&waiting[..filled]);
                waiting = &waiting[filled..];
                filled
            };
            stream.advance(filled)?;
            done += filled as u64;
            match extents.last_mut() {
                Some(last) if last.roll.is_none() => last.len += filled as u64,
                _ => extents.push(Extent { roll: None, offset, len: filled as u64 }),
            }
            self.report(done);
        }
        reading.unchanged()?;
        self.batch.push(entry(source, reading, id, hasher.finalize().into(), extents), source);
        self.batch.tally.new += 1;
        self.batch.tally.bytes += len;
        if !self.batch.full.is_empty() {
            // A file of several rolls is recorded as soon as it is whole.
            self.commit()?;
        }
        Ok(())
    }

    fn stop(&mut self, failure: Failure) -> Failure {
        self.drop_pieces();
        self.batch = Batch::default();
        let stored = self.total.new + self.total.known;
        match stored {
            0 => failure,
            _ => Failure {
                message: format!("{} ({stored} files were stored before)", failure.message),
                ..failure
            },
        }
    }

    pub(super) fn check_cancelled(&self) -> Result<(), Failure> {
        match self.reporter.is_cancelled() {
            true => Err(Failure::new("the ingest was broken off; what was stored before stays stored")
                .next("run it again: files that are stored are not stored twice")),
            false => Ok(()),
        }
    }

    /// Tells how far it is, with `more` bytes of the file in work.
    fn report(&self, more: u64) {
        let bytes_done = self.done.bytes + more;
        self.reporter.progress(Progress {
            phase: "reading".into(),
            bytes_done,
            bytes_total: Some(self.expected.bytes.max(bytes_done)),
            files_done: self.done.files,
            files_total: Some(self.expected.files.max(self.done.files)),
            note: None,
        });
    }
}

fn entry(source: &Source, reading: &Reading, head: [u8; 16], hash: Hash, extents: Vec<Extent>) -> Entry {
    Entry {
        path: source.name.clone(),
        raw_path: source.raw_name.clone(),
        bytes: reading.len(),
        hash,
        head,
        modified_ns: reading.modified_ns(),
        extents,
    }
}
