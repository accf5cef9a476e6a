//! One coding of a roll: putting its segments together from units that may be damaged, or lies.
//!
//! First the units that match their checks, k for each stripe. Where that does not open, every way to choose k of
//! the units that are there is tried, within a bound: the same shards for all stripes first (a shard that is
//! wrong throughout, with checks to match), then each stripe for itself (scattered damage to units and checks).

use std::collections::BTreeSet;

use safelight_proto::shard::{BadShape, Geometry, Segment, StreamShape, UnitCheck, unit_offset};

use super::find::{Gathered, ShardBytes, checks};
use crate::code::{Coder, check_unit};
use crate::seal::Opener;

/// Ways to put one segment together that are tried at most. Each costs a decode and an attempt to open.
const TRIES: usize = 1024;

/// The shards of one coding.
pub(super) struct Coding {
    coder: Coder,
    geometry: Geometry,
    shards: Vec<Source>,
    /// The stripe that was decoded last and proved right: segments share stripes.
    last: Option<(u64, Vec<u8>)>,
}

/// One shard, by its place in the list of the roll's shards.
struct Source {
    at: usize,
    index: u8,
    checks: Vec<Option<UnitCheck>>,
}

/// One unit that could be read.
struct Unit {
    source: usize,
    index: u8,
    bytes: Vec<u8>,
    matches: bool,
}

/// What there is for one stripe.
enum Stripe {
    /// It was decoded before, and opened.
    Known(Vec<u8>),
    /// Units, those that match first, and the ways to choose k of them, as places in the list.
    Units(Vec<Unit>, Vec<Vec<usize>>),
}

impl Coding {
    pub(super) fn new(shape: StreamShape, k: u8, unit: u32) -> Result<Self, BadShape> {
        let geometry = Geometry::checked(shape, k, unit)?;
        Ok(Self { coder: Coder::new(k)?, geometry, shards: Vec::new(), last: None })
    }

    /// Takes shard number `at` of the roll's list.
    pub(super) fn add(&mut self, at: usize, index: u8, bytes: &impl ShardBytes) {
        self.shards.push(Source { at, index, checks: checks(bytes, &self.geometry) });
    }

    /// Puts the stream's own units first: they need no arithmetic.
    pub(super) fn sort(&mut self) {
        self.shards.sort_by_key(|source| source.index);
    }

    /// The plaintext of a segment, if any choice of units gives it.
    pub(super) fn segment<S: ShardBytes>(
        &mut self,
        shards: &[Gathered<S>],
        segment: &Segment,
        opener: &Opener,
    ) -> Option<Vec<u8>> {
        let stripe = self.geometry.stripe_len();
        let sealed = segment.sealed_range();
        let numbers = sealed.start / stripe..sealed.end.div_ceil(stripe);

        let quick: Option<Vec<Stripe>> =
            numbers.clone().map(|number| self.matching(shards, number)).collect();
        if let Some(stripes) = quick {
            let first: Vec<usize> = vec![0; stripes.len()];
            if let Some(plain) = self.attempt(segment, opener, numbers.start, &stripes, &first) {
                return Some(plain);
            }
        }
        let stripes: Vec<Stripe> =
            numbers.clone().map(|number| self.everything(shards, number)).collect::<Option<_>>()?;
        for choice in choices(&stripes).take(TRIES) {
            if let Some(plain) = self.attempt(segment, opener, numbers.start, &stripes, &choice) {
                self.prefer(&stripes, &choice);
                return Some(plain);
            }
        }
        None
    }

    /// k units of a stripe that match their checks, if there are so many.
    fn matching<S: ShardBytes>(&self, shards: &[Gathered<S>], stripe: u64) -> Option<Stripe> {
        if let Some((_, known)) = self.last.as_ref().filter(|(last, _)| *last == stripe) {
            return Some(Stripe::Known(known.clone()));
        }
        let k = usize::from(self.coder.k());
        let mut units: Vec<Unit> = Vec::with_capacity(k);
        for source in &self.shards {
            if units.iter().any(|unit| unit.index == source.index) {
                continue;
            }
            units.extend(self.unit(shards, source, stripe).filter(|unit| unit.matches));
            if units.len() == k {
                return Some(Stripe::Units(units, vec![(0..k).collect()]));
            }
        }
        None
    }

    /// Every unit of a stripe that can be read, if k different ones can.
    fn everything<S: ShardBytes>(&self, shards: &[Gathered<S>], stripe: u64) -> Option<Stripe> {
        let read = |source| self.unit(shards, source, stripe);
        let mut units: Vec<Unit> = self.shards.iter().filter_map(read).collect();
        units.sort_by_key(|unit| !unit.matches);
        let mut ways = Vec::new();
        choose(&units, usize::from(self.coder.k()), 0, &mut Vec::new(), &mut ways);
        (!ways.is_empty()).then_some(Stripe::Units(units, ways))
    }

