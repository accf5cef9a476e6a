//! Where the shards of a roll are, and which of them to read. Pure: asked of the core, judged here.

use std::collections::{BTreeMap, BTreeSet};

use safelight_core::node::Node;
use safelight_proto::id::{CodingId, Hash, NodeId, RecordId, RollId, VolumeId};
use safelight_proto::record::Roll;
use safelight_proto::shard::{Geometry, StreamShape};
use safelight_proto::vocabulary::Site;

/// One shard on one volume.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its index in its coding.
    pub index: u8,
    /// Its hash.
    pub hash: Hash,
    /// The volume that holds it.
    pub volume: VolumeId,
    /// The node that the volume hangs on.
    pub node: NodeId,
    /// What people call that node.
    pub name: String,
    /// Where it is.
    pub site: Site,
    /// On an open volume of this node.
    pub here: bool,
    /// At this node's site.
    pub near: bool,
    /// It can be read now.
    pub within_reach: bool,
    /// Its holder's word is believed.
    pub believed: bool,
    /// Its holder was declared lost.
    pub lost: bool,
    /// The record by which its holder says that it has it.
    pub claim: Option<RecordId>,
}

/// Which of the shards that may be used are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Whichever cost least.
    Cheapest,
    /// The data itself first, as far as it can be had; no arithmetic, but for what is missing.
    DataFirst,
    /// As many parity shards as can be had, those of other indexes than these first.
    ParityFirst(BTreeSet<u8>),
}

impl Order {
    fn rank(&self, index: u8, k: u8) -> (bool, bool) {
        match self {
            Self::Cheapest => (false, false),
            Self::DataFirst => (index >= k, false),
            Self::ParityFirst(used) => (index < k, used.contains(&index)),
        }
    }
}

/// One coding of a roll and its shards.
#[derive(Debug, Clone)]
pub struct CodingSources {
    /// Which.
    pub coding: CodingId,
    /// Its numbers.
    pub geometry: Geometry,
    /// Every shard that is known anywhere.
    pub shards: Vec<Source>,
}

/// A roll and where its shards are.
#[derive(Debug, Clone)]
pub struct RollSources {
    /// The roll.
    pub roll: Roll,
    /// Its codings.
    pub codings: Vec<CodingSources>,
}

/// What the core knows of `roll`; nothing when its record has not come yet.
pub fn roll_sources(node: &Node, roll: &RollId) -> Option<RollSources> {
    let manifest = node.manifest();
    let (record, _) = manifest.roll(roll)?;
    let shape = StreamShape { data_bytes: record.data_bytes, catalog_bytes: record.catalog_bytes };
    let held = manifest.holdings(roll);
    let mut codings = Vec::new();
    for coding in manifest.codings(roll).into_values() {
        // A coding whose numbers cannot be is no help, whoever signed it.
        let Ok(geometry) = Geometry::checked(shape, coding.k, coding.unit) else { continue };
        if geometry.shard_len() != coding.shard_bytes {
            continue;
        }
        let mut places: BTreeSet<(VolumeId, u8)> = BTreeSet::new();
        for (volume, indexes) in held.get(&coding.coding).into_iter().flatten() {
            places.extend(indexes.iter().map(|index| (*volume, *index)));
        }
        for (volume, shards) in node.ledger() {
            let ours = shards.values().filter(|shard| shard.roll == *roll && shard.coding == coding.coding);
            places.extend(ours.map(|shard| (*volume, shard.index)));
        }
        let shards = places.into_iter().filter_map(|(volume, index)| {
            source(node, roll, volume, index, *coding.shards.get(usize::from(index))?)
        });
        codings.push(CodingSources { coding: coding.coding, geometry, shards: shards.collect() });
    }
    Some(RollSources { roll: record.clone(), codings })
}

fn source(node: &Node, roll: &RollId, volume: VolumeId, index: u8, hash: Hash) -> Option<Source> {
    let manifest = node.manifest();
    // What lies here is here, whoever says that the volume is its own, and should this node have been removed.
    let own = node.ledger().contains_key(&volume).then(|| node.id());
    let host = own.or_else(|| manifest.host_of(&volume))?;
    let member = manifest.members().ever(&host)?;
    let travels = manifest.volume(&volume).and_then(|(_, info)| manifest.site_of(info, &host));
    let site = travels.unwrap_or_else(|| member.site.clone());
    let here = host == node.id();
    let own_site = manifest.members().ever(&node.id()).map(|member| &member.site);
    Some(Source {
        index,
        hash,
        volume,
        node: host,
        name: manifest.node(&host).map_or_else(|| host.short(), |info| info.name.clone()),
        near: own_site == Some(&site),
        site,
        here,
        within_reach: match here {
            true => node.ledger().get(&volume).is_some_and(|shards| shards.contains_key(&hash)),
            false => node.connected().contains(&host),
        },
        believed: manifest.believed(roll, &volume),
        lost: !node.counts(&host),
        claim: manifest.claim(roll, &volume),
    })
}

impl Source {
    /// What reading from here costs, as far as it can be told beforehand: less is better.
    fn cost(&self, k: u8) -> u32 {
        let distance = match (self.here, self.near) {
            (true, _) => 0,
            (false, true) => 100,
            (false, false) => 200,
        };
        let arithmetic = if self.index < k { 0 } else { 10 };
        let doubt = if self.here || self.believed { 0 } else { 50 };
        distance + arithmetic + doubt + if self.lost { 10_000 } else { 0 }
    }
}

