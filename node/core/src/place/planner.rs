//! The planner: from a topology and a rule to a code and a volume for every shard.

use std::collections::{BTreeMap, BTreeSet};

use safelight_proto::id::VolumeId;
use safelight_proto::vocabulary::{Rule, Site};

use super::bind::{Budget, Ground, Spot, bind, by_room};
use super::loss::{Hazards, LossRates, yearly_loss};
use super::shape::{Clauses, Code, Kind, Pattern, Shape, patterns, shapes};
use super::{MAX_K, MAX_N, Plan, PlanError, Reached, Topology, shard_room};

/// Equally ranked shapes that are bound and compared for balance; the best ranked come first anyhow.
const MAX_TIES: usize = 16;

/// Plans rolls over one topology under one rule. Built once, then asked for every roll: what depends on the topology
/// alone is searched once. [`Planner::take`] uses up the room of a plan.
pub struct Planner {
    topology: Topology,
    rule: Rule,
    rates: LossRates,
    patterns: Vec<Pattern>,
    kinds: Vec<Kind>,
    /// The place's kind, by place.
    kind_of: Vec<usize>,
    /// Free bytes of the roomiest volume, by unit; and that volume.
    free: Vec<u64>,
    volume: Vec<VolumeId>,
    /// Units as shards are handed out: the origin's first, then own sites, then the others.
    order: Vec<usize>,
    shapes: BTreeMap<(Clauses, Ask, usize), Vec<Shape>>,
    /// What was found for the last pattern of room, by unit and k.
    last: Option<(Vec<u8>, Option<Found>)>,
    /// Nothing less than the rule is looked for.
    strict: bool,
    /// `full` only: the disjoint sets of units that hold a copy of the shoot each.
    sets: Vec<Vec<usize>>,
}

/// Which codes are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ask {
    /// Every code, by storage class.
    Cheapest,
    /// Whatever the budget allows, at once.
    Budget,
    /// No rule to be met: as far as C times the data, by storage class.
    AtMost,
}

/// The first shape of the best rank that fits.
#[derive(Debug, Clone, Copy)]
struct Found {
    clauses: Clauses,
    ask: Ask,
    group: usize,
    start: usize,
}

impl Planner {
    /// A planner for rolls whose bytes are now at `origin`.
    pub fn new(topology: &Topology, rule: Rule, rates: &LossRates, origin: Option<&Site>) -> Self {
        let origin = origin.and_then(|site| topology.place_of_site(site));
        let units = topology.units();
        let mut kinds: Vec<Kind> = Vec::new();
        let mut kind_of = Vec::new();
        for (place, view) in topology.places().iter().enumerate() {
            let (own, here) = (view.own, origin == Some(place));
            let kind = kinds.iter().position(|k| k.own == own && k.origin == here).unwrap_or(kinds.len());
            if kind == kinds.len() {
                kinds.push(Kind { own, origin: here, drives: Vec::new() });
            }
            let roomy = |unit: &usize| units[*unit].place == place && topology.roomiest(*unit).free > 0;
            kinds[kind].drives.push((0..units.len()).filter(roomy).count());
            kind_of.push(kind);
        }
        kinds.iter_mut().for_each(|kind| kind.drives.sort_unstable_by(|a, b| b.cmp(a)));
        let roomiest: Vec<_> = (0..units.len()).map(|unit| topology.roomiest(unit)).collect();
        let mut order: Vec<usize> = (0..units.len()).collect();
        order.sort_by_key(|unit| {
            let kind = &kinds[kind_of[units[*unit].place]];
            (!kind.origin, !kind.own)
        });
        Self {
            rule,
            rates: *rates,
            patterns: patterns(&Hazards::new(rates)),
            kinds,
            kind_of,
            free: roomiest.iter().map(|volume| volume.free).collect(),
            volume: roomiest.iter().map(|volume| volume.id).collect(),
            order,
            shapes: BTreeMap::new(),
            last: None,
            strict: false,
            sets: Vec::new(),
            topology: topology.clone(),
        }
    }

    /// The same, for a `full` rule and a shoot whose earlier rolls already have their copies on `sets` of volumes.
    pub fn with_sets(mut self, sets: &[Vec<VolumeId>]) -> Self {
        let units = |set: &Vec<VolumeId>| set.iter().filter_map(|id| self.topology.unit_of(*id)).collect();
        self.sets = sets.iter().map(units).collect();
        self
    }

