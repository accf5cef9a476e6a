//! Whose turn it is to prove again: claims of vaults that were proven once, in the order in which they are due.
//!
//! A tick looks at the head of the line and at nothing else, so that ten thousand rolls cost it nothing. Spans are this
//! node's own; only after a start the time of the last audit's record says how much of its span is over.

use std::collections::{BTreeMap, BTreeSet};

use safelight_proto::id::{Hash, RecordId, RollId, VolumeId};
use safelight_proto::record::{self, Body};

use super::Node;
use crate::event::{Effect, Step};
use crate::time::Now;

/// Shortest span between two audits of a claim, milliseconds, whatever is set.
const PERIOD_LEAST: u64 = 1_000;
/// Audits come early by up to this part of the period, so that what began together does not stay together.
const JITTER: u64 = 8;
/// What is overdue after a start is spread over this long at most.
const SPREAD_MOST: u64 = 3_600_000;
/// Claims looked at in one tick.
const LOOKS: usize = 64;
/// One whose holder is out of reach, or does not answer, is looked at again after this long, doubled with every silence.
const RETRY: u64 = 60_000;
/// But no later than this.
const RETRY_MOST: u64 = 3_600_000;
/// A holder within reach that gave no answer so often, some three hours, has failed.
const SILENCES: u32 = 8;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Rota {
    line: BTreeSet<(u64, RollId, VolumeId)>,
    turns: BTreeMap<(RollId, VolumeId), Turn>,
    under_way: usize,
}

#[derive(Debug)]
struct Turn {
    claim: RecordId,
    due: u64,
    silences: u32,
    /// The shard that a proof was asked of.
    asked: Option<Hash>,
}

impl Rota {
    /// Proofs that were asked for and have not come.
    pub(super) fn under_way(&self) -> usize {
        self.under_way
    }

    fn put(&mut self, key: (RollId, VolumeId), claim: RecordId, due: u64, silences: u32) {
        self.remove(key);
        self.line.insert((due, key.0, key.1));
        self.turns.insert(key, Turn { claim, due, silences, asked: None });
    }

    fn remove(&mut self, key: (RollId, VolumeId)) {
        if let Some(turn) = self.turns.remove(&key) {
            self.line.remove(&(turn.due, key.0, key.1));
            self.under_way -= usize::from(turn.asked.is_some());
        }
    }

    /// The first in line that are due and not asked yet.
    fn ready(&self, now: u64) -> Vec<(RollId, VolumeId)> {
        let due = self.line.iter().take_while(|(due, ..)| *due <= now).take(LOOKS);
        due.map(|(_, roll, volume)| (*roll, *volume)).collect()
    }

    /// Notes that a proof of `hash` was asked for: it leaves the line until there is an answer.
    fn ask(&mut self, key: (RollId, VolumeId), hash: Hash) {
        if let Some(turn) = self.turns.get_mut(&key) {
            self.line.remove(&(turn.due, key.0, key.1));
            turn.asked = Some(hash);
            self.under_way += 1;
        }
    }
}

impl Node {
    /// Puts the claims to `roll` that stand proven and are this node's to audit in line, and takes all others out.
    pub(super) fn review_rota(
        &mut self,
        roll: RollId,
        proven: BTreeMap<(RollId, VolumeId), RecordId>,
        now: Now,
    ) {
        let known = (roll, VolumeId([0; 16]))..=(roll, VolumeId([0xff; 16]));
        let known = self.care.rota.turns.range(known);
        let stale = known.filter(|(key, turn)| proven.get(key) != Some(&turn.claim)).map(|(key, _)| *key);
        for key in stale.collect::<Vec<_>>() {
            self.care.rota.remove(key);
        }
        for (key, claim) in proven {
            if !self.care.rota.turns.contains_key(&key) {
                let due = now.steady + self.first_wait(key, now);
                self.care.rota.put(key, claim, due, 0);
            }
        }
    }

    fn audit_period(&self) -> u64 {
        self.settings.audit_period.max(PERIOD_LEAST)
    }

    /// How long a claim may wait that this node has not audited since it started.
    fn first_wait(&mut self, (roll, volume): (RollId, VolumeId), now: Now) -> u64 {
        let period = self.audit_period();
        let at = self.manifest.audited(&roll, &volume).map_or(0, |audit| audit.at.millis());
        // One that stands in the future was just now: the most it can gain is one period.
        match period.saturating_sub(now.wall.saturating_sub(at)) {
            0 => self.below((period / JITTER).min(SPREAD_MOST)),
            left => left.saturating_sub(self.below(left / JITTER)),
        }
    }

    /// Asks those that are due, so many that no more than `most` are under way.
    pub(super) fn audit_again(&mut self, most: usize, now: Now, step: &mut Step) {
        for (roll, volume) in self.care.rota.ready(now.steady) {
            if self.care.rota.under_way() >= most {
                return;
            }
            let Some(turn) = self.care.rota.turns.get(&(roll, volume)) else { continue };
            let (claim, silences) = (turn.claim, turn.silences);
            let there = self.manifest.volume(&volume).filter(|(_, info)| info.absent == 0);
            let Some(of) = there.map(|(host, _)| host).filter(|host| self.connected.contains(host)) else {
                // A drive in a bank box, or a node that is away, has not failed.
                self.care.rota.put((roll, volume), claim, now.steady + RETRY, silences);
                continue;
            };
            let shards = self.shards_on(&roll, &volume).unwrap_or_default();
            if shards.is_empty() {
                self.care.rota.remove((roll, volume));
                continue;
            }
            let (hash, bytes) = shards[self.below(shards.len() as u64) as usize];
            let groups = self.some_groups(bytes);
            self.care.rota.ask((roll, volume), hash);
            step.effects.push(Effect::Audit { of, roll, volume, claim, hash, bytes, groups });
        }
    }

    /// Takes the answer to a question of this rota; false when it is to another.
    pub(super) fn audited_again(
        &mut self,
        key: (RollId, VolumeId),
        claim: RecordId,
        hash: Hash,
        outcome: &Result<bool, String>,
        now: Now,
        step: &mut Step,
    ) -> bool {
        let asked = self.care.rota.turns.get(&key);
        let Some(turn) = asked.filter(|turn| turn.claim == claim && turn.asked == Some(hash)) else {
            return false;
        };
        let (silences, period) = (turn.silences + 1, self.audit_period());
        let passed = match outcome {
            Ok(passed) => *passed,
            Err(_) if silences < SILENCES => {
                let wait = RETRY.saturating_mul(1 << silences.min(6)).min(RETRY_MOST).min(period);
                self.care.rota.put(key, claim, now.steady + wait, silences);
                return true;
            }
            Err(_) => false,
        };
        let due = now.steady + period - self.below(period / JITTER);
        self.care.rota.put(key, claim, due, 0);
        // A claim that failed is no longer proven: what is said of it takes it out of line, and into the first audits.
        let audit = record::Audit { roll: key.0, volume: key.1, holding: claim, passed };
        self.say(vec![Body::Audit(audit)], now, step);
        true
    }
}
