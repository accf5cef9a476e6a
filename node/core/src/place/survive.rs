//! What a roll survives: the smallest set of drives, media or sites whose loss leaves no coding with k shards.

use safelight_proto::id::VolumeId;
use safelight_proto::vocabulary::{Media, Site};

use super::{RollView, Topology};

/// Steps of one search; past them only what is proven is claimed. A real roll takes a few hundred.
const MAX_STEPS: u32 = 200_000;

/// Drives of one roll that are looked at; holdings on further ones do not count, which errs on the safe side.
const MAX_DRIVES: usize = 128;

/// What must be lost for files to be gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Culprit {
    /// Nothing: they cannot be read as it is.
    Unreadable,
    /// These sites.
    Sites(Vec<Site>),
    /// Every volume of these media.
    Media(Vec<Media>),
    /// These volumes.
    Volumes(Vec<VolumeId>),
}

/// The drives of one roll as bits, and for each coding the drives of every distinct shard.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spread {
    /// The topology's unit of each bit.
    units: Vec<usize>,
    /// k, and the holders of each distinct shard.
    codings: Vec<(usize, Vec<u128>)>,
}

/// The least that must be lost: the groups, or how many losses are proven to be survived.
pub(super) struct Weakest {
    /// Any so many groups may be lost.
    pub survives: usize,
    /// Not even the loss of nothing is survived.
    pub unreadable: bool,
    /// The groups whose loss is fatal, by position; empty when the search was given up.
    pub fatal: Vec<usize>,
}

impl Spread {
    /// Only holdings on known volumes count, and one shard counts once however often it is held.
    pub fn new(topology: &Topology, roll: &RollView) -> Self {
        let held = roll.codings.iter().flat_map(|coding| &coding.holdings);
        let mut units: Vec<usize> = held.filter_map(|holding| topology.unit_of(holding.volume)).collect();
        units.sort_unstable();
        units.dedup();
        units.truncate(MAX_DRIVES);
        let bit = |volume| topology.unit_of(volume).and_then(|unit| units.binary_search(&unit).ok());
        let holders = |coding: &super::CodingView| {
            let mut by_index = std::collections::BTreeMap::new();
            for holding in &coding.holdings {
                if let Some(bit) = bit(holding.volume) {
                    *by_index.entry(holding.index).or_insert(0u128) |= 1 << bit;
                }
            }
            by_index.into_values().collect()
        };
        let codings = roll.codings.iter().map(|c| (usize::from(c.k.max(1)), holders(c))).collect();
        Self { units, codings }
    }

    /// Whether some coding has as many distinct shards as it needs.
    pub fn readable(&self) -> bool {
        self.alive(0)
    }

    /// Whether the roll is still there without the units that `lost` names.
    pub fn survives(&self, lost: impl Fn(usize) -> bool) -> bool {
        self.alive(self.mask(lost))
    }

    /// The bits of the units that `chosen` names.
    pub fn mask(&self, chosen: impl Fn(usize) -> bool) -> u128 {
        let bits = self.units.iter().enumerate().filter(|(_, unit)| chosen(**unit));
        bits.fold(0, |mask, (bit, _)| mask | 1 << bit)
    }

    /// The units that hold anything.
    pub fn units(&self) -> &[usize] {
        &self.units
    }

    fn alive(&self, lost: u128) -> bool {
        self.codings.iter().any(|(k, holders)| holders.iter().filter(|h| **h & !lost != 0).count() >= *k)
    }

    /// The smallest set of `groups` whose loss is fatal. Exact unless [`MAX_STEPS`] ends it.
    pub fn weakest(&self, groups: &[u128]) -> Weakest {
        if !self.readable() {
            return Weakest { survives: 0, unreadable: true, fatal: Vec::new() };
        }
        let touched = |group: u128| -> usize {
            self.codings.iter().map(|(_, h)| h.iter().filter(|h| **h & group != 0).count()).sum()
        };
        let mut order: Vec<usize> = (0..groups.len()).collect();
        order.sort_by_key(|at| std::cmp::Reverse(touched(groups[*at])));
        let groups: Vec<u128> = order.iter().map(|at| groups[*at]).collect();
        let mut search = Search { spread: self, groups: &groups, steps: 0, chosen: Vec::new() };
        for size in 1..=groups.len() {
            let fatal = search.fatal(0, 0, size);
            if fatal || search.steps > MAX_STEPS {
                let mut fatal: Vec<usize> = search.chosen.iter().map(|at| order[*at]).collect();
                fatal.sort_unstable();
                return Weakest { survives: size - 1, unreadable: false, fatal };
            }
        }
        // Losing every group leaves something: only when drives are in no group.
        Weakest { survives: groups.len(), unreadable: false, fatal: Vec::new() }
    }
}

struct Search<'a> {
    spread: &'a Spread,
    groups: &'a [u128],
    steps: u32,
    chosen: Vec<usize>,
}

impl Search<'_> {
    /// Whether `left` more groups from `from` on can be fatal beyond `lost`; `chosen` then names all of them.
    fn fatal(&mut self, lost: u128, from: usize, left: usize) -> bool {
        if !self.spread.alive(lost) {
            return true;
        }
        self.steps += 1;
        if left == 0 || self.steps > MAX_STEPS || !self.within_reach(lost, from, left) {
            return false;
        }
        for at in from..self.groups.len() {
            self.chosen.push(at);
            if self.fatal(lost | self.groups[at], at + 1, left - 1) {
                return true;
            }
            self.chosen.pop();
        }
        false
    }

    /// Necessary: for every coding, the `left` groups that touch most of its shards touch enough of them.
    fn within_reach(&self, lost: u128, from: usize, left: usize) -> bool {
        self.spread.codings.iter().all(|(k, holders)| {
            let alive: Vec<u128> = holders.iter().map(|h| h & !lost).filter(|h| *h != 0).collect();
            if alive.len() < *k {
                return true;
            }
            let touch = |group: &u128| alive.iter().filter(|h| **h & group != 0).count();
            let mut touched: Vec<usize> = self.groups[from..].iter().map(touch).collect();
            touched.sort_unstable_by(|a, b| b.cmp(a));
            touched.iter().take(left).sum::<usize>() > alive.len() - k
        })
    }
}
