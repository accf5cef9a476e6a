//! A cluster in one temporary folder: homes, volumes, processes, and the words people would type.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::process::{Job, NodeProcess, Reply};
use super::turn::Turn;

/// Pause between two looks at the library.
const LOOK_PAUSE: Duration = Duration::from_millis(150);

/// Longest wait for something that has to come true.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// Lines of a node's log that are shown when a test fails.
const LOG_LINES: usize = 60;

/// A word of a command line.
pub trait Word {
    /// The word.
    fn word(&self) -> OsString;
}

impl<T: Into<OsString> + Clone> Word for T {
    fn word(&self) -> OsString {
        self.clone().into()
    }
}

/// The words of a command, of any string-like kinds.
#[macro_export]
macro_rules! words {
    ($($word:expr),* $(,)?) => { [$($crate::support::cluster::Word::word(&$word)),*] };
}

/// Nodes on this machine. All of them are killed and everything is deleted when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    running: BTreeMap<String, NodeProcess>,
    folder: TempDir,
    _turn: Turn,
}

impl Cluster {
    /// No node yet.
    pub fn new() -> Self {
        let turn = Turn::wait();
        let folder = tempfile::Builder::new().prefix("safelight-it-").tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("logs")).expect("a folder for logs");
        Self { running: BTreeMap::new(), folder, _turn: turn }
    }

    /// The studio with an SSD and a hard disk, a friend's NAS and a cloud, all of them running.
    pub fn three_sites() -> Self {
        let mut cluster = Self::new();
        cluster.found("studio", &["ssd", "hdd"]);
        cluster.join("friend", &["nas"]);
        cluster.join("cloud", &["cloud"]);
        cluster.until_online("studio", 3);
        // Only volumes that are known of are planned with.
        cluster.until("studio", "all four volumes are known", |status| {
            status["volumes"].as_array().is_some_and(|volumes| volumes.len() == 4)
        });
        cluster
    }

    /// A place in the cluster's folder.
    pub fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The home of a node.
    pub fn home(&self, node: &str) -> PathBuf {
        self.place(&format!("home-{node}"))
    }

    /// The folder of a node's volume.
    pub fn volume(&self, node: &str, media: &str) -> PathBuf {
        self.place(&format!("volume-{node}-{media}"))
    }

    /// The file with the recovery phrase.
    pub fn phrase(&self) -> PathBuf {
        self.place("phrase.txt")
    }

    /// `--volume` words: `["hdd", "nas,capacity=9MB"]` are two volumes, each in a folder by its medium.
    pub fn volume_words(&self, node: &str, volumes: &[&str]) -> Vec<OsString> {
        let mut words = Vec::new();
        for volume in volumes {
            let (media, rest) = volume.split_once(',').unwrap_or((volume, ""));
            let path = self.volume(node, media);
            let rest = if rest.is_empty() { String::new() } else { format!(",{rest}") };
            words.extend(["--volume".into(), format!("{},media={media}{rest}", path.display()).into()]);
        }
        words
    }

    /// Performs a command with `--json` on a node's home.
    #[track_caller]
    pub fn ask(&self, node: &str, args: &[OsString]) -> Reply {
        self.begin(node, args).finish()
    }

    /// Begins a command with `--json` on a node's home.
    pub fn begin(&self, node: &str, args: &[OsString]) -> Job {
        Job::start(&self.place("logs"), Some(&self.home(node)), args)
    }

    /// Performs a command with `--json` that has no home.
    #[track_caller]
    pub fn homeless(&self, args: &[OsString]) -> Reply {
        Job::start(&self.place("logs"), None, args).finish()
    }

    /// `init` at a site named like the node, and `run`.
    #[track_caller]
    pub fn found(&mut self, node: &str, volumes: &[&str]) {
        self.init(node, volumes).done();
        self.start(node);
    }

    /// `init` at a site named like the node.
    #[track_caller]
    pub fn init(&self, node: &str, volumes: &[&str]) -> Reply {
        let mut args = words!["init", "--name", node, "--site", node, "--phrase-out", self.phrase()].to_vec();
        args.extend(self.volume_words(node, volumes));
        self.ask(node, &args)
    }

    /// A vault at a site named like the node, let in by the node "studio", and running.
    #[track_caller]
    pub fn join(&mut self, node: &str, volumes: &[&str]) {
        let code = self.invite("studio");
        self.join_with(node, &code, volumes).done();
        self.start(node);
    }

    /// The code for one more vault.
    #[track_caller]
    pub fn invite(&self, node: &str) -> String {
        let invite = self.ask(node, &words!["invite"]).done();
        invite["code"].as_str().expect("a code").to_owned()
    }

    /// `join`, at a site named like the node.
    #[track_caller]
    pub fn join_with(&self, node: &str, code: &str, volumes: &[&str]) -> Reply {
        let mut args = words!["join", code, "--name", node, "--site", node].to_vec();
        args.extend(self.volume_words(node, volumes));
        self.ask(node, &args)
    }

    /// Starts a node and waits until it answers.
    #[track_caller]
    pub fn start(&mut self, node: &str) {
        self.start_with(node, &[]);
    }

    /// Starts a node with further words and waits until it answers.
    #[track_caller]
    pub fn start_with(&mut self, node: &str, extra: &[&str]) {
        let process = NodeProcess::start(&self.home(node), &self.log(node), extra);
        assert!(self.running.insert(node.to_owned(), process).is_none(), "{node} runs already");
        let deadline = Instant::now() + DEADLINE;
        loop {
            let reply = self.ask(node, &words!["nodes"]);
            if reply.code == Some(0) {
                return;
            }
            let ended = self.running.get_mut(node).and_then(NodeProcess::ended);
            assert!(ended.is_none(), "{node} ended while it started: {ended:?}");
            assert!(Instant::now() < deadline, "{node} does not answer: {reply:#?}");
            thread::sleep(LOOK_PAUSE);
        }
    }

    /// The process of a node that runs.
    pub fn process(&mut self, node: &str) -> &mut NodeProcess {
        self.running.get_mut(node).expect("the node runs")
    }

    /// Kills a node, as a power cut would.
    pub fn kill(&mut self, node: &str) {
        self.running.remove(node).expect("the node runs").kill();
    }

    /// Stops a node in order.
    #[track_caller]
    pub fn stop(&mut self, node: &str) {
        self.running.remove(node).expect("the node runs").stop();
    }

    /// Whether a node has not been stopped or killed.
    pub fn runs(&self, node: &str) -> bool {
        self.running.contains_key(node)
    }

    /// Kills a node and deletes its home and its volumes, as a fire would.
    pub fn burn(&mut self, node: &str) {
        if self.runs(node) {
            self.kill(node);
        }
        let mine = format!("volume-{node}-");
        for entry in fs::read_dir(self.folder.path()).expect("our folder").flatten() {
            if entry.file_name().to_string_lossy().starts_with(&mine) {
                fs::remove_dir_all(entry.path()).expect("deleted");
            }
        }
        fs::remove_dir_all(self.home(node)).expect("deleted");
    }

    /// An address of a node, as `nodes` on that node lists it.
    #[track_caller]
    pub fn address(&self, node: &str) -> String {
        let nodes = self.ask(node, &words!["nodes"]).done();
        let nodes = nodes["nodes"].as_array().expect("nodes").clone();
        let own = nodes.iter().find(|n| n["name"] == node).expect("its own entry");
        own["addresses"][0].as_str().expect("an address").to_owned()
    }

    /// Takes photos in at a node, which must store all of them.
    #[track_caller]
    pub fn ingest(&self, node: &str, card: &Path, shoot: &str) -> Value {
        let taken = self.ask(node, &words!["ingest", card, "--shoot", shoot]).done();
        assert_eq!(taken["stored"], true, "{taken}");
        taken
    }

    /// `status`, whatever the verdict.
    #[track_caller]
    pub fn status(&self, node: &str) -> Value {
        let reply = self.ask(node, &words!["status"]);
        let status = reply.json();
        let exit = if status["verdict"] == "safe" { 0 } else { 3 };
        assert_eq!(reply.code, Some(exit), "status judges the library: {reply:#?}");
        status
    }

    /// Waits until a shoot is safe, and survives each site's loss; gives its part of `status`.
    #[track_caller]
    pub fn until_safe(&self, node: &str, shoot: &str) -> Value {
        let survives = |shoot: &Value| {
            shoot["verdict"] == "safe"
                && shoot["sites"].as_array().is_some_and(|sites| sites.iter().all(|s| s["survives"] == true))
        };
        let status = self
            .until(node, &format!("{shoot} is safe"), |status| shoot_of(status, shoot).is_some_and(survives));
        shoot_of(&status, shoot).expect("just seen").clone()
    }

    /// Waits until a node sees that many nodes online, itself included, each with its drives: a node is known a moment
    /// before its volumes are, and what is ingested in that moment is laid out without them.
    #[track_caller]
    pub fn until_online(&self, node: &str, count: usize) {
        let online = |status: &Value| {
            let all = |key: &str| status[key].as_array().map(Vec::as_slice).unwrap_or_default();
            let has_drives = |node: &Value| all("volumes").iter().any(|volume| volume["node"] == node["id"]);
            all("nodes").iter().filter(|node| node["state"] == "online" && has_drives(node)).count() >= count
        };
        self.until(node, &format!("{count} nodes are online"), online);
    }

    /// Waits until the status of a node is as wanted.
    #[track_caller]
    pub fn until(&self, node: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let status = self.status(node);
            if wanted(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}\n{status:#}");
            thread::sleep(LOOK_PAUSE);
        }
    }

    /// Brings everything back into a new folder, from a node; every file must come.
    #[track_caller]
    pub fn restore_all(&self, node: &str, to: &str, extra: &[&str]) -> PathBuf {
        let target = self.place(to);
        let mut args = words!["restore", "--all", "--to", target].to_vec();
        args.extend(extra.iter().map(|word| word.into()));
        let back = self.ask(node, &args).done();
        assert!(no_failures(&back), "{back}");
        target
    }

    fn log(&self, node: &str) -> PathBuf {
        self.place("logs").join(format!("run-{node}.log"))
    }

    /// Everything the nodes said so far.
    pub fn said(&self, node: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.log(node)).unwrap_or_default()).into_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.running.clear();
        if !thread::panicking() {
            return;
        }
        let logs = fs::read_dir(self.place("logs")).into_iter().flatten().flatten();
        let mut names: Vec<_> = logs.map(|log| log.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        for node in names.iter().filter_map(|name| name.strip_prefix("run-")?.strip_suffix(".log")) {
            let said = self.said(node);
            let lines: Vec<_> = said.lines().collect();
            let tail = &lines[lines.len().saturating_sub(LOG_LINES)..];
            eprintln!("--- the last words of the node {node}:\n{}", tail.join("\n"));
        }
    }
}

/// The part of `status` or `shoots` on one shoot, by name.
pub fn shoot_of<'a>(document: &'a Value, name: &str) -> Option<&'a Value> {
    document["shoots"].as_array()?.iter().find(|shoot| shoot["name"] == name)
}

/// Whether no file failed.
pub fn no_failures(document: &Value) -> bool {
    document["files_failed"].as_array().is_some_and(Vec::is_empty)
}

/// The paths and sentences of the files that failed.
pub fn failures(document: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let failed = document["files_failed"].as_array().expect("a list");
    failed.iter().map(|file| (text(&file["path"]), text(&file["error"]))).collect()
}
