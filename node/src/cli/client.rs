//! Asking the node that runs on a home.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ureq::Agent;

use crate::admin::address::ApiFile;
use crate::admin::command::{Command, Request};
use crate::admin::line::Line;
use crate::admin::operator::{Failure, Outcome, Report};
use crate::admin::server::HEARTBEAT;
use crate::home::{Home, HomeError};

/// A node that was launched in the same breath as the command takes its home's lock within this time.
const LAUNCH: Duration = Duration::from_secs(1);
/// Pause between two looks at a node that is just starting.
const START_PAUSE: Duration = Duration::from_millis(100);

/// A connection on the same machine stands at once or never.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest silence of a node that is well; it sends a sign of life every few seconds.
const SILENCE: Duration = Duration::from_secs(6 * HEARTBEAT.as_secs());

/// Longest line of an answer, in bytes: the list of a million files.
const MAX_LINE: u64 = 512 << 20;

/// The node that runs on one home.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    api: ApiFile,
    home: Home,
    timeout: Duration,
}

impl Client {
    /// Finds the node that runs on the home in `dir`; waits up to `timeout` for one that is just starting.
    pub fn find(dir: &Path, timeout: Duration) -> Result<Self, Failure> {
        let home = Home::open(dir).map_err(|error| explain(error, dir))?;
        let agent = agent();
        let (deadline, launched) = (Instant::now() + timeout, Instant::now() + LAUNCH.min(timeout));
        loop {
            // The lock first: a node that is killed leaves its address behind, but never its lock.
            let locked = home.is_locked().map_err(|error| explain(error, dir))?;
            let api = ApiFile::read(&home).map_err(|e| {
                Failure::new(format!("the address of the node in {} cannot be read: {e}", dir.display()))
            })?;
            match api {
                _ if !locked && Instant::now() >= launched => return Err(not_running(dir)),
                _ if !locked => thread::sleep(START_PAUSE),
                Some(api) if is_up(&agent, &api) => return Ok(Self { agent, api, home, timeout }),
                _ if Instant::now() >= deadline => {
                    let message =
                        format!("the node on {} is still starting, or does not answer", dir.display());
                    return Err(Failure::new(message).next("wait a little, or look at what `run` prints"));
                }
                _ => thread::sleep(START_PAUSE),
            }
        }
    }

    /// Has the node perform `command`; reports go to `hear` as they come.
    ///
    /// Leaving early, by Ctrl-C too, tells the node to stop at its next safe point.
    pub fn perform(&self, command: Command, mut hear: impl FnMut(Report)) -> Result<Outcome, Failure> {
        let request = Request { command, timeout_seconds: self.timeout.as_secs().max(1) };
        let url = format!("http://{}/api/v1/command", self.api.address);
        let sent = self.agent.post(url).header("Authorization", self.api.token.bearer()).send_json(&request);
        let answer = sent.map_err(|error| self.silent(&error.to_string()))?;
        let mut lines = BufReader::new(answer.into_body().into_reader());
        let mut text = String::new();
        loop {
            text.clear();
            let read = lines.by_ref().take(MAX_LINE).read_line(&mut text);
            match read {
                Ok(0) => return Err(self.silent("the answer broke off")),
                Ok(_) if text.trim().is_empty() => continue,
                Ok(_) => {}
                Err(error) => return Err(self.silent(&error.to_string())),
            }
            let line = match serde_json::from_str(&text) {
                Ok(line) => line,
                // The last line of a node that was killed while it wrote.
                Err(_) if !text.ends_with('\n') => return Err(self.silent("the answer broke off")),
                Err(error) => {
                    return Err(Failure::new(format!("the node's answer was not understood: {error}"))
                        .next("check that the node and this command are the same version"));
                }
            };
            match line {
                Line::Progress { progress } => hear(Report::Progress(progress)),
                Line::Notice { notice } => hear(Report::Notice(notice)),
                Line::Done { done } => return Ok(done),
                Line::Error { error, exit } => {
                    return Err(Failure { message: error.message, next: error.next, exit });
                }
            }
        }
    }

    fn silent(&self, why: &str) -> Failure {
        tracing::debug!(why, "the node stopped answering");
        Failure::new("the node stopped answering; photos already stored stay stored")
            .next(format!("start it with: {}", run_command(self.home.dir())))
    }
}

fn agent() -> Agent {
    let config = Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .http_status_as_error(false)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_per_read(Some(SILENCE));
    config.build().new_agent()
}

fn is_up(agent: &Agent, api: &ApiFile) -> bool {
    let health = agent.get(format!("http://{}/health", api.address)).call();
    health.is_ok_and(|answer| answer.status().is_success())
}

/// What a person does about a home that cannot be used.
pub fn explain(error: HomeError, dir: &Path) -> Failure {
    let failure = Failure::new(error.to_string());
    match error {
        HomeError::Missing(_) => failure.next(format!(
            "found a library with `safelight --home {dir} init`, join one with `safelight --home {dir} join`, \
             or name the right folder with --home",
            dir = quoted(dir)
        )),
        HomeError::NotOurs(_) => failure.next("name another folder with --home"),
        HomeError::Taken(_) => failure.next(format!("start it with: {}", run_command(dir))),
        HomeError::Running { .. } => failure.next(format!("ask it with: safelight --home {} status", quoted(dir))),
        HomeError::Io { .. } => failure.next("check that the folder's drive is there and that it is yours"),
    }
}

fn not_running(dir: &Path) -> Failure {
    let message = format!("no node is running on {}; photos already stored stay stored", dir.display());
    Failure::new(message).next(format!("start it with: {}", run_command(dir)))
}

fn run_command(dir: &Path) -> String {
    format!("safelight --home {} run", quoted(dir))
}

/// `path` as a shell takes it.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%,".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
