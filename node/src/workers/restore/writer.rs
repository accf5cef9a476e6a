//! The thread that writes files below the target, so that disks are read and written at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::files::WantedFile;
use super::tally::Tally;
use super::target::{Target, TargetFile};
use crate::disk::restore::{RestoreError, Restored};

/// Pieces that wait to be written, of a segment at most.
const WAITING: usize = 8;

/// What became of a file: where it stands; nothing when it was right and nowhere to be written.
pub type FileResult = Result<Option<Restored>, RestoreError>;
/// What became of files, by number.
pub type Results = BTreeMap<usize, FileResult>;

/// Name, length and hash of a file to write.
struct Label {
    path: Vec<u8>,
    wanted: crate::disk::restore::Wanted,
}

enum Message {
    /// The next bytes of a file; none for one without bytes.
    Bytes(usize, Bytes),
    /// What was written of a file is to be forgotten.
    Forget(usize),
    /// Says when everything before it is done.
    Mark(oneshot::Sender<()>),
}

/// See the module's documentation. Dropped, it removes what is not finished.
#[derive(Clone)]
pub struct Writer {
    messages: SyncSender<Message>,
    results: Arc<Mutex<Results>>,
    /// The target's disk is full: nothing more can be written.
    full: Arc<AtomicBool>,
}

impl Writer {
    /// Starts the thread for these files.
    pub fn start<'a>(
        target: Arc<Target>,
        files: impl Iterator<Item = &'a WantedFile>,
        tally: Arc<Tally>,
    ) -> Self {
        let labels = files.map(|file| Label { path: file.path.clone(), wanted: file.wanted }).collect();
        let (messages, waiting) = sync_channel(WAITING);
        let results = Arc::<Mutex<Results>>::default();
        let full = Arc::<AtomicBool>::default();
        let desk = Desk { target, labels, tally, results: Arc::clone(&results), full: Arc::clone(&full) };
        drop(tokio::task::spawn_blocking(move || desk.write(&waiting)));
        Self { messages, results, full }
    }

    /// Adds bytes to a file; the first that come for it create it. Blocks. `false` when nothing more
    /// can be written.
    pub fn bytes(&self, number: usize, bytes: Bytes) -> bool {
        !self.is_full() && self.messages.send(Message::Bytes(number, bytes)).is_ok()
    }

    /// Forgets what was written of a file.
    pub fn forget(&self, number: usize) -> bool {
        self.messages.send(Message::Forget(number)).is_ok()
    }

    /// Whether the target's disk turned out to be full.
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Waits until everything before is done, and takes the results that are new; nothing when the thread is gone.
    pub async fn results(&self) -> Option<Results> {
        let (done, marked) = oneshot::channel();
        let messages = self.messages.clone();
        // The queue may be full; waiting for room is no work for an async thread.
        let sent = tokio::task::spawn_blocking(move || messages.send(Message::Mark(done)).is_ok()).await;
        if !sent.unwrap_or(false) {
            return None;
        }
        marked.await.ok()?;
        Some(std::mem::take(&mut *self.results.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// What the thread works with.
struct Desk {
    target: Arc<Target>,
    labels: Vec<Label>,
    tally: Arc<Tally>,
    results: Arc<Mutex<Results>>,
    full: Arc<AtomicBool>,
}

impl Desk {
    fn write(&self, messages: &Receiver<Message>) {
        let mut open: BTreeMap<usize, (TargetFile, u64)> = BTreeMap::new();
        let mut failed: BTreeSet<usize> = BTreeSet::new();
        for message in messages {
            match message {
                Message::Bytes(number, bytes) if !failed.contains(&number) => {
                    let Some(result) = self.add(number, &bytes, &mut open) else { continue };
                    if let Err(error) = &result {
                        failed.insert(number);
                        self.full.fetch_or(matches!(error, RestoreError::Full(_)), Ordering::Relaxed);
                    }
                    self.results.lock().unwrap_or_else(PoisonError::into_inner).insert(number, result);
                }
                Message::Bytes(..) => {}
                Message::Forget(number) => {
                    if let Some((_, written)) = open.remove(&number) {
                        self.tally.unwritten(written);
                    }
                }
                Message::Mark(done) => {
                    // Whoever asked may have gone.
                    let _ = done.send(());
                }
            }
        }
    }

    /// Adds bytes to a file and finishes it with the last of them.
    fn add(
        &self,
        number: usize,
        bytes: &[u8],
        open: &mut BTreeMap<usize, (TargetFile, u64)>,
    ) -> Option<FileResult> {
        let label = self.labels.get(number)?;
        let (mut file, before) = match open.remove(&number) {
            Some(open) => open,
            None => match self.target.create(&label.path, label.wanted) {
                Ok(file) => (file, 0),
                Err(error) => return Some(Err(error)),
            },
        };
        if let Err(error) = file.write(bytes) {
            self.tally.unwritten(before);
            return Some(Err(error));
        }
        let written = before + bytes.len() as u64;
        self.tally.written(bytes.len() as u64);
        if written < label.wanted.len {
            open.insert(number, (file, written));
            return None;
        }
        let finished = file.finish();
        match &finished {
            Ok(_) => self.tally.file(),
            Err(_) => self.tally.unwritten(written),
        }
        Some(finished)
    }
}
