//! Shards on their way: what this node's volumes are to hold and do not hold yet, and who has it.
//!
//! Holders pull. The layout is the wish, the puller's holding is the receipt, and the stager frees what it staged once
//! that receipt is believed. So there is no transfer to lose: after any crash the same wish stands.

use std::collections::{BTreeMap, BTreeSet};

use safelight_proto::id::{Hash, NodeId, RollId, VolumeId};
use safelight_proto::record::{Body, Holding};
use safelight_proto::vocabulary::Role;

use super::Node;
use crate::event::{Effect, PullError, Shard, Step, Want, Write};
use crate::place::evaluate_roll;
use crate::time::Now;

/// Pulls under way at once, in all.
pub const PULLS: usize = 8;
/// Pulls under way at once from one peer.
pub const PULLS_PER_PEER: usize = 4;
/// A failed pull is tried again after this long, milliseconds, doubled with every failure.
const RETRY: u64 = 1_000;
/// But no longer than this.
const RETRY_MOST: u64 = 60_000;
/// What waits for hours is looked at again after this long: they may have begun.
const HOURS_LOOK: u64 = 5_000;
/// A volume that could not take a shard is left alone for this long.
const VOLUME_RETRY: u64 = 15_000;

/// All wanted shards of this node.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    wants: BTreeMap<Want, Attempt>,
}

#[derive(Debug, Default)]
struct Attempt {
    from: Option<NodeId>,
    due: u64,
    failures: u32,
}

impl Transfers {
    pub(super) fn part(&mut self, peer: NodeId, now: Now) {
        for attempt in self.wants.values_mut().filter(|attempt| attempt.from == Some(peer)) {
            // The shell reports the broken pull too; whichever comes first ends it.
            attempt.from = None;
            attempt.due = now.steady + RETRY;
        }
    }
}

impl Node {
    /// What this node's volumes are to hold and do not hold yet.
    pub fn wants(&self) -> impl Iterator<Item = &Want> {
        self.transfers.wants.keys()
    }

    pub(super) fn open_volume(&mut self, volume: VolumeId, shards: Vec<Shard>, now: Now, step: &mut Step) {
        self.look_at_all();
        let rolls: BTreeSet<RollId> = shards.iter().map(|shard| shard.roll).collect();
        self.ledger.open(volume, shards);
        // A crash between the ledger and the records, or a restored record store: the ledger is the truth.
        self.declare(volume, rolls, now, step);
    }

    pub(super) fn close_volume(&mut self, volume: VolumeId) {
        self.ledger.close(&volume);
        self.bin.close(&volume);
        self.transfers.wants.retain(|want, _| want.volume != volume);
    }

    /// Shards were made here, with records that tell of them. Those that are wanted elsewhere are only staged.
    pub(super) fn keep_new(
        &mut self,
        shards: Vec<(VolumeId, Shard)>,
        bodies: Vec<Body>,
        now: Now,
        step: &mut Step,
    ) {
        self.say(bodies, now, step);
        let staged = |(volume, shard): (VolumeId, Shard)| {
            let wanted = self.manifest.laid_out(&shard.roll).is_some_and(|(layout, _)| {
                layout.coding == shard.coding && layout.volumes.get(usize::from(shard.index)) == Some(&volume)
            });
            (volume, Shard { staged: !wanted, ..shard })
        };
        let shards = shards.into_iter().map(staged).collect();
        self.keep(shards, now, step);
    }

    /// Shards became durable here: said in the same write.
    pub(super) fn keep(&mut self, shards: Vec<(VolumeId, Shard)>, now: Now, step: &mut Step) {
        let mut touched: BTreeMap<VolumeId, BTreeSet<RollId>> = BTreeMap::new();
        for (volume, shard) in shards {
            step.writes.push(Write::PutShard(volume, shard));
            self.ledger.put(volume, shard);
            touched.entry(volume).or_default().insert(shard.roll);
        }
        for (volume, rolls) in touched {
            self.declare(volume, rolls, now, step);
        }
    }

    /// Signs anew what `volume` holds of `rolls`, where that differs from what was last said.
    pub(super) fn declare(
        &mut self,
        volume: VolumeId,
        rolls: impl IntoIterator<Item = RollId>,
        now: Now,
        step: &mut Step,
    ) {
        let mut bodies = Vec::new();
        for roll in rolls {
            let mut held: BTreeMap<_, BTreeSet<u8>> = BTreeMap::new();
            for (_, shard) in self.ledger.of_roll(&roll).filter(|(on, _)| *on == volume) {
                held.entry(shard.coding).or_default().insert(shard.index);
            }
            let body = Body::Holding(Holding { roll, volume, held });
            let said = self.manifest.get(&body.key(self.me)).map(|entry| &entry.body);
            if said != Some(&body) {
                bodies.push(body);
            }
        }
        self.say(bodies, now, step);
    }

