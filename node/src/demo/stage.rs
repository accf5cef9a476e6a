//! The stage: a folder for everything, the processes that were started, and the way to clear both away.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use crate::admin::operator::Failure;

/// Pause between two looks at a process.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// How long a node may take to stop when it is asked to.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Bytes of each log that are shown after a failure.
const LOG_TAIL: u64 = 4_000;

/// Largest answer of a command, in bytes.
const MAX_ANSWER: u64 = 64 << 20;

/// Whether Ctrl-C or SIGTERM came.
#[derive(Debug, Clone)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Watches from now on, in a thread of its own; the signals no longer end the process by themselves.
    pub fn watch() -> io::Result<Self> {
        let came = Arc::new(AtomicBool::new(false));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let context = runtime.enter();
        let (mut int, mut term) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let mut hangup = signal(SignalKind::hangup())?;
        drop(context);
        let seen = Arc::clone(&came);
        thread::Builder::new().name("interrupt".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! { _ = int.recv() => {} _ = term.recv() => {} _ = hangup.recv() => {} }
            });
            seen.store(true, Ordering::SeqCst);
        })?;
        Ok(Self(came))
    }

    /// One that never comes.
    #[cfg(test)]
    pub fn never() -> Self {
        Self(Arc::default())
    }

    /// An error once a signal came.
    pub fn check(&self) -> io::Result<()> {
        match self.0.load(Ordering::SeqCst) {
            true => Err(io::Error::new(io::ErrorKind::Interrupted, "the demonstration was interrupted")),
            false => Ok(()),
        }
    }
}

/// A folder for everything, and the nodes that run in it. Cleared away when dropped.
#[derive(Debug)]
pub struct Stage {
    dir: PathBuf,
    program: PathBuf,
    nodes: Vec<Running>,
    interrupt: Interrupt,
    quiet: bool,
    asked: u32,
}

#[derive(Debug)]
struct Running {
    name: String,
    child: Child,
}

impl Stage {
    /// A new, empty stage in `SAFELIGHT_DEMO_DIR`, or where the system keeps temporary files.
    pub fn set(interrupt: Interrupt, quiet: bool) -> Result<Self, Failure> {
        let base = std::env::var_os("SAFELIGHT_DEMO_DIR").filter(|dir| !dir.is_empty());
        let base = base.map_or_else(std::env::temp_dir, PathBuf::from);
        let made = || -> io::Result<Self> {
            fs::create_dir_all(&base)?;
            let random = getrandom::u32().map_err(|error| io::Error::other(error.to_string()))?;
            let dir = base.join(format!("safelight-demo-{}-{random:08x}", std::process::id()));
            Self::of(std::path::absolute(dir)?, std::env::current_exe()?, interrupt, quiet)
        };
        made().map_err(|error| {
            Failure::new(format!("the demonstration has no room in {}: {error}", base.display()))
                .next("name a folder that can be written to in SAFELIGHT_DEMO_DIR")
        })
    }

    /// A stage in the new folder `dir`, where `program` plays.
    pub fn of(dir: PathBuf, program: PathBuf, interrupt: Interrupt, quiet: bool) -> io::Result<Self> {
        DirBuilder::new().mode(0o700).create(&dir)?;
        let stage = Self { dir, program, nodes: Vec::new(), interrupt, quiet, asked: 0 };
        fs::create_dir(stage.logs())?;
        Ok(stage)
    }

