//! Where nodes are found, and the two names of a node: [`NodeId`] here, `PeerId` inside libp2p.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use libp2p::identity::{PublicKey, ed25519};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use safelight_proto::id::NodeId;

/// Why a text is no address of a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is no multiaddr.
    #[error("'{0}' is not an address like /ip4/192.0.2.7/tcp/3210/p2p/ID")]
    Malformed(String),
    /// It does not say which node is there.
    #[error("the address '{0}' does not end in /p2p/ID")]
    NoNode(String),
    /// The node's id is not an ed25519 public key.
    #[error("'{0}' is not the id of a Safelight node (no ed25519 key)")]
    ForeignKey(String),
}

/// A place where one node is found: a multiaddr that ends in `/p2p/ID`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address {
    node: NodeId,
    /// Without the last `/p2p/ID`.
    place: Multiaddr,
}

impl Address {
    /// The node that is found there.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Whether the way leads through another node.
    pub fn is_relayed(&self) -> bool {
        is_relayed(&self.place)
    }

    /// `place`, with or without a last `/p2p/ID`, as an address of `node`.
    pub(super) fn new(node: NodeId, mut place: Multiaddr) -> Self {
        if matches!(place.iter().last(), Some(Protocol::P2p(_))) {
            place.pop();
        }
        Self { node, place }
    }

    /// The multiaddr without the node's own id, as transports want it.
    pub(super) fn place(&self) -> &Multiaddr {
        &self.place
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = peer_id(&self.node).map_err(|_| fmt::Error)?;
        write!(f, "{}/p2p/{peer}", self.place)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({}, {})", self.place, self.node.short())
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let mut place: Multiaddr = text.parse().map_err(|_| AddressError::Malformed(text.to_owned()))?;
        let Some(Protocol::P2p(peer)) = place.pop() else {
            return Err(AddressError::NoNode(text.to_owned()));
        };
        if place.is_empty() {
            return Err(AddressError::Malformed(text.to_owned()));
        }
        Ok(Self { node: node_id(&peer)?, place })
    }
}

/// libp2p's name of a node. Fails for 32 bytes that are no ed25519 public key.
pub fn peer_id(node: &NodeId) -> Result<PeerId, AddressError> {
    let key = ed25519::PublicKey::try_from_bytes(node.as_bytes())
        .map_err(|_| AddressError::ForeignKey(node.to_string()))?;
    Ok(PublicKey::from(key).to_peer_id())
}

/// The node that libp2p calls `peer`. Fails for peers with keys of another kind.
pub fn node_id(peer: &PeerId) -> Result<NodeId, AddressError> {
    // The id of an ed25519 key is the key itself, in an identity "hash".
    const IDENTITY: u64 = 0;
    let foreign = || AddressError::ForeignKey(peer.to_base58());
    let hash = peer.as_ref();
    if hash.code() != IDENTITY {
        return Err(foreign());
    }
    let key = PublicKey::try_decode_protobuf(hash.digest()).map_err(|_| foreign())?;
    let key = key.try_into_ed25519().map_err(|_| foreign())?;
    Ok(NodeId(key.to_bytes()))
}

/// The TCP and the QUIC multiaddr of a socket address.
pub(super) fn multiaddrs(at: SocketAddr) -> [Multiaddr; 2] {
    let ip = Multiaddr::from(at.ip());
    [ip.clone().with(Protocol::Tcp(at.port())), ip.with(Protocol::Udp(at.port())).with(Protocol::QuicV1)]
}

/// The address's IP, where it starts with one.
pub(super) fn ip_of(place: &Multiaddr) -> Option<IpAddr> {
    match place.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

/// Whether the way leads through another node.
pub(super) fn is_relayed(place: &Multiaddr) -> bool {
    place.iter().any(|part| part == Protocol::P2pCircuit)
}

/// Which kind of way an address is. Ways of lower rank are tried first: TCP costs half the CPU of
/// QUIC where the network is near, QUIC gets through more walls where it is far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    NearTcp,
    FarQuic,
    NearQuic,
    FarTcp,
    Relayed,
}

impl Way {
    pub(super) fn of(place: &Multiaddr) -> Self {
        let near = ip_of(place).is_some_and(is_near);
        let quic = place.iter().any(|part| part == Protocol::QuicV1);
        match (is_relayed(place), near, quic) {
            (true, _, _) => Self::Relayed,
            (_, true, false) => Self::NearTcp,
            (_, true, true) => Self::NearQuic,
            (_, false, true) => Self::FarQuic,
            (_, false, false) => Self::FarTcp,
        }
    }

    /// Whether a dial should come from the listening port. For QUIC it keeps the hole in a NAT. For
    /// TCP, two nodes that dial each other from their listening ports at the same time make one
    /// connection on which both believe to be the dialler, and neither gets through.
    pub(super) fn dials_from_listening_port(self) -> bool {
        matches!(self, Self::NearQuic | Self::FarQuic)
    }
}

pub(super) fn is_near(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::identity::Keypair;

    fn some_node() -> NodeId {
        let pair = Keypair::ed25519_from_bytes([9; 32]).expect("a seed of 32 bytes");
        node_id(&pair.public().to_peer_id()).expect("an ed25519 key")
    }

    #[test]
    fn both_names_there_and_back() {
        let node = some_node();
        assert_eq!(peer_id(&node).and_then(|peer| node_id(&peer)), Ok(node));
        // Measured once for seed 09 09 …; the same key as iroh's.
        assert!(node.to_string().starts_with("fd172438"));
        assert!(peer_id(&node).is_ok_and(|p| p.to_base58().starts_with("12D3KooWSrKn")));
        // Half of all byte strings are no point on the curve.
        assert!((0..32).any(|n| peer_id(&NodeId([n; 32])).is_err()));
        // A hashed id, as RSA keys have.
        assert!(matches!(node_id(&PeerId::random()), Err(AddressError::ForeignKey(_))));
    }

    #[test]
    fn addresses_there_and_back() {
        let id = peer_id(&some_node()).expect("a key").to_base58();
        let text = format!("/ip4/192.0.2.7/udp/3210/quic-v1/p2p/{id}");
        let address: Address = text.parse().expect("an address");
        assert_eq!((address.to_string(), address.node()), (text, some_node()));
        for bad in ["", "/", "192.0.2.7:3210", "/ip4/192.0.2.7/tcp/3210", &format!("/p2p/{id}")] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }

    #[test]
    fn near_ways_are_tcp_first() {
        let way = |text: &str| Way::of(&text.parse().expect("a multiaddr"));
        assert_eq!(way("/ip4/127.0.0.1/tcp/1"), Way::NearTcp);
        assert_eq!(way("/ip4/192.168.1.9/udp/1/quic-v1"), Way::NearQuic);
        assert_eq!(way("/ip6/2001:db8::1/udp/1/quic-v1"), Way::FarQuic);
        assert_eq!(way("/dns4/studio.example/tcp/1"), Way::FarTcp);
        assert!(Way::NearTcp < Way::NearQuic && Way::FarQuic < Way::FarTcp);
    }
}
