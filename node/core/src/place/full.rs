//! Literal copies: disjoint sets of drives, each within one site, each with all of a shoot.

use std::collections::BTreeSet;

use safelight_proto::vocabulary::{Media, Rule};

use super::Topology;
use super::survive::Spread;

/// Drives of one site without all of the shoot that are tried in every combination; further ones are left out, which
/// errs on the safe side.
const MAX_PARTIAL: usize = 10;

/// One full copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Set {
    pub place: usize,
    pub media: BTreeSet<Media>,
}

/// The most disjoint full copies of the rolls. A drive with all of the shoot is a set by itself: that never makes
/// them fewer.
pub(super) fn full_sets(topology: &Topology, rolls: &[&Spread]) -> Vec<Set> {
    let held: BTreeSet<usize> = rolls.iter().flat_map(|roll| roll.units().iter().copied()).collect();
    let whole = |set: &[usize]| rolls.iter().all(|roll| roll.survives(|unit| !set.contains(&unit)));
    let mut sets = Vec::new();
    for place in 0..topology.places().len() {
        let here = held.iter().copied().filter(|unit| topology.units()[*unit].place == place);
        let (single, mut partial): (Vec<usize>, Vec<usize>) = here.partition(|unit| whole(&[*unit]));
        partial.truncate(MAX_PARTIAL);
        let mut found: Vec<Vec<usize>> = single.into_iter().map(|unit| vec![unit]).collect();
        found.extend(most_disjoint(&partial, &whole));
        sets.extend(
            found.into_iter().map(|set| Set {
                place,
                media: set.iter().map(|unit| topology.units()[*unit].media).collect(),
            }),
        );
    }
    sets
}

/// Whether the sets are as many, in as many sites and on as many media as the rule says, or more.
pub(super) fn enough(sets: &[Set], rule: &Rule) -> bool {
    let places: BTreeSet<_> = sets.iter().map(|set| set.place).collect();
    let media: BTreeSet<_> = sets.iter().flat_map(|set| &set.media).collect();
    sets.len() >= usize::from(rule.copies)
        && places.len() > usize::from(rule.offsite)
        && media.len() >= usize::from(rule.media)
}

/// The most disjoint subsets of `units` that are `whole`, over all subsets by size of what they leave.
fn most_disjoint(units: &[usize], whole: &impl Fn(&[usize]) -> bool) -> Vec<Vec<usize>> {
    let members = |mask: usize| -> Vec<usize> {
        units.iter().enumerate().filter(|(at, _)| mask >> at & 1 == 1).map(|(_, unit)| *unit).collect()
    };
    let all = (1usize << units.len()) - 1;
    let mut wholes: Vec<usize> = Vec::new();
    // Ascending, so that a subset comes before what contains it: only minimal ones are kept.
    for mask in 1..=all {
        if !wholes.iter().any(|smaller| smaller & mask == *smaller) && whole(&members(mask)) {
            wholes.push(mask);
        }
    }
    fn pack(wholes: &[usize], left: usize) -> Vec<usize> {
        let mut best = Vec::new();
        for (at, mask) in wholes.iter().enumerate().filter(|(_, mask)| *mask & left == **mask) {
            let mut packed = pack(&wholes[at + 1..], left & !mask);
            packed.push(*mask);
            if packed.len() > best.len() {
                best = packed;
            }
        }
        best
    }
    pack(&wholes, all).into_iter().map(members).collect()
}
