//! What is deleted stays here for the quarantine, by this node's own running time, and then its room is freed.
//!
//! Nobody is asked. A roll goes from this node's volumes when all of this holds, in the very step that gives it up: it is
//! deleted ([`Manifest::dead`](crate::manifest::Manifest::dead)), no roll that stands refers to it, it has been so for
//! the whole quarantine without a break, the brake does not hold, and this node has heard of the others since it started
//! (one of them may know that it was taken back). Only time in which the node ran counts: a machine that was off for a
//! month comes back with its trash as full as it was.

use std::collections::{BTreeMap, BTreeSet};

use safelight_proto::id::{Hash, RollId, VolumeId};
use safelight_proto::record::{Body, Record, Roll};

use super::Node;
use crate::event::{Brake, Effect, Mass, Memory, Shard, Step, Want, Write};
use crate::manifest::Manifest;
use crate::time::Now;

/// Shards that are given up in one step.
pub const DROPS: usize = 64;
/// The running time is kept this often, and no more of it is believed at once: a machine that stood still has not run.
const MINUTE: u64 = 60_000;
/// What is deleted within this time is what the brake looks at; a node that hears of nobody waits as long.
const DAY: u64 = 24 * 60 * MINUTE;
/// Fewer files than this are never a mass, unless they are a third of the library.
const MANY_FILES: u64 = 500;

/// The trash of this node.
#[derive(Debug, Default)]
pub(super) struct Bin {
    pub(super) memory: Memory,
    /// The running time when it was last kept, and when the node started.
    kept: u64,
    started: u64,
    /// The steady clock when the running time was last counted.
    counted: Option<u64>,
    /// Rolls that may go and of which nothing is left here.
    freed: BTreeSet<RollId>,
    /// Files on open volumes that the ledger does not count.
    strays: BTreeMap<VolumeId, BTreeSet<Hash>>,
    /// What may go is to be found out again.
    stale: bool,
}

impl Bin {
    pub(super) fn new() -> Self {
        Self { stale: true, ..Self::default() }
    }

    /// Whether `roll` may go, as of the end of the last step.
    pub(super) fn has(&self, roll: &RollId) -> bool {
        self.memory.dead.contains_key(roll)
    }

    pub(super) fn look_again(&mut self) {
        self.stale = true;
    }

    /// Only a roll that was deleted before it came, or that refers to others, has to do with the trash.
    pub(super) fn roll_came(&mut self, record: &Record, manifest: &Manifest) {
        if let Body::Roll(roll) = &record.body {
            self.stale |= !roll.references.is_empty() || manifest.deletion(&roll.roll).is_some();
        }
    }

    /// Something may have come of `roll`, here too.
    pub(super) fn touched(&mut self, roll: &RollId) {
        self.freed.remove(roll);
    }

    pub(super) fn unrecorded(&mut self, volume: VolumeId, hashes: Vec<Hash>) {
        self.strays.entry(volume).or_default().extend(hashes);
        self.freed.clear();
    }

    pub(super) fn close(&mut self, volume: &VolumeId) {
        self.strays.remove(volume);
    }

    fn count(&mut self, now: Now) {
        let since = self.counted.replace(now.steady).unwrap_or(now.steady);
        self.memory.running += now.steady.saturating_sub(since).min(MINUTE);
    }
}

impl Node {
    /// Goes on from what the store remembers. Before the first event.
    pub fn remember(&mut self, memory: Memory) {
        (self.bin.kept, self.bin.started) = (memory.running, memory.running);
        self.bin.memory = memory;
    }

    /// Whether `roll` goes when its time is up: it is deleted, and no roll that stands refers to it.
    pub fn is_dead(&self, roll: &RollId) -> bool {
        self.bin.has(roll)
    }

    /// How much longer this node has to run until it gives up what it holds of `roll`, milliseconds; nothing for a roll
    /// that stays.
    pub fn time_left(&self, roll: &RollId) -> Option<u64> {
        let since = self.bin.memory.dead.get(roll)?;
        Some((since + self.settings.quarantine).saturating_sub(self.bin.memory.running))
    }