impl CodingSources {
    /// The first k shards in that order of those that may be used, by index; nothing when there are too few.
    fn choose(&self, may: &impl Fn(&Source) -> bool, order: &Order) -> Option<(u32, Vec<&Source>)> {
        let k = self.geometry.k;
        let mut best: BTreeMap<u8, &Source> = BTreeMap::new();
        for source in self.shards.iter().filter(|source| may(source)) {
            let slot = best.entry(source.index).or_insert(source);
            if source.cost(k) < slot.cost(k) {
                *slot = source;
            }
        }
        let mut chosen: Vec<&Source> = best.into_values().collect();
        chosen.sort_by_key(|source| (order.rank(source.index, k), source.cost(k), source.index));
        chosen.truncate(k.into());
        chosen.sort_by_key(|source| source.index);
        let cost = chosen.iter().map(|source| source.cost(k)).sum();
        (chosen.len() == usize::from(k)).then_some((cost, chosen))
    }
}

impl RollSources {
    /// The coding to read and the k shards of it to read from, of those that may be used.
    pub fn choose(&self, may: impl Fn(&Source) -> bool) -> Option<(&CodingSources, Vec<&Source>)> {
        self.choose_by(may, &Order::Cheapest)
    }

    /// The coding that is cheapest to read, and k shards of it in an order, of those that may be used.
    pub fn choose_by(
        &self,
        may: impl Fn(&Source) -> bool,
        order: &Order,
    ) -> Option<(&CodingSources, Vec<&Source>)> {
        let ways =
            self.codings.iter().filter_map(|coding| Some((coding, coding.choose(&may, &Order::Cheapest)?)));
        let (coding, _) = ways.min_by_key(|(_, (cost, _))| *cost)?;
        let (_, chosen) = coding.choose(&may, order)?;
        Some((coding, chosen))
    }

    /// Why the roll cannot be rebuilt, and who would help.
    pub fn shortfall(&self, may: impl Fn(&Source) -> bool, without: &[Site]) -> String {
        let of = |coding: &CodingSources, take: &dyn Fn(&Source) -> bool| -> BTreeSet<u8> {
            coding.shards.iter().filter(|source| take(source)).map(|source| source.index).collect()
        };
        let usable = |coding: &CodingSources| of(coding, &may).len();
        let Some(coding) = self.codings.iter().max_by_key(|coding| usable(coding)) else {
            return format!("no shard of roll {} is known anywhere", self.roll.roll.short());
        };
        let have = of(coding, &may);
        let mut silent = BTreeSet::new();
        let mut left_out = BTreeSet::new();
        let mut failed = BTreeSet::new();
        for source in coding.shards.iter().filter(|source| !have.contains(&source.index)) {
            let place = format!("{} ({})", source.name, source.site.name());
            match () {
                () if without.contains(&source.site) => left_out.insert(source.site.name().to_owned()),
                () if !source.within_reach => silent.insert(place),
                () => failed.insert(place),
            };
        }
        let mut text = format!(
            "{} of the {} shards that roll {} needs can be read",
            have.len(),
            coding.geometry.k,
            self.roll.roll.short()
        );
        for (places, what) in [
            (silent, "not within reach"),
            (left_out, "left out by --without"),
            (failed, "damaged or failing"),
        ] {
            if !places.is_empty() {
                let places: Vec<String> = places.into_iter().collect();
                text.push_str(&format!("; {what}: {}", places.join(", ")));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(index: u8, near: bool, site: &str) -> Source {
        Source {
            index,
            hash: Hash([index; 32]),
            volume: VolumeId([index; 16]),
            node: NodeId([index; 32]),
            name: site.into(),
            site: Site::new(site).unwrap(),
            here: near,
            near,
            within_reach: true,
            believed: true,
            lost: false,
            claim: None,
        }
    }

    /// A coding of 2 data shards elsewhere and 2 parity shards here.
    fn coding() -> CodingSources {
        let shape = StreamShape { data_bytes: 1 << 20, catalog_bytes: 4096 };
        let shards = [(0, false), (1, false), (2, true), (3, true)];
        CodingSources {
            coding: CodingId([1; 16]),
            geometry: Geometry::checked(shape, 2, 16 * 1024).unwrap(),
            shards: shards
                .map(|(index, near)| source(index, near, if near { "studio" } else { "friend" }))
                .into(),
        }
    }

    fn chosen(may: impl Fn(&Source) -> bool, order: &Order) -> Vec<u8> {
        let coding = coding();
        let (_, chosen) = coding.choose(&may, order).expect("enough");
        chosen.iter().map(|source| source.index).collect()
    }

    #[test]
    fn restores_take_what_is_near_and_drills_what_proves_more() {
        let parity_first = |used: &[u8]| Order::ParityFirst(used.iter().copied().collect());
        let all = |_: &Source| true;
        assert_eq!(chosen(all, &Order::Cheapest), [2, 3]);
        assert_eq!(chosen(all, &Order::DataFirst), [0, 1]);
        assert_eq!(chosen(all, &parity_first(&[0, 1])), [2, 3]);
        let not = |left_out: u8| move |source: &Source| source.index != left_out;
        assert_eq!(chosen(not(0), &Order::DataFirst), [1, 2]);
        assert_eq!(chosen(not(0), &parity_first(&[1, 2])), [2, 3]);
        assert_eq!(
            chosen(not(3), &parity_first(&[0, 2])),
            [1, 2],
            "the one that took no part is rather read"
        );
        assert!(coding().choose(&|source: &Source| source.index == 1, &Order::DataFirst).is_none());
    }
}