    /// The same, for questions whether the rule can be met at all: no plan rather than one that does not.
    pub fn strictly(mut self) -> Self {
        self.strict = true;
        self
    }

    /// The best layout for a roll of `sealed_len` bytes. Uses no room: see [`Planner::take`].
    ///
    /// For a `full` rule every copy is one volume per roll; that two volumes with half the room each could share a
    /// copy is not looked for, so such a plan may say less than [`super::evaluate`] finds later, never more.
    pub fn plan(&mut self, sealed_len: u64) -> Result<Plan, PlanError> {
        if self.rule.full
            && let Some(plan) = self.plan_on_sets(sealed_len)
        {
            return Ok(plan);
        }
        let room = self.room_pattern(sealed_len);
        let known = self.last.take().filter(|(known, _)| *known == room).map(|(_, found)| found);
        let mut found = known.unwrap_or_else(|| self.search(sealed_len));
        let mut plan = found.and_then(|found| self.most_balanced(found, sealed_len));
        if plan.is_none() && known.is_some() {
            // The order of the drives may have changed since, and a search that just fitted its budget not fit now.
            found = self.search(sealed_len);
            plan = found.and_then(|found| self.most_balanced(found, sealed_len));
        }
        self.last = Some((room, found));
        let Some(plan) = plan else { return Err(self.no_room(sealed_len)) };
        if self.rule.full && plan.meets && self.sets.is_empty() {
            self.sets =
                plan.assignment.iter().filter_map(|id| self.topology.unit_of(*id)).map(|u| vec![u]).collect();
        }
        Ok(plan)
    }

    /// Uses the room that `plan` takes. Volumes on one drive are taken to share it.
    pub fn take(&mut self, plan: &Plan) {
        for unit in plan.assignment.iter().filter_map(|id| self.topology.unit_of(*id)) {
            self.free[unit] = self.free[unit].saturating_sub(plan.shard_bytes);
        }
    }

    /// How many shards of each k fit on each unit, as far as it matters: plans depend on room only through this.
    fn room_pattern(&self, sealed_len: u64) -> Vec<u8> {
        let mut fits = Vec::with_capacity(self.free.len() * usize::from(MAX_K));
        for k in 1..=MAX_K {
            let shard = shard_room(sealed_len, k);
            fits.extend(self.free.iter().map(|free| (free / shard).min(u64::from(MAX_N)) as u8));
        }
        fits
    }

    /// The rule within the budget, the rule at any price, then ever less of it: off-site is given up last, media
    /// first.
    fn search(&mut self, sealed_len: u64) -> Option<Found> {
        let rule = self.rule;
        let whole = Clauses { copies: rule.copies, media: rule.media, offsite: rule.offsite };
        if rule.spend.is_some()
            && let Some(found) = self.first_fit(whole, Ask::Budget, sealed_len)
        {
            return Some(found);
        }
        if let Some(found) = self.first_fit(whole, Ask::Cheapest, sealed_len) {
            return Some(found);
        }
        if self.strict {
            return None;
        }
        for offsite in (0..=rule.offsite).rev() {
            for copies in (1..=rule.copies).rev() {
                for media in (1..=rule.media).rev() {
                    let less = Clauses { copies, media, offsite };
                    if let Some(found) = self.first_fit(less, Ask::AtMost, sealed_len) {
                        return Some(found);
                    }
                }
            }
        }
        None
    }

    /// The best ranked shape for which there are drives.
    fn first_fit(&mut self, clauses: Clauses, ask: Ask, sealed_len: u64) -> Option<Found> {
        let mut budget = Budget::new();
        let ground = self.ground(|unit| self.free[unit]);
        let endless = self.ground(|_| u64::MAX);
        for (group, codes) in self.groups(ask).into_iter().enumerate() {
            let key = (clauses, ask, group);
            let possible: BTreeSet<Code> =
                codes.iter().copied().filter(|code| self.is_possible(*code, clauses, sealed_len)).collect();
            if possible.is_empty() {
                continue;
            }
            if !self.shapes.contains_key(&key) {
                let shapes = self.shapes_of(&codes, clauses, ask);
                self.shapes.insert(key, shapes);
            }
            let (patterns, media) = (&self.patterns, clauses.media);
            let shapes = self.shapes.get_mut(&key)?;
            // Shapes that no room in the world would fit are met once.
            let (mut fit, mut never) = (None, BTreeSet::new());
            for (at, shape) in shapes.iter().enumerate() {
                if !possible.contains(&shape.code) {
                    continue;
                }
                let shard = shard_room(sealed_len, shape.code.k);
                if bind(shape, patterns, &ground, media, shard, &mut budget).is_some() {
                    fit = Some(at);
                    break;
                }
                if bind(shape, patterns, &endless, media, 1, &mut budget).is_none() {
                    never.insert(at);
                }
            }
            let mut at = 0..;
            shapes.retain(|_| !at.next().is_some_and(|at| never.contains(&at)));
            if let Some(fit) = fit {
                return Some(Found { clauses, ask, group, start: fit - never.len() });
            }
        }
        None
    }

