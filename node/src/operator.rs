//! Performs the commands that people give a running node.

use std::sync::Arc;

use futures::future::BoxFuture;
use safelight_core::event::Event;
use safelight_core::place::{LossRates, Planner, VolumeView};
use safelight_proto::id::{NodeId, Prefix, VolumeId};
use safelight_proto::record::{Body, Lost, RuleInfo};
use safelight_proto::vocabulary::{Media, Role, Rule, Site};

use crate::admin::command::{Casualty, Command};
use crate::admin::doc;
use crate::admin::operator::{Failure, Operator, Outcome, Reporter};
use crate::driver::Stopped;
use crate::invites;
use crate::settings;
use crate::shell::Shell;
use crate::view::{self, ShootView, find_shoot, library::Local};
use crate::workers::{drill, ingest, restore, scrub};

mod leaving;

mod files;
mod plan;
mod removal;
mod trash;

/// A roll of this size is planned to show what a rule comes to.
const EXAMPLE_ROLL: u64 = 1_000_000_000;

/// See the module's documentation.
pub struct NodeOperator(pub Arc<Shell>);

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        Failure::new(stopped.to_string()).next("photos already stored stay stored; start the node again")
    }
}

impl Operator for NodeOperator {
    fn perform(&self, command: Command, reporter: Reporter) -> BoxFuture<'_, Result<Outcome, Failure>> {
        Box::pin(async move { perform(&self.0, command, &reporter).await })
    }
}

async fn perform(shell: &Arc<Shell>, command: Command, reporter: &Reporter) -> Result<Outcome, Failure> {
    removal::refuse_if_removed(shell, &command).await?;
    match command {
        Command::Ingest { paths, shoot, wait } => {
            let paths = paths.iter().map(|path| path.as_path().to_owned()).collect();
            ingest::ingest(shell, ingest::Ingest { paths, shoot, wait }, reporter).await
        }
        Command::Restore { what, to, include, exclude, without } => {
            let without = sites(&without)?;
            let to = to.as_path().to_owned();
            restore::restore(shell, restore::Restore { what, to, include, exclude, without }, reporter).await
        }
        Command::Status { shoot } => status(shell, shoot).await,
        Command::Shoots => {
            let document = look(shell, |shoots| Ok(shoots.to_vec())).await?;
            Ok(Outcome::done(doc::ShootsDoc { shoots: document.shoots }))
        }
        Command::Files { shoot } => files::files(shell, shoot, reporter).await,
        Command::Nodes => Ok(Outcome::done(doc::NodesDoc { nodes: look(shell, none).await?.nodes })),
        Command::Volumes => Ok(Outcome::done(doc::VolumesDoc { volumes: look(shell, none).await?.volumes })),
        Command::Invite { role, expires_seconds, phrase, attended } => {
            invites::invite(shell, role, expires_seconds, phrase, attended).await
        }
        Command::InviteWait { invite, newcomer } => {
            invites::wait(shell, &invite, newcomer.as_deref(), reporter).await
        }
        Command::InviteAnswer { invite, newcomer, same } => {
            invites::answer(shell, &invite, &newcomer, same).await
        }
        Command::Verify { volume } => scrub::verify(shell, volume, reporter).await,
        Command::Drill { without, extent } => {
            let without = sites(&[without])?.remove(0);
            drill::drill(shell, without, extent, reporter).await
        }
        Command::Delete { shoot, paths } => trash::delete(shell, shoot, paths, reporter).await,
        Command::Trash => trash::list(shell).await,
        Command::Undelete { shoot, paths } => trash::undelete(shell, shoot, paths, reporter).await,
        Command::Lost { what } => lost(shell, what).await,
        Command::VolumeAdd { volume } => leaving::add(shell, &volume, reporter).await,
        Command::VolumeRetire { volume } => leaving::retire_volume(shell, volume).await,
        Command::Retire { node } => leaving::retire_node(shell, &node).await,
        Command::Remove { node, phrase, preview } => {
            removal::remove(shell, &node, phrase.as_ref(), preview).await
        }
        Command::Moved { node } => leaving::moved(shell, &node).await,
        Command::Plan { event } => plan::plan(shell, event).await,
        Command::RuleShow { shoot } => show_rule(shell, shoot).await,
        Command::RuleSet { rule, spend_percent, shoot } => {
            set_rule(shell, Rule { spend: spend_percent, ..rule }, shoot).await
        }
        Command::ConfigGet { key } => settings::get(&shell.store, key.as_deref()),
        Command::ConfigSet { key, value } => settings::set(shell, &key, &value).await,
    }
}

