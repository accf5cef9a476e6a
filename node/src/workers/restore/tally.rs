//! How far a restore is, told to the caller as it goes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::admin::operator::{Progress, Reporter};

/// See the module's documentation.
#[derive(Debug)]
pub struct Tally {
    reporter: Reporter,
    progress: Mutex<Progress>,
    /// Files were counted already: this is a second time through them.
    again: AtomicBool,
}

impl Tally {
    /// Nothing done yet.
    pub fn new(reporter: Reporter, phase: &str) -> Self {
        let progress = Progress { phase: phase.into(), ..Progress::default() };
        Self { reporter, progress: Mutex::new(progress), again: AtomicBool::new(false) }
    }

    /// So many more files and bytes are to be done.
    pub fn expect(&self, files: u64, bytes: u64) {
        self.change(|progress| {
            progress.files_total = Some(progress.files_total.unwrap_or(0) + files);
            progress.bytes_total = Some(progress.bytes_total.unwrap_or(0) + bytes);
        });
    }

    /// Of the bytes that are expected so many turned out to be so many.
    pub fn correct(&self, expected: u64, really: u64) {
        self.change(|progress| {
            let total = progress.bytes_total.unwrap_or(0).saturating_sub(expected).saturating_add(really);
            progress.bytes_total = Some(total);
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
        if !self.again.load(Ordering::Relaxed) {
            self.change(|progress| progress.files_done += 1);
        }
    }

    /// The files that follow were counted already, or not.
    pub fn again(&self, again: bool) {
        self.again.store(again, Ordering::Relaxed);
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