    /// Quick: whether there are drives, media and places enough for `code` however the shards lie, and room for all
    /// of them.
    fn is_possible(&self, code: Code, clauses: Clauses, sealed_len: u64) -> bool {
        let (shard, units) = (shard_room(sealed_len, code.k), self.topology.units());
        let roomy = || (0..units.len()).filter(|unit| self.free[*unit] >= shard);
        let media = roomy().map(|unit| units[unit].media).collect::<BTreeSet<_>>().len();
        let places = roomy().map(|unit| units[unit].place).collect::<BTreeSet<_>>().len();
        let most = if clauses.copies > 1 { code.spare() } else { code.n };
        let fit: u64 = roomy().map(|unit| (self.free[unit] / shard).min(u64::from(most))).sum();
        fit >= u64::from(code.n)
            && code.can_lose(clauses.copies.saturating_sub(1), roomy().count())
            && code.can_lose(clauses.media.saturating_sub(1), media)
            && code.can_lose(clauses.offsite, places)
    }

    /// The codes to look at, group after group.
    fn groups(&self, ask: Ask) -> Vec<Vec<Code>> {
        let copies = u32::from(self.rule.copies);
        let budget = match ask {
            Ask::Cheapest => u32::MAX,
            Ask::Budget => self.rule.spend.unwrap_or(0),
            Ask::AtMost => copies * 100,
        };
        let full = self.rule.full && ask != Ask::AtMost;
        let wanted =
            |code: &Code| code.within(budget) && (!full || (code.k == 1 && u32::from(code.n) >= copies));
        let mut groups: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
        for code in Code::all().filter(wanted) {
            // One more shard breaks no clause and adds no loss, so a budget is best spent whole: the largest n of
            // every k at first, then one less, as room may demand.
            let below_most =
                || (code.n..MAX_N).take_while(|n| Code { n: n + 1, ..code }.within(budget)).count();
            let group = if ask == Ask::Budget { below_most() as u16 } else { code.class() };
            groups.entry(group).or_default().push(code);
        }
        groups.into_values().collect()
    }

    fn shapes_of(&self, codes: &[Code], clauses: Clauses, ask: Ask) -> Vec<Shape> {
        let mut found = Vec::new();
        for code in codes {
            shapes(*code, clauses, &self.kinds, &self.patterns, ask == Ask::Budget, &mut found);
        }
        if self.rule.full && ask != Ask::AtMost {
            let single = |at: u16| self.patterns[usize::from(at)].counts.iter().all(|count| *count == 1);
            found.retain(|shape| shape.patterns.iter().all(|(_, at)| single(*at)));
        }
        found.sort_by_key(|shape| (shape.rank, shape.code));
        found
    }

    /// The places by kind, with the room that `free` says.
    fn ground(&self, free: impl Fn(usize) -> u64) -> Ground {
        let mut members: Vec<Vec<_>> = vec![Vec::new(); self.kind_of.len()];
        for (unit, view) in self.topology.units().iter().enumerate() {
            if self.free[unit] > 0 {
                members[view.place].push((unit, view.media, free(unit)));
            }
        }
        let mut ground: Ground = vec![Vec::new(); self.kinds.len()];
        for (place, units) in members.into_iter().enumerate() {
            ground[self.kind_of[place]].push(Spot::new(units));
        }
        ground.into_iter().map(by_room).collect()
    }

