//! Who is connected, and what of it the shell was told.

use std::collections::{BTreeMap, BTreeSet};

use libp2p::swarm::ConnectionId;
use safelight_proto::id::NodeId;
use tokio::time::Instant;

use super::address::Address;
use super::event::{Direction, NetEvent};
use super::handle::Connection;

/// One connection.
pub(super) struct Link {
    pub address: Address,
    pub direction: Direction,
    /// Whether it carries the member protocols.
    pub open: bool,
    pub since: Instant,
    /// When it is to end at the latest, beside the general limits.
    pub until: Option<Instant>,
    /// Whether it was told to close already.
    pub closing: bool,
}

/// A connected node.
struct Peer {
    links: BTreeMap<ConnectionId, Link>,
    /// Differs between two stretches of being connected in the same way.
    stretch: u64,
    last_join: Option<Instant>,
}

/// The connected nodes.
#[derive(Default)]
pub(super) struct Peers {
    nodes: BTreeMap<NodeId, Peer>,
    stretches: u64,
    /// The stretch that the shell knows of, and whether it knows the node as a member.
    told: BTreeMap<NodeId, (u64, bool)>,
    /// Nodes about which the shell may have to be told something.
    changed: BTreeSet<NodeId>,
}

impl Peers {
    pub fn contains(&self, node: &NodeId) -> bool {
        self.nodes.contains_key(node)
    }

    /// Whether a connection carries the member protocols.
    pub fn is_open(&self, node: &NodeId) -> bool {
        self.nodes.get(node).is_some_and(Peer::is_open)
    }

    pub fn add(&mut self, node: NodeId, id: ConnectionId, link: Link) {
        let stretches = &mut self.stretches;
        let peer = self.nodes.entry(node).or_insert_with(|| {
            *stretches += 1;
            Peer { links: BTreeMap::new(), stretch: *stretches, last_join: None }
        });
        peer.links.insert(id, link);
        self.changed.insert(node);
    }

    /// Removes a connection; whether it was the node's last.
    pub fn remove(&mut self, node: NodeId, id: ConnectionId) -> bool {
        let Some(peer) = self.nodes.get_mut(&node) else { return false };
        let was_open = peer.is_open();
        peer.links.remove(&id);
        let gone = peer.links.is_empty();
        if gone {
            self.nodes.remove(&node);
        } else if was_open && !peer.is_open() {
            self.stretches += 1;
            peer.stretch = self.stretches;
        }
        self.changed.insert(node);
        gone
    }

    /// When the first of the node's direct connections with the member protocols began.
    pub fn direct_since(&self, node: &NodeId) -> Option<Instant> {
        let links = self.nodes.get(node)?.links.values();
        links.filter(|link| link.open && !link.address.is_relayed()).map(|link| link.since).min()
    }

    /// The stranger's connections are to end by then.
    pub fn limit(&mut self, node: &NodeId, until: Instant) {
        for link in self.nodes.get_mut(node).into_iter().flat_map(|peer| peer.links.values_mut()) {
            link.until = Some(link.until.map_or(until, |before| before.min(until)));
        }
    }

    /// A connection was told to close.
    pub fn on_closing(&mut self, node: NodeId, id: ConnectionId) {
        if let Some(link) = self.nodes.get_mut(&node).and_then(|peer| peer.links.get_mut(&id)) {
            link.closing = true;
        }
    }

    /// A join exchange with the node happened.
    pub fn on_join(&mut self, node: &NodeId, now: Instant) {
        if let Some(peer) = self.nodes.get_mut(node) {
            peer.last_join = Some(now);
        }
    }

    /// All connections: node, its last join exchange, id, connection.
    pub fn links(&self) -> impl Iterator<Item = (NodeId, Option<Instant>, ConnectionId, &Link)> {
        self.nodes
            .iter()
            .flat_map(|(node, peer)| peer.links.iter().map(|(id, link)| (*node, peer.last_join, *id, link)))
    }

    /// What everyone may see.
    pub fn view(&self) -> BTreeMap<NodeId, Connection> {
        self.nodes.iter().filter_map(|(node, peer)| Some((*node, peer.summary()?))).collect()
    }

    /// Whether [`Self::news`] may have something to tell.
    pub fn has_news(&self) -> bool {
        !self.changed.is_empty()
    }

