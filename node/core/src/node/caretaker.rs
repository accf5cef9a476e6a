//! Whose turn it is to see to a roll.
//!
//! No election: all rank the nodes within reach alike (rendezvous hashing, Thaler and Ravishankar 1998) and the first
//! takes care. When it is quiet the next one does; two that both think it is their turn plan the same, and do no harm.

use std::collections::BTreeSet;

use safelight_proto::id::{NodeId, RollId};
use safelight_proto::vocabulary::Role;

use super::Node;
use super::ground::Ground;

impl Node {
    /// The node that sees to `roll` now: of those within reach one that can make shards of it without fetching any, a
    /// studio before a vault, then by a hash that spreads the rolls.
    pub fn caretaker(&self, roll: &RollId) -> Option<NodeId> {
        self.caretaker_on(roll, &self.repairs.ground)
    }

    /// The same, if the volumes were those of `ground`.
    pub(super) fn caretaker_on(&self, roll: &RollId, ground: &Ground) -> Option<NodeId> {
        let holdings = self.manifest.holdings(roll);
        let holds_enough = |node: &NodeId| {
            self.manifest.codings(roll).into_values().any(|coding| {
                let held = holdings.get(&coding.coding).into_iter().flatten();
                let own = held.filter(|(volume, _)| self.manifest.host_of(volume) == Some(*node));
                let indexes: BTreeSet<u8> = own.flat_map(|(_, indexes)| indexes.iter().copied()).collect();
                indexes.len() >= usize::from(coding.k)
            })
        };
        // Who has no room for a shard cannot make one; where nobody has, whoever has any.
        let shard = self.manifest.laid_out(roll).map_or(1, |(_, coding)| coding.shard_bytes);
        let room = |node: &NodeId, bytes: u64| {
            ground.near.volumes().iter().any(|volume| volume.node == *node && volume.free >= bytes)
        };
        let all = || self.connected.iter().chain([&self.me]);
        let least = if all().any(|node| room(node, shard)) { shard } else { 1 };
        let near = all().filter(|node| room(node, least));
        near.min_by_key(|node| {
            let draw = *blake3::hash(&[roll.0, node.0].concat()).as_bytes();
            (!holds_enough(node), self.role_of(node) != Some(Role::Studio), draw)
        })
        .copied()
    }
}
