//! The estimated chance per year that a roll is lost.
//!
//! Every drive and every site fails now and then and is repaired after some time. A drive is down with
//! probability q = rate × repair time; a roll is lost the moment something fails that leaves fewer than k shards.
//! So the yearly loss is the sum, over everything that can fail, of its rate × the chance that the others are just
//! then in a state in which this one decides: the failure frequency of a system of independent repairable parts
//! (Vesely 1970, Birnbaum's importance). For n equal parts it gives `n·C(n-1,m)·λ·(λT)^m`, the quick check of the
//! durability research, which agrees with its Markov model to 10 to 20 %.
//!
//! Left out, and to be said beside the figure: software faults, lost keys, one cause that takes many drives
//! at once, unreadable sectors between two scrubs.
//!
//! Only `+ - * /` are used: these give the same bits on every machine, and all nodes must plan alike.

use std::collections::BTreeMap;

use safelight_proto::id::VolumeId;

use super::{MAX_K, Topology};

/// Yearly chances and repair times. The defaults are those of the durability research (drives: Backblaze's fleet;
/// sites: home fires in the US; departure: assumed). Repair times: a day to notice a drive and 14 to give up a
/// site, then 5 TB over 20 Mbit/s.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossRates {
    /// Chance per year that a drive dies.
    pub drive: f64,
    /// Chance per year that a site burns, floods or is robbed.
    pub site: f64,
    /// Chance per year that a site without a studio node vanishes unannounced.
    pub departure: f64,
    /// Days until the shards of a dead drive are rebuilt elsewhere.
    pub drive_repair_days: f64,
    /// Days until the shards of a lost site are rebuilt elsewhere.
    pub site_repair_days: f64,
}

impl Default for LossRates {
    fn default() -> Self {
        Self { drive: 0.014, site: 0.003, departure: 0.05, drive_repair_days: 30.0, site_repair_days: 43.0 }
    }
}

/// The estimated chance per year of losing a roll whose shards, of which any `k` rebuild it, lie on `volumes`
/// (one entry per distinct shard). Volumes the topology does not know count as not there.
pub fn yearly_loss(topology: &Topology, rates: &LossRates, k: u8, volumes: &[VolumeId]) -> f64 {
    let mut counts: BTreeMap<usize, BTreeMap<usize, u8>> = BTreeMap::new();
    for unit in volumes.iter().filter_map(|id| topology.unit_of(*id)) {
        let place = topology.units()[unit].place;
        let count = counts.entry(place).or_default().entry(unit).or_default();
        *count = count.saturating_add(1);
    }
    let rates = Hazards::new(rates);
    let whole = counts.iter().fold(Alive::nothing(), |whole, (place, units)| {
        let counts: Vec<u8> = units.values().copied().collect();
        whole.and(&rates.site(&counts, topology.places()[*place].own))
    });
    whole.loss(k)
}

/// Two estimates that differ by less than about one percent are one: the size of a step is 1/128 of a power of two.
///
/// Taken from the bits of the float: they grow with the value, so no logarithm (whose last bit differs between
/// machines) is needed, and equal estimates that were summed in another order are nearly always a real tie.
pub(super) fn quantised(loss: f64) -> u64 {
    const MANTISSA_BITS_KEPT: u32 = 7;
    const STEP: u32 = f64::MANTISSA_DIGITS - 1 - MANTISSA_BITS_KEPT;
    let half = 1u64 << (STEP - 1);
    (loss.max(0.0).to_bits() + half) >> STEP
}

/// Rates as hazards per year, and the chance of each kind to be down.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hazards {
    drive: Hazard,
    own_site: Hazard,
    foreign_site: Hazard,
}

#[derive(Debug, Clone, Copy)]
struct Hazard {
    per_year: f64,
    down: f64,
}

impl Hazard {
    fn new(per_year: f64, repair_days: f64) -> Self {
        const DAYS_A_YEAR: f64 = 365.25;
        Self { per_year, down: (per_year * repair_days / DAYS_A_YEAR).min(0.5) }
    }
}

impl Hazards {
    pub fn new(rates: &LossRates) -> Self {
        let (drive, site, departure) = (hazard(rates.drive), hazard(rates.site), hazard(rates.departure));
        Self {
            drive: Hazard::new(drive, rates.drive_repair_days),
            own_site: Hazard::new(site, rates.site_repair_days),
            foreign_site: Hazard::new(site + departure, rates.site_repair_days),
        }
    }

    /// A site with `counts` shards on its drives.
    pub fn site(&self, counts: &[u8], own: bool) -> Alive {
        let drives = counts.iter().fold(Alive::nothing(), |all, count| self.with_drive(&all, *count));
        self.at_site(&drives, own)
    }

    /// These drives and one more with `count` shards.
    pub fn with_drive(&self, drives: &Alive, count: u8) -> Alive {
        drives.and(&Alive::drive(self.drive, count))
    }

    /// These drives at a site that can fail as a whole.
    pub fn at_site(&self, drives: &Alive, own: bool) -> Alive {
        drives.under(if own { self.own_site } else { self.foreign_site })
    }
}

/// -ln(1-p): the constant hazard that gives a chance of `p` within a year, by its series.
fn hazard(p: f64) -> f64 {
    const TERMS: u32 = 60;
    let p = p.clamp(0.0, 0.5);
    let (mut sum, mut power) = (0.0, 1.0);
    for term in 1..=TERMS {
        power *= p;
        sum += power / f64::from(term);
    }
    sum
}

