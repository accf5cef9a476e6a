//! What can be asked of a running node.

mod typed;

use std::fmt;
use std::time::Duration;

use safelight_proto::vocabulary::{Role, Rule};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use self::typed::{PhraseText, RawPath};

/// One operation, as the command line and the dashboard ask for it: `{"command":"shoots"}`.
///
/// Names of shoots, nodes and sites are as a person typed them; the node looks them up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Command {
    /// Takes files in.
    Ingest {
        /// Files and folders on the node's machine, absolute.
        paths: Vec<RawPath>,
        /// The shoot, new or known.
        shoot: String,
        /// When to end.
        wait: Wait,
    },
    /// Verdicts, of the library or of one shoot.
    Status {
        /// One shoot only.
        shoot: Option<String>,
    },
    /// The shoots.
    Shoots,
    /// The files of a shoot.
    Files {
        /// The shoot.
        shoot: String,
    },
    /// The nodes.
    Nodes,
    /// The volumes.
    Volumes,
    /// A code that lets one more node in.
    Invite {
        /// What the newcomer may do.
        #[serde(with = "as_text")]
        role: Role,
        /// How long the code holds.
        expires_seconds: u64,
        /// The recovery phrase, which only a `studio` invite needs.
        phrase: Option<PhraseText>,
        /// Someone will wait with `invite-wait` for the `studio` that comes, and is asked before it is let in.
        #[serde(default)]
        attended: bool,
    },
    /// Waits until a newcomer shows the code of an attended invite, and for what becomes of it. A caller who leaves
    /// ends the invite.
    InviteWait {
        /// BLAKE3 of the code's secret, in hex.
        invite: String,
        /// Who has come already: waits until it is let in.
        newcomer: Option<String>,
    },
    /// Says whether the screen of a newcomer shows the same short code. If not, the invite ends.
    InviteAnswer {
        /// BLAKE3 of the code's secret, in hex.
        invite: String,
        /// Who was asked about.
        newcomer: String,
        /// It does.
        same: bool,
    },
    /// Brings files back.
    Restore {
        /// Which.
        what: Selection,
        /// The folder to fill, absolute.
        to: RawPath,
        /// Only files whose path matches one of these globs.
        #[serde(default)]
        include: Vec<String>,
        /// No file whose path matches one of these globs.
        #[serde(default)]
        exclude: Vec<String>,
        /// Sites whose shards are not touched.
        #[serde(default)]
        without: Vec<String>,
    },
    /// Reads and verifies every shard on this node's volumes, or on one of them.
    Verify {
        /// One volume only.
        #[serde(default)]
        volume: Option<VolumeName>,
    },
    /// Rehearses the loss of a site: rebuilds files from the others.
    Drill {
        /// The site to do without.
        without: String,
        /// How many files.
        #[serde(default)]
        extent: Extent,
    },
    /// Puts a shoot, or some of its files, into the trash.
    Delete {
        /// The shoot.
        shoot: String,
        /// Paths or globs as `files` lists them; all of the shoot when there are none.
        #[serde(default)]
        paths: Vec<String>,
    },
    /// What is in the trash.
    Trash,
    /// Takes a shoot, or some of its files, back from the trash.
    Undelete {
        /// The shoot.
        shoot: String,
        /// Paths or globs as `trash` lists them; all that is deleted when there are none.
        #[serde(default)]
        paths: Vec<String>,
    },
    /// Declares a node or a site lost.
    Lost {
        /// Which.
        what: Casualty,
    },
    /// Adds a volume to this node.
    VolumeAdd {
        /// As it is typed, with an absolute path: `PATH[,media=ssd][,capacity=4TB]`.
        volume: String,
    },
    /// Lets a volume leave, once it is emptied.
    VolumeRetire {
        /// Which.
        volume: VolumeName,
    },
    /// Lets a node leave, once it is emptied.
    Retire {
        /// By name or id.
        node: String,
    },
    /// Ends a node's membership for good.
    Remove {
        /// By name or id.
        node: String,
        /// The recovery phrase, which only a studio's removal needs.
        #[serde(default)]
        phrase: Option<PhraseText>,
        /// Only says what it would mean.
        #[serde(default)]
        preview: bool,
    },
    /// Declares that a node stands at its own site from now on.
    Moved {
        /// By name or id.
        node: String,
    },
    /// What would happen; changes nothing.
    Plan {
        /// What is supposed.
        event: Supposed,
    },
    /// The rule, of the library or of one shoot.
    RuleShow {
        /// One shoot only.
        shoot: Option<String>,
    },
    /// Asks for another rule.
    RuleSet {
        /// The rule; its `spend` travels beside it.
        #[serde(with = "as_text")]
        rule: Rule,
        /// Most storage to spend, in percent of the data.
        spend_percent: Option<u32>,
        /// One shoot only.
        shoot: Option<String>,
    },
    /// The node's settings, or one of them.
    ConfigGet {
        /// One key only.
        key: Option<String>,
    },
    /// Changes a setting of the node.
    ConfigSet {
        /// The key.
        key: String,
        /// Its new value.
        value: String,
    },
}

/// A command, and how long the caller waits for peers that do not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// What to do.
    #[serde(flatten)]
    pub command: Command,
    /// The caller's patience; the default of the command line when left out.
    #[serde(default = "default_timeout_seconds")]
    pub timeout_seconds: u64,
}

/// How long commands wait for peers unless told otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

fn default_timeout_seconds() -> u64 {
    DEFAULT_TIMEOUT.as_secs()
}