    /// A place on the stage.
    pub fn place(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Whether a signal came.
    pub fn interrupt(&self) -> Interrupt {
        self.interrupt.clone()
    }

    /// Refuses when the drive has less free room than `bytes`.
    pub fn need_room(&self, bytes: u64) -> Result<(), Failure> {
        let free = rustix::fs::statvfs(&self.dir)
            .map_err(|error| Failure::new(format!("the free room cannot be told: {error}")))?;
        let free = free.f_bavail.saturating_mul(free.f_frsize);
        match free >= bytes {
            true => Ok(()),
            false => {
                let gigabytes = |bytes: u64| bytes as f64 / 1e9;
                let (need, free) = (gigabytes(bytes), gigabytes(free));
                Err(Failure::new(format!("the demonstration needs {need:.1} GB and {free:.1} GB are free"))
                    .next("name a folder on a larger drive in SAFELIGHT_DEMO_DIR"))
            }
        }
    }

    /// Starts `run` on a home. It runs until it is destroyed or the stage is cleared.
    pub fn start_node(&mut self, home: &str) -> Result<(), Failure> {
        let log = self.log(&format!("{home}-run"));
        let mut command =
            self.command(home, &["run", "--listen", "127.0.0.1:0", "--dashboard", "127.0.0.1:0"]);
        let child = log.and_then(|(log, _)| command.stdout(Stdio::null()).stderr(log).spawn());
        let child =
            child.map_err(|error| Failure::new(format!("the node {home} cannot be started: {error}")))?;
        self.nodes.push(Running { name: home.to_owned(), child });
        Ok(())
    }

    /// Performs a command of this program on a home, and gives its JSON. Exit code 3 is an answer, too.
    pub fn ask<S: AsRef<OsStr>>(
        &mut self,
        home: &str,
        args: &[S],
        limit: Duration,
    ) -> Result<Value, Failure> {
        self.perform(home, args, limit, false)
    }

    /// Like [`Stage::ask`], with the command's progress shown to the person who watches.
    pub fn watch<S: AsRef<OsStr>>(
        &mut self,
        home: &str,
        args: &[S],
        limit: Duration,
    ) -> Result<Value, Failure> {
        self.perform(home, args, limit, true)
    }

    fn perform<S: AsRef<OsStr>>(
        &mut self,
        home: &str,
        args: &[S],
        limit: Duration,
        shown: bool,
    ) -> Result<Value, Failure> {
        self.asked += 1;
        let verb = args.first().map(|arg| arg.as_ref().to_string_lossy().into_owned()).unwrap_or_default();
        let wrong = |why: String| Failure::new(format!("`safelight {verb}` on the node {home} {why}"));
        let done = || -> io::Result<_> {
            let (log, _) = self.log(&format!("{home}-{:03}-{verb}", self.asked))?;
            let (out, answer) = self.log(&format!("{home}-{:03}-{verb}-answer", self.asked))?;
            let mut command = self.command(home, args);
            let stderr = if shown && !self.quiet { Stdio::inherit() } else { log.into() };
            let child = command.arg("--json").stdout(out).stderr(stderr).spawn()?;
            let code = self.wait(child, limit)?;
            let mut text = String::new();
            File::open(answer)?.take(MAX_ANSWER).read_to_string(&mut text)?;
            Ok((code, text))
        };
        let (code, text) = done().map_err(|error| wrong(format!("did not end: {error}")))?;
        let document: Value = serde_json::from_str(&text).unwrap_or_default();
        match code {
            Some(0 | 3) if document.is_object() => Ok(document),
            Some(code) => {
                let said = document["error"]["message"].as_str().unwrap_or("and said nothing");
                Err(wrong(format!("ended with exit code {code}: {said}")))
            }
            None => Err(wrong("was killed".to_owned())),
        }
    }

    /// Kills a node as a fire would, and deletes everything in `places`.
    pub fn destroy(&mut self, home: &str, places: &[&str]) -> Result<(), Failure> {
        let mut gone = || -> io::Result<()> {
            for running in self.nodes.iter_mut().filter(|node| node.name == home) {
                running.child.kill()?;
                running.child.wait()?;
            }
            places.iter().try_for_each(|place| fs::remove_dir_all(self.dir.join(place)))
        };
        let gone = gone();
        self.nodes.retain(|node| node.name != home);
        gone.map_err(|error| Failure::new(format!("the site {home} cannot be destroyed: {error}")))
    }

    /// Shows the end of every node's log, for whoever has to find out what went wrong.
    pub fn show_logs(&self) {
        let entries = fs::read_dir(self.logs()).into_iter().flatten().flatten();
        let mut logs: Vec<_> = entries.map(|entry| entry.path()).collect();
        logs.sort();
        for log in logs.iter().filter(|log| !log.to_string_lossy().ends_with("-answer")) {
            match tail(log) {
                Ok(text) if text.trim().is_empty() => {}
                Ok(text) => {
                    eprintln!("--- {}\n{}", log.file_name().unwrap_or_default().display(), text.trim_end())
                }
                Err(error) => eprintln!("--- {} cannot be read: {error}", log.display()),
            }
        }
    }

    /// Stops every node and deletes the folder.
    pub fn clear(&mut self) -> Result<(), Failure> {
        for node in &self.nodes {
            // A node that has ended already cannot be asked to, and need not be.
            if let Err(error) = kill_process(Pid::from_child(&node.child), Signal::TERM) {
                tracing::debug!(%error, "a node had ended already");
            }
        }
        let deadline = Instant::now() + STOP_GRACE;
        let stopped =
            self.nodes.drain(..).map(|node| stop(node.child, deadline)).fold(Ok(()), io::Result::and);
        let removed = match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        stopped.and(removed).map_err(|error| {
            Failure::new(format!("{} cannot be cleared away: {error}", self.dir.display()))
                .next("delete it by hand")
        })
    }

    /// Waits for a process of ours; it is killed when the time is up or a signal comes.
    fn wait(&self, mut child: Child, limit: Duration) -> io::Result<Option<i32>> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status.code());
            }
            let late = match Instant::now() >= deadline {
                true => {
                    Err(io::Error::new(io::ErrorKind::TimedOut, format!("not within {} s", limit.as_secs())))
                }
                false => self.interrupt.check(),
            };
            if let Err(error) = late {
                child.kill()?;
                child.wait()?;
                return Err(error);
            }
            thread::sleep(LOOK_PAUSE);
        }
    }

    fn command<S: AsRef<OsStr>>(&self, home: &str, args: &[S]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).arg("--home").arg(self.place(home));
        // A group of its own: Ctrl-C at the terminal reaches us, and we end the others in order.
        command.stdin(Stdio::null()).env("SAFELIGHT_TRUST_DECLARED", "1").process_group(0);
        command.env_remove("SAFELIGHT_HOME");
        command
    }

    fn log(&self, name: &str) -> io::Result<(File, PathBuf)> {
        let path = self.logs().join(name);
        Ok((OpenOptions::new().append(true).create(true).open(&path)?, path))
    }

    fn logs(&self) -> PathBuf {
        self.dir.join("logs")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(failure) = self.clear() {
            tracing::warn!(%failure, "the demonstration leaves something behind");
        }
    }
}