    fn unit<S: ShardBytes>(&self, shards: &[Gathered<S>], source: &Source, stripe: u64) -> Option<Unit> {
        let (_, file) = shards.get(source.at)?;
        let mut bytes = vec![0; self.geometry.unit as usize];
        let offset = unit_offset(stripe, self.geometry.unit);
        let inside = offset.checked_add(bytes.len() as u64).is_some_and(|end| end <= file.len());
        if !inside || file.read_at(offset, &mut bytes).is_err() {
            return None;
        }
        let check = source.checks.get(stripe as usize).copied().flatten();
        let matches = check.is_some_and(|check| check == check_unit(stripe, &bytes));
        Some(Unit { source: source.at, index: source.index, bytes, matches })
    }

    /// Decodes the stripes, each in the chosen way, and tries to open the segment.
    fn attempt(
        &mut self,
        segment: &Segment,
        opener: &Opener,
        first: u64,
        stripes: &[Stripe],
        choice: &[usize],
    ) -> Option<Vec<u8>> {
        let len = self.geometry.stripe_len() as usize;
        let mut sealed = vec![0; len * stripes.len()];
        for ((stripe, &way), out) in stripes.iter().zip(choice).zip(sealed.chunks_exact_mut(len)) {
            match stripe {
                Stripe::Known(bytes) => out.copy_from_slice(bytes),
                Stripe::Units(units, ways) => {
                    let chosen = ways.get(way)?.iter().map(|&at| &units[at]);
                    let chosen: Vec<(u8, &[u8])> =
                        chosen.map(|unit| (unit.index, unit.bytes.as_slice())).collect();
                    self.coder.decode(&chosen, out).ok()?;
                }
            }
        }
        let last = sealed[sealed.len() - len..].to_vec();
        let start = (segment.sealed_offset - first * len as u64) as usize;
        sealed.drain(..start);
        sealed.truncate(segment.sealed_len());
        opener.open(segment, &mut sealed).ok()?;
        sealed.truncate(segment.plain_len);
        // The open proves the last stripe right only as far as the segment reaches into it. It is kept all the
        // same: where the rest is wrong, the next segment goes on to choose for itself.
        self.last = Some((first + stripes.len() as u64 - 1, last));
        Some(sealed)
    }

    /// Puts the shards that gave a segment first, so that the next one need not search again.
    fn prefer(&mut self, stripes: &[Stripe], choice: &[usize]) {
        let mut good = BTreeSet::new();
        for (stripe, &way) in stripes.iter().zip(choice) {
            if let Stripe::Units(units, ways) = stripe {
                good.extend(ways[way].iter().map(|&at| units[at].source));
            }
        }
        self.shards.sort_by_key(|source| !good.contains(&source.at));
    }
}

/// Every way to choose `k` units of different index from `units[from..]`, the first units first; [`TRIES`] at most.
fn choose(units: &[Unit], k: usize, from: usize, chosen: &mut Vec<usize>, ways: &mut Vec<Vec<usize>>) {
    if chosen.len() == k {
        ways.push(chosen.clone());
        return;
    }
    for at in from..units.len() {
        if ways.len() >= TRIES {
            return;
        }
        if chosen.iter().all(|&other| units[other].index != units[at].index) {
            chosen.push(at);
            choose(units, k, at + 1, chosen, ways);
            chosen.pop();
        }
    }
}

/// A way for each stripe: first those that take the same shards throughout, then all.
fn choices(stripes: &[Stripe]) -> impl Iterator<Item = Vec<usize>> {
    let ways = |stripe: &Stripe| match stripe {
        Stripe::Known(_) => 1,
        Stripe::Units(_, ways) => ways.len(),
    };
    let counts: Vec<usize> = stripes.iter().map(ways).collect();
    let first = counts.first().copied().unwrap_or(0);
    let same: Vec<Vec<usize>> = (0..first).filter_map(|way| same_shards(stripes, way)).collect();
    let mut next = Some(vec![0; counts.len()]);
    let all = std::iter::from_fn(move || {
        let current = next.take()?;
        let mut following = current.clone();
        // An odometer: the first wheel that can turn does, those before it go back to 0.
        for (wheel, count) in following.iter_mut().zip(&counts) {
            *wheel += 1;
            if *wheel < *count {
                next = Some(following);
                break;
            }
            *wheel = 0;
        }
        Some(current)
    });
    same.into_iter().chain(all)
}

/// The ways to take from every stripe the shards that `way` takes from the first.
fn same_shards(stripes: &[Stripe], way: usize) -> Option<Vec<usize>> {
    let sources = |units: &[Unit], way: &[usize]| -> BTreeSet<usize> {
        way.iter().map(|&at| units[at].source).collect()
    };
    let Stripe::Units(units, ways) = stripes.first()? else { return None };
    let wanted = sources(units, ways.get(way)?);
    let same = |stripe: &Stripe| match stripe {
        Stripe::Known(_) => Some(0),
        Stripe::Units(units, ways) => ways.iter().position(|way| sources(units, way) == wanted),
    };
    stripes.iter().map(same).collect()
}
