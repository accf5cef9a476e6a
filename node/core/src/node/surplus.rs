//! Shards that the layout does not want any more where they lie: what a repair, a move or another coding left over.
//!
//! They count, and serve, until they go; and they go only when all of this holds, in the very step that gives them up:
//! they were surplus for this node's whole quarantine without a break, by its own running time; others that it has known
//! for as long have just promised to keep what the roll needs; with that and what the layout wants here, and with nothing
//! else, the roll meets its rule, or all that it meets with the surplus counted in; and this node has promised nobody
//! to keep them. What is promised is what the layout wants where it lies, so two that drop at once never rely on each
//! other's surplus. When in doubt they stay.

use std::collections::{BTreeMap, BTreeSet};

use safelight_proto::id::{CodingId, Hash, NodeId, RollId, VolumeId};
use safelight_proto::limit;
use safelight_proto::message::{Request, Response};
use safelight_proto::record::{Layout, Roll};

use super::Node;
use crate::event::{Effect, Question, Shard, Step, Token, Write};
use crate::place::{RollView, Topology, evaluate, evaluate_roll};
use crate::repair::NOWHERE;
use crate::time::Now;

/// What is due is looked for this often, milliseconds.
const LOOK: u64 = 5_000;
/// Rolls that others are asked about at once.
const ROUNDS: usize = 16;
/// Answers are waited for so long, and relied on no longer, milliseconds.
const PATIENCE: u64 = 20_000;
/// A promise holds for the giver's quarantine, but no shorter than this: longer than anybody relies on it.
const PROMISE_LEAST: u64 = 3 * PATIENCE;
/// A roll whose surplus could not go is asked about again after this long, or the quarantine where that is shorter.
const RETRY: u64 = 3_600_000;

/// The rolls about which others are being asked.
#[derive(Debug, Default)]
pub(super) struct Surplus {
    rounds: BTreeMap<RollId, Round>,
    /// Rolls that are not asked about before this time.
    later: BTreeMap<RollId, u64>,
    look_due: u64,
}

#[derive(Debug)]
struct Round {
    unanswered: BTreeMap<Question, NodeId>,
    promised: BTreeSet<(VolumeId, Hash)>,
    until: u64,
}

impl Node {
    /// Bytes of shards on an open volume of this node that nobody wants there any more.
    pub fn surplus_on(&self, volume: &VolumeId) -> u64 {
        let rows = self.bin.memory.surplus.range((*volume, Hash([0; 32]))..=(*volume, Hash([0xff; 32])));
        rows.filter_map(|((volume, hash), _)| self.ledger.get(volume, hash)).map(|shard| shard.bytes).sum()
    }

    /// Which shards of `roll` on this node became surplus, and which are wanted again.
    pub(super) fn review_surplus(&mut self, roll: RollId, step: &mut Step) {
        if self.ledger.of_roll(&roll).next().is_none() {
            return;
        }
        let layout = self.manifest.laid_out(&roll).map(|(layout, _)| layout);
        let layout = layout.filter(|_| !self.is_dead(&roll));
        let known = &self.bin.memory.surplus;
        let mut changed = Vec::new();
        for (volume, shard) in self.ledger.of_roll(&roll) {
            let surplus = layout.is_some_and(|layout| !wants(layout, &volume, shard));
            let surplus = surplus && !self.is_leaving(&volume);
            if surplus != known.contains_key(&(volume, shard.hash)) {
                changed.push(((volume, shard.hash), surplus));
            }
        }
        if changed.is_empty() {
            return;
        }
        self.keep_time(step);
        for (place, surplus) in changed {
            let since = surplus.then_some(self.bin.memory.running);
            self.note_surplus(place, since, step);
        }
    }

