//! Real drives for a shape: media and room.
//!
//! A search with backtracking that tries roomier places and drives first, so the first solution is also a balanced
//! one. It is exact: within one place and medium the larger count on the roomier drive fits if anything does,
//! and the states that failed are remembered.

use std::collections::BTreeSet;

use safelight_proto::vocabulary::Media;

use super::shape::{Pattern, Shape};

/// Steps after which a shape is given up as if it did not fit. A shape that fits takes a few dozen.
const MAX_STEPS: u32 = 20_000;

/// The same, once all [`Budget`] is used up: what still fits is found almost at once.
const FEW_STEPS: u32 = 200;

/// Steps that one question to the planner may take before it becomes less patient.
#[derive(Debug)]
pub(super) struct Budget(u32);

impl Budget {
    /// About a second of work; a question about 32 volumes mostly takes a thousandth of it.
    pub fn new() -> Self {
        Self(3_000_000)
    }

    /// For shapes that are looked at for the sake of balance alone.
    pub fn small() -> Self {
        Self(0)
    }

    fn steps(&self) -> u32 {
        self.0.clamp(FEW_STEPS, MAX_STEPS)
    }
}

const MEDIA: usize = Media::ALL.len();

/// One place and its drives.
#[derive(Debug, Clone, Default)]
pub(super) struct Spot {
    /// For each medium its drives as (free bytes, unit), roomiest first.
    drives: [Vec<(u64, usize)>; MEDIA],
    /// Free bytes of its roomiest drive.
    room: u64,
}

impl Spot {
    /// Groups (unit, medium, free bytes); of equally roomy drives the lower unit is first.
    pub fn new(units: impl IntoIterator<Item = (usize, Media, u64)>) -> Self {
        let mut spot = Self::default();
        for (unit, media, free) in units {
            spot.drives[media as usize].push((free, unit));
            spot.room = spot.room.max(free);
        }
        for drives in &mut spot.drives {
            drives.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        }
        spot
    }

    /// Whether the two are the same to a search that asks for shards of `shard` bytes, `most` to a drive.
    fn alike(&self, other: &Self, shard: u64, most: u8) -> bool {
        let fits = |free: u64| (free / shard).min(u64::from(most));
        let same = |a: &Vec<(u64, usize)>, b: &Vec<(u64, usize)>| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| fits(a.0) == fits(b.0))
        };
        self.drives.iter().zip(&other.drives).all(|(a, b)| same(a, b))
    }
}

/// The places of one kind, roomiest first, for every kind.
pub(super) type Ground = Vec<Vec<Spot>>;

/// Puts the roomiest places of a kind first; equally roomy ones keep their order.
pub(super) fn by_room(mut spots: Vec<Spot>) -> Vec<Spot> {
    spots.sort_by_key(|spot| std::cmp::Reverse(spot.room));
    spots
}

/// (unit, shards on it) for `shape` with shards of `shard` bytes, such that no `media - 1` media hold more than the
/// code can spare. `None` when there are no such drives.
pub(super) fn bind(
    shape: &Shape,
    patterns: &[Pattern],
    ground: &Ground,
    media: u8,
    shard: u64,
    budget: &mut Budget,
) -> Option<Vec<(usize, u8)>> {
    let wanted: Vec<Wanted<'_>> = shape
        .patterns
        .iter()
        .map(|(kind, at)| Wanted {
            kind: usize::from(*kind),
            pattern: *at,
            counts: &patterns[usize::from(*at)].counts,
        })
        .collect();
    let spare = shape.code.spare();
    if !enough_room(&wanted, ground, shard.max(1)) || !enough_media(&wanted, ground, media, spare) {
        return None;
    }
    let used = ground.iter().map(|spots| vec![false; spots.len()]).collect();
    let mut search = Search {
        wanted,
        ground,
        media: usize::from(media.saturating_sub(1)),
        spare,
        shard: shard.max(1),
        used,
        on_media: [0; MEDIA],
        taken: [0; MEDIA],
        chosen: Vec::new(),
        dead: BTreeSet::new(),
        steps: budget.steps(),
    };
    let found = search.pattern(0, 0);
    budget.0 = budget.0.saturating_sub(budget.steps() - search.steps);
    found.then_some(search.chosen)
}

