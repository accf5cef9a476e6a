//! Processes of the real program: commands with their answers, and nodes that run. None outlives its owner.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_safelight");

/// Pause between two looks at a process.
const LOOK_PAUSE: Duration = Duration::from_millis(10);

/// Longest time a command may take before the test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How long a node may take to stop when it is asked to.
const STOP_GRACE: Duration = Duration::from_secs(20);

static SPOKEN: AtomicU32 = AtomicU32::new(0);

/// How a command ended.
#[derive(Debug)]
pub struct Reply {
    /// Its words, for messages.
    pub words: String,
    /// Exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Reply {
    /// The one JSON document on standard output.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| {
            panic!("`{}` gives not one JSON document ({error}): {self:#?}", self.words)
        })
    }

    /// The document of a command that must end with `code`.
    #[track_caller]
    pub fn exit(&self, code: i32) -> Value {
        assert_eq!(self.code, Some(code), "the exit code of `{}`: {self:#?}", self.words);
        self.json()
    }

    /// The document of a command that must be done.
    #[track_caller]
    pub fn done(&self) -> Value {
        self.exit(0)
    }

    /// The sentence of a command that must fail, and the step it proposes.
    #[track_caller]
    pub fn failed(&self, code: i32) -> (String, String) {
        let document = self.exit(code);
        let text = |key: &str| document["error"][key].as_str().unwrap_or_default().to_owned();
        let (message, next) = (text("message"), text("next"));
        assert!(!message.is_empty(), "a failure without a sentence: {self:#?}");
        assert!(!message.contains("panicked"), "{message}");
        (message, next)
    }

    /// The sentence of a command that must fail with exit code 1; it has all of `words`, whatever their case.
    #[track_caller]
    pub fn refused(&self, words: &[&str]) -> String {
        let (message, next) = self.failed(1);
        let whole = format!("{message} | next: {next}");
        for word in words {
            assert!(whole.to_lowercase().contains(&word.to_lowercase()), "no '{word}' in: {whole}");
        }
        whole
    }
}

/// A command to run on a home, or on none.
pub fn command<S: AsRef<OsStr>>(home: Option<&Path>, args: &[S]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(args).stdin(Stdio::null());
    command.env_remove("SAFELIGHT_HOME").env_remove("RUST_LOG").env("SAFELIGHT_TRUST_DECLARED", "1");
    // Hours of the day are the same wherever the tests run.
    command.env("TZ", "UTC");
    // A command that forgets its --home must not find the home of whoever runs the tests.
    command.env("HOME", "/nonexistent");
    if let Some(home) = home {
        command.arg("--home").arg(home);
    }
    command
}

/// A command that runs. Killed when dropped.
#[derive(Debug)]
pub struct Job {
    words: String,
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Job {
    /// Starts `args` with `--json`; what it says goes into files under `logs`.
    pub fn start(logs: &Path, home: Option<&Path>, args: &[OsString]) -> Self {
        let mut command = command(home, args);
        command.arg("--json");
        Self::spawn(logs, command)
    }

    /// Starts a command as it is.
    pub fn spawn(logs: &Path, mut command: Command) -> Self {
        let words: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
        let number = SPOKEN.fetch_add(1, Ordering::Relaxed);
        let verb = words.first().map_or("none", |verb| verb.trim_start_matches('-'));
        let (out, err) =
            (logs.join(format!("{number:04}-{verb}.out")), logs.join(format!("{number:04}-{verb}.err")));
        let file = |path: &Path| File::create(path).expect("a log can be made");
        let child = command.stdout(file(&out)).stderr(file(&err)).spawn().expect("the program starts");
        Self { words: words.join(" "), child, out, err }
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_some()
    }

    /// Kills it, as a power cut would.
    pub fn kill(mut self) -> Reply {
        end(&mut self.child);
        self.reply(None)
    }

    /// Waits until it ends.
    #[track_caller]
    pub fn finish(mut self) -> Reply {
        match wait(&mut self.child, PATIENCE) {
            Some(status) => self.reply(Some(status)),
            None => {
                end(&mut self.child);
                panic!("not within {PATIENCE:?}: {:#?}", self.reply(None));
            }
        }
    }

    fn reply(&self, status: Option<ExitStatus>) -> Reply {
        let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        Reply {
            words: self.words.clone(),
            code: status.and_then(|status| status.code()),
            out: read(&self.out),
            err: read(&self.err),
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A node that runs. Killed when dropped.
#[derive(Debug)]
pub struct NodeProcess {
    child: Child,
}

impl NodeProcess {
    /// Starts `run` on a home, on free ports of this machine; what it says is added to `log`.
    pub fn start(home: &Path, log: &Path, extra: &[&str]) -> Self {
        let mut args = vec!["run"];
        if !extra.contains(&"--listen") {
            args.extend(["--listen", "127.0.0.1:0"]);
        }
        args.extend(["--dashboard", "127.0.0.1:0"]);
        args.extend(extra);
        let log = OpenOptions::new().append(true).create(true).open(log).expect("a log can be made");
        let out = log.try_clone().expect("a second handle");
        let child = command(Some(home), &args).stdout(out).stderr(log).spawn().expect("the program starts");
        Self { child }
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("our child")
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it, as a power cut would.
    pub fn kill(mut self) {
        end(&mut self.child);
    }

    /// Asks it to stop and waits until it has.
    #[track_caller]
    pub fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it runs");
        let status = wait(&mut self.child, STOP_GRACE).expect("a node stops when it is asked to");
        assert!(status.success(), "a node that is asked to stop ends well, not with {status}");
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        match child.try_wait().expect("our child") {
            Some(status) => return Some(status),
            None if Instant::now() >= deadline => return None,
            None => thread::sleep(LOOK_PAUSE),
        }
    }
}

/// Kills a child and takes its status; one that has ended already is left in peace.
fn end(child: &mut Child) {
    // Both fail only on a child that is gone.
    drop(child.kill());
    drop(child.wait());
}
