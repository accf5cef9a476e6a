//! The gate: what a peer that is no member is not even offered.
//!
//! [`Gate`] wraps the member protocols. When a connection is established its peer either is a
//! member, and gets their handlers, or is a stranger, and gets a handler without any protocol, for
//! the whole life of that connection. [`Door`] keeps the number of strangers small.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::convert::Infallible;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};

use either::Either;
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished};
use libp2p::swarm::handler::ConnectionEvent;
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour,
    NotifyHandler, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};

use super::address::node_id;
use super::limits::STRANGER_CONNECTIONS;

/// The members as both halves of the gate see them.
#[derive(Clone, Default)]
pub(super) struct Members(Arc<RwLock<BTreeSet<PeerId>>>);

impl Members {
    pub fn contains(&self, peer: &PeerId) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(peer)
    }

    pub fn replace(&self, members: BTreeSet<PeerId>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = members;
    }
}

/// Why the door stayed shut.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{STRANGER_CONNECTIONS} strangers are connected already")]
    TooManyStrangers,
    #[error("the peer's key is not ed25519")]
    ForeignKey,
}

/// Refuses strangers beyond [`STRANGER_CONNECTIONS`], and peers that can be no node.
///
/// It comes before all behaviours that remember connections: libp2p's request-response and
/// gossipsub never forget one that a later behaviour denied.
pub(super) struct Door {
    members: Members,
    strangers: HashSet<ConnectionId>,
}

impl Door {
    pub fn new(members: Members) -> Self {
        Self { members, strangers: HashSet::new() }
    }
}

impl NetworkBehaviour for Door {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if node_id(&peer).is_err() {
            return Err(ConnectionDenied::new(Refusal::ForeignKey));
        }
        if !self.members.contains(&peer) {
            if self.strangers.len() >= STRANGER_CONNECTIONS {
                return Err(ConnectionDenied::new(Refusal::TooManyStrangers));
            }
            self.strangers.insert(id);
        }
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        match node_id(&peer) {
            Ok(_) => Ok(dummy::ConnectionHandler),
            Err(_) => Err(ConnectionDenied::new(Refusal::ForeignKey)),
        }
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionClosed(closed) => self.strangers.remove(&closed.connection_id),
            FromSwarm::ListenFailure(failure) => self.strangers.remove(&failure.connection_id),
            _ => false,
        };
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

/// Opens the protocols of `B` to members alone; towards strangers `B` does not exist.
///
/// `B` hears only of the connections that were opened to it, and counts only those.
pub(super) struct Gate<B> {
    members: Members,
    inner: B,
    /// Connections that carry `B`'s handler.
    granted: HashSet<ConnectionId>,
    /// Those of them that are established, by peer.
    open: HashMap<PeerId, BTreeSet<ConnectionId>>,
}

impl<B> Gate<B> {
    pub fn new(members: Members, inner: B) -> Self {
        Self { members, inner, granted: HashSet::new(), open: HashMap::new() }
    }

    /// The protocols behind the gate.
    pub fn inner(&mut self) -> &mut B {
        &mut self.inner
    }

    /// Whether this connection was opened as a member's.
    pub fn is_open(&self, id: ConnectionId) -> bool {
        self.granted.contains(&id)
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for Gate<B> {
    type ConnectionHandler = Either<Held<THandler<B>>, dummy::ConnectionHandler>;
    type ToSwarm = B::ToSwarm;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.inner.handle_pending_inbound_connection(id, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if !self.members.contains(&peer) {
            return Ok(Either::Right(dummy::ConnectionHandler));
        }
        let handler = self.inner.handle_established_inbound_connection(id, peer, local, remote)?;
        self.granted.insert(id);
        Ok(Either::Left(Held(handler)))
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.inner.handle_pending_outbound_connection(id, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if !self.members.contains(&peer) {
            return Ok(Either::Right(dummy::ConnectionHandler));
        }
        let handler = self.inner.handle_established_outbound_connection(id, peer, address, role, port)?;
        self.granted.insert(id);
        Ok(Either::Left(Held(handler)))
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionEstablished(mut established) => {
                self.on_established(&mut established);
                if self.granted.contains(&established.connection_id) {
                    self.inner.on_swarm_event(FromSwarm::ConnectionEstablished(established));
                }
            }
            FromSwarm::ConnectionClosed(mut closed) => {
                if self.granted.remove(&closed.connection_id) {
                    self.on_closed(&mut closed);
                    self.inner.on_swarm_event(FromSwarm::ConnectionClosed(closed));
                }
            }
            FromSwarm::AddressChange(change) if !self.granted.contains(&change.connection_id) => {}
            FromSwarm::ListenFailure(failure) => {
                self.granted.remove(&failure.connection_id);
                self.inner.on_swarm_event(event);
            }
            FromSwarm::DialFailure(failure) => {
                self.granted.remove(&failure.connection_id);
                self.inner.on_swarm_event(event);
            }
            _ => self.inner.on_swarm_event(event),
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {
            Either::Left(event) => self.inner.on_connection_handler_event(peer, id, event),
            Either::Right(never) => match never {},
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        while let Poll::Ready(action) = self.inner.poll(cx) {
            let ToSwarm::NotifyHandler { peer_id, handler, event } = action else {
                return Poll::Ready(action.map_in(Either::Left));
            };
            // "Any" connection must not be one without the handler; an event for a connection that
            // closed meanwhile is dropped, as the swarm itself would.
            let to = match handler {
                NotifyHandler::One(id) => Some(id),
                NotifyHandler::Any => self.open.get(&peer_id).and_then(|ids| ids.first().copied()),
            };
            if let Some(id) = to.filter(|id| self.granted.contains(id)) {
                let handler = NotifyHandler::One(id);
                return Poll::Ready(ToSwarm::NotifyHandler { peer_id, handler, event: Either::Left(event) });
            }
        }
        Poll::Pending
    }
}

impl<B> Gate<B> {
    fn on_established(&mut self, event: &mut ConnectionEstablished<'_>) {
        if self.granted.contains(&event.connection_id) {
            let open = self.open.entry(event.peer_id).or_default();
            event.other_established = open.len();
            open.insert(event.connection_id);
        }
    }

    fn on_closed(&mut self, event: &mut ConnectionClosed<'_>) {
        event.remaining_established = 0;
        if let Some(open) = self.open.get_mut(&event.peer_id) {
            open.remove(&event.connection_id);
            event.remaining_established = open.len();
            if open.is_empty() {
                self.open.remove(&event.peer_id);
            }
        }
    }
}

/// A member's handler, which holds its connection open for good: members stay connected.
pub(super) struct Held<H>(H);

impl<H: ConnectionHandler> ConnectionHandler for Held<H> {
    type FromBehaviour = H::FromBehaviour;
    type ToBehaviour = H::ToBehaviour;
    type InboundProtocol = H::InboundProtocol;
    type OutboundProtocol = H::OutboundProtocol;
    type InboundOpenInfo = H::InboundOpenInfo;
    type OutboundOpenInfo = H::OutboundOpenInfo;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol, Self::InboundOpenInfo> {
        self.0.listen_protocol()
    }

    fn connection_keep_alive(&self) -> bool {
        true
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>> {
        self.0.poll(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Option<Self::ToBehaviour>> {
        self.0.poll_close(cx)
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        self.0.on_behaviour_event(event);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<
            Self::InboundProtocol,
            Self::OutboundProtocol,
            Self::InboundOpenInfo,
            Self::OutboundOpenInfo,
        >,
    ) {
        self.0.on_connection_event(event);
    }
}