    /// Why this node gives up nothing that was deleted, until its owner says so.
    pub fn braked(&self) -> Option<Mass> {
        self.bin.memory.brake.held
    }

    /// Bytes of shards of deleted rolls on all volumes.
    pub fn trash_bytes(&self) -> u64 {
        self.bin.memory.dead.keys().map(|roll| self.stored_bytes(roll)).fold(0, u64::saturating_add)
    }

    /// Bytes of the shards of `roll` on all volumes, by their hosts' word.
    pub fn stored_bytes(&self, roll: &RollId) -> u64 {
        let bytes = |coding| self.manifest.coding(roll, coding).map_or(0, |coding| coding.shard_bytes);
        let holdings = self.manifest.holdings(roll);
        let of = |held: &BTreeMap<VolumeId, BTreeSet<u8>>| held.values().map(|s| s.len() as u64).sum::<u64>();
        let stored = holdings.iter().map(|(coding, held)| of(held).saturating_mul(bytes(coding)));
        stored.fold(0, u64::saturating_add)
    }

    pub(super) fn trash_tick(&mut self, now: Now, step: &mut Step) {
        self.bin.count(now);
        self.sort_trash(now, step);
        let Bin { memory, kept, .. } = &self.bin;
        let span = self.settings.quarantine.max(DAY);
        let recent = |since: &u64| memory.running.saturating_sub(*since) <= span;
        let Memory { dead, surplus, met, .. } = memory;
        let matters = !surplus.is_empty() || dead.values().chain(met.values()).any(recent);
        if memory.running >= kept + MINUTE && matters {
            self.keep_time(step);
            self.watch(step);
        }
        self.free(now, step);
    }

    /// Finds out what may go now and what may not any more. Whatever is taken back starts over if it is deleted again.
    pub(super) fn sort_trash(&mut self, now: Now, step: &mut Step) {
        if !std::mem::take(&mut self.bin.stale) {
            return;
        }
        self.bin.count(now);
        let dead = self.manifest.dead();
        let known: BTreeSet<RollId> = self.bin.memory.dead.keys().copied().collect();
        for roll in known.difference(&dead) {
            self.bin.memory.dead.remove(roll);
            step.writes.push(Write::Dead(*roll, None));
            self.dirty.insert(*roll);
        }
        for roll in dead.difference(&known) {
            let since = self.bin.memory.running;
            self.bin.memory.dead.insert(*roll, since);
            step.writes.push(Write::Dead(*roll, Some(since)));
            self.dirty.insert(*roll);
        }
        if !dead.is_subset(&known) {
            self.keep_time(step);
            self.watch(step);
        }
    }

    pub(super) fn keep_time(&mut self, step: &mut Step) {
        self.bin.kept = self.bin.memory.running;
        step.writes.push(Write::Running(self.bin.kept));
    }

    pub(super) fn release_brake(&mut self, now: Now, step: &mut Step) {
        self.sort_trash(now, step);
        let brake = Brake { held: None, released: self.bin.memory.running + 1 };
        self.bin.memory.brake = brake;
        step.writes.push(Write::Brake(brake));
        // What comes next is after it: of one millisecond nothing is both looked at and not.
        self.bin.memory.running += 1;
        self.keep_time(step);
    }

    /// Stops everything when too much was deleted within a day.
    fn watch(&mut self, step: &mut Step) {
        let percent = u64::from(self.settings.brake_percent);
        if percent == 0 || self.bin.memory.brake.held.is_some() {
            return;
        }
        let mass = self.deleted_lately();
        let over = |part: u64, whole: u64, percent: u64| {
            u128::from(part) * 100 > u128::from(whole) * u128::from(percent)
        };
        let over_percent =
            over(mass.files, mass.of_files, percent) || over(mass.bytes, mass.of_bytes, percent);
        let third = |part: u64, whole: u64| part.saturating_mul(3) > whole;
        let a_mass =
            mass.files > MANY_FILES || third(mass.files, mass.of_files) || third(mass.bytes, mass.of_bytes);
        if over_percent && a_mass {
            self.bin.memory.brake.held = Some(mass);
            step.writes.push(Write::Brake(self.bin.memory.brake));
            step.effects.push(Effect::Alert(mass));
        }
    }

