//! Files from bare shard files: the folders they lie in, and the phrase, are all there is.
//!
//! Every file below the folders is looked at; what is a shard is known by its header or footer, whatever its name.
//! Damage is expected: see [`safelight_core::restore::salvage`]. One roll is read at a time, through few open files.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use safelight_core::restore::salvage::{
    FileError, NotOurs, Salvage, SalvageError, ShardBytes, Unreadable, examine,
};
use safelight_core::seal::RecoveryPhrase;
use safelight_proto::catalog::{Catalog, Entry, Extent};
use safelight_proto::id::{CodingId, LibraryId, RollId};
use walkdir::WalkDir;

use super::restore::files::{Filter, Folders, WantedFile, wanted_files};
use super::restore::tally::Tally;
use crate::admin::doc::{FailedFileDoc, RenamedDoc, RestoreDoc, SourceDoc};
use crate::admin::operator::{Failure, Outcome, Reporter};
use crate::disk::restore::{RestoreError, RestoreTarget, Restored};
use crate::view::normal_name;

/// Shard files that are open at a time.
const OPEN_FILES: usize = 64;

/// Rebuilds every file that the shard files below `dirs` and the phrase can give, each shoot in a folder of its own
/// below `to`. Blocks.
pub fn salvage(
    dirs: &[PathBuf],
    phrase: &RecoveryPhrase,
    to: &Path,
    reporter: &Reporter,
) -> Result<Outcome, Failure> {
    let began = Instant::now();
    let mut found = find(dirs, phrase, reporter)?;
    let target = RestoreTarget::new(to).map_err(|error| Failure::new(error.to_string()))?;
    let mut doc = RestoreDoc::default();
    let tally = Tally::new(reporter.clone(), "restoring");
    let mut folders = Folders::default();
    // Finding is over: what is read from now on is for files.
    found.reads.forget();
    for (name, rolls) in found.shoots(&mut doc, reporter)? {
        let folder = folders.name(&name);
        let mut catalogs = Vec::new();
        for roll in rolls {
            match found.salvage.catalog(roll) {
                Ok(catalog) => catalogs.push((roll, catalog)),
                Err(error) => found.lose_roll(roll, &error, &mut doc),
            }
        }
        let mut files = wanted_files(&catalogs, Some(&folder), &Filter::default());
        tally.expect(files.len() as u64, files.iter().map(|file| file.wanted.len).sum());
        files.sort_by_key(|file| file.older);
        for file in files {
            cancelled(reporter)?;
            found.bring(&file, &target, &tally, &mut doc)?;
        }
    }
    target
        .finish()
        .map_err(|error| Failure::new(format!("the target folder cannot be made durable: {error}")))?;
    doc.sources = found.reads.take();
    doc.files_failed.sort_by(|a, b| a.path.cmp(&b.path));
    doc.seconds = began.elapsed().as_secs_f64();
    Ok(match doc.files_failed.is_empty() {
        true => Outcome::done(doc),
        false => Outcome::attention(doc),
    })
}

fn cancelled(reporter: &Reporter) -> Result<(), Failure> {
    match reporter.is_cancelled() {
        true => Err(Failure::new("the salvage was interrupted; the files that came back so far are whole")
            .next("run it again: what is there already is kept")),
        false => Ok(()),
    }
}

/// What was found, and how many shards there are of each coding.
struct Found {
    salvage: Salvage<ShardFile>,
    /// By roll and coding: shards needed, and the indexes that are there.
    counts: BTreeMap<RollId, BTreeMap<CodingId, (u8, BTreeSet<u8>)>>,
    reads: Arc<Reads>,
}

