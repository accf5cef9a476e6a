//! Caretaking: for every roll one node at a time sees to it that its layout is as good as the volumes allow, and that
//! every shard the layout wants can be had from somewhere.
//!
//! A roll is looked at when something about it changed, and all are when the volumes that stay have changed. Who falls
//! short waits in line, the most endangered first, and a few are worked on at once.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use safelight_proto::id::{CodingId, RollId, VolumeId};
use safelight_proto::record::{Body, Coding, Hlc, Layout};
use safelight_proto::vocabulary::Rule;

use super::Node;
use super::ground::{Ground, Planned};
use crate::event::{Effect, Made, Remake, Step};
use crate::place::{Topology, VolumeView, evaluate_roll};
use crate::repair::{NOWHERE, Repair, wish_meets};
use crate::time::Now;

/// Rolls that this node makes shards of at once.
const REMAKES: usize = 2;
/// Rolls that are planned in one step; the rest follows with the next.
const PLANS: usize = 256;
/// After a failed remaking, milliseconds, doubled with every failure.
const RETRY: u64 = 2_000;
/// But no longer than this.
const RETRY_MOST: u64 = 600_000;
/// The volumes that stay are looked for this often, milliseconds: time alone can change them.
const GROUND_PERIOD: u64 = 1_000;

/// What this node sees to.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    pub(super) ground: Ground,
    ground_due: u64,
    /// Rolls that fall short, the most urgent first, and what is under way or was tried for each.
    waiting: BTreeMap<Urgency, RollId>,
    urgency: BTreeMap<RollId, Urgency>,
    tried: BTreeMap<RollId, Attempt>,
}

/// How many more drives may die before a roll is gone, then the newest first.
type Urgency = (u32, Reverse<Hlc>, RollId);

#[derive(Debug, Default)]
struct Attempt {
    under_way: bool,
    /// Its plan is that shards are made, and others are being made: there is no use in planning it again until then.
    waits: bool,
    due: u64,
    failures: u32,
}

impl Repairs {
    fn remakes(&self) -> usize {
        self.tried.values().filter(|attempt| attempt.under_way).count()
    }
}

impl Node {
    /// Rolls that wait for this node to make them whole.
    pub fn repairs_waiting(&self) -> impl Iterator<Item = &RollId> {
        self.repairs.waiting.values()
    }

    /// Whether somebody can better the layout of `roll`, or is at it: not a roll for which nothing more can be done.
    pub fn can_be_bettered(&self, roll: &RollId) -> bool {
        self.falls_short(roll)
            && (!self.unmade(roll, &self.repairs.ground).is_empty()
                || self.plan_for(roll).is_some_and(|planned| planned.repair != Repair::Stays))
    }

    /// Puts `roll` in line when this node is its caretaker and something is to be done for it.
    pub(super) fn review_repair(&mut self, roll: RollId) {
        if let Some(old) = self.repairs.urgency.remove(&roll) {
            self.repairs.waiting.remove(&old);
        }
        // It stands otherwise now: what could not be done before perhaps can.
        if self.repairs.tried.get(&roll).is_some_and(|attempt| attempt.due == u64::MAX) {
            self.repairs.tried.remove(&roll);
        }
        if self.is_dead(&roll)
            || self.note_fine(&roll)
            || self.caretaker(&roll) != Some(self.me)
            || !self.falls_short(&roll)
        {
            return;
        }
        let Some((body, _)) = self.manifest.roll(&roll) else { return };
        let left = evaluate_roll(&self.repairs.ground.all, &Rule::default(), &self.roll_view(body)).copies;
        let said = self.manifest.roll_said(&roll).unwrap_or_default();
        let urgency = (left.survives_volumes, Reverse(said), roll);
        self.repairs.urgency.insert(roll, urgency);
        self.repairs.waiting.insert(urgency, roll);
    }

