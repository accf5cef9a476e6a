//! Layouts with the names taken off: how many shards lie together, not where.
//!
//! Copies, off-site and the estimated loss depend on nothing else: for each site the list of its drives' shard
//! counts (a *pattern*), and whether the site is the origin and may vanish. So all layouts fall into a few
//! thousand shapes however many volumes there are, and an exhaustive search stays exact and fast. Media and room
//! are looked at when a shape is bound to real volumes (`bind`).

use super::loss::{Alive, Hazards, quantised};
use super::{MAX_K, MAX_N};

/// The coded clauses, each as what must survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Clauses {
    /// Any `copies - 1` units may be lost.
    pub copies: u8,
    /// Any `media - 1` media may be lost.
    pub media: u8,
    /// Any `offsite` places may be lost.
    pub offsite: u8,
}

/// A code: any `k` of `n` shards rebuild.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Code {
    pub k: u8,
    pub n: u8,
}

impl Code {
    /// Every code within the bounds.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..=MAX_K).flat_map(|k| (k..=MAX_N).map(move |n| Self { k, n }))
    }

    /// Shards that may be lost.
    pub fn spare(self) -> u8 {
        self.n - self.k
    }

    /// Storage class: all up to 1.5x are 0, then steps of 0.25x.
    pub fn class(self) -> u16 {
        let (k, n) = (u16::from(self.k), u16::from(self.n));
        (4 * n).saturating_sub(6 * k).div_ceil(k)
    }

    /// Whether shards spread evenly over so many groups, any `losses` of which may be lost, could meet that: with
    /// less spare than this no spreading does.
    pub fn can_lose(self, losses: u8, groups: usize) -> bool {
        usize::from(self.n) * usize::from(losses) <= usize::from(self.spare()) * groups
    }

    /// Whether it stores at most `percent` of the data.
    pub fn within(self, percent: u32) -> bool {
        u64::from(self.n) * 100 <= u64::from(percent) * u64::from(self.k)
    }
}

/// Places that are alike to the estimate and to the WAN.
#[derive(Debug, Clone)]
pub(super) struct Kind {
    /// It has a studio node.
    pub own: bool,
    /// The bytes are here now.
    pub origin: bool,
    /// Drives at each of its places, most first.
    pub drives: Vec<usize>,
}

/// One shape: for each kind the patterns of its used places.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub code: Code,
    pub rank: Rank,
    pub loss: f64,
    /// Kind and pattern of each used place; equal ones stand together, larger patterns of a kind first.
    pub patterns: Vec<(u8, u16)>,
}

/// The order among shapes that meet the same clauses: smaller is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// Comes first unless more may be spent: then every shape within the budget has 0 here.
    pub class_first: u16,
    /// See [`quantised`].
    pub loss: u64,
    pub class: u16,
    /// Bytes that leave the origin's place, in 840ths of the roll (840 is divisible by every k).
    pub wan: u32,
    pub n: u8,
}

/// The shard counts of one place's drives, largest first.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    pub counts: Vec<u8>,
    pub total: u8,
    own: Alive,
    foreign: Alive,
}

/// Every pattern of up to [`MAX_N`] shards, larger totals first.
pub(super) fn patterns(hazards: &Hazards) -> Vec<Pattern> {
    let mut all = Vec::new();
    add_patterns(hazards, MAX_N, &mut Vec::new(), &Alive::nothing(), &mut all);
    all.sort_by_key(|pattern| std::cmp::Reverse(pattern.total));
    all
}

/// Every pattern that begins with `counts` and has at most `left` more shards.
fn add_patterns(hazards: &Hazards, left: u8, counts: &mut Vec<u8>, drives: &Alive, all: &mut Vec<Pattern>) {
    if !counts.is_empty() {
        let (own, foreign) = (hazards.at_site(drives, true), hazards.at_site(drives, false));
        all.push(Pattern { counts: counts.clone(), total: MAX_N - left, own, foreign });
    }
    let most = counts.last().copied().unwrap_or(MAX_N).min(left);
    for count in (1..=most).rev() {
        counts.push(count);
        add_patterns(hazards, left - count, counts, &hazards.with_drive(drives, count), all);
        counts.pop();
    }
}

