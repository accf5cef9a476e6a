//! What is to be done for the rolls on some ground, roll by roll: where their shards are wanted in the end, and what goes
//! where for it.

use std::collections::{BTreeMap, BTreeSet};

use safelight_proto::id::{CodingId, NodeId, RollId, VolumeId};
use safelight_proto::record::{Coding, Roll};
use safelight_proto::vocabulary::Rule;

use super::Node;
use super::forecast::{Load, Route, WhatIf, Why};
use super::ground::Ground;
use super::picture::sealed_len;
use crate::manifest::Held;
use crate::place::{CodingView, Holding, RollView, Topology, shard_room};
use crate::repair::{NOWHERE, Repair};

/// Where the shards of a roll are wanted, in the end.
pub(super) struct Wish<'a> {
    /// Nothing for a coding that there is not yet.
    coding: Option<&'a Coding>,
    k: u8,
    shard_bytes: u64,
    volumes: Vec<VolumeId>,
    /// Somebody can make the shards that nobody has.
    makable: bool,
}

/// Goes through the rolls and adds up what is to be done for them.
pub(super) struct Survey<'a> {
    node: &'a Node,
    pub(super) ground: Ground,
    /// Volumes that shards can be had from, with their nodes and sites.
    sources: Topology,
    gone: &'a BTreeSet<VolumeId>,
    leaving: BTreeSet<VolumeId>,
    pub(super) loads: BTreeMap<Route, Load>,
    /// Rolls that something is to be done for.
    pub(super) rolls: u64,
    /// How often the planner was asked.
    pub(super) planned: usize,
}

impl<'a> Survey<'a> {
    pub(super) fn new(node: &'a Node, ground: Ground, counting: &Topology, what: &'a WhatIf) -> Self {
        let sources = counting.volumes().iter().filter(|view| !what.lost.contains(&view.id)).cloned();
        let own = counting.volumes().iter().map(|view| view.id).filter(|id| node.is_leaving(id));
        Self {
            node,
            ground,
            sources: Topology::new(sources),
            gone: &what.lost,
            leaving: own.chain(what.leaving.iter().copied()).collect(),
            loads: BTreeMap::new(),
            rolls: 0,
            planned: 0,
        }
    }

