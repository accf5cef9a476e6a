//! Which command does what: asks the node, or does it here.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::args::{Cli, Global, PlanVerb, RestoreArgs, RuleSetArgs, RuleVerb, Verb, VolumeVerb};
use super::client::{self, Client};
use super::local::{self, JoinOptions, NewNode, RecoverOptions, RunOptions, SalvageOptions};
use super::progress::Display;
use super::render::View;
use super::{args, confirm, founding, kit, manual, phrase, removal};
use crate::admin::command::{Casualty, Command, RawPath, Selection, Supposed, Target, VolumeName};
use crate::admin::operator::{Failure, Outcome, Reporter};
use crate::demo;
use crate::home::Home;

/// Performs one command; the view is how people are shown its document.
pub fn perform(cli: Cli) -> Result<(View, Outcome), Failure> {
    let Cli { global, verb } = cli;
    let ask = |view, command| ask(&global, command).map(|outcome| (view, outcome));
    match verb {
        Verb::Ingest(args) => {
            let paths = args.paths.iter().map(|p| absolute(p)).collect::<Result<_, _>>()?;
            ask(View::Ingest, Command::Ingest { paths, shoot: args.shoot, wait: args.wait })
        }
        Verb::Status(args) => ask(View::Status, Command::Status { shoot: args.shoot }),
        Verb::Shoots => ask(View::Shoots, Command::Shoots),
        Verb::Files(args) => ask(View::Files, Command::Files { shoot: args.shoot }),
        Verb::Nodes => ask(View::Nodes, Command::Nodes),
        Verb::Volumes => ask(View::Volumes, Command::Volumes),
        Verb::Invite(args) => confirm::invite(args, &global),
        Verb::Restore(args) => ask(View::Restore, restore(args)?),
        Verb::Verify(args) => {
            let volume = args.volume.map(volume_name).transpose()?;
            ask(View::Verify, Command::Verify { volume })
        }
        Verb::Drill(args) => ask(View::Drill, args.into()),
        Verb::Delete(args) => ask(View::Deleted, Command::Delete { shoot: args.shoot, paths: args.paths }),
        Verb::Trash => ask(View::Trash, Command::Trash),
        Verb::Undelete(args) => {
            ask(View::Undeleted, Command::Undelete { shoot: args.shoot, paths: args.paths })
        }
        Verb::Lost(args) => {
            let site = args.site.map(|site| Casualty::Site(site.name().to_owned()));
            let what = args.node.map(Casualty::Node).or(site);
            let what = what.ok_or_else(|| Failure::usage("say which node or which site was lost"))?;
            ask(View::Lost, Command::Lost { what })
        }
        Verb::Volume(VolumeVerb::Add { volume }) => {
            ask(View::Volumes, Command::VolumeAdd { volume: absolute_volume(&volume)? })
        }
        Verb::Volume(VolumeVerb::Retire { volume }) => {
            ask(View::Volumes, Command::VolumeRetire { volume: volume_name(volume)? })
        }
        Verb::Volume(VolumeVerb::Checkin { volume }) => {
            ask(View::Verify, Command::Verify { volume: Some(volume_name(volume)?) })
        }
        Verb::Retire(args) => ask(View::Volumes, Command::Retire { node: args.node }),
        Verb::Remove(args) => removal::remove(args, &global),
        Verb::Moved(args) => ask(View::Nodes, Command::Moved { node: args.node }),
        Verb::Plan(verb) => ask(View::Plan, Command::Plan { event: supposed(verb)? }),
        Verb::Rule(RuleVerb::Show { shoot }) => ask(View::Rule, Command::RuleShow { shoot }),
        Verb::Rule(RuleVerb::Set(args)) => ask(View::Rule, rule_set(args)),
        Verb::Config(args) => ask(View::Config, config(args.key, args.value)?),
        verb => here(verb, global),
    }
}

/// Commands that need no running node.
fn here(verb: Verb, global: Global) -> Result<(View, Outcome), Failure> {
    let home = || home_dir(&global);
    match verb {
        Verb::Demo(args) => {
            Ok((View::Demo, demo::run(demo::Options { photos: args.photos, quiet: global.json })?))
        }
        Verb::Init(args) => Ok((View::Founded, founding::init(home()?, args, global.json)?)),
        Verb::Run(args) => {
            let dir = home()?;
            let home = Home::open(&dir).map_err(|error| client::explain(error, &dir))?;
            let options = RunOptions { listen: args.listen, dashboard: args.dashboard };
            Ok((View::Silent, local::run(home, options)?))
        }
        Verb::Join(args) => {
            let options =
                JoinOptions { home: home()?, code: args.code, node: args.node.into(), seeding: args.seeding };
            Ok((View::Joined, confirm::join(options, &global)?))
        }
        Verb::Recover(args) => {
            let options = RecoverOptions {
                home: home()?,
                phrase: phrase::read(&args.phrase_file)?,
                peers: args.peers,
                node: args.node.into(),
                to: args.to,
            };
            Ok((View::Recover, attend(global.timeout, |reporter| local::recover(options, reporter))?))
        }
        Verb::Salvage(args) => {
            let phrase = phrase::read(&args.phrase_file)?;
            let options = SalvageOptions { dirs: args.dirs, phrase, to: args.to };
            Ok((View::Restore, attend(global.timeout, |reporter| local::salvage(options, reporter))?))
        }
        Verb::Kit(args) => {
            Ok((View::Kit, kit::make(args, home_dir(&global).ok().as_deref(), global.timeout)?))
        }
        Verb::Completions(args) => {
            Ok((View::Text, Outcome::done(json!({"text": manual::completions(args.shell)}))))
        }
        Verb::Man => Ok((View::Text, Outcome::done(json!({"text": manual::page()?})))),
        _ => Err(Failure::new("this command is asked of a running node")),
    }
}

