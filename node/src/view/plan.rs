//! The documents of `plan`, and the ways in `status`: what goes where, why, and how long it takes.

use std::collections::{BTreeMap, BTreeSet};

use safelight_core::node::{Forecast, Load, Node, Route, WhatIf, Why};
use safelight_core::place::{
    LossRates, RollView, Topology, Verdict, VolumeView, can_meet, evaluate, judge_at_rest, library_verdict,
    remedy,
};
use safelight_core::repair::Loss;
use safelight_core::seal::ReadingKey;
use safelight_proto::id::{NodeId, RollId};
use safelight_proto::vocabulary::{Role, Rule};

use super::{Names, ShootView, name_of, shoots, verdict};
use crate::admin::doc::{EndDoc, LinkDoc, LowestDoc, PlanDoc, PlanShootDoc, PlanVolumeDoc, UnhealableDoc};
use crate::hours::Hours;
use crate::meter::Speed;

const DAY: f64 = 86_400.0;

/// How fast bytes go to and from this node, and in what share of the day.
#[derive(Debug, Clone, Default)]
pub struct Speeds {
    /// To and from each peer.
    pub of: BTreeMap<NodeId, Speed>,
    /// The hours that are set.
    pub hours: Option<Hours>,
}

/// `plan`: what comes of `what`, which is called `event`.
pub fn plan(
    node: &Node,
    names: &Names,
    key: Option<&ReadingKey>,
    speeds: &Speeds,
    event: &str,
    what: &WhatIf,
) -> PlanDoc {
    let (now, forecast) = (node.topology(), node.forecast(what));
    let gone = |view: &&VolumeView| what.lost.contains(&view.id) || what.leaving.contains(&view.id);
    let about = now.volumes().iter().filter(gone).chain(&what.added);
    let shoots = shoot_documents(node, &shoots(node, names, key), &now, &forecast);
    let worst = |of: fn(&PlanShootDoc) -> crate::admin::doc::Verdict| {
        shoots.iter().map(of).max().unwrap_or(verdict(library_verdict([])))
    };
    let links = links(node, &what.added, speeds, &forecast.loads);
    let safe = shoots.iter().all(|shoot| shoot.after == verdict(Verdict::Safe));
    PlanDoc {
        event: event.to_owned(),
        volumes: about.map(|view| volume(node, view)).collect(),
        before: worst(|shoot| shoot.before),
        after: worst(|shoot| shoot.after),
        rolls: forecast.rolls,
        bytes: forecast.loads.values().map(|load| load.bytes).sum(),
        days: days(&links),
        lowest: forecast.lowest.as_ref().map(|lowest| LowestDoc {
            readable: lowest.readable,
            survives_volumes: lowest.survives_volumes,
            survives_any_site: lowest.readable && lowest.fatal_sites.is_empty(),
            fatal_sites: lowest.fatal_sites.iter().map(|site| site.name().to_owned()).collect(),
            files_lost: lowest.files_lost,
        }),
        heals: safe && forecast.unhealable.is_empty(),
        unhealable: forecast.unhealable.iter().map(|loss| unhealable(&forecast.topology, loss)).collect(),
        shoots,
        links,
    }
}

/// What is on its way or to be done now, as `status` tells it.
pub fn work(node: &Node, speeds: &Speeds) -> Vec<LinkDoc> {
    links(node, &[], speeds, &node.work())
}

fn volume(node: &Node, view: &VolumeView) -> PlanVolumeDoc {
    let known = node.manifest().volume(&view.id);
    PlanVolumeDoc {
        id: known.map(|_| view.id.to_string()),
        node: node.manifest().members().get(&view.node).map(|_| name_of(node, &view.node)),
        site: view.site.name().to_owned(),
        media: view.media.to_string(),
        capacity_bytes: known.map_or(view.free, |(_, info)| info.capacity),
    }
}

fn shoot_documents(
    node: &Node,
    shoots: &[ShootView],
    now: &Topology,
    forecast: &Forecast,
) -> Vec<PlanShootDoc> {
    let mut short: BTreeMap<Rule, BTreeMap<RollId, RollView>> = BTreeMap::new();
    let mut documents = Vec::with_capacity(shoots.len());
    for shoot in shoots {
        let rolls: BTreeSet<RollId> =
            shoot.rolls.iter().flat_map(|r| r.references.iter().copied().chain([r.roll])).collect();
        let before = shoot.judge_rolls(node, now, &forecast.views(&rolls, false)).verdict;
        let views = forecast.views(&rolls, true);
        let after = judge_at_rest(&forecast.topology, &shoot.rule, shoot.name.as_deref(), &views);
        if after.verdict == Verdict::AtRisk {
            short.entry(shoot.rule).or_default().extend(views.into_iter().map(|view| (view.roll, view)));
        }
        documents.push(PlanShootDoc {
            id: shoot.ids.first().map(ToString::to_string).unwrap_or_default(),
            name: shoot.name.clone(),
            files: shoot.files(),
            before: verdict(before),
            after: verdict(after.verdict),
            reason: (after.verdict != Verdict::Safe).then_some(after.reason),
            remedy: None,
        });
    }
    let remedies: BTreeMap<Rule, String> =
        short.into_iter().map(|(rule, rolls)| (rule, helps(&forecast.topology, &rule, rolls))).collect();
    for (document, shoot) in documents.iter_mut().zip(shoots) {
        if document.after == verdict(Verdict::AtRisk) {
            document.remedy = remedies.get(&shoot.rule).cloned();
        }
    }
    documents
}

