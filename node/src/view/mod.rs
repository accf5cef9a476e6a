//! The library as people see it, computed from the core's records: volumes, shoots, verdicts.
//!
//! Pure reading: functions here take the core as it is and change nothing. Names are opened once and remembered, because
//! opening one costs a key exchange.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use safelight_core::node::Node;
use safelight_core::place::{CodingView, Holding, RollView, Topology, VolumeView};
use safelight_core::seal::{ReadingKey, open_text};
use safelight_proto::id::{LibraryId, NodeId, RollId, ShootId, VolumeId};
use safelight_proto::record::Roll;
use safelight_proto::shard::StreamShape;
use unicode_normalization::UnicodeNormalization;

pub mod library;
mod shoots;

pub use shoots::{ShootView, find_shoot, is_laid_out_badly, shoots, verdict};

/// What the sealed texts are that hold shoots' names.
pub const SHOOT_NAME: &str = "shoot name";

/// Names of shoots, opened once.
#[derive(Debug, Default)]
pub struct Names(Mutex<BTreeMap<RollId, Option<String>>>);

impl Names {
    /// The name of the shoot that `roll` belongs to, where this node can read it.
    pub fn of(&self, library: LibraryId, roll: &Roll, key: Option<&ReadingKey>) -> Option<String> {
        let key = key?;
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names
            .entry(roll.roll)
            .or_insert_with(|| open_text(key, library, SHOOT_NAME, &roll.shoot_name).ok())
            .clone()
    }
}

/// How names are compared: Unicode's composed form, outer spaces gone.
pub fn normal_name(name: &str) -> String {
    name.trim().nfc().collect()
}

/// Whether a node may be counted on: it is a member and was not declared lost.
pub fn counts(node: &Node, who: &NodeId) -> bool {
    node.manifest().members().get(who).is_some() && !node.manifest().is_lost(who)
}

/// All volumes of nodes that are not lost, with the room they offer.
pub fn topology(node: &Node) -> Topology {
    let manifest = node.manifest();
    let views = manifest.volumes().into_iter().filter(|(_, (host, _))| counts(node, host)).filter_map(
        |(id, (host, info))| {
            let member = manifest.members().get(&host)?;
            Some(VolumeView {
                id,
                name: volume_name(node, &host, &id),
                node: host,
                role: member.role,
                site: info.site.clone().unwrap_or_else(|| member.site.clone()),
                media: info.media,
                free: info.free,
                used: info.capacity.saturating_sub(info.free),
                domain: Some(info.device.clone()).filter(|device| !device.is_empty()),
                host: Some(info.host.clone()).filter(|host| !host.is_empty()),
                trust_declared: info.trust_declared,
            })
        },
    );
    Topology::new(views)
}

/// What to call a volume in a sentence.
fn volume_name(node: &Node, host: &NodeId, volume: &VolumeId) -> String {
    let name = node.manifest().node(host).map_or_else(|| host.short(), |info| info.name.clone());
    let ours = node.manifest().volumes().values().filter(|(of, _)| of == host).count();
    match (ours, node.manifest().volumes().get(volume)) {
        (2.., Some((_, info))) => format!("{name}'s {} volume", info.media),
        _ => name,
    }
}

/// One roll as the evaluator sees it: the holdings that count, and what is known to be anywhere.
pub fn roll_view(node: &Node, roll: &Roll) -> RollView {
    let manifest = node.manifest();
    let held = manifest.holdings(&roll.roll);
    let codings = manifest
        .codings(&roll.roll)
        .map(|coding| {
            let mut known: BTreeSet<u8> = BTreeSet::new();
            let mut holdings = Vec::new();
            for (volume, indexes) in held.get(&coding.coding).into_iter().flatten() {
                known.extend(indexes);
                let lost = manifest.host_of(volume).is_none_or(|host| !counts(node, &host));
                if lost || !manifest.believed(&roll.roll, volume) {
                    continue;
                }
                holdings
                    .extend(indexes.iter().map(|index| Holding { index: (*index).into(), volume: *volume }));
            }
            CodingView { k: coding.k, holdings, known_anywhere: known.len() as u16 }
        })
        .collect();
    let shape = StreamShape { data_bytes: roll.data_bytes, catalog_bytes: roll.catalog_bytes };
    RollView { roll: roll.roll, sealed_len: shape.sealed_len(), files: roll.files, codings }
}

/// The rolls of `shoots` and every roll that they refer to.
pub fn rolls_with_references(node: &Node, shoots: &BTreeSet<ShootId>) -> Vec<RollView> {
    let manifest = node.manifest();
    let own: Vec<&Roll> =
        manifest.rolls().map(|(roll, _)| roll).filter(|roll| shoots.contains(&roll.shoot)).collect();
    let mut wanted: BTreeSet<RollId> = own.iter().map(|roll| roll.roll).collect();
    wanted.extend(own.iter().flat_map(|roll| &roll.references));
    wanted
        .iter()
        .map(|id| match manifest.roll(id) {
            Some((roll, _)) => roll_view(node, roll),
            // A roll that is referred to and not known yet cannot be counted on.
            None => RollView { roll: *id, sealed_len: 0, files: 0, codings: Vec::new() },
        })
        .collect()
}

/// What is still to be brought to the volumes that want it, by the node that hosts them: bytes. A shard that nobody
/// holds any more is not on its way.
pub fn pending(node: &Node, rolls: impl IntoIterator<Item = RollId>) -> BTreeMap<NodeId, u64> {
    let manifest = node.manifest();
    let mut pending = BTreeMap::new();
    for roll in rolls {
        let Some(layout) = manifest.layout(&roll) else { continue };
        let Some(coding) = manifest.coding(&roll, &layout.coding) else { continue };
        let held = manifest.holdings(&roll);
        let held = held.get(&layout.coding);
        for (index, volume) in (0u8..).zip(&layout.volumes) {
            let Some(host) = manifest.host_of(volume).filter(|host| counts(node, host)) else { continue };
            let there =
                held.and_then(|held| held.get(volume)).is_some_and(|indexes| indexes.contains(&index));
            let held_by = |(holder, indexes): (&VolumeId, &BTreeSet<u8>)| {
                let alive = manifest.host_of(holder).is_some_and(|host| counts(node, &host));
                alive && indexes.contains(&index)
            };
            let somewhere = held.is_some_and(|held| held.iter().any(held_by));
            if somewhere && !(there && manifest.believed(&roll, volume)) {
                *pending.entry(host).or_default() += coding.shard_bytes;
            }
        }
    }
    pending
}