const COEFFICIENTS: usize = MAX_K as usize;

/// How many shards of a set of drives are alive, as polynomials whose j-th coefficient belongs to j shards alive.
/// No more than k - 1 matter for "fewer than k", and lower coefficients of a product never need higher ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct Alive {
    /// Chance of exactly j alive.
    chance: [f64; COEFFICIENTS],
    /// Σ over the parts of rate × (chance of j with the part down - chance of j with the part up).
    decided: [f64; COEFFICIENTS],
}

impl Alive {
    /// No drives at all.
    pub fn nothing() -> Self {
        let mut one = Self { chance: [0.0; COEFFICIENTS], decided: [0.0; COEFFICIENTS] };
        one.chance[0] = 1.0;
        one
    }

    fn drive(hazard: Hazard, count: u8) -> Self {
        let mut alive = Self::nothing();
        alive.chance[0] = hazard.down;
        alive.decided[0] = hazard.per_year;
        if let Some(up) = alive.chance.get_mut(usize::from(count)) {
            *up += 1.0 - hazard.down;
            alive.decided[usize::from(count)] -= hazard.per_year;
        }
        alive
    }

    /// These drives at a site that can fail as a whole.
    fn under(&self, site: Hazard) -> Self {
        let mut all = *self;
        for j in 0..COEFFICIENTS {
            let nothing = if j == 0 { 1.0 } else { 0.0 };
            all.chance[j] = (1.0 - site.down) * self.chance[j] + site.down * nothing;
            all.decided[j] = (1.0 - site.down) * self.decided[j] + site.per_year * (nothing - self.chance[j]);
        }
        all
    }

    /// Both sets of drives, which fail independently: the product rule.
    pub fn and(&self, other: &Self) -> Self {
        let mut both = Self { chance: [0.0; COEFFICIENTS], decided: [0.0; COEFFICIENTS] };
        for i in 0..COEFFICIENTS {
            let (chance, decided) = (self.chance[i], self.decided[i]);
            for j in 0..COEFFICIENTS - i {
                both.chance[i + j] += chance * other.chance[j];
                both.decided[i + j] += decided * other.chance[j] + chance * other.decided[j];
            }
        }
        both
    }

    /// Yearly chance that fewer than `k` stay alive.
    pub fn loss(&self, k: u8) -> f64 {
        self.decided.iter().take(usize::from(k)).sum::<f64>().clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Loss of `sites` own sites with `counts` each, repair times for 10 TB of data over 20 Mbit/s.
    fn table_row(k: u8, sites: usize, counts: &[u8], site_chance: f64) -> f64 {
        let shard_tb = 10.0 / f64::from(k);
        let days = |tb: f64| 8e12 * tb / (20e6 * 0.8) / 86_400.0;
        let on_site = f64::from(counts.iter().sum::<u8>()) * shard_tb;
        let on_drive = f64::from(counts[0]) * shard_tb;
        let rates = LossRates {
            drive: 0.014,
            site: site_chance,
            departure: 0.0,
            drive_repair_days: 1.0 + days(on_drive),
            site_repair_days: 14.0 + days(on_site),
        };
        let hazards = Hazards::new(&rates);
        (0..sites).fold(Alive::nothing(), |all, _| all.and(&hazards.site(counts, true))).loss(k)
    }

    #[test]
    fn agrees_with_the_markov_model_of_the_research() {
        let rows: [(u8, usize, &[u8], f64, f64); 6] = [
            (2, 3, &[1], 0.003, 1.4e-4),
            (4, 3, &[1, 1], 0.003, 7.9e-5),
            (3, 3, &[1, 1], 0.003, 6.8e-6),
            (2, 3, &[1, 1], 0.003, 4.3e-8),
            (2, 3, &[1], 0.05, 2.4e-3),
            (4, 3, &[1, 1], 0.05, 2.8e-3),
        ];
        for (k, sites, counts, chance, expected) in rows {
            let got = table_row(k, sites, counts, chance);
            let factor = got / expected;
            assert!(
                (0.6..1.8).contains(&factor),
                "{k} of {sites}x{counts:?} at {chance}: {got:e}, {expected:e}"
            );
        }
    }

    #[test]
    fn one_drive_alone_is_lost_when_it_or_its_site_fails() {
        let rates = LossRates::default();
        let loss = Hazards::new(&rates).site(&[1], false).loss(1);
        assert!((loss - 0.068).abs() < 0.002, "{loss}");
    }

    #[test]
    fn quantised_grows_and_merges_neighbours() {
        assert!(quantised(1e-9) < quantised(1.02e-9));
        assert!(quantised(0.0) < quantised(1e-300));
        assert_eq!(quantised(1e-5), quantised(1e-5 * (1.0 + 1e-12)));
        assert_eq!(quantised(-1e-20), quantised(0.0));
    }

    #[test]
    fn scaled_layouts_tie_exactly() {
        let hazards = Hazards::new(&LossRates::default());
        let of = |k: u8, count: u8| {
            (0..3).fold(Alive::nothing(), |all, _| all.and(&hazards.site(&[count, count], false))).loss(k)
        };
        assert_eq!(of(2, 1).to_bits(), of(4, 2).to_bits());
    }
}
