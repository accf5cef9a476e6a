//! Ways through other nodes, for those that cannot be dialled (behind NAT).
//!
//! A node with a public address serves as relay: without limits for members, whose photos may have
//! to go through it, and now and then a circuit for a stranger, so that joining and recovering work
//! behind NAT. Only members may be reached through it. libp2p's relay knows one set of limits for
//! all; what differs for strangers is decided here and by their connections' short lives.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use libp2p::multiaddr::Protocol;
use libp2p::relay::{self, RateLimiter};
use libp2p::{Multiaddr, PeerId};

use super::address::{ip_of, is_near, is_relayed};
use super::gate::Members;
use super::limits;

/// A relay server for members.
pub(super) fn server(own: PeerId, members: Members) -> relay::Behaviour {
    let config = relay::Config {
        max_reservations: limits::RELAY_RESERVATIONS,
        max_reservations_per_peer: limits::CONNECTIONS_PER_PEER as usize,
        reservation_duration: Duration::from_secs(3600),
        reservation_rate_limiters: vec![Box::new(MembersOnly(members.clone()))],
        max_circuits: limits::RELAY_CIRCUITS,
        max_circuits_per_peer: limits::CONNECTIONS_PER_PEER as usize,
        // The protocol cannot say "without limit" but for bytes, where it is 0.
        max_circuit_duration: Duration::from_secs(365 * 24 * 3600),
        max_circuit_bytes: 0,
        circuit_src_rate_limiters: vec![Box::new(FewStrangers { members, admitted: VecDeque::new() })],
    };
    relay::Behaviour::new(own, config)
}

/// The address to ask a relay for a reservation at.
pub(super) fn reservation(relay: PeerId, place: &Multiaddr) -> Multiaddr {
    place.clone().with(Protocol::P2p(relay)).with(Protocol::P2pCircuit)
}

/// Whether others can dial this address from anywhere.
pub(super) fn is_public(place: &Multiaddr) -> bool {
    !is_relayed(place) && ip_of(place).is_some_and(|ip| !is_near(ip) && !ip.is_unspecified())
}

/// Reservations: who has one can be reached through this node.
struct MembersOnly(Members);

impl RateLimiter for MembersOnly {
    fn try_next(&mut self, peer: PeerId, _: &Multiaddr, _: Instant) -> bool {
        self.0.contains(&peer)
    }
}

/// Circuits: members always, strangers seldom.
struct FewStrangers {
    members: Members,
    admitted: VecDeque<(PeerId, Instant)>,
}

impl RateLimiter for FewStrangers {
    fn try_next(&mut self, peer: PeerId, _: &Multiaddr, now: Instant) -> bool {
        if self.members.contains(&peer) {
            return true;
        }
        self.admitted.retain(|(_, when)| now.duration_since(*when) < limits::STRANGER_CIRCUIT);
        if self.admitted.len() >= limits::STRANGER_CIRCUITS
            || self.admitted.iter().any(|(who, _)| *who == peer)
        {
            return false;
        }
        self.admitted.push_back((peer, now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_get_a_circuit_now_and_then_and_members_always() {
        let (member, stranger) = (PeerId::random(), PeerId::random());
        let members = Members::default();
        members.replace([member].into());
        let mut few = FewStrangers { members: members.clone(), admitted: VecDeque::new() };
        let (place, now) = (Multiaddr::empty(), Instant::now());
        assert!(few.try_next(stranger, &place, now));
        assert!(!few.try_next(stranger, &place, now));
        for _ in 1..limits::STRANGER_CIRCUITS {
            assert!(few.try_next(PeerId::random(), &place, now));
        }
        assert!(!few.try_next(PeerId::random(), &place, now));
        assert!((0..100).all(|_| few.try_next(member, &place, now)));
        assert!(few.try_next(stranger, &place, now + limits::STRANGER_CIRCUIT));
        let mut reservations = MembersOnly(members);
        assert!(reservations.try_next(member, &place, now) && !reservations.try_next(stranger, &place, now));
    }

    #[test]
    fn public_is_what_can_be_dialled_from_anywhere() {
        let public = |text: &str| is_public(&text.parse().expect("a multiaddr"));
        assert!(public("/ip4/198.51.100.7/tcp/3210"));
        for local in
            ["/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip4/0.0.0.0/tcp/1", "/ip6/fe80::1/tcp/1"]
        {
            assert!(!public(local), "{local}");
        }
    }
}
