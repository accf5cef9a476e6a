//! The volumes that rolls are planned with: those that stay, as they are or as they would be.
//!
//! Repair works on the ground there is. A question of the kind "what if" gets one of its own, and its answer comes from
//! the same functions.

use std::collections::{BTreeMap, BTreeSet};

use safelight_proto::id::{NodeId, RollId, VolumeId};
use safelight_proto::record::Coding;
use safelight_proto::vocabulary::{Role, Rule, Site};

use super::Node;
use super::picture::sealed_len;
use crate::place::{LossRates, Plan, Planner, Topology, evaluate_roll, shard_room};
use crate::repair::{NOWHERE, Patient, Repair, Stock, plan, wish_meets};

/// Plans that are remembered for rolls that stand alike.
const REMEMBERED: usize = 10_000;

/// The volumes that stay, and what follows from them.
#[derive(Debug, Clone, Default)]
pub(super) struct Ground {
    /// Those that stay.
    pub(super) all: Topology,
    /// Of these the ones within reach, for rolls that cannot wait for anybody.
    pub(super) near: Topology,
    /// Volumes that count, and do not in this question. Empty but for questions.
    gone: BTreeSet<VolumeId>,
    /// Layouts that meet a rule by themselves, so that a thousand like rolls are judged once.
    fine: BTreeSet<(Rule, u8, Vec<VolumeId>)>,
    /// What was planned for rolls that stand like this one.
    plans: BTreeMap<Case, Repair>,
}

/// What a plan depends on, but for the room there is and the size of the roll: rolls of one case are planned once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Case {
    rule: Rule,
    endangered: bool,
    /// Where the node stands that would make new shards.
    from: Option<Site>,
    /// Without its name and size.
    patient: Patient,
}

/// What is to be done for one roll.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    pub(super) patient: Patient,
    pub(super) repair: Repair,
    case: Case,
    /// It was planned for this very roll.
    pub(super) anew: bool,
}

impl Ground {
    pub(super) fn new(all: Topology, near: Topology) -> Self {
        Self { all, near, ..Self::default() }
    }

    /// The same, without what lies on `gone`.
    pub(super) fn without(self, gone: BTreeSet<VolumeId>) -> Self {
        Self { gone, ..self }
    }

    fn of(&self, endangered: bool) -> &Topology {
        if endangered { &self.near } else { &self.all }
    }

    /// Remembers a plan for rolls that stand like its own.
    pub(super) fn remember(&mut self, planned: &Planned) {
        if self.plans.len() < REMEMBERED {
            self.plans.insert(planned.case.clone(), planned.repair.clone());
        }
    }

    /// Uses room for one shard of `bytes` on each of `volumes`.
    pub(super) fn take_room(&mut self, volumes: &[VolumeId], bytes: u64) {
        for volume in volumes {
            self.all.use_room(*volume, bytes);
            self.near.use_room(*volume, bytes);
        }
        let full = |id: &VolumeId| self.all.volume(*id).is_some_and(|view| view.free < bytes);
        if volumes.iter().any(full) {
            // What was planned for others like this one has no room any more.
            self.plans.clear();
        }
    }

    /// Whether there is room for what `repair` adds to a roll like `patient`.
    fn has_room(&self, patient: &Patient, repair: &Repair) -> bool {
        let (added, bytes) = repair.added(patient);
        let mut wanted: BTreeMap<VolumeId, u64> = BTreeMap::new();
        for volume in added {
            *wanted.entry(volume).or_default() += bytes;
        }
        wanted.iter().all(|(id, bytes)| self.all.volume(*id).is_some_and(|view| view.free >= *bytes))
    }
}

impl Node {
    /// Whether the layout of `roll` meets its `rule` by itself on volumes that stay, and every shard that it wants is
    /// somewhere: the quick answer for almost all rolls, remembered.
    pub(super) fn is_fine(&self, roll: &RollId, rule: Rule, ground: &mut Ground) -> bool {
        let Some((body, _)) = self.manifest.roll(roll) else { return false };
        let Some((layout, coding)) = self.manifest.laid_out(roll) else { return false };
        if !self.unmade(roll, ground).is_empty() {
            return false;
        }
        let key = (rule, coding.k, layout.volumes.clone());
        if ground.fine.contains(&key) {
            return true;
        }
        let wanted = Stock { k: coding.k, held: vec![], wanted: layout.volumes.clone(), may_grow: false };
        let bare = Patient {
            roll: *roll,
            sealed_len: sealed_len(body),
            codings: vec![wanted],
            laid_out: Some(0),
            may_recode: false,
        };
        let fine = wish_meets(&ground.all, &key.0, &bare);
        if fine {
            ground.fine.insert(key);
        }
        fine
    }