fn sites(names: &[String]) -> Result<Vec<Site>, Failure> {
    let site = |name: &String| Site::new(name).ok_or_else(|| Failure::usage(format!("'{name}' is no site")));
    names.iter().map(site).collect()
}

fn local(shell: &Shell) -> Local {
    Local {
        addresses: shell.net.addresses().iter().map(ToString::to_string).collect(),
        volumes: shell.volumes.all(),
        sent: shell.meter.read(),
        speeds: view::plan::Speeds { of: shell.meter.speeds(), hours: shell.gate.hours() },
        within_hours: shell.gate.is_open(),
        volume_age: settings::volume_age(&shell.store).ok(),
    }
}

fn none(_: &[ShootView]) -> Result<Vec<ShootView>, Failure> {
    Ok(Vec::new())
}

/// The library as it stands, with the shoots that `choose` picks.
async fn look(
    shell: &Arc<Shell>,
    choose: impl Fn(&[ShootView]) -> Result<Vec<ShootView>, Failure> + Send + 'static,
) -> Result<doc::StatusDoc, Failure> {
    files::measure_deleted(shell).await?;
    let worker = Arc::clone(shell);
    let local = local(shell);
    shell
        .core
        .ask(move |node| {
            view::library::status(node, &worker.names, worker.reading_key.as_ref(), &local, choose)
        })
        .await?
}

async fn status(shell: &Arc<Shell>, shoot: Option<String>) -> Result<Outcome, Failure> {
    let document = look(shell, move |shoots| match &shoot {
        Some(text) => Ok(vec![find_shoot(shoots, text)?]),
        None => Ok(shoots.to_vec()),
    })
    .await?;
    let safe = document.verdict == doc::Verdict::Safe;
    Ok(if safe { Outcome::done(document) } else { Outcome::attention(document) })
}

/// The shoot that `text` names.
async fn shoot_of(shell: &Arc<Shell>, text: String) -> Result<ShootView, Failure> {
    let worker = Arc::clone(shell);
    shell
        .core
        .ask(move |node| find_shoot(&view::shoots(node, &worker.names, worker.reading_key.as_ref()), &text))
        .await?
}

async fn lost(shell: &Arc<Shell>, what: Casualty) -> Result<Outcome, Failure> {
    studio_only(shell, "declare a node lost")?;
    let me = shell.me;
    let found = shell.core.ask(move |node| casualties(node, &what)).await??;
    for id in &found {
        if *id == me {
            return Err(Failure::new("this is the node you are asking; it is not lost"));
        }
    }
    let nodes = look(shell, none).await?.nodes;
    let online = nodes
        .iter()
        .find(|n| n.state == doc::NodeState::Online && found.iter().any(|id| id.to_string() == n.id));
    if let Some(online) = online {
        return Err(Failure::new(format!("{} is online, so it is not lost", online.name))
            .next("switch it off first if it is to be given up"));
    }
    let bodies = found.iter().map(|node| Body::Lost(Lost { node: *node, lost: true })).collect();
    shell.core.settle(Event::Say(bodies)).await?;
    let after = look(shell, |shoots| Ok(shoots.to_vec())).await?;
    let lost = after.nodes.into_iter().filter(|n| found.iter().any(|id| id.to_string() == n.id)).collect();
    Ok(Outcome::done(doc::LostDoc { lost, verdict: after.verdict }))
}

fn studio_only(shell: &Shell, what: &str) -> Result<(), Failure> {
    match shell.reading_key {
        Some(_) => Ok(()),
        None => Err(Failure::new(format!("a vault may not {what}")).next("do it on a studio node")),
    }
}

