//! What stands in the way of shards that are wanted and are not there: for people who ask.

use std::collections::BTreeSet;

use safelight_proto::id::{CodingId, NodeId, RollId, VolumeId};

use super::Node;
use crate::event::Want;

impl Node {
    /// Whether the shard lies where its roll's layout wants it; nothing when it is not wanted any more.
    pub fn stands(&self, roll: &RollId, coding: &CodingId, index: u8) -> Option<bool> {
        let layout = self.manifest.layout(roll).filter(|layout| layout.coding == *coding)?;
        let volume = layout.volumes.get(usize::from(index))?;
        self.manifest.host_of(volume)?;
        let held = self.manifest.holdings(roll);
        let there = held.get(coding).and_then(|held| held.get(volume));
        Some(there.is_some_and(|indexes| indexes.contains(&index)))
    }

    /// The shards that this node's volumes lack and that cannot be brought or made out of what is within reach, with the
    /// members that would have to come back for it.
    pub fn stuck(&self) -> (usize, BTreeSet<NodeId>) {
        let (mut stuck, mut awaited) = (0, BTreeSet::new());
        for want in self.wants() {
            if let Some(holders) = self.missed_for(want) {
                stuck += 1;
                awaited.extend(holders);
            }
        }
        (stuck, awaited)
    }

    /// Members out of reach that hold something of what `want` could be made from; nothing when it can be had now.
    fn missed_for(&self, want: &Want) -> Option<BTreeSet<NodeId>> {
        let host = |volume: &VolumeId| self.manifest.host_of(volume).filter(|host| self.counts(host));
        let (held, mut missed) = (self.manifest.holdings(&want.roll), BTreeSet::new());
        for (coding, held) in &held {
            let mut near: BTreeSet<u8> = BTreeSet::new();
            for (volume, indexes) in held {
                match host(volume) {
                    Some(host) if self.is_near(&host) => near.extend(indexes),
                    Some(host) => drop(missed.insert(host)),
                    None => {}
                }
            }
            let enough = self.manifest.coding(&want.roll, coding).map_or(u8::MAX, |coding| coding.k);
            if near.len() >= usize::from(enough) || (*coding == want.coding && near.contains(&want.index)) {
                return None;
            }
        }
        Some(missed)
    }
}