    /// Notes what is to be done for one roll, and says where its shards are wanted in the end.
    pub(super) fn look_at(
        &mut self,
        body: &Roll,
        rule: Rule,
        held: &BTreeMap<CodingId, Held>,
    ) -> Option<Wish<'a>> {
        let node = self.node;
        let now = node.manifest.laid_out(&body.roll).map(|(layout, coding)| Wish {
            coding: Some(coding),
            k: coding.k,
            shard_bytes: coding.shard_bytes,
            volumes: layout.volumes.clone(),
            makable: false,
        });
        let fine = node.is_fine(&body.roll, rule, &mut self.ground);
        let read = if fine { None } else { self.readable(&body.roll, held) };
        let by = read.and_then(|_| node.caretaker_on(&body.roll, &self.ground));
        let wish = match by {
            Some(by) => self.plan(body, rule, by, now.as_ref()).or(now),
            None => now,
        };
        let wish = Wish { makable: by.is_some(), ..wish? };
        let moved = self.tally(body, &wish, held, by.zip(read));
        self.rolls += u64::from(moved);
        Some(wish)
    }

    /// A coding of which there are shards enough.
    fn readable(&self, roll: &RollId, held: &BTreeMap<CodingId, Held>) -> Option<&'a Coding> {
        let codings = self.node.manifest.codings(roll);
        codings.into_values().find(|coding| self.at_hand(coding, held).len() >= usize::from(coding.k))
    }

    /// The shards of a coding that can be had, each with the volumes that have it.
    fn at_hand(&self, coding: &Coding, held: &BTreeMap<CodingId, Held>) -> BTreeMap<u8, Vec<VolumeId>> {
        let mut there: BTreeMap<u8, Vec<VolumeId>> = BTreeMap::new();
        for (volume, indexes) in held.get(&coding.coding).into_iter().flatten() {
            if self.sources.volume(*volume).is_some()
                && !self.node.manifest.is_disproved(&coding.roll, volume)
            {
                indexes.iter().for_each(|index| there.entry(*index).or_default().push(*volume));
            }
        }
        there
    }

    /// A better layout than `now`, where there is one; uses the room that it takes.
    fn plan(&mut self, body: &Roll, rule: Rule, by: NodeId, now: Option<&Wish<'_>>) -> Option<Wish<'a>> {
        let planned = self.node.plan_on(&body.roll, rule, by, &self.ground)?;
        if planned.anew {
            self.planned += 1;
            self.ground.remember(&planned);
        }
        let (mut on, bytes) = planned.repair.added(&planned.patient);
        let wish = match planned.repair {
            Repair::Stays => return None,
            Repair::Complete { coding, volumes } => {
                let coding = self.node.manifest.codings(&body.roll).into_values().nth(coding)?;
                // Room for what is on its way already is set aside.
                if now.and_then(|now| now.coding).is_some_and(|old| old.coding == coding.coding) {
                    let old = now.map(|now| now.volumes.as_slice()).unwrap_or_default();
                    let known = |id: &VolumeId| {
                        let at = volumes.iter().position(|volume| volume == id);
                        at.is_some_and(|at| old.get(at) == Some(id))
                    };
                    on.retain(|id| !known(id));
                }
                Wish {
                    coding: Some(coding),
                    k: coding.k,
                    shard_bytes: coding.shard_bytes,
                    volumes,
                    makable: true,
                }
            }
            Repair::Recode(plan) => {
                let shard_bytes = shard_room(sealed_len(body), plan.k);
                Wish { coding: None, k: plan.k, shard_bytes, volumes: plan.assignment, makable: true }
            }
        };
        self.ground.take_room(&on, bytes);
        Some(wish)
    }

    /// Adds up what it takes to fulfil `wish`; whether that is anything.
    fn tally(
        &mut self,
        body: &Roll,
        wish: &Wish<'a>,
        held: &BTreeMap<CodingId, Held>,
        maker: Option<(NodeId, &'a Coding)>,
    ) -> bool {
        let at_hand = wish.coding.map(|coding| self.at_hand(coding, held)).unwrap_or_default();
        let (mut made, mut moved) = (Vec::new(), false);
        for (index, volume) in (0u8..).zip(&wish.volumes).filter(|(_, volume)| **volume != NOWHERE) {
            let holders = at_hand.get(&index).map(Vec::as_slice).unwrap_or_default();
            let Some(to) = self.ground.all.volume(*volume).filter(|_| !holders.contains(volume)) else {
                continue;
            };
            let (to, why) = (to.node, self.why(body, wish.coding, index, held, holders));
            match self.nearest(holders, to) {
                Some(from) => {
                    moved = true;
                    self.add(Route { from, to, why }, wish.shard_bytes, body.roll);
                }
                None => made.push((to, why)),
            }
        }
        let (Some((by, read)), Some((_, why))) = (maker, made.first().copied()) else { return moved };
        for from in self.read_from(read, held, by) {
            self.add(Route { from, to: by, why }, read.shard_bytes, body.roll);
        }
        for (to, why) in made {
            self.add(Route { from: by, to, why }, wish.shard_bytes, body.roll);
        }
        true
    }

    /// The other nodes that `by` reads shards from to make new ones, one for each shard that it has not itself.
    fn read_from(&self, coding: &Coding, held: &BTreeMap<CodingId, Held>, by: NodeId) -> Vec<NodeId> {
        let at_hand = self.at_hand(coding, held);
        let mut nearest: Vec<NodeId> =
            at_hand.values().filter_map(|holders| self.nearest(holders, by)).collect();
        nearest.sort_by_key(|from| (*from != by, !self.node.is_near(from), *from));
        nearest.truncate(coding.k.into());
        nearest.retain(|from| *from != by);
        nearest
    }

    /// The node that a shard comes from: the taker itself, one at its site, one within reach, any.
    fn nearest(&self, holders: &[VolumeId], to: NodeId) -> Option<NodeId> {
        let site = |node: NodeId| {
            let of = |topology: &Topology| {
                topology.volumes().iter().find(|view| view.node == node).map(|view| view.site.clone())
            };
            of(&self.sources).or_else(|| of(&self.ground.all))
        };
        let here = site(to);
        let views = holders.iter().filter_map(|volume| self.sources.volume(*volume));
        let first = views.min_by_key(|view| {
            let near = self.node.is_near(&view.node);
            (view.node != to, Some(&view.site) != here.as_ref(), !near, view.node)
        });
        first.map(|view| view.node)
    }

    /// Why a volume is to get a shard that `holders` have.
    fn why(
        &self,
        body: &Roll,
        coding: Option<&Coding>,
        index: u8,
        held: &BTreeMap<CodingId, Held>,
        holders: &[VolumeId],
    ) -> Why {
        let Some(coding) = coding else { return Why::Recoded };
        let manifest = &self.node.manifest;
        let had = |(volume, indexes): (&VolumeId, &BTreeSet<u8>)| {
            indexes.contains(&index) && self.sources.volume(*volume).is_none()
        };
        let was_lost = held.get(&coding.coding).is_some_and(|held| held.iter().any(had));
        if holders.is_empty() {
            return if usize::from(index) < coding.shards.len() { Why::Remade } else { Why::Better };
        }
        if holders.iter().all(|volume| self.leaving.contains(volume)) {
            return Why::Moved;
        }
        // It waits where it was made, and what it was made for is what the records tell.
        let author = manifest.roll(&body.roll).map(|(_, author)| author);
        match manifest.codings(&body.roll).len() {
            _ if was_lost => Why::Remade,
            1 if manifest.layout_author(&body.roll) == author => Why::Spread,
            1 => Why::Better,
            _ => Why::Recoded,
        }
    }

    fn add(&mut self, route: Route, bytes: u64, roll: RollId) {
        self.loads.entry(route).or_default().add(bytes, roll);
    }

    /// A roll when what was supposed has just happened: what is gone is known nowhere any more.
    pub(super) fn without_what_is_gone(&self, now: &RollView, held: &BTreeMap<CodingId, Held>) -> RollView {
        let mut view = now.clone();
        for (coding, id) in view.codings.iter_mut().zip(self.node.manifest.codings(&now.roll).keys()) {
            coding.known_anywhere = self.known(held.get(id)).len() as u16;
            coding.holdings.retain(|one| !self.gone.contains(&one.volume));
        }
        view
    }

    /// A roll when `wish` is fulfilled, what leaves has left, and vaults have proven what they hold.
    pub(super) fn afterwards(
        &self,
        body: &Roll,
        held: &BTreeMap<CodingId, Held>,
        wish: Option<&Wish<'a>>,
    ) -> RollView {
        let manifest = &self.node.manifest;
        let wanted = |wish: &Wish<'a>| -> Vec<Holding> {
            let there = (0u16..).zip(wish.volumes.iter().copied());
            let there = there.filter(|(_, volume)| self.ground.all.volume(*volume).is_some());
            there.map(|(index, volume)| Holding { index, volume }).collect()
        };
        let mut codings = Vec::new();
        for (id, coding) in manifest.codings(&body.roll) {
            let (mut holdings, at_hand) = (Vec::new(), self.at_hand(coding, held));
            for (index, volumes) in &at_hand {
                let stay = volumes.iter().filter(|volume| self.ground.all.volume(**volume).is_some());
                holdings.extend(stay.map(|volume| Holding { index: (*index).into(), volume: *volume }));
            }
            let mut known = self.known(held.get(&id));
            if let Some(wish) = wish.filter(|wish| wish.coding.is_some_and(|of| of.coding == id)) {
                // What nobody can make any more stays a wish.
                let can_be = |one: &Holding| wish.makable || at_hand.contains_key(&(one.index as u8));
                holdings.extend(wanted(wish).into_iter().filter(can_be));
                holdings.sort_unstable();
                holdings.dedup();
            }
            known.extend(holdings.iter().map(|one| one.index as u8));
            codings.push(CodingView { k: coding.k, holdings, known_anywhere: known.len() as u16 });
        }
        if let Some(wish) = wish.filter(|wish| wish.coding.is_none()) {
            let holdings = wanted(wish);
            codings.push(CodingView { k: wish.k, known_anywhere: holdings.len() as u16, holdings });
        }
        let files = manifest.files_left(body);
        RollView { roll: body.roll, sealed_len: sealed_len(body), files, codings }
    }

    /// Indexes of a coding that are known anywhere, present or not.
    fn known(&self, held: Option<&Held>) -> BTreeSet<u8> {
        let there = held.into_iter().flatten().filter(|(volume, _)| !self.gone.contains(volume));
        there.flat_map(|(_, indexes)| indexes.iter().copied()).collect()
    }
}