    /// Whether the layout of `roll` could be better, or wants a shard that nobody has.
    pub fn falls_short(&self, roll: &RollId) -> bool {
        let Some((body, _)) = self.manifest.roll(roll) else { return false };
        let ground = &self.repairs.ground;
        let Some(patient) = self.patient(roll, self.me, ground) else { return false };
        !self.unmade(roll, ground).is_empty()
            || !wish_meets(self.ground_for(roll, ground), &self.rule_of(body), &patient)
    }

    /// Whether nothing is to be done for `roll`, at a glance.
    fn note_fine(&mut self, roll: &RollId) -> bool {
        let Some((body, _)) = self.manifest.roll(roll) else { return false };
        let rule = self.rule_of(body);
        let mut ground = std::mem::take(&mut self.repairs.ground);
        let fine = self.is_fine(roll, rule, &mut ground);
        self.repairs.ground = ground;
        fine
    }

    /// What is to be done for `roll`.
    fn plan_for(&self, roll: &RollId) -> Option<Planned> {
        let (body, _) = self.manifest.roll(roll)?;
        self.plan_on(roll, self.rule_of(body), self.me, &self.repairs.ground)
    }

    /// Looks whether the volumes that stay have changed, and works on what waits.
    pub(super) fn repair(&mut self, now: Now, step: &mut Step) {
        // What another said a moment ago counts: a plan on yesterday's volumes would take a newcomer for a loss.
        if self.repairs.ground_due <= now.steady || !self.repairs.waiting.is_empty() {
            self.repairs.ground_due = now.steady + GROUND_PERIOD;
            if self.look_at_ground() {
                return;
            }
        }
        if !self.connected.is_empty() && !self.has_heard_anybody() {
            // It has just come up: what it knows may be long out of date.
            return;
        }
        let mut busy = self.repairs.remakes();
        let may = |roll: &RollId| {
            let attempt = self.repairs.tried.get(roll);
            attempt.is_none_or(|attempt| {
                let waits = attempt.waits && (busy >= REMAKES || !self.may_move(roll));
                !attempt.under_way && attempt.due <= now.steady && !waits
            })
        };
        let ready = self.repairs.waiting.values().filter(|roll| may(roll)).take(PLANS);
        for roll in ready.copied().collect::<Vec<RollId>>() {
            let idle = busy < REMAKES && self.may_move(&roll);
            let unmade = self.unmade(&roll, &self.repairs.ground);
            match unmade.is_empty() {
                false if idle => self.make_missing(&roll, &unmade, step),
                false => self.repairs.tried.entry(roll).or_default().waits = true,
                true => self.lay_out(&roll, idle, now, step),
            }
            if idle {
                busy = self.repairs.remakes();
            }
        }
    }

    /// Everything is judged anew when other volumes stay than before, or they have other places, media or much less room;
    /// says whether that is so.
    fn look_at_ground(&mut self) -> bool {
        let all = self.staying();
        let near = Topology::new(all.volumes().iter().filter(|view| self.is_near(&view.node)).cloned());
        let same = |a: &VolumeView, b: &VolumeView| {
            let room = |view: &VolumeView| view.free.checked_ilog2();
            (a.id, a.node, &a.site, a.media, room(a)) == (b.id, b.node, &b.site, b.media, room(b))
        };
        let alike = |old: &Topology, new: &Topology| {
            let (old, new) = (old.volumes(), new.volumes());
            old.len() == new.len() && old.iter().zip(new).all(|(a, b)| same(a, b))
        };
        let (all, near) = (all.less_room(self.promised()), near.less_room(self.promised()));
        if alike(&self.repairs.ground.all, &all) && alike(&self.repairs.ground.near, &near) {
            (self.repairs.ground.all, self.repairs.ground.near) = (all, near);
            return false;
        }
        self.repairs.ground = Ground::new(all, near);
        self.repairs.tried.retain(|_, attempt| attempt.under_way);
        self.look_at_all();
        true
    }

