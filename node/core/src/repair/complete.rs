//! The fewest shards that make a coding meet a rule, and where to put them.
//!
//! An exhaustive search, one shard more at a time, over the drives that matter: of drives that are alike (one place, one
//! medium, as many shards of this roll) only as many as there are shards to add, the roomiest first.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use safelight_proto::id::VolumeId;
use safelight_proto::vocabulary::{Media, Rule};

use super::plan::{NOWHERE, Patient, Stock, meets, view};
use crate::place::{LossRates, MAX_N, Topology, shard_room, yearly_loss};

/// Layouts that one search looks at; past them a new coding is planned instead.
const MAX_TRIES: usize = 20_000;
/// Most shards that are added to a coding.
const MAX_ADDED: usize = 8;

/// The volume for each index, when some shards can be added such that the coding alone meets `rule`; those that are held
/// stay where they are.
pub(super) fn complete(
    topology: &Topology,
    rule: &Rule,
    rates: &LossRates,
    patient: &Patient,
    stock: &Stock,
) -> Option<Vec<VolumeId>> {
    let base = base(stock);
    let there = base.iter().flatten().count();
    let missing: Vec<usize> = (0..base.len()).filter(|at| base[*at].is_none()).collect();
    let growth = if stock.may_grow { usize::from(MAX_N).saturating_sub(stock.held.len()) } else { 0 };
    let most = (missing.len() + growth).min(MAX_ADDED).min(usize::from(MAX_N).saturating_sub(there));
    let mut search = Search { topology, rule, rates, patient, stock, base, missing, tries: 0, best: None };
    for added in 0..=most {
        let drives = search.drives(added);
        search.add(&drives, 0, added, &mut Vec::new());
        if search.best.is_some() || search.tries > MAX_TRIES {
            break;
        }
    }
    search.best.map(|(_, volumes)| volumes)
}

/// For each index one of the volumes that hold it, such that they are spread as well as may be.
fn base(stock: &Stock) -> Vec<Option<VolumeId>> {
    let mut taken: BTreeMap<VolumeId, usize> = BTreeMap::new();
    let mut base = Vec::with_capacity(stock.held.len());
    for (at, on) in stock.held.iter().enumerate() {
        let wanted = stock.wanted.get(at);
        let best = on.iter().min_by_key(|volume| {
            (taken.get(volume).copied().unwrap_or(0), Some(*volume) != wanted, **volume)
        });
        if let Some(volume) = best {
            *taken.entry(*volume).or_default() += 1;
        }
        base.push(best.copied());
    }
    base
}

/// What makes one layout better than another that takes as many shards: the estimated loss, then the room left.
type Rank = (u64, Reverse<u64>);

/// What drives have in common that are alike to a search: place, medium, shards of this roll, and whether more are
/// wanted there already.
type Likeness = (String, Media, usize, bool);

struct Search<'a> {
    topology: &'a Topology,
    rule: &'a Rule,
    rates: &'a LossRates,
    patient: &'a Patient,
    stock: &'a Stock,
    /// The one volume that counts for each index.
    base: Vec<Option<VolumeId>>,
    /// Indexes that nobody holds, the first to be made again.
    missing: Vec<usize>,
    tries: usize,
    /// The best layout so far.
    best: Option<(Rank, Vec<VolumeId>)>,
}

impl Search<'_> {
    fn shard(&self) -> u64 {
        shard_room(self.patient.sealed_len, self.stock.k)
    }

    /// The drives to choose from when `added` shards are added, each with the room it has for them.
    fn drives(&self, added: usize) -> Vec<(VolumeId, u64)> {
        let held = |id: VolumeId| self.base.iter().flatten().filter(|volume| **volume == id).count();
        let mut alike: BTreeMap<Likeness, Vec<(u64, VolumeId)>> = BTreeMap::new();
        for volume in self.topology.volumes().iter().filter(|volume| volume.free >= self.shard()) {
            let wanted = self.stock.wanted.contains(&volume.id);
            let key = (volume.site.key().to_owned(), volume.media, held(volume.id), wanted);
            alike.entry(key).or_default().push((volume.free, volume.id));
        }
        let mut drives = Vec::new();
        for mut group in alike.into_values() {
            group.sort_by_key(|(free, id)| (Reverse(*free), *id));
            drives.extend(group.into_iter().take(added).map(|(free, id)| (id, free)));
        }
        drives
    }

    /// Tries every choice of `left` more shards on the drives from `from` on.
    fn add(&mut self, drives: &[(VolumeId, u64)], from: usize, left: usize, chosen: &mut Vec<VolumeId>) {
        if self.tries > MAX_TRIES {
            return;
        }
        if left == 0 {
            self.tries += 1;
            return self.judge(drives, chosen);
        }
        for at in from..drives.len() {
            let (id, free) = drives[at];
            let here = chosen.iter().filter(|volume| **volume == id).count() as u64;
            if free < (here + 1) * self.shard() {
                continue;
            }
            chosen.push(id);
            self.add(drives, at, left - 1, chosen);
            chosen.pop();
        }
    }

    fn judge(&mut self, drives: &[(VolumeId, u64)], chosen: &[VolumeId]) {
        let volumes = self.layout(chosen);
        let view = view(self.stock.k, (0u16..).zip(volumes.iter().copied()));
        if !meets(self.topology, self.rule, self.patient, vec![view]) {
            return;
        }
        let used: Vec<VolumeId> = volumes.iter().copied().filter(|volume| *volume != NOWHERE).collect();
        let loss = yearly_loss(self.topology, self.rates, self.stock.k, &used);
        let room = |id: &VolumeId| drives.iter().find(|(drive, _)| drive == id).map_or(0, |(_, free)| *free);
        let least = chosen.iter().map(room).min().unwrap_or(0);
        // Bit patterns of positive numbers are ordered as the numbers are.
        let rank = (loss.to_bits(), Reverse(least));
        if self.best.as_ref().is_none_or(|(best, _)| rank < *best) {
            self.best = Some((rank, volumes));
        }
    }

    /// What is held where it is, and the chosen volumes for the missing indexes, then for new ones. A shard that is
    /// wanted on a chosen volume already keeps its index, so that what is on its way arrives.
    fn layout(&self, chosen: &[VolumeId]) -> Vec<VolumeId> {
        let mut volumes: Vec<VolumeId> = self.base.iter().map(|held| held.unwrap_or(NOWHERE)).collect();
        let mut left: Vec<VolumeId> = chosen.to_vec();
        let mut open = Vec::new();
        for at in self.missing.iter().copied() {
            let wanted = self.stock.wanted.get(at).copied().unwrap_or(NOWHERE);
            match left.iter().position(|volume| *volume == wanted) {
                Some(found) => volumes[at] = left.remove(found),
                None => open.push(at),
            }
        }
        for volume in left {
            match open.first().copied() {
                Some(at) => {
                    volumes[at] = volume;
                    open.remove(0);
                }
                None => volumes.push(volume),
            }
        }
        volumes
    }
}