/// When an ingest ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Wait {
    /// Every file is stored here, fsynced and read back.
    #[default]
    Stored,
    /// The shoot meets its rule.
    Safe,
}

/// What to restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Selection {
    /// One shoot.
    Shoot(String),
    /// Everything, a folder for each shoot.
    All,
}

/// How many files a drill rebuilds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Extent {
    /// So many, by chance, or all when there are fewer.
    Sample(u64),
    /// All.
    All,
}

impl Default for Extent {
    fn default() -> Self {
        Self::Sample(100)
    }
}

/// What was lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Casualty {
    /// One node.
    Node(String),
    /// A site with all its nodes.
    Site(String),
}

/// What a plan is asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Supposed {
    /// Volumes are added.
    Add {
        /// As they are typed, with absolute paths: `PATH[,media=ssd][,capacity=4TB]`.
        volumes: Vec<String>,
        /// Where; at the node's own site when left out.
        #[serde(default)]
        site: Option<String>,
    },
    /// A node, a volume or a site is lost.
    Lose(Target),
    /// A node or a volume leaves in order.
    Retire(Target),
}

/// What it is that goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// A node by name or id, or a volume by path or id.
    One(VolumeName),
    /// All that is at a site.
    Site(String),
}

/// A volume as a person named it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeName {
    /// What was typed: the first digits of its id, if it is no path.
    pub text: String,
    /// The same as a path on the node's machine, absolute.
    pub path: RawPath,
}

/// Words of the vocabulary travel as they are written.
mod as_text {
    use super::*;

    pub fn serialize<T: fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: std::str::FromStr<Err: fmt::Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    use std::path::PathBuf;

    use super::*;

    fn there_and_back(command: Command) -> String {
        let request = Request { command, timeout_seconds: 5 };
        let text = serde_json::to_string(&request).expect("plain");
        assert_eq!(serde_json::from_str::<Request>(&text).expect("ours"), request, "{text}");
        text
    }

    #[test]
    fn commands_there_and_back() {
        there_and_back(Command::Shoots);
        there_and_back(Command::Status { shoot: Some("Smith wedding".into()) });
        let volume = VolumeName { text: "0a1b".into(), path: PathBuf::from("/here/0a1b").into() };
        there_and_back(Command::Verify { volume: Some(volume) });
        there_and_back(Command::Drill { without: "studio".into(), extent: Extent::All });
        there_and_back(Command::Drill { without: "studio".into(), extent: Extent::Sample(7) });
        there_and_back(Command::InviteWait { invite: "00".into(), newcomer: None });
        there_and_back(Command::InviteAnswer { invite: "00".into(), newcomer: "11".into(), same: true });
        there_and_back(Command::Remove { node: "laptop".into(), phrase: None, preview: true });
        there_and_back(Command::Lost { what: Casualty::Site("studio".into()) });
        there_and_back(Command::Plan { event: Supposed::Lose(Target::Site("studio".into())) });
        let volumes = vec!["/mnt/new,media=hdd".into()];
        there_and_back(Command::Plan { event: Supposed::Add { volumes, site: None } });
        there_and_back(Command::Delete { shoot: "Smith".into(), paths: vec!["DCIM/*.CR3".into()] });
        there_and_back(Command::ConfigSet { key: "limit.up".into(), value: "5MB".into() });
        let rule = "3-2-1 full".parse().expect("a rule");
        let text = there_and_back(Command::RuleSet { rule, spend_percent: Some(200), shoot: None });
        assert!(text.contains(r#""rule":"3-2-1 full""#), "{text}");
        there_and_back(Command::Restore {
            what: Selection::All,
            to: PathBuf::from("/tmp/back").into(),
            include: vec!["*.CR3".into()],
            exclude: vec![],
            without: vec!["studio".into()],
        });
    }

    #[test]
    fn the_bytes_of_a_path_survive() {
        let odd = PathBuf::from(OsString::from_vec(b"/card/\xff\xfe.JPG".to_vec()));
        let command = Command::Ingest {
            paths: vec![odd.into(), PathBuf::from("/card/żółć.CR2").into()],
            shoot: "a".into(),
            wait: Wait::Safe,
        };
        assert!(there_and_back(command).contains(r#"{"hex":"2f636172642ffffe2e4a5047"}"#));
    }

    #[test]
    fn bad_requests_are_errors() {
        for text in [
            r#"{"command":"format-card"}"#,
            r#"{"command":"files"}"#,
            r#"{"command":"restore","what":"all","to":"relative/folder"}"#,
            r#"{"command":"restore","what":"all","to":{"hex":"zz"}}"#,
            r#"{"command":"restore","what":"all","to":"/a\u0000b"}"#,
            r#"{"command":"rule-set","rule":"9-9-9","spend_percent":null,"shoot":null}"#,
            r#"{"command":"invite","role":"owner","expires_seconds":1,"phrase":null}"#,
        ] {
            assert!(serde_json::from_str::<Request>(text).is_err(), "{text}");
        }
        let plain: Request = serde_json::from_str(r#"{"command":"shoots"}"#).expect("the least");
        assert_eq!(plain.timeout_seconds, 60);
    }

    #[test]
    fn a_phrase_is_never_shown() {
        let phrase = PhraseText::new(" legal\n winner  thank ");
        assert_eq!(phrase.as_str(), "legal winner thank");
        assert_eq!(phrase.words().count(), 3);
        assert!(!format!("{phrase:?}").contains("legal"));
    }
}
