//! What to do for one roll.

use std::collections::BTreeSet;

use safelight_proto::id::{RollId, VolumeId};
use safelight_proto::vocabulary::Rule;

use super::complete::complete;
use crate::place::{
    CodingView, Holding, LossRates, Plan, Planner, RollView, Topology, evaluate_roll, shard_room,
};

/// Stands in a layout for a shard that is wanted nowhere: no volume has this id.
pub const NOWHERE: VolumeId = VolumeId([0; 16]);

/// One coding of a roll, by what stays of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stock {
    /// Shards that rebuild the roll.
    pub k: u8,
    /// For each index of the coding: the volumes that stay and hold its shard.
    pub held: Vec<BTreeSet<VolumeId>>,
    /// For each index where it is wanted now, [`NOWHERE`] or beyond the end where it is not.
    pub wanted: Vec<VolumeId>,
    /// Whether shards beyond the last index may be made: their hashes need an author who is believed.
    pub may_grow: bool,
}

/// One roll, as far as its repair is concerned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Patient {
    /// Which.
    pub roll: RollId,
    /// Bytes of its sealed stream.
    pub sealed_len: u64,
    /// Its codings. At least one can be read, else nothing helps.
    pub codings: Vec<Stock>,
    /// Which of them its layout is for.
    pub laid_out: Option<usize>,
    /// Whether a new coding may be made.
    pub may_recode: bool,
}

/// What is to be done for a roll.
#[derive(Debug, Clone, PartialEq)]
pub enum Repair {
    /// Its layout is as good as any.
    Stays,
    /// Shards of one of its codings on these volumes, by index.
    Complete {
        /// The coding, by its place in [`Patient::codings`].
        coding: usize,
        /// The volume for each index; more of them than before when it grows.
        volumes: Vec<VolumeId>,
    },
    /// Another coding, on other volumes.
    Recode(Plan),
}

impl Repair {
    /// The volumes that a shard of `patient` is put on that they do not hold, once for each shard, and the room that one
    /// takes.
    pub fn added(&self, patient: &Patient) -> (Vec<VolumeId>, u64) {
        match self {
            Self::Stays => (Vec::new(), 0),
            Self::Complete { coding, volumes } => {
                let Some(stock) = patient.codings.get(*coding) else { return (Vec::new(), 0) };
                let held = |at: usize| stock.held.get(at).is_some_and(|on| on.contains(&volumes[at]));
                let new = (0..volumes.len()).filter(|at| volumes[*at] != NOWHERE && !held(*at));
                (new.map(|at| volumes[at]).collect(), shard_room(patient.sealed_len, stock.k))
            }
            Self::Recode(plan) => (plan.assignment.clone(), shard_room(patient.sealed_len, plan.k)),
        }
    }
}

/// The least that makes the roll meet `rule` on the volumes of `topology`, or comes nearest to it; never a step back.
///
/// Of the ways that meet the rule the one that writes the fewest bytes is taken. Deterministic, so that two caretakers
/// who know the same plan the same. `planner` is for `rule` over `topology`; building one takes longer than asking it.
pub fn plan(
    topology: &Topology,
    planner: &mut Planner,
    rule: &Rule,
    rates: &LossRates,
    patient: &Patient,
) -> Repair {
    if wish_meets(topology, rule, patient) {
        return Repair::Stays;
    }
    // Literal copies are planned as such; what completes a coding knows nothing of them.
    let by_adding = |clauses: &Rule| match rule.full {
        true => None,
        false => cheapest_completion(topology, clauses, rates, patient),
    };
    let fresh = if patient.may_recode { planner.plan(patient.sealed_len).ok() } else { None };
    let anew = fresh.clone().filter(|plan| plan.meets);
    match (by_adding(rule), anew) {
        (Some((bytes, _)), Some(plan)) if plan_bytes(&plan) < bytes => return Repair::Recode(plan),
        (Some((_, repair)), _) => return repair,
        (None, Some(plan)) => return Repair::Recode(plan),
        (None, None) => {}
    }
    for less in lesser(rule) {
        if wish_meets(topology, &less, patient) {
            return Repair::Stays;
        }
        if let Some((_, repair)) = by_adding(&less) {
            return repair;
        }
        let reached = |plan: &Plan| {
            let reached = plan.reached;
            reached.copies >= less.copies && reached.media >= less.media && reached.offsite >= less.offsite
        };
        if let Some(plan) = fresh.clone().filter(reached) {
            return Repair::Recode(plan);
        }
    }
    Repair::Stays
}

/// Whether the roll meets `rule` with what it has on volumes that stay and what its layout wants there.
pub fn wish_meets(topology: &Topology, rule: &Rule, patient: &Patient) -> bool {
    let codings = patient.codings.iter().enumerate().map(|(at, stock)| {
        let wanted = stock.wanted.iter().filter(|_| patient.laid_out == Some(at));
        let held =
            (0u16..).zip(&stock.held).flat_map(|(index, on)| on.iter().map(move |volume| (index, *volume)));
        view(stock.k, held.chain((0u16..).zip(wanted.copied())))
    });
    meets(topology, rule, patient, codings.collect())
}

fn cheapest_completion(
    topology: &Topology,
    rule: &Rule,
    rates: &LossRates,
    patient: &Patient,
) -> Option<(u64, Repair)> {
    let ways = patient.codings.iter().enumerate().filter_map(|(coding, stock)| {
        let volumes = complete(topology, rule, rates, patient, stock)?;
        let held = |at: usize| stock.held.get(at).is_some_and(|on| on.contains(&volumes[at]));
        let made = (0..volumes.len()).filter(|at| volumes[*at] != NOWHERE && !held(*at));
        let bytes = made.count() as u64 * shard_room(patient.sealed_len, stock.k);
        Some((bytes, coding, volumes))
    });
    let (bytes, coding, volumes) = ways.min_by_key(|(bytes, coding, _)| (*bytes, *coding))?;
    Some((bytes, Repair::Complete { coding, volumes }))
}

fn plan_bytes(plan: &Plan) -> u64 {
    u64::from(plan.n) * plan.shard_bytes
}

/// Whether these holdings of `patient` meet the coded clauses.
pub(super) fn meets(topology: &Topology, rule: &Rule, patient: &Patient, codings: Vec<CodingView>) -> bool {
    let view = RollView { roll: patient.roll, sealed_len: patient.sealed_len, files: 0, codings };
    evaluate_roll(topology, rule, &view).met()
}

/// One coding with its shards on these volumes.
pub(super) fn view(k: u8, held: impl Iterator<Item = (u16, VolumeId)>) -> CodingView {
    let somewhere = held.filter(|(_, volume)| *volume != NOWHERE);
    let holdings = somewhere.map(|(index, volume)| Holding { index, volume }).collect();
    CodingView { k, holdings, known_anywhere: 0 }
}

/// Ever less of a rule, as the planner gives it up: off-site last, media first.
fn lesser(rule: &Rule) -> impl Iterator<Item = Rule> + use<> {
    let rule = *rule;
    (0..=rule.offsite).rev().flat_map(move |offsite| {
        (1..=rule.copies).rev().flat_map(move |copies| {
            (1..=rule.media).rev().map(move |media| Rule { copies, media, offsite, ..rule })
        })
    })
}