/// Looks at every file below the folders.
fn find(dirs: &[PathBuf], phrase: &RecoveryPhrase, reporter: &Reporter) -> Result<Found, Failure> {
    let library = phrase.library();
    let reads = Arc::new(Reads::new(dirs));
    let salvage = Salvage::new(library, phrase.reading_key());
    let mut found = Found { salvage, counts: BTreeMap::new(), reads };
    let mut foreign: BTreeMap<LibraryId, usize> = BTreeMap::new();
    let (mut shards, mut unreadable) = (0_usize, 0_usize);
    for (dir, path) in dirs.iter().enumerate() {
        if !path.is_dir() {
            return Err(Failure::new(format!("{} is no folder that can be read", path.display())));
        }
        for entry in WalkDir::new(path) {
            cancelled(reporter)?;
            let Ok(entry) = entry else {
                unreadable += 1;
                continue;
            };
            let Ok(meta) = entry.metadata() else { continue };
            if !meta.is_file() {
                continue;
            }
            let path = entry.into_path();
            let file = ShardFile { path, len: meta.len(), dir, reads: Arc::clone(&found.reads) };
            let Ok(shard) = examine(&file) else { continue };
            match found.salvage.add(file) {
                Ok(roll) => {
                    shards += 1;
                    let codings = found.counts.entry(roll).or_default();
                    let (_, there) = codings.entry(shard.id.coding).or_insert((shard.id.k, BTreeSet::new()));
                    there.insert(shard.id.index);
                }
                Err(NotOurs::OtherLibrary(other)) => *foreign.entry(other).or_default() += 1,
                Err(NotOurs::NotAShard(_)) => {}
            }
        }
    }
    if unreadable > 0 {
        reporter.notice(format!("{unreadable} files or folders could not be read"));
    }
    let others: Vec<String> =
        foreign.iter().map(|(library, count)| format!("{count} of library {}", library.short())).collect();
    match (shards, foreign.is_empty()) {
        (0, true) => Err(Failure::new("there are no shard files in these folders")
            .next("give the folders that were volumes, or copies of them")),
        (0, false) => Err(Failure::new(format!(
            "this phrase is of library {}, and all shards found are of others: {}",
            library.short(),
            others.join(", ")
        ))
        .next("use the recovery phrase of that library")),
        (_, all_ours) => {
            reporter.notice(format!("{shards} shards of {} rolls found", found.counts.len()));
            if !all_ours {
                reporter.notice(format!("shards of other libraries were left alone: {}", others.join(", ")));
            }
            Ok(found)
        }
    }
}

impl Found {
    /// The rolls by the names of their shoots, as their catalogs have them. Rolls without a readable catalog are listed as
    /// failed.
    fn shoots(
        &mut self,
        doc: &mut RestoreDoc,
        reporter: &Reporter,
    ) -> Result<BTreeMap<String, Vec<RollId>>, Failure> {
        let mut shoots: BTreeMap<String, Vec<RollId>> = BTreeMap::new();
        let rolls: Vec<RollId> = self.salvage.rolls().map(|(roll, _)| roll).collect();
        for roll in rolls {
            cancelled(reporter)?;
            match self.salvage.catalog(roll) {
                Ok(catalog) => shoots.entry(name_of(&catalog)).or_default().push(roll),
                Err(error) => self.lose_roll(roll, &error, doc),
            }
        }
        Ok(shoots)
    }

    fn lose_roll(&self, roll: RollId, error: &SalvageError, doc: &mut RestoreDoc) {
        let path = format!("all files of roll {}", roll.short());
        let error = format!("its list of files cannot be rebuilt: {}", self.explain(roll, error));
        doc.files_failed.push(FailedFileDoc { path, error });
    }

    /// Writes one file; what cannot be rebuilt is listed. Only a full disk ends the salvage.
    fn bring(
        &mut self,
        file: &WantedFile,
        target: &RestoreTarget,
        tally: &Tally,
        doc: &mut RestoreDoc,
    ) -> Result<(), Failure> {
        let restored = match target.already_there(&file.path, &file.wanted) {
            Some(kept) => {
                tally.written(file.wanted.len);
                Ok(kept)
            }
            None => self.rebuild(file, target, tally),
        };
        match restored {
            Ok(restored) => {
                tally.file();
                doc.files += 1;
                doc.bytes += file.wanted.len;
                match restored {
                    Restored::Written(_) => {}
                    Restored::Kept(_) => doc.files_kept += 1,
                    Restored::Renamed(path) => doc.renamed.push(RenamedDoc {
                        path: file.shown.clone(),
                        written_as: path.to_string_lossy().into_owned(),
                    }),
                }
            }
            Err(Lost::Target(RestoreError::Full(_))) => {
                return Err(Failure::new(
                    "the disk of the target folder is full; what came back so far is whole",
                )
                .next("make room and run it again: what is there already is kept"));
            }
            Err(lost) => {
                let error = lost.to_string();
                doc.files_failed.push(FailedFileDoc { path: file.shown.clone(), error });
            }
        }
        Ok(())
    }

