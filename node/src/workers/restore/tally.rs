//! How far a restore is, told to the caller as it goes.

use std::sync::{Mutex, PoisonError};

use crate::admin::operator::{Progress, Reporter};

/// See the module's documentation.
#[derive(Debug)]
pub struct Tally {
    reporter: Reporter,
    progress: Mutex<Progress>,
}

impl Tally {
    /// Nothing done yet.
    pub fn new(reporter: Reporter) -> Self {
        let progress = Progress { phase: "restoring".into(), ..Progress::default() };
        Self { reporter, progress: Mutex::new(progress) }
    }

    /// So many more files and bytes are to be done.
    pub fn expect(&self, files: u64, bytes: u64) {
        self.change(|progress| {
            progress.files_total = Some(progress.files_total.unwrap_or(0) + files);
            progress.bytes_total = Some(progress.bytes_total.unwrap_or(0) + bytes);
        });
    }

    /// Bytes were written.
    pub fn written(&self, bytes: u64) {
        self.change(|progress| progress.bytes_done += bytes);
    }

    /// Bytes that were written do not count.
    pub fn unwritten(&self, bytes: u64) {
        self.change(|progress| progress.bytes_done = progress.bytes_done.saturating_sub(bytes));
    }

    /// A file is done.
    pub fn file(&self) {
        self.change(|progress| progress.files_done += 1);
    }

    /// What the restore waits for, if it does.
    pub fn note(&self, note: Option<String>) {
        self.change(|progress| progress.note = note);
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut progress);
        self.reporter.progress(progress.clone());
    }
}
