//! What would be if: volumes came, left or were lost. And, with nothing supposed, what caretaking has still to do.
//!
//! The answer comes from the planner that repair uses, on the volumes that there would be; nothing is said or moved.

use std::collections::{BTreeMap, BTreeSet};

use safelight_proto::id::{NodeId, RollId, VolumeId};
use safelight_proto::vocabulary::{Rule, Site};

use super::Node;
use super::ground::Ground;
use super::survey::Survey;
use crate::place::{LossRates, RollView, Topology, VolumeView, evaluate};
use crate::repair::{Loss, unhealable};

/// What is supposed. Volumes that are not known are ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WhatIf {
    /// Volumes that there are not yet.
    pub added: Vec<VolumeView>,
    /// Volumes that are gone, with all that is on them.
    pub lost: BTreeSet<VolumeId>,
    /// Volumes that are to be emptied.
    pub leaving: BTreeSet<VolumeId>,
}

/// Why bytes move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// A new roll is brought to where it is wanted.
    Spread,
    /// A shard was lost or damaged.
    Remade,
    /// It lies on a volume that leaves.
    Moved,
    /// More shards protect the roll better.
    Better,
    /// The roll is coded anew, for other volumes than before.
    Recoded,
}

/// A way that bytes go: between two nodes, or from volume to volume of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// The node that sends.
    pub from: NodeId,
    /// The node that takes.
    pub to: NodeId,
    /// Why.
    pub why: Why,
}

/// What goes one way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Rolls that it is about.
    pub rolls: u64,
    /// Shards, those included that are only read to make others.
    pub shards: u64,
    /// Their bytes.
    pub bytes: u64,
    last: Option<RollId>,
}

impl Load {
    /// Adds a shard; those of one roll come one after the other.
    pub(super) fn add(&mut self, bytes: u64, roll: RollId) {
        self.shards += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.last != Some(roll) {
            self.last = Some(roll);
            self.rolls += 1;
        }
    }
}

/// What all rolls survive when what was supposed has happened and nothing is repaired yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lowest {
    /// Any so many drives may be lost; none where something cannot even be read.
    pub survives_volumes: u32,
    /// Sites of which each alone takes something with it.
    pub fatal_sites: Vec<Site>,
    /// Everything can be read then.
    pub readable: bool,
    /// Files that no shard anywhere brings back.
    pub files_lost: u64,
}

/// What would be.
#[derive(Debug, Clone, Default)]
pub struct Forecast {
    /// Each roll as it is now.
    pub before: BTreeMap<RollId, RollView>,
    /// Each roll when all is done.
    pub after: BTreeMap<RollId, RollView>,
    /// The volumes when all is done, with the room that is left.
    pub topology: Topology,
    /// What goes where, and why.
    pub loads: BTreeMap<Route, Load>,
    /// Rolls that something moves or is made of.
    pub rolls: u64,
    /// The protection on the way; nothing when there are no rolls.
    pub lowest: Option<Lowest>,
    /// Single losses that could not be made up for afterwards.
    pub unhealable: Vec<Loss>,
    /// How often the planner was asked: rolls that stand alike are planned once.
    pub planned: usize,
}

impl Node {
    /// What would be if `what` happened. Changes nothing.
    pub fn forecast(&self, what: &WhatIf) -> Forecast {
        let counting = self.topology();
        let supposed = counting.volumes().iter().filter(|view| !what.lost.contains(&view.id));
        let supposed: Vec<VolumeView> = supposed.cloned().chain(what.added.iter().cloned()).collect();
        let stays = |view: &&VolumeView| !what.leaving.contains(&view.id) && !self.is_leaving(&view.id);
        let all = Topology::new(supposed.iter().filter(stays).cloned()).less_room(self.promised());
        let added = |id: &VolumeId| what.added.iter().any(|view| view.id == *id);
        let near = |view: &&VolumeView| self.is_near(&view.node) || added(&view.id);
        let near = Topology::new(all.volumes().iter().filter(near).cloned());
        let mut survey =
            Survey::new(self, Ground::new(all, near).without(what.lost.clone()), &counting, what);
        let (rules, mut before, mut after) = (self.rules(), BTreeMap::new(), BTreeMap::new());
        let mut right_after = Vec::new();
        for (body, _) in self.manifest.rolls().filter(|(body, _)| !self.is_dead(&body.roll)) {
            let held = self.manifest.holdings(&body.roll);
            let now = self.view_of(body, &held, |volume| counting.volume(*volume).is_some());
            let rule = rules.get(&body.roll).copied().unwrap_or_default();
            let wish = survey.look_at(body, rule, &held);
            right_after.push(survey.without_what_is_gone(&now, &held));
            after.insert(body.roll, survey.afterwards(body, &held, wish.as_ref()));
            before.insert(body.roll, now);
        }
        let Survey { ground, loads, rolls, planned, .. } = survey;
        let rated = after.iter().map(|(roll, view)| (rules.get(roll).copied().unwrap_or_default(), view));
        let unhealable = unhealable(&ground.all, &LossRates::default(), rated);
        let lowest = lowest(&Topology::new(supposed), &right_after);
        Forecast { before, after, topology: ground.all, loads, rolls, lowest, unhealable, planned }
    }

    /// What caretaking has to do as things are: what is on its way, and what will be.
    pub fn work(&self) -> BTreeMap<Route, Load> {
        let (ground, nothing) = (self.repairs.ground.clone(), WhatIf::default());
        let mut survey = Survey::new(self, ground, &self.topology(), &nothing);
        let rules = self.rules();
        for (body, _) in self.manifest.rolls().filter(|(body, _)| !self.is_dead(&body.roll)) {
            let held = self.manifest.holdings(&body.roll);
            survey.look_at(body, rules.get(&body.roll).copied().unwrap_or_default(), &held);
        }
        survey.loads
    }
}

impl Forecast {
    /// The rolls of a shoot before (or `after`); one that is not known counts for nothing.
    pub fn views<'a>(&self, rolls: impl IntoIterator<Item = &'a RollId>, after: bool) -> Vec<RollView> {
        let all = if after { &self.after } else { &self.before };
        let unknown = |roll| RollView { roll, sealed_len: 0, files: 0, codings: Vec::new() };
        rolls.into_iter().map(|roll| all.get(roll).cloned().unwrap_or_else(|| unknown(*roll))).collect()
    }
}

fn lowest(topology: &Topology, rolls: &[RollView]) -> Option<Lowest> {
    let standing = evaluate(topology, &Rule::default(), rolls);
    let fatal = standing.sites.iter().filter(|(_, survives)| !survives).map(|(site, _)| site.clone());
    let lowest = Lowest {
        survives_volumes: standing.copies.survives_volumes,
        fatal_sites: fatal.collect(),
        readable: standing.readable,
        files_lost: standing.files_lost,
    };
    (!rolls.is_empty()).then_some(lowest)
}