/// Waits for a process that was asked to stop, and kills it at the deadline.
fn stop(mut child: Child, deadline: Instant) -> io::Result<()> {
    while child.try_wait()?.is_none() {
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(());
        }
        thread::sleep(LOOK_PAUSE);
    }
    Ok(())
}

fn tail(log: &Path) -> io::Result<String> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(dir: &Path, program: &str) -> Stage {
        Stage::of(dir.to_owned(), program.into(), Interrupt::never(), true).expect("set")
    }

    #[test]
    fn a_command_that_does_not_end_is_ended() {
        let temp = tempfile::tempdir().expect("temp");
        let mut stage = stage(&temp.path().join("stage"), "/usr/bin/tail");
        let begun = Instant::now();
        let args = ["-f", "/dev/null"];
        // tail refuses --home, so wait on a process of our own making.
        let child = Command::new("/usr/bin/tail").args(args).spawn().expect("tail");
        let error = stage.wait(child, Duration::from_millis(100)).expect_err("never ends");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        stage.interrupt.0.store(true, Ordering::SeqCst);
        let child = Command::new("/usr/bin/tail").args(args).spawn().expect("tail");
        let error = stage.wait(child, Duration::from_secs(60)).expect_err("interrupted");
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
        assert!(begun.elapsed() < Duration::from_secs(10));
        stage.clear().expect("cleared");
    }

    #[test]
    fn a_signal_is_seen_and_survived() {
        let interrupt = Interrupt::watch().expect("watching");
        interrupt.check().expect("nothing came yet");
        kill_process(rustix::process::getpid(), Signal::TERM).expect("ourselves");
        let deadline = Instant::now() + Duration::from_secs(10);
        while interrupt.check().is_ok() {
            assert!(Instant::now() < deadline, "the signal was not seen");
            thread::sleep(LOOK_PAUSE);
        }
    }

    #[test]
    fn nothing_is_left_behind() {
        let temp = tempfile::tempdir().expect("temp");
        let dir = temp.path().join("stage");
        let mut stage = stage(&dir, "/bin/true");
        let child = Command::new("/usr/bin/tail").args(["-f", "/dev/null"]).spawn().expect("tail");
        let pid = child.id();
        stage.nodes.push(Running { name: "studio".into(), child });
        fs::write(stage.place("file"), b"x").expect("writable");
        drop(stage);
        assert!(!dir.exists());
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn a_command_that_says_nothing_is_a_failure() {
        let temp = tempfile::tempdir().expect("temp");
        let mut stage = stage(&temp.path().join("stage"), "/bin/true");
        assert!(stage.ask("studio", &["status"], Duration::from_secs(10)).is_err());
        assert!(stage.need_room(u64::MAX).is_err() && stage.need_room(1).is_ok());
    }
}
