//! What counting holdings come to under a rule. Computed from what is, never from wishes.

use std::collections::BTreeMap;

use safelight_proto::id::{RollId, VolumeId};
use safelight_proto::vocabulary::{Media, Rule, Site};

use super::Topology;
use super::full::{enough, full_sets};
use super::survive::{Culprit, Spread, Weakest};

/// One shard on one volume, as far as it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holding {
    /// Index of the shard within its coding.
    pub index: u16,
    /// The volume.
    pub volume: VolumeId,
}

/// One coding of a roll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodingView {
    /// Distinct shards that rebuild the roll.
    pub k: u8,
    /// Counting holdings only.
    pub holdings: Vec<Holding>,
    /// Distinct shards known anywhere, on absent volumes too.
    pub known_anywhere: u16,
}

/// One roll of a shoot, or a roll it references.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollView {
    /// Its id.
    pub roll: RollId,
    /// Bytes of its sealed stream.
    pub sealed_len: u64,
    /// Files of the shoot in it.
    pub files: u64,
    /// Its codings: any one of them will do.
    pub codings: Vec<CodingView>,
}

/// The first clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copies {
    /// Any C-1 volumes may be lost; of a `full` rule also: the literal copies are there.
    pub met: bool,
    /// Any so many volumes may be lost.
    pub survives_volumes: u32,
}

/// What one roll comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollStanding {
    /// The first clause, literal copies left aside: they are a matter of the whole shoot.
    pub copies: Copies,
    /// Every volume of any M-1 media may be lost.
    pub media: bool,
    /// Any S sites may be lost.
    pub offsite: bool,
    /// Whether it survives the loss of each site.
    pub sites: Vec<(Site, bool)>,
    /// Some coding has k distinct counting shards.
    pub readable: bool,
    /// Some coding has k distinct shards known anywhere.
    pub known: bool,
    /// The smallest loss that breaks a clause of the rule.
    pub culprit: Option<Culprit>,
}

impl RollStanding {
    /// Whether the coded clauses are met.
    pub fn met(&self) -> bool {
        self.copies.met && self.media && self.offsite
    }
}

/// What a shoot comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The first clause.
    pub copies: Copies,
    /// The second clause.
    pub media: bool,
    /// The third clause.
    pub offsite: bool,
    /// Whether all of the shoot survives the loss of each site.
    pub sites: Vec<(Site, bool)>,
    /// Every roll can be read now.
    pub readable: bool,
    /// Every roll has k shards known somewhere.
    pub known: bool,
    /// Disjoint full copies there are; counted for a `full` rule only.
    pub full_copies: Option<usize>,
    /// Files of the shoot.
    pub files: u64,
    /// The rolls that do not meet the coded clauses.
    pub lacking: Vec<RollId>,
    /// The smallest loss that breaks a clause, and the files it takes. Of equal ones: sites, media, volumes.
    pub culprit: Option<(Culprit, u64)>,
    /// Files in rolls of which too few shards are known anywhere.
    pub files_lost: u64,
}

impl Standing {
    /// Whether the rule is met.
    pub fn met(&self) -> bool {
        self.copies.met && self.media && self.offsite
    }
}

/// Evaluates one roll.
pub fn evaluate_roll(topology: &Topology, rule: &Rule, roll: &RollView) -> RollStanding {
    let known = known(roll);
    RollStanding { known, ..of_spread(topology, rule, &Spread::new(topology, roll)) }
}

/// Evaluates a shoot: its rolls and all they reference. Rolls that lie alike are worked out once.
pub fn evaluate(topology: &Topology, rule: &Rule, rolls: &[RollView]) -> Standing {
    let mut standing = Standing {
        copies: Copies { met: true, survives_volumes: u32::from(rule.copies.saturating_sub(1)) },
        media: true,
        offsite: true,
        sites: sites(topology).map(|(_, site)| (site.clone(), true)).collect(),
        readable: true,
        known: true,
        full_copies: None,
        files: rolls.iter().map(|roll| roll.files).sum(),
        lacking: Vec::new(),
        culprit: None,
        files_lost: 0,
    };
    let spreads: Vec<Spread> = rolls.iter().map(|roll| Spread::new(topology, roll)).collect();
    let mut standings: BTreeMap<&Spread, RollStanding> = BTreeMap::new();
    for spread in &spreads {
        standings.entry(spread).or_insert_with(|| of_spread(topology, rule, spread));
    }
    let survives = standings.values().map(|roll| roll.copies.survives_volumes).min();
    standing.copies.survives_volumes = survives.unwrap_or(standing.copies.survives_volumes);
    for roll in standings.values() {
        standing.copies.met &= roll.copies.met;
        standing.media &= roll.media;
        standing.offsite &= roll.offsite;
        standing.readable &= roll.readable;
        for (all, one) in standing.sites.iter_mut().zip(&roll.sites) {
            all.1 &= one.1;
        }
    }
    for (roll, spread) in rolls.iter().zip(&spreads) {
        if !standings[spread].met() {
            standing.lacking.push(roll.roll);
        }
        if !known(roll) {
            standing.known = false;
            standing.files_lost += roll.files;
        }
    }
    let culprits = standings.values().filter_map(|roll| roll.culprit.clone());
    standing.culprit = culprits.min_by_key(|culprit| size(topology, culprit)).map(|culprit| {
        let hit = |spread: &Spread| !spread.survives(|unit| falls(topology, &culprit, unit));
        let files = rolls.iter().zip(&spreads).filter(|(_, spread)| hit(spread)).map(|(roll, _)| roll.files);
        (culprit.clone(), files.sum())
    });
    if rule.full && !rolls.is_empty() {
        let sets = full_sets(topology, &standings.keys().copied().collect::<Vec<_>>());
        standing.copies.met &= enough(&sets, rule);
        standing.full_copies = Some(sets.len());
    }
    standing
}