/// A quick necessary check: in each kind of place there is a drive for every count, the largest on the roomiest.
fn enough_room(wanted: &[Wanted<'_>], ground: &Ground, shard: u64) -> bool {
    ground.iter().enumerate().all(|(kind, spots)| {
        let of_kind = wanted.iter().filter(|w| w.kind == kind);
        let mut counts: Vec<u64> = of_kind.flat_map(|w| w.counts).map(|count| u64::from(*count)).collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        // Counting the drives that take at least so many is enough, and needs no list of them.
        counts.iter().enumerate().all(|(before, count)| {
            let takes = |(free, _): &&(u64, usize)| *free / shard >= *count;
            let drives =
                spots.iter().flat_map(|spot| &spot.drives).flat_map(|drives| drives.iter().take_while(takes));
            drives.take(before + 1).count() > before
        })
    })
}

/// Quick necessary checks: when every medium takes as many shards as its drives and the clause allow at best, all
/// find room; and the fullest `media - 1` take all that can be spared, the others no more than the least of those.
fn enough_media(wanted: &[Wanted<'_>], ground: &Ground, media: u8, spare: u8) -> bool {
    if media < 2 {
        return true;
    }
    let mut counts: Vec<u8> = wanted.iter().flat_map(|w| w.counts.iter().copied()).collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let total: u8 = counts.iter().sum();
    let top = media - 1;
    let at_best = |medium: usize| {
        let drives: usize = ground.iter().flatten().map(|spot| spot.drives[medium].len()).sum();
        counts.iter().take(drives).sum::<u8>().min(spare)
    };
    let mut at_best: Vec<u8> = (0..MEDIA).map(at_best).collect();
    at_best.sort_unstable_by(|a, b| b.cmp(a));
    let used = at_best.iter().filter(|best| **best > 0).count();
    let others = used.saturating_sub(usize::from(top));
    let rest: u32 = at_best.iter().take(others).map(|best| u32::from((*best).min(spare / top))).sum();
    let sum: u32 = at_best.iter().map(|best| u32::from(*best)).sum();
    sum >= u32::from(total) && u32::from(spare) + rest >= u32::from(total)
}

struct Wanted<'a> {
    kind: usize,
    pattern: u16,
    counts: &'a [u8],
}

struct Search<'a> {
    wanted: Vec<Wanted<'a>>,
    ground: &'a Ground,
    media: usize,
    spare: u8,
    shard: u64,
    used: Vec<Vec<bool>>,
    on_media: [u8; MEDIA],
    /// Drives taken of each medium at the place at hand.
    taken: [u8; MEDIA],
    chosen: Vec<(usize, u8)>,
    dead: BTreeSet<Vec<u8>>,
    steps: u32,
}

impl Search<'_> {
    /// Chooses a place for pattern `at`; equal patterns go to places in ascending order, the next from `from` on.
    fn pattern(&mut self, at: usize, from: usize) -> bool {
        let Some(wanted) = self.wanted.get(at) else { return true };
        let (kind, ground) = (wanted.kind, self.ground);
        let spots = &ground[kind];
        let most = wanted.counts.first().copied().unwrap_or(0);
        let mut failed: Vec<&Spot> = Vec::new();
        for (place, spot) in spots.iter().enumerate().skip(from) {
            if self.used[kind][place] || failed.iter().any(|f| f.alike(spot, self.shard, most)) {
                continue;
            }
            self.used[kind][place] = true;
            let taken = std::mem::take(&mut self.taken);
            if self.count(at, place, 0) {
                return true;
            }
            self.taken = taken;
            self.used[kind][place] = false;
            failed.push(spot);
        }
        false
    }

    /// Chooses a medium at `place` for the count `nth` of pattern `at`, roomiest next drive first.
    fn count(&mut self, at: usize, place: usize, nth: usize) -> bool {
        let wanted = &self.wanted[at];
        let kind = wanted.kind;
        let Some(&count) = wanted.counts.get(nth) else {
            let equal = |next: &Wanted<'_>| next.kind == kind && next.pattern == wanted.pattern;
            let from = if self.wanted.get(at + 1).is_some_and(equal) { place + 1 } else { 0 };
            return self.pattern(at + 1, from);
        };
        let key = self.key(at, place, nth);
        if self.steps == 0 || self.dead.contains(&key) {
            return false;
        }
        self.steps -= 1;
        let ground = self.ground;
        let drives = &ground[kind][place].drives;
        let mut next: Vec<(u64, usize, usize)> = (0..MEDIA)
            .filter_map(|m| drives[m].get(usize::from(self.taken[m])).map(|(free, unit)| (*free, m, *unit)))
            .filter(|(free, ..)| *free / self.shard >= u64::from(count))
            .collect();
        next.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.2.cmp(&b.2)));
        for (_, medium, unit) in next {
            self.on_media[medium] += count;
            if self.media_hold() {
                let taken = self.taken;
                self.taken[medium] += 1;
                self.chosen.push((unit, count));
                if self.count(at, place, nth + 1) {
                    return true;
                }
                self.chosen.pop();
                self.taken = taken;
            }
            self.on_media[medium] -= count;
        }
        self.dead.insert(key);
        false
    }

    /// Whether the fullest `media` media hold no more than the code can spare.
    fn media_hold(&self) -> bool {
        let mut sums = self.on_media;
        sums.sort_unstable_by(|a, b| b.cmp(a));
        sums.iter().take(self.media).map(|sum| u32::from(*sum)).sum::<u32>() <= u32::from(self.spare)
    }

    /// All that decides whether the rest can be bound.
    fn key(&self, at: usize, place: usize, nth: usize) -> Vec<u8> {
        let mut key = vec![at as u8, nth as u8];
        key.extend_from_slice(&(place as u32).to_le_bytes());
        key.extend_from_slice(&self.on_media);
        key.extend_from_slice(&self.taken);
        key.extend(self.used.iter().flatten().map(|used| u8::from(*used)));
        key
    }
}