    pub(super) fn pulled(&mut self, want: Want, outcome: Result<(), PullError>, now: Now, step: &mut Step) {
        match outcome {
            Ok(()) => {
                self.transfers.wants.remove(&want);
                if let Some((hash, bytes)) = self.shard_of(&want) {
                    let Want { volume, roll, coding, index } = want;
                    let shard = Shard { hash, bytes, roll, coding, index, staged: false };
                    self.keep(vec![(volume, shard)], now, step);
                }
            }
            Err(error) => {
                self.leave(&want);
                let jitter = self.below(RETRY);
                if let Some(attempt) = self.transfers.wants.get_mut(&want) {
                    attempt.from = None;
                    attempt.failures += 1;
                    let backoff = RETRY.saturating_mul(1 << attempt.failures.min(6)).min(RETRY_MOST);
                    let wait = match error {
                        PullError::Source => backoff,
                        PullError::Volume => VOLUME_RETRY,
                    };
                    attempt.due = now.steady + wait + jitter;
                }
            }
        }
    }

    /// Hash and length of a wanted shard, by its coding.
    pub(super) fn shard_of(&self, want: &Want) -> Option<(Hash, u64)> {
        let coding = self.manifest.coding(&want.roll, &want.coding)?;
        Some((*coding.shards.get(usize::from(want.index))?, coding.shard_bytes))
    }

    pub(super) fn drop_shard(&mut self, volume: VolumeId, hash: Hash, now: Now, step: &mut Step) {
        if let Some(shard) = self.ledger.remove(&volume, &hash) {
            step.writes.push(Write::DropShard(volume, hash));
            self.dirty.insert(shard.roll);
            self.declare(volume, [shard.roll], now, step);
        }
    }

    /// The ledger gives shards up, and says so. Their files may go once that is durable.
    pub(super) fn give_up(&mut self, shards: Vec<(VolumeId, Shard)>, now: Now, step: &mut Step) {
        let mut touched: BTreeMap<VolumeId, BTreeSet<RollId>> = BTreeMap::new();
        for (volume, shard) in shards {
            self.ledger.remove(&volume, &shard.hash);
            step.writes.push(Write::DropShard(volume, shard.hash));
            touched.entry(volume).or_default().insert(shard.roll);
        }
        for (volume, rolls) in touched {
            self.declare(volume, rolls, now, step);
        }
    }

    /// Looks again at every roll that something changed about.
    pub(super) fn review(&mut self, now: Now, step: &mut Step) {
        while let Some(roll) = self.dirty.pop_first() {
            self.bin.touched(&roll);
            self.review_wants(roll, step);
            // What these change makes the roll dirty again.
            self.review_staging(roll, now, step);
            self.review_surplus(roll, step);
            let holdings = self.manifest.holdings(&roll);
            self.review_room(roll, &holdings);
            self.review_care(roll, &holdings, now);
            self.review_repair(roll);
        }
    }

    /// Which of this node's open volumes are to hold a shard of `roll` that they lack. One that is staged where it is
    /// wanted by now is there to stay. Of a roll that may go nothing more is brought.
    fn review_wants(&mut self, roll: RollId, step: &mut Step) {
        let mut wanted = BTreeSet::new();
        let laid_out = self.manifest.laid_out(&roll);
        if let Some((layout, coding)) = laid_out.filter(|_| !self.bin.has(&roll)) {
            for (index, (volume, hash)) in (0u8..).zip(layout.volumes.iter().zip(&coding.shards)) {
                match self.ledger.get(volume, hash).copied() {
                    Some(shard) if shard.staged => {
                        let shard = Shard { staged: false, ..shard };
                        self.ledger.put(*volume, shard);
                        step.writes.push(Write::PutShard(*volume, shard));
                    }
                    None if self.ledger.is_open(volume) => {
                        wanted.insert(Want { volume: *volume, roll, coding: layout.coding, index });
                    }
                    _ => {}
                }
            }
        }
        self.transfers.wants.retain(|want, _| want.roll != roll || wanted.contains(want));
        for want in wanted {
            self.transfers.wants.entry(want).or_default();
        }
    }