fn known(roll: &RollView) -> bool {
    let enough = |coding: &CodingView| {
        let mut held: Vec<u16> = coding.holdings.iter().map(|holding| holding.index).collect();
        held.sort_unstable();
        held.dedup();
        held.len().max(usize::from(coding.known_anywhere)) >= usize::from(coding.k.max(1))
    };
    roll.codings.iter().any(enough)
}

fn of_spread(topology: &Topology, rule: &Rule, spread: &Spread) -> RollStanding {
    let held: Vec<usize> = spread.units().to_vec();
    let units = topology.units();
    let mut media: Vec<Media> = held.iter().map(|unit| units[*unit].media).collect();
    let mut places: Vec<usize> = held.iter().map(|unit| units[*unit].place).collect();
    media.sort_unstable();
    media.dedup();
    places.sort_unstable();
    places.dedup();

    let by_unit = weakest(spread, &held, |unit, of| unit == *of);
    let by_media = weakest(spread, &media, |unit, of| units[unit].media == *of);
    let by_place = weakest(spread, &places, |unit, of| units[unit].place == *of);
    let met = |weakest: &Weakest, losses: u8| !weakest.unreadable && weakest.survives >= usize::from(losses);
    let copies = Copies {
        met: met(&by_unit, rule.copies.saturating_sub(1)),
        survives_volumes: u32::try_from(by_unit.survives).unwrap_or(u32::MAX),
    };
    let (media_met, offsite) = (met(&by_media, rule.media.saturating_sub(1)), met(&by_place, rule.offsite));

    let lost_sites =
        || by_place.fatal.iter().flat_map(|at| topology.places()[places[*at]].sites.clone()).collect();
    let lost_media = || by_media.fatal.iter().map(|at| media[*at]).collect();
    let volumes = |unit: usize| units[unit].volumes.iter().map(|at| topology.volumes()[*at].id);
    let lost_volumes = || by_unit.fatal.iter().flat_map(|at| volumes(held[*at])).collect();
    let failing = [
        (!offsite).then(|| (by_place.fatal.len(), Culprit::Sites(lost_sites()))),
        (!media_met).then(|| (by_media.fatal.len(), Culprit::Media(lost_media()))),
        (!copies.met).then(|| (by_unit.fatal.len(), Culprit::Volumes(lost_volumes()))),
    ];
    let smallest = failing.into_iter().flatten().filter(|(size, _)| *size > 0).min_by_key(|(size, _)| *size);
    let culprit = if by_unit.unreadable { Some(Culprit::Unreadable) } else { smallest.map(|(_, c)| c) };

    let gone = |place: usize| spread.survives(|unit| units[unit].place == place);
    RollStanding {
        copies,
        media: media_met,
        offsite,
        sites: sites(topology).map(|(place, site)| (site.clone(), gone(place))).collect(),
        readable: !by_unit.unreadable,
        known: !by_unit.unreadable,
        culprit,
    }
}

fn weakest<T>(spread: &Spread, groups: &[T], member: impl Fn(usize, &T) -> bool) -> Weakest {
    let masks: Vec<u128> = groups.iter().map(|group| spread.mask(|unit| member(unit, group))).collect();
    spread.weakest(&masks)
}

/// Every site by name, with its place.
fn sites(topology: &Topology) -> impl Iterator<Item = (usize, &Site)> {
    let places = topology.places().iter().enumerate();
    places.flat_map(|(at, place)| place.sites.iter().map(move |site| (at, site)))
}

/// Whether `unit` is gone with the culprit.
fn falls(topology: &Topology, culprit: &Culprit, unit: usize) -> bool {
    let view = &topology.units()[unit];
    match culprit {
        Culprit::Unreadable => false,
        Culprit::Sites(sites) => topology.places()[view.place].sites.iter().any(|site| sites.contains(site)),
        Culprit::Media(media) => media.contains(&view.media),
        Culprit::Volumes(ids) => view.volumes.iter().any(|at| ids.contains(&topology.volumes()[*at].id)),
    }
}

/// How much must be lost, and which kind of loss is named first among equals.
fn size(topology: &Topology, culprit: &Culprit) -> (usize, u8) {
    let distinct = |mut numbers: Vec<Option<usize>>| {
        numbers.sort_unstable();
        numbers.dedup();
        numbers.len()
    };
    match culprit {
        Culprit::Unreadable => (0, 0),
        Culprit::Sites(sites) => (distinct(sites.iter().map(|s| topology.place_of_site(s)).collect()), 1),
        Culprit::Media(media) => (media.len(), 2),
        Culprit::Volumes(ids) => (distinct(ids.iter().map(|id| topology.unit_of(*id)).collect()), 3),
    }
}
