//! Which files a drill rebuilds. Pure: chance is an argument.
//!
//! A sample is spread over shoots, then over their rolls: every roll gives one file before any gives a second.

use std::collections::BTreeMap;

use safelight_proto::id::{RollId, ShootId};

/// A roll that files can be taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub roll: RollId,
    /// The shoot that it belongs to.
    pub shoot: ShootId,
    /// Its files that stand.
    pub files: u64,
}

/// How many files to take of each roll, `most` in all. `draw` gives a number below its argument, which is at least one.
pub fn shares(
    candidates: &[Candidate],
    most: u64,
    draw: &mut impl FnMut(u64) -> u64,
) -> BTreeMap<RollId, u64> {
    let mut by_shoot: BTreeMap<ShootId, Vec<Candidate>> = BTreeMap::new();
    for candidate in candidates.iter().filter(|candidate| candidate.files > 0) {
        by_shoot.entry(candidate.shoot).or_default().push(*candidate);
    }
    let mut shoots: Vec<Vec<Candidate>> = by_shoot.into_values().collect();
    shuffle(&mut shoots, draw);
    shoots.iter_mut().for_each(|rolls| shuffle(rolls, draw));
    let longest = shoots.iter().map(Vec::len).max().unwrap_or(0);
    let mut line: Vec<Candidate> =
        (0..longest).flat_map(|at| shoots.iter().filter_map(move |rolls| rolls.get(at).copied())).collect();
    let mut shares = BTreeMap::new();
    let mut left = most;
    while left > 0 && !line.is_empty() {
        for candidate in line.iter_mut().take(usize::try_from(left).unwrap_or(usize::MAX)) {
            *shares.entry(candidate.roll).or_default() += 1;
            candidate.files -= 1;
            left -= 1;
        }
        line.retain(|candidate| candidate.files > 0);
    }
    shares
}

/// The numbers below `end`, in an order by chance.
pub fn order(end: usize, draw: &mut impl FnMut(u64) -> u64) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..end).collect();
    shuffle(&mut numbers, draw);
    numbers
}

/// Fisher and Yates.
fn shuffle<T>(items: &mut [T], draw: &mut impl FnMut(u64) -> u64) {
    for last in (1..items.len()).rev() {
        items.swap(last, draw(last as u64 + 1) as usize);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;

    fn drawing(seed: u8) -> impl FnMut(u64) -> u64 {
        let mut rng = ChaCha20Rng::from_seed([seed; 32]);
        move |end| rng.next_u64() % end
    }

    fn candidate(roll: usize, shoot: u8, files: u64) -> Candidate {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&(roll as u64).to_le_bytes());
        Candidate { roll: RollId(id), shoot: ShootId([shoot; 16]), files }
    }

    proptest! {
        #[test]
        fn every_roll_gives_one_before_any_gives_two(
            rolls in prop::collection::vec((0u8..4, 0u64..20), 0..40),
            most in 0u64..200,
            seed: u8,
        ) {
            let candidates: Vec<Candidate> =
                rolls.iter().enumerate().map(|(n, (shoot, files))| candidate(n, *shoot, *files)).collect();
            let shares = shares(&candidates, most, &mut drawing(seed));
            let all: u64 = candidates.iter().map(|candidate| candidate.files).sum();
            prop_assert_eq!(shares.values().sum::<u64>(), most.min(all));
            let given = |candidate: &Candidate| shares.get(&candidate.roll).copied().unwrap_or(0);
            let highest = candidates.iter().map(given).max().unwrap_or(0);
            for candidate in &candidates {
                prop_assert!(given(candidate) <= candidate.files);
                prop_assert!(given(candidate) + 1 >= highest.min(candidate.files + 1), "{candidate:?} came too short");
            }
        }

        #[test]
        fn an_order_has_every_number_once(end in 0usize..100, seed: u8) {
            let order = order(end, &mut drawing(seed));
            prop_assert_eq!(order.iter().copied().collect::<BTreeSet<_>>(), (0..end).collect::<BTreeSet<_>>());
            prop_assert_eq!(order.len(), end);
        }
    }

    #[test]
    fn a_small_shoot_is_met_beside_a_large_one() {
        let mut candidates: Vec<Candidate> = (0..1_000).map(|roll| candidate(roll, 1, 5_000)).collect();
        candidates.push(candidate(1_000, 2, 3));
        for seed in 0..20 {
            let shares = shares(&candidates, 2, &mut drawing(seed));
            assert!(shares.contains_key(&candidates[1_000].roll), "one of two files is the small shoot's");
        }
    }

    #[test]
    fn chance_decides() {
        let candidates: Vec<Candidate> = (0..100).map(|roll| candidate(roll, 1, 10)).collect();
        let chosen: BTreeSet<Vec<RollId>> =
            (0..20).map(|seed| shares(&candidates, 3, &mut drawing(seed)).into_keys().collect()).collect();
        assert!(chosen.len() > 10, "{}", chosen.len());
    }
}