    /// What was deleted within a day of running time and is still held by anybody, against the library as it was. What
    /// was gone before this node came counts on neither side.
    fn deleted_lately(&self) -> Mass {
        let Memory { running, dead, brake, .. } = &self.bin.memory;
        let mut mass = Mass::default();
        for (roll, _) in self.manifest.rolls() {
            let lately = match dead.get(&roll.roll) {
                // A roll that nobody holds anything of may be anybody's invention.
                None if self.manifest.holdings(&roll.roll).is_empty() => continue,
                None => false,
                Some(since) if *since < brake.released || since + DAY <= *running => continue,
                Some(_) if self.manifest.holdings(&roll.roll).is_empty() => continue,
                Some(_) => true,
            };
            let Roll { files, data_bytes, .. } = roll;
            mass.of_files = mass.of_files.saturating_add(*files);
            mass.of_bytes = mass.of_bytes.saturating_add(*data_bytes);
            if lately {
                mass.files = mass.files.saturating_add(*files);
                mass.bytes = mass.bytes.saturating_add(*data_bytes);
            }
        }
        mass
    }

    /// Gives up what is due, a bounded number of shards at a time. What may go was found out in this very step.
    fn free(&mut self, now: Now, step: &mut Step) {
        let due = self.due();
        if due.is_empty() || !self.has_heard_enough() {
            return;
        }
        self.watch(step);
        if self.bin.memory.brake.held.is_some() {
            return;
        }
        let mut dropped: Vec<(VolumeId, Shard)> = Vec::new();
        for roll in &due {
            let ours = self.ledger.of_roll(roll).take(DROPS - dropped.len());
            dropped.extend(ours.map(|(volume, shard)| (volume, *shard)));
        }
        let mut gone: Vec<(VolumeId, Hash)> = dropped.iter().map(|(v, shard)| (*v, shard.hash)).collect();
        if gone.len() < DROPS {
            gone.extend(self.strays_of(&due));
            self.bin.freed.extend(due);
        }
        self.give_up(dropped, now, step);
        step.effects.extend(gone.into_iter().map(|(volume, hash)| Effect::Unlink(volume, hash)));
    }

    /// Rolls whose quarantine is over and of which something may be left here.
    fn due(&self) -> BTreeSet<RollId> {
        let Memory { running, dead, .. } = &self.bin.memory;
        let over = dead.iter().filter(|(_, since)| *since + self.settings.quarantine <= *running);
        over.map(|(roll, _)| *roll).filter(|roll| !self.bin.freed.contains(roll)).collect()
    }

    /// Whether an undelete that was said while this node was off would be known by now: some member that counts has
    /// told all it knows, or there is nobody to tell anything, or nobody came for as long as a deletion takes.
    pub(super) fn has_heard_enough(&self) -> bool {
        let others = || self.manifest.members().iter().map(|(id, _)| id).filter(|id| **id != self.me);
        let waited = self.bin.memory.running - self.bin.started >= self.settings.quarantine.min(DAY);
        waited || !others().any(|id| self.counts(id)) || others().any(|id| self.has_heard(id))
    }

    /// Files of `due` rolls that a crash left on the volumes after the ledger had given them up.
    fn strays_of(&mut self, due: &BTreeSet<RollId>) -> Vec<(VolumeId, Hash)> {
        let mut found = Vec::new();
        if self.bin.strays.values().all(BTreeSet::is_empty) {
            return found;
        }
        for roll in due {
            for hash in self.manifest.codings(roll).values().flat_map(|coding| &coding.shards) {
                for (volume, strays) in &mut self.bin.strays {
                    let counted = !self.ledger.is_open(volume) || self.ledger.get(volume, hash).is_some();
                    if strays.remove(hash) && !counted {
                        found.push((*volume, *hash));
                    }
                }
            }
        }
        found
    }

    /// Notes that parts of a shard may have come before the bringing of it ended.
    pub(super) fn leave(&mut self, want: &Want) {
        if self.bin.has(&want.roll)
            && let Some((hash, _)) = self.shard_of(want)
        {
            self.bin.unrecorded(want.volume, vec![hash]);
        }
    }
}
