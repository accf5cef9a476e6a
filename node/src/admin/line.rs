//! An answer on its way: lines of JSON, one report each, the last one the end.

use serde::{Deserialize, Serialize};

use super::operator::{Exit, Failure, Outcome, Progress, Report};

/// One line of an answer. An empty line only says that the node is alive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// How far the command is.
    Progress {
        /// The state of it.
        progress: Progress,
    },
    /// A sentence.
    Notice {
        /// The sentence.
        notice: String,
    },
    /// The last line of a command that was done.
    Done {
        /// How it was done.
        done: Outcome,
    },
    /// The last line of a command that failed.
    Error {
        /// Why.
        error: ErrorBody,
        /// Exit code for the command line.
        exit: Exit,
    },
}

/// A failure as JSON: what `--json` prints as `error`, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What happened.
    pub message: String,
    /// What to do next, if there is anything.
    pub next: Option<String>,
}

impl Line {
    /// The line as it is sent, with its line end.
    pub fn encode(&self) -> String {
        // Every variant is a struct of plain fields: this fails only on a line we wrote wrongly.
        let mut text = serde_json::to_string(self).expect("a line is plain JSON");
        text.push('\n');
        text
    }
}

impl From<Report> for Line {
    fn from(report: Report) -> Self {
        match report {
            Report::Progress(progress) => Self::Progress { progress },
            Report::Notice(notice) => Self::Notice { notice },
        }
    }
}

impl From<Failure> for Line {
    fn from(failure: Failure) -> Self {
        let error = ErrorBody { message: failure.message, next: failure.next };
        Self::Error { error, exit: failure.exit }
    }
}

impl From<Result<Outcome, Failure>> for Line {
    fn from(result: Result<Outcome, Failure>) -> Self {
        match result {
            Ok(done) => Self::Done { done },
            Err(failure) => failure.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_there_and_back() {
        let lines = [
            (Report::Notice("hello".into()).into(), r#"{"notice":"hello"}"#),
            (
                Ok(Outcome::done(serde_json::json!({"a": 1}))).into(),
                r#"{"done":{"exit":0,"document":{"a":1}}}"#,
            ),
            (Failure::usage("no").next("yes").into(), r#"{"error":{"message":"no","next":"yes"},"exit":2}"#),
            (
                Report::Progress(Progress { phase: "copying".into(), files_done: 2, ..Progress::default() })
                    .into(),
                r#"{"progress":{"phase":"copying","bytes_done":0,"files_done":2}}"#,
            ),
        ];
        for (line, text) in lines {
            let line: Line = line;
            assert_eq!(line.encode(), format!("{text}\n"));
            assert_eq!(serde_json::from_str::<Line>(text).expect("ours"), line);
        }
    }
}