fn restore(args: RestoreArgs) -> Result<Command, Failure> {
    Ok(Command::Restore {
        what: args.shoot.map_or(Selection::All, Selection::Shoot),
        to: absolute(&args.to)?,
        include: args.include,
        exclude: args.exclude,
        without: args.without.iter().map(|site| site.name().to_owned()).collect(),
    })
}

fn supposed(verb: PlanVerb) -> Result<Supposed, Failure> {
    Ok(match verb {
        PlanVerb::Add { volumes, site } => {
            let volumes = volumes.iter().map(|text| absolute_volume(text)).collect::<Result<_, _>>()?;
            Supposed::Add { volumes, site: site.map(|site| site.name().to_owned()) }
        }
        PlanVerb::Retire { what } => Supposed::Retire(Target::One(volume_name(what)?)),
        PlanVerb::Lose(args) => Supposed::Lose(match (args.what, args.site) {
            (_, Some(site)) => Target::Site(site.name().to_owned()),
            (Some(what), None) => Target::One(volume_name(what)?),
            (None, None) => return Err(Failure::usage("say which node, volume or site were lost")),
        }),
    })
}

fn volume_name(text: String) -> Result<VolumeName, Failure> {
    Ok(VolumeName { path: absolute(Path::new(&text))?, text })
}

fn rule_set(args: RuleSetArgs) -> Command {
    let mut rule = args.rule;
    rule.full |= args.full.is_some();
    Command::RuleSet { rule, spend_percent: args.spend, shoot: args.shoot }
}

fn config(key: Option<String>, value: Option<String>) -> Result<Command, Failure> {
    match (key, value) {
        (key, None) => Ok(Command::ConfigGet { key }),
        (Some(key), Some(value)) => Ok(Command::ConfigSet { key, value }),
        (None, Some(_)) => Err(Failure::usage("say which setting to change")),
    }
}

impl From<args::NewNode> for NewNode {
    fn from(node: args::NewNode) -> Self {
        Self { name: node.name, site: node.site, volumes: node.volumes }
    }
}

fn ask(global: &Global, command: Command) -> Result<Outcome, Failure> {
    let client = client(global)?;
    let mut display = Display::new();
    client.perform(command, |report| display.show(report))
}

/// The node that runs on the home.
pub fn client(global: &Global) -> Result<Client, Failure> {
    Client::find(&home_dir(global)?, global.timeout)
}

/// Pause between two looks at what a command here reports.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// Performs a command in this process and shows what it reports meanwhile.
pub fn attend<T: Send>(patience: Duration, work: impl FnOnce(&Reporter) -> T + Send) -> T {
    let (reporter, reports) = Reporter::new(patience);
    thread::scope(|scope| {
        let working = scope.spawn(move || work(&reporter));
        let mut display = Display::new();
        loop {
            let over = working.is_finished();
            reports.take().into_iter().for_each(|report| display.show(report));
            if over {
                break;
            }
            thread::sleep(LOOK_PAUSE);
        }
        working.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The node's data folder: as told, else `.safelight` in the person's own folder.
pub fn home_dir(global: &Global) -> Result<PathBuf, Failure> {
    match (&global.home, env::home_dir()) {
        (Some(home), _) => Ok(home.clone()),
        (None, Some(own)) if !own.as_os_str().is_empty() => Ok(own.join(".safelight")),
        _ => Err(Failure::usage("there is no home directory to look in")
            .next("name the node's folder with --home DIR")),
    }
}

/// A volume as it was typed, with its path made absolute.
fn absolute_volume(text: &str) -> Result<String, Failure> {
    let (path, rest) =
        text.split_once(',').map_or((text, String::new()), |(path, rest)| (path, format!(",{rest}")));
    Ok(absolute_text(Path::new(path.trim()))? + &rest)
}

fn absolute_text(path: &Path) -> Result<String, Failure> {
    let text = absolute(path)?.as_path().to_str().map(str::to_owned);
    text.ok_or_else(|| {
        Failure::usage(format!("the path {} is no text; give the volume's id", path.display()))
    })
}

/// The node may stand in another folder, so it gets absolute paths; their bytes and links stay as they are.
fn absolute(path: &Path) -> Result<RawPath, Failure> {
    let absolute = std::path::absolute(path);
    absolute.map(RawPath::from).map_err(|error: io::Error| {
        Failure::usage(format!("the path {} cannot be used: {error}", path.display()))
    })
}