    /// The next thing to tell the shell. State is compared, so nothing queues up while it is slow.
    pub fn news(&mut self) -> Option<NetEvent> {
        while let Some(node) = self.changed.first().copied() {
            let peer = self.nodes.get(&node);
            match (self.told.get(&node), peer) {
                (Some(told), Some(peer)) if *told == (peer.stretch, peer.is_open()) => {}
                // A connection before the gate that is now behind it, in the same stretch.
                (Some((stretch, false)), Some(peer)) if *stretch == peer.stretch => {
                    return self.tell_connected(node);
                }
                (Some(_), peer) => {
                    if peer.is_none() {
                        self.changed.remove(&node);
                    }
                    self.told.remove(&node);
                    return Some(NetEvent::Disconnected { node });
                }
                (None, Some(_)) => return self.tell_connected(node),
                (None, None) => {}
            }
            self.changed.remove(&node);
        }
        None
    }

    fn tell_connected(&mut self, node: NodeId) -> Option<NetEvent> {
        let peer = self.nodes.get(&node)?;
        let Connection { address, relayed, member } = peer.summary()?;
        self.told.insert(node, (peer.stretch, member));
        self.changed.remove(&node);
        Some(NetEvent::Connected { node, address, relayed, member })
    }
}

impl Peer {
    fn is_open(&self) -> bool {
        self.links.values().any(|link| link.open)
    }

    fn summary(&self) -> Option<Connection> {
        let member = self.is_open();
        let first = self.links.values().find(|link| link.open == member)?;
        Some(Connection {
            address: first.address.clone(),
            relayed: self.links.values().all(|link| link.address.is_relayed()),
            member,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId([1; 32]);

    fn link(open: bool) -> Link {
        let place = "/ip4/127.0.0.1/tcp/1".parse().expect("a multiaddr");
        let address = Address::new(NODE, place);
        Link {
            address,
            direction: Direction::Inbound,
            open,
            since: Instant::now(),
            until: None,
            closing: false,
        }
    }

    fn id(n: usize) -> ConnectionId {
        ConnectionId::new_unchecked(n)
    }

    /// What the shell is told now: `c` connected as a stranger, `m` as a member, `d` gone.
    fn told(peers: &mut Peers) -> String {
        let mut told = String::new();
        while let Some(event) = peers.news() {
            told.push(match event {
                NetEvent::Connected { member: false, .. } => 'c',
                NetEvent::Connected { member: true, .. } => 'm',
                NetEvent::Disconnected { .. } => 'd',
                other => panic!("{other:?}"),
            });
        }
        assert!(!peers.has_news());
        told
    }

    #[tokio::test]
    async fn first_and_last_connections_are_told() {
        let mut peers = Peers::default();
        peers.add(NODE, id(1), link(true));
        assert_eq!(told(&mut peers), "m");
        peers.add(NODE, id(2), link(true));
        assert!(!peers.remove(NODE, id(1)));
        assert_eq!(told(&mut peers), "");
        assert!(peers.remove(NODE, id(2)));
        assert_eq!(told(&mut peers), "d");
        assert!(peers.nodes.is_empty() && peers.told.is_empty());
    }

    #[tokio::test]
    async fn a_stranger_becomes_a_member_and_a_stranger_again() {
        let mut peers = Peers::default();
        peers.add(NODE, id(1), link(false));
        assert_eq!(told(&mut peers), "c");
        peers.add(NODE, id(2), link(true));
        assert_eq!(told(&mut peers), "m");
        peers.remove(NODE, id(2));
        assert_eq!(told(&mut peers), "dc");
    }

    #[tokio::test]
    async fn a_slow_shell_sees_that_there_was_a_break() {
        let mut peers = Peers::default();
        peers.add(NODE, id(1), link(true));
        assert_eq!(told(&mut peers), "m");
        peers.remove(NODE, id(1));
        peers.add(NODE, id(2), link(true));
        assert_eq!(told(&mut peers), "dm");
        // What came and went unseen is not told.
        peers.add(NodeId([2; 32]), id(3), link(false));
        peers.remove(NodeId([2; 32]), id(3));
        assert_eq!(told(&mut peers), "");
    }
}