/// What would help all rolls that fall short of `rule`.
fn helps(topology: &Topology, rule: &Rule, rolls: BTreeMap<RollId, RollView>) -> String {
    let (rolls, rates): (Vec<RollView>, _) = (rolls.into_values().collect(), LossRates::default());
    let standing = evaluate(topology, rule, &rolls);
    if !standing.readable {
        return "bring back the volumes and nodes that hold the missing shards, and check them in".into();
    }
    if can_meet(topology, rule, &rates, &rolls, &standing) {
        return match topology.volumes().iter().any(|view| view.role == Role::Studio) {
            true => "make room: what lies on the volumes now is in the way of a better layout".into(),
            false => {
                "recover a studio from the phrase (`safelight recover`): vaults alone make no new shards"
                    .into()
            }
        };
    }
    remedy(topology, rule, &rates, &rolls, &standing)
        .map_or_else(|| "add volumes at other sites".to_owned(), |remedy| remedy.sentence(topology))
}

fn links(node: &Node, added: &[VolumeView], speeds: &Speeds, loads: &BTreeMap<Route, Load>) -> Vec<LinkDoc> {
    // Where hours are set, a day has fewer of them.
    let share = speeds.hours.as_ref().map_or(1.0, Hours::share);
    let link = |(route, load): (&Route, &Load)| {
        let speed = speed(node, speeds, route);
        LinkDoc {
            from: end(node, added, &route.from),
            to: end(node, added, &route.to),
            why: why(route.why).to_owned(),
            rolls: load.rolls,
            shards: load.shards,
            bytes: load.bytes,
            bytes_per_second: speed.map(|speed| speed as u64),
            days: speed.map(|speed| load.bytes as f64 / speed / share / DAY),
        }
    };
    loads.iter().map(link).collect()
}

/// The word of a reason in documents.
fn why(why: Why) -> &'static str {
    match why {
        Why::Spread => "new",
        Why::Remade => "re-made",
        Why::Moved => "moved",
        Why::Better => "better",
        Why::Recoded => "re-coded",
    }
}

/// Only what this node sends or takes is measured by it.
fn speed(node: &Node, speeds: &Speeds, route: &Route) -> Option<f64> {
    let me = node.id();
    match (route.from == me, route.to == me) {
        (true, false) => speeds.of.get(&route.to)?.up,
        (false, true) => speeds.of.get(&route.from)?.down,
        _ => None,
    }
}

/// How long all of it takes: what one node sends goes one after the other, and the nodes send at the same time.
fn days(links: &[LinkDoc]) -> Option<f64> {
    let mut by_sender: BTreeMap<&Option<String>, f64> = BTreeMap::new();
    for link in links.iter().filter(|link| link.from != link.to) {
        *by_sender.entry(&link.from.id).or_default() += link.days?;
    }
    by_sender.into_values().reduce(f64::max)
}

fn end(node: &Node, added: &[VolumeView], id: &NodeId) -> EndDoc {
    let manifest = node.manifest();
    let site = manifest.stands_at(id);
    let known = manifest.members().get(id).is_some();
    let new = added.iter().find(|view| view.node == *id).map(|view| view.site.clone());
    EndDoc {
        id: known.then(|| id.to_string()),
        name: if known { name_of(node, id) } else { "a new node".into() },
        site: site.or(new).map(|site| site.name().to_owned()).unwrap_or_default(),
    }
}

fn unhealable(topology: &Topology, loss: &Loss) -> UnhealableDoc {
    let hit = |view: &VolumeView| match loss {
        Loss::Site(site) => view.site == *site,
        Loss::Volume(id) => view.id == *id,
    };
    let last_studio = !topology.volumes().iter().any(|view| view.role == Role::Studio && !hit(view));
    let view = topology.volumes().iter().find(|view| hit(view));
    let site = view.map(|view| view.site.name().to_owned()).unwrap_or_default();
    let (volume, name) = match (loss, view) {
        (Loss::Volume(id), Some(view)) => (Some(id.to_string()), view.name.clone()),
        _ => (None, site.clone()),
    };
    UnhealableDoc { site, volume, name, last_studio }
}