    /// From where the file lies, or from where else it lies.
    fn rebuild(
        &mut self,
        file: &WantedFile,
        target: &RestoreTarget,
        tally: &Tally,
    ) -> Result<Restored, Lost> {
        let mut first = None;
        for parts in std::iter::once(&file.parts).chain(&file.elsewhere) {
            let extents =
                parts.iter().map(|part| Extent { roll: Some(part.roll), offset: part.offset, len: part.len });
            let entry = Entry {
                path: String::new(),
                raw_path: None,
                bytes: file.wanted.len,
                hash: file.wanted.hash,
                modified_ns: None,
                head: [0; 16],
                extents: extents.collect(),
            };
            let mut out = target.create(&file.path, file.wanted).map_err(Lost::Target)?;
            let mut written = 0;
            // Every extent names its roll.
            let roll = parts.first().map_or(RollId([0; 32]), |part| part.roll);
            let read = self.salvage.file(roll, &entry, |bytes| {
                written += bytes.len() as u64;
                tally.written(bytes.len() as u64);
                out.write(bytes)
            });
            let lost = match read {
                Ok(()) => return out.finish().map_err(Lost::Target),
                Err(FileError::Sink(error)) => return Err(Lost::Target(error)),
                Err(FileError::Salvage(error)) => Lost::Bytes(self.explain(roll_of(&error, roll), &error)),
                Err(FileError::Hash) => Lost::Bytes("its bytes are not those that were ingested".into()),
            };
            tally.unwritten(written);
            first.get_or_insert(lost);
        }
        Err(first.unwrap_or_else(|| Lost::Bytes("nothing is known of its bytes".into())))
    }

    /// An error, and what would help.
    fn explain(&self, roll: RollId, error: &SalvageError) -> String {
        let Some(codings) = self.counts.get(&roll) else { return error.to_string() };
        let missing = |(k, there): &(u8, BTreeSet<u8>)| usize::from(*k).saturating_sub(there.len());
        match codings.values().map(missing).min() {
            Some(missing) if missing > 0 => {
                let shards = if missing == 1 { "1 more shard" } else { &format!("{missing} more shards") };
                format!("{shards} of roll {} must be found", roll.short())
            }
            _ => format!("{error}; another shard of roll {} would help", roll.short()),
        }
    }
}

/// Why a file did not come back.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("{0}")]
    Bytes(String),
    #[error(transparent)]
    Target(RestoreError),
}

fn roll_of(error: &SalvageError, first: RollId) -> RollId {
    match error {
        SalvageError::Missing { roll }
        | SalvageError::Key { roll }
        | SalvageError::NoFooter { roll }
        | SalvageError::Extent { roll } => *roll,
        SalvageError::Segment(bad) => bad.roll,
        SalvageError::Catalog(_) => first,
    }
}

fn name_of(catalog: &Catalog) -> String {
    match normal_name(&catalog.shoot_name) {
        empty if empty.is_empty() => format!("shoot {}", catalog.shoot.short()),
        name => name,
    }
}

/// A file that may be a shard. It is opened when it is read.
struct ShardFile {
    path: PathBuf,
    len: u64,
    /// Below which of the folders, by number.
    dir: usize,
    reads: Arc<Reads>,
}

impl ShardBytes for ShardFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<(), Unreadable> {
        let file = self.reads.file(&self.path).ok_or(Unreadable)?;
        file.read_exact_at(into, offset).map_err(|_| Unreadable)?;
        self.reads.count(self.dir, into.len() as u64);
        Ok(())
    }
}

/// The files that are open, and what was read below each folder.
struct Reads(Mutex<State>);

struct State {
    /// The one that was used last stands last.
    open: VecDeque<(PathBuf, Arc<File>)>,
    bytes: Vec<(String, u64)>,
}

