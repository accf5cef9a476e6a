//! Room that only looks free: shards are meant to come there.

use std::collections::BTreeMap;

use safelight_proto::id::{CodingId, RollId, VolumeId};

use super::Node;
use crate::manifest::Held;

/// Bytes that each volume is still to take in, kept up roll by roll.
#[derive(Debug, Default)]
pub(super) struct Promised {
    by_roll: BTreeMap<RollId, BTreeMap<VolumeId, u64>>,
    all: BTreeMap<VolumeId, u64>,
}

impl Promised {
    fn put(&mut self, roll: RollId, wanted: BTreeMap<VolumeId, u64>) {
        for (volume, bytes) in &wanted {
            let all = self.all.entry(*volume).or_default();
            *all = all.saturating_add(*bytes);
        }
        let old =
            if wanted.is_empty() { self.by_roll.remove(&roll) } else { self.by_roll.insert(roll, wanted) };
        for (volume, bytes) in old.unwrap_or_default() {
            if let Some(all) = self.all.get_mut(&volume) {
                *all = all.saturating_sub(bytes);
                if *all == 0 {
                    self.all.remove(&volume);
                }
            }
        }
    }
}

impl Node {
    /// Bytes of shards that are meant for each volume and are not there yet.
    pub fn promised(&self) -> &BTreeMap<VolumeId, u64> {
        &self.promised.all
    }

    /// What of `roll` is still to come to volumes. For one that may go no room is set aside.
    pub(super) fn review_room(&mut self, roll: RollId, holdings: &BTreeMap<CodingId, Held>) {
        let mut wanted: BTreeMap<VolumeId, u64> = BTreeMap::new();
        if let Some((layout, coding)) = self.manifest.laid_out(&roll).filter(|_| !self.is_dead(&roll)) {
            let held = holdings.get(&layout.coding);
            for (index, volume) in (0u8..).zip(&layout.volumes) {
                if !held.and_then(|held| held.get(volume)).is_some_and(|indexes| indexes.contains(&index)) {
                    let bytes = wanted.entry(*volume).or_default();
                    *bytes = bytes.saturating_add(coding.shard_bytes);
                }
            }
        }
        self.promised.put(roll, wanted);
    }
}