    /// The volumes to plan with. A roll that has lost something already and would not survive the next drive does not
    /// wait for those who are away.
    pub(super) fn ground_for<'a>(&self, roll: &RollId, ground: &'a Ground) -> &'a Topology {
        ground.of(self.is_endangered_on(roll, ground))
    }

    pub(super) fn is_endangered_on(&self, roll: &RollId, ground: &Ground) -> bool {
        let (Some((body, _)), Some((layout, _))) = (self.manifest.roll(roll), self.manifest.laid_out(roll))
        else {
            return false;
        };
        let gone = |volume: &VolumeId| *volume != NOWHERE && ground.all.volume(*volume).is_none();
        layout.volumes.iter().any(gone) && {
            let standing = evaluate_roll(&ground.all, &Rule::default(), &self.roll_view(body));
            standing.readable && standing.copies.survives_volumes == 0
        }
    }

    /// Indexes that the layout wants and of which nobody who counts has the shard.
    pub(super) fn unmade(&self, roll: &RollId, ground: &Ground) -> Vec<(u8, VolumeId)> {
        let Some((layout, coding)) = self.manifest.laid_out(roll) else { return vec![] };
        let holdings = self.manifest.holdings(roll);
        let held = holdings.get(&coding.coding);
        let somewhere = |index: u8| {
            held.into_iter().flatten().any(|(volume, indexes)| {
                indexes.contains(&index)
                    && self.volume_counts(volume)
                    && !ground.gone.contains(volume)
                    && !self.manifest.is_disproved(roll, volume)
            })
        };
        let made = usize::from(u8::MAX).min(coding.shards.len());
        let wanted = (0u8..).zip(&layout.volumes).take(made);
        wanted
            .filter(|(index, volume)| ground.all.volume(**volume).is_some() && !somewhere(*index))
            .map(|(index, volume)| (index, *volume))
            .collect()
    }

    /// `roll` as the planner of repairs sees it, when `by` sees to it.
    pub(super) fn patient(&self, roll: &RollId, by: NodeId, ground: &Ground) -> Option<Patient> {
        let (body, author) = self.manifest.roll(roll)?;
        let (holdings, layout) = (self.manifest.holdings(roll), self.manifest.laid_out(roll));
        let believed = self.role_of(&by) == Some(Role::Studio) || author == by;
        let (codings, ground) = (self.manifest.codings(roll), self.ground_for(roll, ground));
        let stock = |coding: &Coding| {
            let of_this = layout.filter(|(layout, _)| layout.coding == coding.coding);
            let wanted = of_this.map(|(layout, _)| layout.volumes.clone()).unwrap_or_default();
            let holders = |index: u8| -> BTreeSet<VolumeId> {
                let stays = |volume: &VolumeId| {
                    ground.volume(*volume).is_some() && !self.manifest.is_disproved(roll, volume)
                };
                let held = holdings.get(&coding.coding).into_iter().flatten();
                held.filter(|(volume, held)| held.contains(&index) && stays(volume))
                    .map(|(v, _)| *v)
                    .collect()
            };
            let held = (0u8..).take(coding.shards.len()).map(holders).collect();
            Stock { k: coding.k, held, wanted, may_grow: believed }
        };
        Some(Patient {
            roll: *roll,
            sealed_len: sealed_len(body),
            codings: codings.values().map(|coding| stock(coding)).collect(),
            laid_out: layout.and_then(|(layout, _)| codings.keys().position(|id| *id == layout.coding)),
            may_recode: believed,
        })
    }

    /// What is to be done for `roll` under `rule` when `by` sees to it, by its own case or by that of one that stood like
    /// it.
    pub(super) fn plan_on(&self, roll: &RollId, rule: Rule, by: NodeId, ground: &Ground) -> Option<Planned> {
        let patient = self.patient(roll, by, ground)?;
        let endangered = self.is_endangered_on(roll, ground);
        let from = self.manifest.members().get(&by).map(|member| member.site.clone());
        let nameless = Patient { roll: RollId([0; 32]), sealed_len: 0, ..patient.clone() };
        let case = Case { rule, endangered, from, patient: nameless };
        if let Some(known) = ground.plans.get(&case).filter(|known| ground.has_room(&patient, known)) {
            let repair = match known {
                Repair::Recode(plan) => {
                    let shard_bytes = shard_room(patient.sealed_len, plan.k);
                    Repair::Recode(Plan { shard_bytes, ..plan.clone() })
                }
                other => other.clone(),
            };
            return Some(Planned { patient, repair, case, anew: false });
        }
        let volumes = ground.of(endangered);
        let rates = LossRates::default();
        let mut planner = Planner::new(volumes, rule, &rates, case.from.as_ref());
        let repair = plan(volumes, &mut planner, &rule, &rates, &patient);
        Some(Planned { patient, repair, case, anew: true })
    }
}