    /// Of the equally ranked shapes the one whose fullest drive keeps most room; then the lowest volumes.
    fn most_balanced(&self, found: Found, sealed_len: u64) -> Option<Plan> {
        let shapes = &self.shapes[&(found.clauses, found.ask, found.group)][found.start..];
        let ground = self.ground(|unit| self.free[unit]);
        let first = shapes.first()?;
        let ties = shapes.iter().take_while(|shape| shape.rank == first.rank).take(MAX_TIES);
        let bound = ties.enumerate().filter_map(|(at, shape)| {
            let shard = shard_room(sealed_len, shape.code.k);
            let mut budget = if at == 0 { Budget::new() } else { Budget::small() };
            let mut counts = bind(shape, &self.patterns, &ground, found.clauses.media, shard, &mut budget)?;
            counts.sort_unstable();
            let left = counts.iter().map(|(unit, count)| self.free[*unit] - shard * u64::from(*count)).min();
            Some((std::cmp::Reverse(left), shape.code, counts, shape.loss))
        });
        let (_, code, counts, loss) = bound.min_by(|a, b| (&a.0, a.1, &a.2).cmp(&(&b.0, b.1, &b.2)))?;
        let Clauses { copies, media, offsite } = found.clauses;
        let assignment = self.hand_out(&counts);
        Some(Plan {
            k: code.k,
            n: code.n,
            assignment,
            meets: found.ask != Ask::AtMost,
            reached: Reached { copies, media, offsite },
            yearly_loss: loss,
            shard_bytes: shard_room(sealed_len, code.k),
        })
    }

    fn hand_out(&self, counts: &[(usize, u8)]) -> Vec<VolumeId> {
        let counts: BTreeMap<usize, u8> = counts.iter().copied().collect();
        let on = |unit: &usize| usize::from(counts.get(unit).copied().unwrap_or(0));
        self.order.iter().flat_map(|unit| vec![self.volume[*unit]; on(unit)]).collect()
    }

    /// `full`, with the sets known: each gives the volume it has room on, or grows by a drive of its site.
    fn plan_on_sets(&mut self, sealed_len: u64) -> Option<Plan> {
        if self.sets.len() < usize::from(self.rule.copies) {
            return None;
        }
        let shard = shard_room(sealed_len, 1);
        let mut chosen = Vec::new();
        if !self.choose_in_sets(shard, &mut chosen) {
            return None;
        }
        for (set, unit) in self.sets.iter_mut().zip(&chosen) {
            if !set.contains(unit) {
                set.push(*unit);
            }
        }
        let counts: Vec<_> = chosen.iter().map(|unit| (*unit, 1)).collect();
        let assignment = self.hand_out(&counts);
        Some(Plan {
            k: 1,
            n: chosen.len() as u8,
            yearly_loss: yearly_loss(&self.topology, &self.rates, 1, &assignment),
            assignment,
            meets: true,
            reached: Reached { copies: self.rule.copies, media: self.rule.media, offsite: self.rule.offsite },
            shard_bytes: shard,
        })
    }

    /// A drive for each further set, such that sites and media are enough; drives of the set itself first.
    fn choose_in_sets(&self, shard: u64, chosen: &mut Vec<usize>) -> bool {
        let units = self.topology.units();
        let Some(set) = self.sets.get(chosen.len()) else {
            let places: BTreeSet<_> = chosen.iter().map(|unit| units[*unit].place).collect();
            let media: BTreeSet<_> = chosen.iter().map(|unit| units[*unit].media).collect();
            return places.len() > usize::from(self.rule.offsite)
                && media.len() >= usize::from(self.rule.media);
        };
        let Some(place) = set.first().map(|unit| units[*unit].place) else { return false };
        let taken = |unit: &usize| self.sets.iter().flatten().chain(&*chosen).any(|other| other == unit);
        let mut others: Vec<usize> =
            (0..units.len()).filter(|unit| units[*unit].place == place && !taken(unit)).collect();
        others.sort_by_key(|unit| std::cmp::Reverse(self.free[*unit]));
        let roomy: Vec<usize> =
            set.iter().copied().chain(others).filter(|unit| self.free[*unit] >= shard).collect();
        for unit in roomy {
            chosen.push(unit);
            if self.choose_in_sets(shard, chosen) {
                return true;
            }
            chosen.pop();
        }
        false
    }

    fn no_room(&self, sealed_len: u64) -> PlanError {
        let needed = shard_room(sealed_len, 1);
        match self.free.iter().max() {
            Some(roomiest) if *roomiest > 0 => PlanError::NoRoom { needed, roomiest: *roomiest },
            _ => PlanError::NoVolumes { needed },
        }
    }
}