    fn note_surplus(&mut self, (volume, hash): (VolumeId, Hash), since: Option<u64>, step: &mut Step) {
        match since {
            Some(since) => drop(self.bin.memory.surplus.insert((volume, hash), since)),
            None => drop(self.bin.memory.surplus.remove(&(volume, hash))),
        }
        step.writes.push(Write::Surplus(volume, hash, since));
    }

    /// After a crash: what was given up and whose file is still there goes now, unless it is wanted again. Of what else
    /// was given up the file is gone.
    pub(super) fn finish_drops(&mut self, volume: VolumeId, strays: &[Hash], step: &mut Step) {
        let rows = self.bin.memory.surplus.range((volume, Hash([0; 32]))..=(volume, Hash([0xff; 32])));
        let given_up = rows.map(|(place, _)| *place).filter(|(on, hash)| self.ledger.get(on, hash).is_none());
        for (volume, hash) in given_up.collect::<Vec<_>>() {
            let wanted = |want| self.shard_of(want).is_some_and(|(of, _)| of == hash);
            if strays.contains(&hash) && !self.wants().any(|want| want.volume == volume && wanted(want)) {
                step.effects.push(Effect::Unlink(volume, hash));
            }
            self.note_surplus((volume, hash), None, step);
        }
    }

    /// A member wants to drop shards of `roll`: what the layout wants on this node's volumes is kept from now on,
    /// whatever the layout says later. The answer goes out when that is durable.
    pub(super) fn promise(&mut self, roll: &RollId, token: Token, step: &mut Step) {
        let layout = self.manifest.laid_out(roll).map(|(layout, _)| layout).filter(|_| !self.is_dead(roll));
        let kept = self.ledger.of_roll(roll).filter(|(volume, shard)| {
            layout.is_some_and(|layout| !shard.staged && wants(layout, volume, shard))
                && !self.is_leaving(volume)
        });
        let kept: Vec<(VolumeId, Hash)> =
            kept.map(|(volume, shard)| (volume, shard.hash)).take(limit::PROMISED_SHARDS).collect();
        let running = self.bin.memory.running;
        let span = self.settings.quarantine.max(PROMISE_LEAST);
        let promised = &mut self.bin.memory.promised;
        promised.retain(|place, until| {
            let stands = *until > running;
            if !stands {
                step.writes.push(Write::Promise(place.0, place.1, None));
            }
            stands
        });
        for (volume, hash) in &kept {
            // Whoever asks again and again shall not cost a write each time.
            let until = promised.get(&(*volume, *hash)).copied().unwrap_or_default();
            if until < running + span / 2 + PROMISE_LEAST / 2 {
                promised.insert((*volume, *hash), running + span);
                step.writes.push(Write::Promise(*volume, *hash, Some(running + span)));
            }
        }
        step.effects.push(Effect::Reply(token, Response::Promised(kept)));
    }

    /// Begins to ask about what is due, and decides where nobody else will answer.
    pub(super) fn surplus_tick(&mut self, now: Now, step: &mut Step) {
        let over = |round: &Round| round.unanswered.is_empty() || round.until <= now.steady;
        let ended: Vec<RollId> =
            self.surplus.rounds.iter().filter(|(_, round)| over(round)).map(|(roll, _)| *roll).collect();
        for roll in ended {
            self.decide(roll, now, step);
        }
        if self.surplus.look_due > now.steady {
            return;
        }
        self.surplus.look_due = now.steady + LOOK.min(self.settings.quarantine);
        self.meet_members(step);
        if self.bin.memory.surplus.is_empty() || !self.has_heard_enough() || self.braked().is_some() {
            return;
        }
        for roll in self.rolls_with_due_surplus(now) {
            if self.surplus.rounds.len() >= ROUNDS {
                break;
            }
            self.ask_around(roll, now, step);
        }
    }

    /// Since when each member is known, by this node's running time: nobody's promise counts who just came.
    fn meet_members(&mut self, step: &mut Step) {
        let Self { manifest, bin, .. } = self;
        let running = bin.memory.running;
        for (node, _) in manifest.members().iter() {
            if !bin.memory.met.contains_key(node) {
                bin.memory.met.insert(*node, running);
                step.writes.push(Write::Met(*node, running));
            }
        }
    }