    /// Says a better layout, or has the shards made that it needs first.
    fn lay_out(&mut self, roll: &RollId, may_make: bool, now: Now, step: &mut Step) {
        let Some(planned) = self.plan_for(roll) else { return };
        self.repairs.ground.remember(&planned);
        let (on, bytes) = planned.repair.added(&planned.patient);
        match planned.repair {
            // Nothing helps as things are: it is looked at again when the ground has changed.
            Repair::Stays => {
                let never = Attempt { due: u64::MAX, ..Attempt::default() };
                self.repairs.tried.insert(*roll, never);
            }
            Repair::Complete { coding, volumes } => {
                let Some(coding) = self.manifest.codings(roll).into_values().nth(coding).cloned() else {
                    return;
                };
                if volumes.len() <= coding.shards.len() {
                    self.repairs.ground.take_room(&on, bytes);
                    let layout = Layout { roll: *roll, coding: coding.coding, volumes };
                    self.say(vec![Body::Layout(layout)], now, step);
                } else if may_make {
                    self.repairs.ground.take_room(&on, bytes);
                    self.grow(&coding, volumes, step);
                } else {
                    self.repairs.tried.entry(*roll).or_default().waits = true;
                }
            }
            Repair::Recode(plan) if may_make => {
                self.repairs.ground.take_room(&on, bytes);
                let mut id = [0; 16];
                id.copy_from_slice(&self.draw()[..16]);
                let make = (0u8..).zip(plan.assignment.iter().copied()).collect();
                let (coding, layout) = (CodingId(id), plan.assignment);
                let (k, known) = (plan.k, vec![]);
                let remake = Remake { roll: *roll, coding, k, unit: 0, known, make, layout, urgent: false };
                self.start(remake, step);
            }
            Repair::Recode(_) => self.repairs.tried.entry(*roll).or_default().waits = true,
        }
    }

    /// Shards of the present layout that nobody has.
    fn make_missing(&mut self, roll: &RollId, unmade: &[(u8, VolumeId)], step: &mut Step) {
        let Some((layout, coding)) = self.manifest.laid_out(roll) else { return };
        let (make, layout) = (unmade.to_vec(), layout.volumes.clone());
        self.start(remake_of(coding, make, layout), step);
    }

    /// More shards of a coding than there were.
    fn grow(&mut self, coding: &Coding, volumes: Vec<VolumeId>, step: &mut Step) {
        let more = (0u8..).zip(volumes.iter().copied()).skip(coding.shards.len());
        let make = more.filter(|(_, volume)| *volume != NOWHERE).collect();
        self.start(remake_of(coding, make, volumes), step);
    }

    fn start(&mut self, remake: Remake, step: &mut Step) {
        let remake = Remake { urgent: self.is_endangered(&remake.roll), ..remake };
        self.repairs.tried.entry(remake.roll).or_default().under_way = true;
        step.effects.push(Effect::Remake(remake));
    }

    /// A remaking came to its end.
    pub(super) fn remade(&mut self, roll: RollId, outcome: Result<Made, String>, now: Now, step: &mut Step) {
        match outcome {
            Ok(Made { bodies, shards }) => {
                self.repairs.tried.remove(&roll);
                self.keep_new(shards, bodies, now, step);
            }
            Err(_) => {
                let jitter = self.below(RETRY);
                let attempt = self.repairs.tried.entry(roll).or_default();
                attempt.under_way = false;
                attempt.failures += 1;
                let wait = RETRY.saturating_mul(1 << attempt.failures.min(10)).min(RETRY_MOST);
                attempt.due = now.steady + wait + jitter;
            }
        }
        self.dirty.insert(roll);
    }
}

fn remake_of(coding: &Coding, make: Vec<(u8, VolumeId)>, layout: Vec<VolumeId>) -> Remake {
    Remake {
        roll: coding.roll,
        coding: coding.coding,
        k: coding.k,
        unit: coding.unit,
        known: coding.shards.clone(),
        make,
        layout,
        urgent: false,
    }
}
