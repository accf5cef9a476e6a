//! What lies on this node's open volumes, by volume and by roll.

use std::collections::{BTreeMap, BTreeSet};

use safelight_proto::id::{Hash, RollId, VolumeId};

use crate::event::Shard;

/// The ledger of the open volumes. A volume that is not open is not in it.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    volumes: BTreeMap<VolumeId, BTreeMap<Hash, Shard>>,
    /// Where the shards of each roll are in the map above.
    rolls: BTreeMap<RollId, BTreeSet<(VolumeId, Hash)>>,
}

impl Ledger {
    pub(super) fn volumes(&self) -> &BTreeMap<VolumeId, BTreeMap<Hash, Shard>> {
        &self.volumes
    }

    pub(super) fn is_open(&self, volume: &VolumeId) -> bool {
        self.volumes.contains_key(volume)
    }

    pub(super) fn get(&self, volume: &VolumeId, hash: &Hash) -> Option<&Shard> {
        self.volumes.get(volume)?.get(hash)
    }

    /// The shards of `roll`, with the volume that each lies on.
    pub(super) fn of_roll(&self, roll: &RollId) -> impl Iterator<Item = (VolumeId, &Shard)> {
        let places = self.rolls.get(roll).into_iter().flatten();
        places.filter_map(|(volume, hash)| Some((*volume, self.get(volume, hash)?)))
    }

    pub(super) fn open(&mut self, volume: VolumeId, shards: Vec<Shard>) {
        self.close(&volume);
        self.volumes.entry(volume).or_default();
        for shard in shards {
            self.put(volume, shard);
        }
    }

    pub(super) fn close(&mut self, volume: &VolumeId) {
        for (hash, shard) in self.volumes.remove(volume).unwrap_or_default() {
            self.forget(shard.roll, *volume, hash);
        }
    }

    pub(super) fn put(&mut self, volume: VolumeId, shard: Shard) {
        self.volumes.entry(volume).or_default().insert(shard.hash, shard);
        self.rolls.entry(shard.roll).or_default().insert((volume, shard.hash));
    }

    pub(super) fn remove(&mut self, volume: &VolumeId, hash: &Hash) -> Option<Shard> {
        let shard = self.volumes.get_mut(volume)?.remove(hash)?;
        self.forget(shard.roll, *volume, *hash);
        Some(shard)
    }

    fn forget(&mut self, roll: RollId, volume: VolumeId, hash: Hash) {
        if let Some(places) = self.rolls.get_mut(&roll) {
            places.remove(&(volume, hash));
            if places.is_empty() {
                self.rolls.remove(&roll);
            }
        }
    }
}