    fn rolls_with_due_surplus(&self, now: Now) -> BTreeSet<RollId> {
        let due = self.bin.memory.surplus.keys().filter(|place| self.may_be_dropped(place));
        let rolls = due.filter_map(|(volume, hash)| self.ledger.get(volume, hash)).map(|shard| shard.roll);
        let waits = |roll: &RollId| {
            self.surplus.rounds.contains_key(roll)
                || self.surplus.later.get(roll).is_some_and(|due| *due > now.steady)
        };
        rolls.filter(|roll| !waits(roll)).collect()
    }

    /// Whether a shard's quarantine as surplus is over, and nobody was promised that it stays.
    fn may_be_dropped(&self, place: &(VolumeId, Hash)) -> bool {
        let memory = &self.bin.memory;
        let over = |since: &u64| since.saturating_add(self.settings.quarantine) <= memory.running;
        memory.surplus.get(place).is_some_and(over)
            && memory.promised.get(place).is_none_or(|until| *until <= memory.running)
    }

    /// Asks everybody who is to keep shards of `roll` whether they do.
    fn ask_around(&mut self, roll: RollId, now: Now, step: &mut Step) {
        let Some((layout, _)) = self.manifest.laid_out(&roll) else { return };
        let hosts = layout.volumes.iter().filter_map(|volume| self.manifest.host_of(volume));
        let known = |node: &NodeId| {
            let since = self.bin.memory.met.get(node);
            since.is_some_and(|since| {
                since.saturating_add(self.settings.quarantine) <= self.bin.memory.running
            })
        };
        let asked: BTreeSet<NodeId> =
            hosts.filter(|host| self.connected.contains(host) && known(host)).collect();
        let mut round =
            Round { unanswered: BTreeMap::new(), promised: BTreeSet::new(), until: now.steady + PATIENCE };
        for peer in asked {
            let question = self.exchange.number();
            round.unanswered.insert(question, peer);
            step.effects.push(Effect::Ask(peer, question, Request::Promise(roll)));
        }
        self.surplus.rounds.insert(roll, round);
    }

    /// Whether this was the answer to a question of ours about a promise, and takes it in.
    pub(super) fn answered_promise(
        &mut self,
        from: NodeId,
        question: Question,
        answer: &Result<Response, String>,
    ) -> bool {
        let asked =
            self.surplus.rounds.values_mut().find(|round| round.unanswered.get(&question) == Some(&from));
        let Some(round) = asked else { return false };
        round.unanswered.remove(&question);
        if let Ok(Response::Promised(shards)) = answer {
            let own = shards.iter().filter(|(volume, _)| self.manifest.host_of(volume) == Some(from));
            round.promised.extend(own);
        }
        true
    }

    /// Ends a round: what may go goes.
    fn decide(&mut self, roll: RollId, now: Now, step: &mut Step) {
        let Some(round) = self.surplus.rounds.remove(&roll) else { return };
        let due = self.ledger.of_roll(&roll).filter(|(v, s)| self.may_be_dropped(&(*v, s.hash)));
        let due: Vec<(VolumeId, Shard)> = due.map(|(volume, shard)| (volume, *shard)).collect();
        if due.is_empty() {
            return;
        }
        if !self.is_enough(&roll, &round.promised) {
            self.surplus.later.retain(|_, due| *due > now.steady);
            self.surplus.later.insert(roll, now.steady + RETRY.min(self.settings.quarantine));
            return;
        }
        let files = due.iter().map(|(volume, shard)| Effect::Unlink(*volume, shard.hash)).collect::<Vec<_>>();
        self.give_up(due, now, step);
        // Until the volume is opened again the rows stay, and say whose files a crash may have left.
        step.effects.extend(files);
    }