impl Reads {
    fn new(dirs: &[PathBuf]) -> Self {
        let bytes = dirs.iter().map(|dir| (dir.display().to_string(), 0)).collect();
        Self(Mutex::new(State { open: VecDeque::new(), bytes }))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, path: &Path) -> Option<Arc<File>> {
        let mut state = self.state();
        let known = state.open.iter().position(|(open, _)| open == path);
        let entry = match known.and_then(|at| state.open.remove(at)) {
            Some(entry) => entry,
            None => (path.to_owned(), Arc::new(File::open(path).ok()?)),
        };
        let file = Arc::clone(&entry.1);
        if state.open.len() >= OPEN_FILES {
            state.open.pop_front();
        }
        state.open.push_back(entry);
        Some(file)
    }

    fn count(&self, dir: usize, bytes: u64) {
        if let Some((_, sum)) = self.state().bytes.get_mut(dir) {
            *sum += bytes;
        }
    }

    fn forget(&self) {
        self.state().bytes.iter_mut().for_each(|(_, sum)| *sum = 0);
    }

    fn take(&self) -> Vec<SourceDoc> {
        let source = |(dir, bytes): (String, u64)| SourceDoc { site: dir, bytes };
        std::mem::take(&mut self.state().bytes)
            .into_iter()
            .filter(|(_, bytes)| *bytes > 0)
            .map(source)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use safelight_proto::record::Coding;

    use super::super::restore::tests::{Studio, photo, phrase};
    use super::*;
    use crate::admin::operator::Exit;

    fn run(dirs: &[PathBuf], phrase: &RecoveryPhrase, to: &Path) -> Result<(Exit, RestoreDoc), Failure> {
        let (reporter, _reports) = Reporter::new(Duration::ZERO);
        let outcome = salvage(dirs, phrase, to, &reporter)?;
        Ok((outcome.exit, serde_json::from_value(outcome.document).unwrap()))
    }

    /// Copies shards of a coding under names that say nothing, with a bit flipped here and there.
    fn copy(studio: &Studio, coding: &Coding, indexes: &[usize], to: &Path, flips: &[usize]) {
        fs::create_dir_all(to).unwrap();
        for index in indexes {
            let mut bytes = fs::read(studio.shard(coding, *index)).unwrap();
            flips.iter().for_each(|at| bytes[*at] ^= 4);
            fs::write(to.join(format!("{}-{index}.bin", coding.roll.short())), bytes).unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn bare_shards_and_the_phrase_are_enough() {
        let studio = Studio::new().await;
        let photos = [photo(1, 1_500_000), photo(2, 10), photo(3, 300_000)];
        let whole = studio.files(1, "Smith", 2, &photos).await;
        let short = studio.files(2, "Jones", 3, &photos[..2]).await;
        let (a, b) = (studio.dir.path().join("drive a"), studio.dir.path().join("drive b/deep"));
        // One shard with a flipped bit in its header and in a unit, one that only fills the gap.
        copy(&studio, &whole, &[1], &a, &[3, 500_000]);
        copy(&studio, &whole, &[2, 3], &b, &[]);
        copy(&studio, &short, &[0, 4], &b, &[]);
        fs::write(b.join("notes.txt"), "no shard").unwrap();
        studio.running.stop().await;

        let (dirs, to) = ([a.clone(), b.parent().unwrap().to_owned()], studio.dir.path().join("out"));
        let (exit, doc) = run(&dirs, &phrase(), &to).unwrap();
        assert_eq!((exit, doc.files), (Exit::Attention, 3));
        for (number, photo) in photos.iter().enumerate() {
            assert!(fs::read(to.join(format!("Smith/card/{number}.NEF"))).unwrap() == *photo);
        }
        assert_eq!(doc.files_failed.len(), 1);
        assert!(doc.files_failed[0].error.contains("1 more shard"), "{:?}", doc.files_failed);
        assert_eq!(doc.sources.len(), 2);

        let other = RecoveryPhrase::from_entropy([8; 32]);
        let error = run(&dirs, &other, &to).unwrap_err();
        assert!(error.message.contains(&phrase().library().short()), "{error}");
        let empty = studio.dir.path().join("empty");
        fs::create_dir(&empty).unwrap();
        assert!(run(&[empty], &phrase(), &to).unwrap_err().message.contains("no shard files"));
        let (_, again) = run(&dirs, &phrase(), &to).unwrap();
        assert_eq!((again.files, again.files_kept), (3, 3));
    }
}