/// The nodes that a person means: by name, by the first digits of an id, or all of a site.
fn casualties(node: &safelight_core::node::Node, what: &Casualty) -> Result<Vec<NodeId>, Failure> {
    let manifest = node.manifest();
    match what {
        Casualty::Site(name) => {
            let (site, members) = (Site::new(name), manifest.members().iter());
            let found: Vec<NodeId> =
                members.filter(|(_, m)| Some(&m.site) == site.as_ref()).map(|(id, _)| *id).collect();
            if found.is_empty() { Err(unknown("site", name)) } else { Ok(found) }
        }
        Casualty::Node(text) => {
            let found = nodes_named(node, text);
            match found.as_slice() {
                [] => Err(unknown("node", text)),
                [one] => Ok(vec![*one]),
                _ => Err(Failure::new(format!("'{text}' fits several nodes; give more digits of the id"))
                    .next("safelight nodes")),
            }
        }
    }
}

/// Every node that a person may mean: those of that name, else all whose id begins so.
fn nodes_named(node: &safelight_core::node::Node, text: &str) -> Vec<NodeId> {
    let named = |id: &NodeId| {
        let info = node.manifest().node(id);
        info.is_some_and(|info| view::normal_name(&info.name) == view::normal_name(text))
    };
    let members = || node.manifest().members().iter().map(|(id, _)| *id);
    let by_name: Vec<NodeId> = members().filter(named).collect();
    let prefix = Prefix::parse(text);
    match by_name.is_empty() {
        true => members().filter(|id| prefix.as_ref().is_some_and(|p| p.matches(id))).collect(),
        false => by_name,
    }
}

fn unknown(kind: &str, text: &str) -> Failure {
    Failure::new(format!("there is no {kind} '{text}'")).next("safelight nodes")
}

async fn show_rule(shell: &Arc<Shell>, shoot: Option<String>) -> Result<Outcome, Failure> {
    let (rule, name) = match shoot {
        Some(text) => {
            let found = shoot_of(shell, text).await?;
            (found.rule, found.name)
        }
        None => (shell.core.ask(|node| node.manifest().rule(None)).await?, None),
    };
    let here = shell.site.clone();
    let (loss, advice) = shell
        .core
        .ask(move |node| {
            let topology = node.topology();
            let rates = LossRates::default();
            let plan = |topology| Planner::new(topology, rule, &rates, Some(&here)).plan(EXAMPLE_ROLL).ok();
            let now = plan(&topology);
            let more = plan(&topology.with_volume(another_site(&topology)));
            let advice = match (&now, &more) {
                (Some(now), Some(more)) if more.yearly_loss < now.yearly_loss * 0.9 => Some(format!(
                    "One more site with a volume would bring that to about 1 in {:.0} a year.",
                    1.0 / more.yearly_loss.max(1e-12)
                )),
                _ => None,
            };
            (now.map(|plan| plan.yearly_loss), advice)
        })
        .await?;
    Ok(Outcome::done(doc::RuleDoc {
        rule: rule.to_string(),
        spend_percent: rule.spend,
        shoot: name,
        yearly_loss: loss,
        advice,
    }))
}

/// A volume at a site that is not there yet, for what-if questions.
fn another_site(topology: &safelight_core::place::Topology) -> VolumeView {
    let mut name = String::from("another site");
    while topology.volumes().iter().any(|volume| Site::new(&name).as_ref() == Some(&volume.site)) {
        name.push('\'');
    }
    VolumeView {
        id: VolumeId([0xff; 16]),
        name: name.clone(),
        node: NodeId([0xff; 32]),
        role: Role::Vault,
        site: Site::new(&name).unwrap_or_else(|| topology.volumes()[0].site.clone()),
        media: Media::Nas,
        free: u64::MAX / 4,
        used: 0,
        domain: None,
        host: None,
        trust_declared: true,
    }
}

async fn set_rule(shell: &Arc<Shell>, rule: Rule, shoot: Option<String>) -> Result<Outcome, Failure> {
    studio_only(shell, "change the rule")?;
    let ids: Vec<_> = match shoot.clone() {
        Some(text) => shoot_of(shell, text).await?.ids.into_iter().map(Some).collect(),
        None => vec![None],
    };
    let bodies = ids.into_iter().map(|shoot| Body::Rule(RuleInfo { shoot, rule })).collect();
    shell.core.settle(Event::Say(bodies)).await?;
    show_rule(shell, shoot).await
}