    /// Whether `roll` does as well with what is promised and what the layout wants here as it does with everything.
    fn is_enough(&self, roll: &RollId, promised: &BTreeSet<(VolumeId, Hash)>) -> bool {
        let Some((body, _)) = self.manifest.roll(roll) else { return false };
        let Some((layout, _)) = self.manifest.laid_out(roll).filter(|_| !self.is_dead(roll)) else {
            return false;
        };
        let mut kept: BTreeSet<(VolumeId, CodingId, u8)> = BTreeSet::new();
        for (id, coding) in self.manifest.codings(roll) {
            for (index, hash) in (0u8..).zip(&coding.shards) {
                let of_this = promised.iter().filter(|(_, of)| of == hash);
                kept.extend(of_this.map(|(volume, _)| (*volume, id, index)));
            }
        }
        let own =
            self.ledger.of_roll(roll).filter(|(volume, shard)| wants(layout, volume, shard) && !shard.staged);
        kept.extend(own.map(|(volume, shard)| (volume, shard.coding, shard.index)));

        let all = self.roll_view(body);
        let mut rest = all.clone();
        for (coding, id) in rest.codings.iter_mut().zip(self.manifest.codings(roll).keys()) {
            coding.holdings.retain(|held| {
                u8::try_from(held.index).is_ok_and(|index| kept.contains(&(held.volume, *id, index)))
            });
        }
        let (topology, rule) = (self.staying(), self.rule_of(body));
        if rule.full {
            return self.shoot_is_no_worse(body, &topology, &rest);
        }
        let (before, after) =
            (evaluate_roll(&self.topology(), &rule, &all), evaluate_roll(&topology, &rule, &rest));
        // Where the rule cannot be met, only what is all that is wanted may stand for it.
        let mut wanted = (0u8..).zip(&layout.volumes).filter(|(_, volume)| **volume != NOWHERE);
        let complete = wanted.all(|(index, volume)| kept.contains(&(*volume, layout.coding, index)));
        let no_worse = complete
            && after.readable
            && after.copies.survives_volumes >= before.copies.survives_volumes
            && after.media >= before.media
            && after.offsite >= before.offsite
            && before.sites.iter().filter(|(_, survives)| *survives).all(|site| after.sites.contains(site));
        after.met() || no_worse
    }

    /// The same for a rule that asks for literal copies: those are a matter of whole shoots.
    fn shoot_is_no_worse(&self, roll: &Roll, topology: &Topology, rest: &RollView) -> bool {
        let refers = |other: &&Roll| other.roll == roll.roll || other.references.contains(&roll.roll);
        let shoots: BTreeSet<_> =
            self.manifest.rolls().map(|(roll, _)| roll).filter(refers).map(|r| r.shoot).collect();
        let rule = self.rule_of(roll);
        shoots.into_iter().all(|shoot| {
            let before = self.rolls_with_references(&[shoot].into());
            let swap = |view: &RollView| if view.roll == rest.roll { rest.clone() } else { view.clone() };
            let after: Vec<RollView> = before.iter().map(swap).collect();
            let (before, after) =
                (evaluate(&self.topology(), &rule, &before), evaluate(topology, &rule, &after));
            after.met()
                || !before.met()
                    && after.readable
                    && after.full_copies >= before.full_copies
                    && after.copies.survives_volumes >= before.copies.survives_volumes
                    && after.media >= before.media
                    && after.offsite >= before.offsite
        })
    }
}

/// Whether the layout wants `shard` where it lies, or it waits there for the volume that the layout wants it on.
fn wants(layout: &Layout, volume: &VolumeId, shard: &Shard) -> bool {
    let place = layout.volumes.get(usize::from(shard.index)).filter(|place| **place != NOWHERE);
    layout.coding == shard.coding && place.is_some_and(|place| shard.staged || place == volume)
}