    /// Frees what was staged here for a volume that has it now, durably and believed; never what would leave the roll
    /// below its rule when it met that before.
    fn review_staging(&mut self, roll: RollId, now: Now, step: &mut Step) {
        if !self.ledger.of_roll(&roll).any(|(_, shard)| shard.staged) {
            return;
        }
        let Some((layout, _)) = self.manifest.laid_out(&roll) else { return };
        let holdings = self.manifest.holdings(&roll);
        let Some(held) = holdings.get(&layout.coding) else { return };
        let arrived = |index: u8| {
            layout.volumes.get(usize::from(index)).is_some_and(|wanted| {
                held.get(wanted).is_some_and(|indexes| indexes.contains(&index))
                    && self.manifest.believed(&roll, wanted)
                    && self.volume_counts(wanted)
            })
        };
        let of_layout = |shard: &Shard| shard.staged && shard.coding == layout.coding;
        let staged = self.ledger.of_roll(&roll).filter(|(_, s)| of_layout(s) && arrived(s.index));
        let staged: Vec<(VolumeId, Shard)> = staged.map(|(volume, shard)| (volume, *shard)).collect();
        for (volume, shard) in staged {
            if self.may_go(&volume, &shard) {
                self.drop_shard(volume, shard.hash, now, step);
                step.effects.push(Effect::Unlink(volume, shard.hash));
            }
        }
    }

    /// Whether the roll is no worse without this shard, as far as its rule goes. Where the rule is not met anyhow, what
    /// a vault wishes is no reason to give anything up.
    fn may_go(&self, volume: &VolumeId, shard: &Shard) -> bool {
        let Some((roll, author)) = self.manifest.roll(&shard.roll) else { return false };
        let (topology, rule) = (self.topology(), self.rule_of(roll));
        let with = self.roll_view(roll);
        let mut without = with.clone();
        for coding in &mut without.codings {
            coding.holdings.retain(|held| held.volume != *volume || held.index != u16::from(shard.index));
        }
        let meets = |view| evaluate_roll(&topology, &rule, view).met();
        if meets(&with) {
            return meets(&without);
        }
        let wished_by = self.manifest.layout_author(&shard.roll);
        wished_by.is_some_and(|by| by == author || self.role_of(&by) == Some(Role::Studio))
    }

    /// Starts pulls up to the bounds.
    pub(super) fn pump(&mut self, now: Now, step: &mut Step) {
        let mut busy: BTreeMap<NodeId, usize> = BTreeMap::new();
        for from in self.transfers.wants.values().filter_map(|attempt| attempt.from) {
            *busy.entry(from).or_default() += 1;
        }
        let mut room = PULLS.saturating_sub(busy.values().sum());
        let ready: Vec<Want> = self
            .transfers
            .wants
            .iter()
            .filter(|(_, attempt)| attempt.from.is_none() && attempt.due <= now.steady)
            .map(|(want, _)| *want)
            .collect();
        for want in ready {
            if room == 0 {
                return;
            }
            let Some((hash, bytes)) = self.shard_of(&want) else { continue };
            let Some(from) = self.source(&want, &busy) else { continue };
            if !self.may_bring(&want.roll, from) {
                if let Some(attempt) = self.transfers.wants.get_mut(&want) {
                    attempt.due = now.steady + HOURS_LOOK;
                }
                continue;
            }
            *busy.entry(from).or_default() += 1;
            room -= 1;
            if let Some(attempt) = self.transfers.wants.get_mut(&want) {
                attempt.from = Some(from);
            }
            let urgent = self.is_endangered(&want.roll);
            step.effects.push(Effect::Pull { want, hash, bytes, from, urgent });
        }
    }

    /// The least busy node within reach that holds the wanted shard on another volume; after a failure the next of them,
    /// and so on. Drives that are away and claims that did not prove true are left out.
    fn source(&self, want: &Want, busy: &BTreeMap<NodeId, usize>) -> Option<NodeId> {
        let holdings = self.manifest.holdings(&want.roll);
        let holders = holdings.get(&want.coding)?.iter();
        let holders = holders.filter(|(volume, indexes)| {
            **volume != want.volume
                && indexes.contains(&want.index)
                && !self.manifest.is_disproved(&want.roll, volume)
        });
        let there = |volume: &VolumeId| {
            let (host, info) = self.manifest.volume(volume)?;
            (info.absent == 0 && (host == self.me || self.connected.contains(&host))).then_some(host)
        };
        let mut hosts: Vec<(usize, NodeId)> = holders
            .filter_map(|(volume, _)| there(volume))
            .map(|host| (busy.get(&host).copied().unwrap_or(0), host))
            .filter(|(pulls, _)| *pulls < PULLS_PER_PEER)
            .collect();
        hosts.sort_unstable();
        hosts.dedup();
        let failures = self.transfers.wants.get(want).map_or(0, |attempt| attempt.failures as usize);
        let turn = failures.checked_rem(hosts.len())?;
        Some(hosts[turn].1)
    }
}
