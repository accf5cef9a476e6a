//! What is on its way to other nodes, and how far it is.

use std::collections::{BTreeMap, BTreeSet};

use safelight_core::event::Shard;
use safelight_core::node::Node;
use safelight_proto::id::{Hash, NodeId, RollId};

use crate::admin::doc::TransferDoc;
use crate::meter::Sent;

/// What each node waits for of `rolls`, in bytes, less what went to it already of shards that it has not receipted yet:
/// a shard can be gigabytes, and it counts as there only when all of it is.
pub fn left(
    node: &Node,
    sent: &BTreeMap<NodeId, Sent>,
    rolls: impl IntoIterator<Item = RollId>,
) -> BTreeMap<NodeId, u64> {
    let rolls: BTreeSet<RollId> = rolls.into_iter().collect();
    let mut left = node.pending(rolls.iter().copied());
    for (peer, bytes) in &mut left {
        let shards = sent.get(peer).into_iter().flat_map(|sent| &sent.shards);
        let half_done = shards.filter_map(|(hash, sent)| {
            let shard = held(node, hash).filter(|shard| rolls.contains(&shard.roll))?;
            waits(node, peer, &shard).then_some(shard.bytes.min(*sent))
        });
        *bytes = bytes.saturating_sub(half_done.sum());
    }
    left
}

/// A shard that lies on this node's volumes.
fn held(node: &Node, hash: &Hash) -> Option<Shard> {
    node.ledger().values().find_map(|shards| shards.get(hash).copied())
}

/// Whether a volume of `peer` is to hold the shard, and is not believed to do so.
fn waits(node: &Node, peer: &NodeId, shard: &Shard) -> bool {
    let manifest = node.manifest();
    let Some((layout, _)) =
        manifest.laid_out(&shard.roll).filter(|(layout, _)| layout.coding == shard.coding)
    else {
        return false;
    };
    let Some(volume) = layout.volumes.get(usize::from(shard.index)) else { return false };
    let holdings = manifest.holdings(&shard.roll);
    let there = holdings.get(&shard.coding).and_then(|held| held.get(volume));
    let there = there.is_some_and(|indexes| indexes.contains(&shard.index));
    manifest.host_of(volume) == Some(*peer) && !(there && manifest.believed(&shard.roll, volume))
}

/// The transfers that `status` lists: to each other node that waits for something.
pub fn transfers(
    node: &Node,
    sent: &BTreeMap<NodeId, Sent>,
    rolls: impl IntoIterator<Item = RollId>,
) -> Vec<TransferDoc> {
    left(node, sent, rolls)
        .into_iter()
        .filter(|(peer, _)| *peer != node.id())
        .map(|(peer, left)| {
            let (done, rate) = sent.get(&peer).map_or((0, 0.0), |sent| (sent.bytes, sent.rate));
            TransferDoc {
                peer: peer.to_string(),
                bytes_done: done,
                bytes_total: done + left,
                eta_seconds: (rate > 0.0).then(|| (left as f64 / rate).ceil() as u64),
            }
        })
        .collect()
}
