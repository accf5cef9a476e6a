//! Who performs a command, how it ends, and what it says on the way.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::command::Command;

/// Performs commands: the running node.
pub trait Operator: Send + Sync + 'static {
    /// Performs one command to its end.
    ///
    /// The future is polled to completion even when the client went away; `reporter` then says so, and a
    /// long command ends at its next safe point.
    fn perform(&self, command: Command, reporter: Reporter) -> BoxFuture<'_, Result<Outcome, Failure>>;
}

/// Exit codes of the command line: they judge the command, and `status` alone judges the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// Not understood.
    Usage = 2,
    /// Done, but something is not as it should be.
    Attention = 3,
}

impl From<Exit> for u8 {
    fn from(exit: Exit) -> u8 {
        exit as u8
    }
}

impl TryFrom<u8> for Exit {
    type Error = String;
    fn try_from(code: u8) -> Result<Self, String> {
        match code {
            0 => Ok(Self::Done),
            1 => Ok(Self::Failed),
            2 => Ok(Self::Usage),
            3 => Ok(Self::Attention),
            _ => Err(format!("{code} is no exit code")),
        }
    }
}

/// A command that was done: its exit code and its document, one of those in [`super::doc`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// [`Exit::Done`] or [`Exit::Attention`].
    pub exit: Exit,
    /// The document, as `--json` prints it.
    pub document: Value,
}

impl Outcome {
    /// Done, with nothing to add.
    pub fn done(document: impl Serialize) -> Self {
        Self::new(Exit::Done, document)
    }

    /// Done, but the document says what is not as it should be.
    pub fn attention(document: impl Serialize) -> Self {
        Self::new(Exit::Attention, document)
    }

    fn new(exit: Exit, document: impl Serialize) -> Self {
        // Documents are plain structs with text keys, so this fails only on a document we wrote wrongly.
        let document = serde_json::to_value(document).expect("a document is plain JSON");
        Self { exit, document }
    }
}

/// A command that was not done: what happened, whether the photos are safe, and the next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// One or two sentences for a person.
    pub message: String,
    /// The command or step to try next.
    pub next: Option<String>,
    /// [`Exit::Failed`], or [`Exit::Usage`] when the request itself was wrong.
    pub exit: Exit,
}

impl Failure {
    /// The command failed.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), next: None, exit: Exit::Failed }
    }

    /// The command was wrong in itself.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::new(message) }
    }

    /// The same failure with a next step.
    pub fn next(self, next: impl Into<String>) -> Self {
        Self { next: Some(next.into()), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// How far a command is. Unknown totals are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done, in a word or three: `copying`, `read-back`, `waiting for friend`.
    pub phase: String,
    /// Bytes done in this phase.
    pub bytes_done: u64,
    /// Bytes of this phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_total: Option<u64>,
    /// Files done in this phase.
    pub files_done: u64,
    /// Files of this phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files_total: Option<u64>,
    /// Anything else a person should see now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Something a command says before it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// How far it is; a newer one replaces it.
    Progress(Progress),
    /// A sentence that stays.
    Notice(String),
}

/// Notices kept until somebody takes them; further ones are counted only.
const MAX_NOTICES: usize = 256;

/// The caller as a command sees it: takes reports, knows the caller's patience, and whether it is still there.
#[derive(Debug, Clone)]
pub struct Reporter {
    desk: Arc<Mutex<Desk>>,
    cancel: CancellationToken,
    patience: Duration,
}

/// The other end of a [`Reporter`]. Dropping it cancels the command.
#[derive(Debug)]
pub struct Reports {
    desk: Arc<Mutex<Desk>>,
    cancel: CancellationToken,
}

#[derive(Debug, Default)]
struct Desk {
    progress: Option<Progress>,
    notices: VecDeque<String>,
    dropped: u64,
}

impl Reporter {
    /// A reporter and the end that takes its reports. `patience` is how long the caller waits for peers.
    pub fn new(patience: Duration) -> (Self, Reports) {
        Self::under(&CancellationToken::new(), patience)
    }

    /// Like [`Reporter::new`], cancelled with `parent` too.
    pub fn under(parent: &CancellationToken, patience: Duration) -> (Self, Reports) {
        let desk = Arc::<Mutex<Desk>>::default();
        let cancel = parent.child_token();
        let reports = Reports { desk: Arc::clone(&desk), cancel: cancel.clone() };
        (Self { desk, cancel, patience }, reports)
    }

    /// Says how far the command is. Cheap: only the newest is kept until it is taken.
    pub fn progress(&self, progress: Progress) {
        lock(&self.desk).progress = Some(progress);
    }

    /// Says one sentence that stays.
    pub fn notice(&self, text: impl Into<String>) {
        let mut desk = lock(&self.desk);
        match desk.notices.len() < MAX_NOTICES {
            true => desk.notices.push_back(text.into()),
            false => desk.dropped += 1,
        }
    }

    /// Whether the caller went away or the node stops.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Ends when the caller went away or the node stops.
    pub async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    /// How long the caller is ready to wait for peers that do not answer (`--timeout`).
    pub fn patience(&self) -> Duration {
        self.patience
    }
}

impl Reports {
    /// Everything said since the last time: notices in order, then the newest progress.
    pub fn take(&self) -> Vec<Report> {
        let mut desk = lock(&self.desk);
        let mut reports: Vec<_> = desk.notices.drain(..).map(Report::Notice).collect();
        if std::mem::take(&mut desk.dropped) > 0 {
            reports.push(Report::Notice("further notices were left out".into()));
        }
        reports.extend(desk.progress.take().map(Report::Progress));
        reports
    }
}

impl Drop for Reports {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// A panic while a report was put down leaves at worst an old report.
fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_progress_and_every_notice() {
        let (reporter, reports) = Reporter::new(Duration::from_secs(1));
        for files_done in 0..1000 {
            reporter.progress(Progress { files_done, ..Progress::default() });
        }
        reporter.notice("one");
        reporter.notice("two");
        let taken = reports.take();
        assert_eq!(taken[..2], [Report::Notice("one".into()), Report::Notice("two".into())]);
        assert!(matches!(&taken[2], Report::Progress(p) if p.files_done == 999));
        assert!(reports.take().is_empty());
    }

    #[test]
    fn notices_are_bounded_and_the_loss_is_said() {
        let (reporter, reports) = Reporter::new(Duration::ZERO);
        for n in 0..10 * MAX_NOTICES {
            reporter.notice(n.to_string());
        }
        let taken = reports.take();
        assert_eq!(taken.len(), MAX_NOTICES + 1);
        assert!(matches!(taken.last(), Some(Report::Notice(text)) if text.contains("left out")));
    }

    #[test]
    fn a_caller_who_leaves_cancels() {
        let (reporter, reports) = Reporter::new(Duration::ZERO);
        assert!(!reporter.is_cancelled());
        drop(reports);
        assert!(reporter.is_cancelled());
    }
}