/// All shapes of `code` that meet copies and off-site and have enough drives, unsorted.
pub(super) fn shapes(
    code: Code,
    clauses: Clauses,
    kinds: &[Kind],
    patterns: &[Pattern],
    spending: bool,
    found: &mut Vec<Shape>,
) {
    let search = Search { code, clauses, kinds, patterns, spending };
    let start = Partial {
        left: code.n,
        at_origin: 0,
        alive: Alive::nothing(),
        units: Largest::new(clauses.copies.saturating_sub(1)),
        places: Largest::new(clauses.offsite),
    };
    search.step(0, 0, &start, &mut Vec::new(), found);
}

struct Search<'a> {
    code: Code,
    clauses: Clauses,
    kinds: &'a [Kind],
    patterns: &'a [Pattern],
    spending: bool,
}

/// A shape under construction.
#[derive(Clone, Copy)]
struct Partial {
    left: u8,
    at_origin: u8,
    alive: Alive,
    units: Largest,
    places: Largest,
}

impl Search<'_> {
    /// Adds a pattern no larger than the last to the kind at hand, or goes on to the next kind.
    fn step(
        &self,
        kind: usize,
        from: usize,
        partial: &Partial,
        chosen: &mut Vec<(u8, u16)>,
        found: &mut Vec<Shape>,
    ) {
        if partial.left == 0 {
            found.push(self.finish(partial, chosen));
            return;
        }
        let Some(places) = self.kinds.get(kind) else { return };
        let used = chosen.iter().filter(|(k, _)| usize::from(*k) == kind).count();
        if used < places.drives.len() {
            let fitting = self.patterns.partition_point(|pattern| pattern.total > partial.left);
            for (at, pattern) in self.patterns.iter().enumerate().skip(from.max(fitting)) {
                let Some(next) = self.with(partial, places, pattern) else { continue };
                chosen.push((kind as u8, at as u16));
                if self.enough_drives(kind, chosen) {
                    self.step(kind, at, &next, chosen, found);
                }
                chosen.pop();
            }
        }
        self.step(kind + 1, 0, partial, chosen, found);
    }

    /// `partial` with one more place, unless a clause breaks: more shards never mend one.
    fn with(&self, partial: &Partial, kind: &Kind, pattern: &Pattern) -> Option<Partial> {
        let left = partial.left.checked_sub(pattern.total)?;
        let mut next = Partial { left, ..*partial };
        pattern.counts.iter().take(usize::from(self.clauses.copies)).for_each(|c| next.units.add(*c));
        next.places.add(pattern.total);
        if next.units.sum() > self.code.spare() || next.places.sum() > self.code.spare() {
            return None;
        }
        next.alive = partial.alive.and(if kind.own { &pattern.own } else { &pattern.foreign });
        if kind.origin {
            next.at_origin += pattern.total;
        }
        Some(next)
    }

    /// Whether the places of `kind` have drives for the patterns chosen: the longest goes to the largest.
    fn enough_drives(&self, kind: usize, chosen: &[(u8, u16)]) -> bool {
        let of_kind = chosen.iter().filter(|(k, _)| usize::from(*k) == kind);
        let mut lengths: Vec<usize> =
            of_kind.map(|(_, p)| self.patterns[usize::from(*p)].counts.len()).collect();
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        lengths.iter().zip(&self.kinds[kind].drives).all(|(need, have)| need <= have)
    }

    fn finish(&self, partial: &Partial, chosen: &[(u8, u16)]) -> Shape {
        let Code { k, n } = self.code;
        let loss = partial.alive.loss(k);
        let class = self.code.class();
        let rank = Rank {
            class_first: if self.spending { 0 } else { class },
            loss: quantised(loss),
            class,
            wan: u32::from(n - partial.at_origin) * (840 / u32::from(k)),
            n,
        };
        Shape { code: self.code, rank, loss, patterns: chosen.to_vec() }
    }
}

/// The few largest of the numbers added, and their sum.
#[derive(Clone, Copy)]
struct Largest {
    kept: [u8; Self::MOST],
    keep: u8,
}

impl Largest {
    /// A layout has no more parts than that, so every rule is held, however large.
    const MOST: usize = MAX_N as usize;

    fn new(keep: u8) -> Self {
        Self { kept: [0; Self::MOST], keep: keep.min(Self::MOST as u8) }
    }

    fn add(&mut self, mut number: u8) {
        for kept in &mut self.kept[..usize::from(self.keep)] {
            if number > *kept {
                std::mem::swap(kept, &mut number);
            }
        }
    }

    fn sum(&self) -> u8 {
        self.kept.iter().sum()
    }
}
