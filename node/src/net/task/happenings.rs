//! What happens on the network.

use bytes::Bytes;
use libp2p::core::ConnectedPoint;
use libp2p::gossipsub;
use libp2p::request_response::{self, OutboundFailure, OutboundRequestId};
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, PeerId, identify, mdns, ping, relay};
use safelight_proto::id::NodeId;
use tokio::time::Instant;

use super::super::address::{Address, ip_of, is_relayed, node_id};
use super::super::behaviour::{BehaviourEvent, MemberProtocolsEvent};
use super::super::codec::{Incoming, TooLong};
use super::super::event::{Channel, Direction, NetEvent, ReplyHandle, VerdictHandle};
use super::super::handle::RequestError;
use super::super::listen::announced;
use super::super::peers::Link;
use super::super::{limits, relay as relaying};
use super::{Task, explain, root};

impl Task {
    pub(super) fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        let now = Instant::now();
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event, now),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_established(peer_id, connection_id, &endpoint, now);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, .. } => {
                let Ok(node) = node_id(&peer_id) else { return };
                tracing::debug!(node = %node.short(), ?cause, "connection closed");
                if self.peers.remove(node, connection_id) {
                    self.dialer.on_disconnected(node, now);
                }
                self.connected.send_replace(self.peers.view());
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), connection_id, error } => {
                let Ok(node) = node_id(&peer) else { return };
                tracing::debug!(node = %node.short(), %error, "dial failed");
                self.dialer.on_failed(node, Some(connection_id), explain(&error), now);
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                tracing::debug!(from = %send_back_addr, error = root(&error), "inbound connection refused");
            }
            SwarmEvent::NewListenAddr { address, .. } => self.on_listening(address),
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.listening.retain(|place| *place != address);
                self.on_addresses_changed();
            }
            SwarmEvent::ListenerClosed { listener_id, addresses, reason } => {
                self.relays.retain(|_, id| *id != listener_id);
                tracing::warn!(?addresses, ?reason, "a listener closed");
                self.listening.retain(|place| !addresses.contains(place));
                self.on_addresses_changed();
            }
            SwarmEvent::ExternalAddrConfirmed { .. } | SwarmEvent::ExternalAddrExpired { .. } => {
                self.on_addresses_changed();
            }
            _ => {}
        }
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent, now: Instant) {
        match event {
            BehaviourEvent::Join(event) => self.on_exchange(Channel::Join, event, now),
            BehaviourEvent::Gate(MemberProtocolsEvent::Requests(event)) => {
                self.on_exchange(Channel::Member, event, now);
            }
            BehaviourEvent::Gate(MemberProtocolsEvent::Gossip(event)) => self.on_gossip(event),
            BehaviourEvent::Identify(identify::Event::Received { peer_id, connection_id, info }) => {
                self.on_identified(peer_id, connection_id, info, now);
            }
            BehaviourEvent::Ping(ping::Event { peer, connection, result: Err(ping::Failure::Timeout) }) => {
                self.drop_connection(peer, connection, "it did not answer a ping");
            }
            BehaviourEvent::Relay(relay::Event::CircuitReqAccepted { src_peer_id, .. })
                if !self.members.contains(&src_peer_id) =>
            {
                if let Ok(node) = node_id(&src_peer_id) {
                    self.peers.limit(&node, now + limits::STRANGER_CIRCUIT);
                }
            }
            BehaviourEvent::Mdns(mdns::Event::Discovered(found)) => {
                for (peer, place) in found {
                    let Ok(node) = node_id(&peer) else { continue };
                    self.dialer.learn(node, [place.clone()], now);
                    self.outbox.push(NetEvent::Discovered { node, address: Address::new(node, place) });
                }
            }
            _ => {}
        }
    }

    fn on_established(&mut self, peer: PeerId, id: ConnectionId, endpoint: &ConnectedPoint, now: Instant) {
        let Ok(node) = node_id(&peer) else { return };
        let link = Link {
            address: Address::new(node, endpoint.get_remote_address().clone()),
            direction: if endpoint.is_dialer() { Direction::Outbound } else { Direction::Inbound },
            open: self.swarm.behaviour().gate.is_open(id),
            since: now,
            until: None,
            closing: false,
        };
        tracing::debug!(address = ?link.address, direction = ?link.direction, member = link.open, "connected");
        self.peers.add(node, id, link);
        // First seen by all, then told to who dialled.
        self.connected.send_replace(self.peers.view());
        self.dialer.on_connected(node, now);
    }

    fn on_exchange(
        &mut self,
        channel: Channel,
        event: request_response::Event<Incoming, Incoming>,
        now: Instant,
    ) {
        use request_response::{Event, Message};
        let (Event::Message { peer, .. }
        | Event::OutboundFailure { peer, .. }
        | Event::InboundFailure { peer, .. }
        | Event::ResponseSent { peer, .. }) = &event;
        let Ok(node) = node_id(peer) else { return };
        if channel == Channel::Join {
            self.peers.on_join(&node, now);
        }
        match event {
            Event::Message {
                peer,
                connection_id,
                message: Message::Request { request_id, request, channel: slot },
            } => match request {
                Ok(_) if channel == Channel::Member && !self.members.contains(&peer) => {}
                Ok(bytes) => {
                    if channel == Channel::Join {
                        self.exchanges.joining.insert(request_id, node);
                    }
                    let reply = ReplyHandle { channel, slot, commands: self.commands.clone() };
                    self.outbox.push(NetEvent::Request { from: node, channel, bytes, reply });
                }
                Err(too_long) => self.on_too_long(peer, connection_id, too_long),
            },
            Event::Message { peer, connection_id, message: Message::Response { request_id, response } } => {
                let answer = response.map_err(|too_long| {
                    self.on_too_long(peer, connection_id, too_long);
                    RequestError::AnswerTooLong
                });
                self.on_answer(channel, request_id, answer);
            }
            Event::OutboundFailure { request_id, error, .. } => {
                let error = match error {
                    OutboundFailure::DialFailure => RequestError::NotConnected,
                    OutboundFailure::Timeout => RequestError::Timeout,
                    OutboundFailure::UnsupportedProtocols => RequestError::NotAccepted,
                    other => RequestError::Refused(other.to_string()),
                };
                self.on_answer(channel, request_id, Err(error));
            }
            Event::InboundFailure { request_id, .. } | Event::ResponseSent { request_id, .. } => {
                if channel == Channel::Join {
                    self.exchanges.joining.remove(&request_id);
                }
            }
        }
    }

    fn on_answer(&mut self, channel: Channel, id: OutboundRequestId, answer: Result<Bytes, RequestError>) {
        if let Some((_, done)) = self.exchanges.asked.remove(&(channel, id)) {
            // Whoever asked may have stopped waiting.
            let _ = done.send(answer);
        }
    }

    fn on_too_long(&mut self, peer: PeerId, connection: ConnectionId, too_long: TooLong) {
        self.drop_connection(peer, connection, &format!("it sent {too_long}"));
    }

    fn on_gossip(&mut self, event: gossipsub::Event) {
        let gossipsub::Event::Message { propagation_source, message_id, message } = event else { return };
        let commands = self.commands.clone();
        let verdict =
            VerdictHandle { message: message_id, source: propagation_source, commands, given: false };
        match node_id(&propagation_source) {
            Ok(from) if self.members.contains(&propagation_source) => {
                self.outbox.push(NetEvent::Gossip { from, bytes: message.data.into(), verdict });
            }
            _ => drop(verdict),
        }
    }

    /// What a node says about where it is found. Loopback means this machine, not its own.
    fn on_identified(&mut self, peer: PeerId, id: ConnectionId, info: identify::Info, now: Instant) {
        let Ok(node) = node_id(&peer) else { return };
        let is_loopback = |place: &Multiaddr| ip_of(place).is_some_and(|ip| ip.is_loopback());
        let here = self
            .peers
            .links()
            .any(|(_, _, link_id, link)| link_id == id && is_loopback(link.address.place()));
        let relays = info.protocols.contains(&relay::HOP_PROTOCOL_NAME);
        if relays && self.members.contains(&peer) && self.relays.len() < limits::RELAYS {
            self.reserve(node, peer, &info.listen_addrs);
        }
        let places = info.listen_addrs.into_iter().filter(|place| here || !is_loopback(place));
        self.dialer.learn(node, places, now);
    }

    /// Has itself reached through that member, unless it can be dialled itself.
    fn reserve(&mut self, node: NodeId, relay: PeerId, places: &[Multiaddr]) {
        let reachable = self.swarm.external_addresses().any(|place| !is_relayed(place));
        if reachable || self.relays.contains_key(&node) {
            return;
        }
        let Some(place) = places.iter().find(|place| relaying::is_public(place)) else { return };
        match self.swarm.listen_on(relaying::reservation(relay, place)) {
            Ok(id) => {
                self.relays.insert(node, id);
            }
            Err(error) => tracing::debug!(relay = %node.short(), %error, "no reservation"),
        }
    }

    pub(super) fn on_listening(&mut self, place: Multiaddr) {
        if !self.listening.contains(&place) {
            self.listening.push(place.clone());
            self.outbox.push(NetEvent::Listening { address: Address::new(self.node, place) });
            self.on_addresses_changed();
        }
    }

    pub(super) fn on_addresses_changed(&mut self) {
        // What was given to announce, and a public address of the machine's own, others can dial.
        let public = self.listening.iter().filter(|place| relaying::is_public(place));
        for place in self.announce.iter().chain(public).cloned().collect::<Vec<_>>() {
            if !self.swarm.external_addresses().any(|known| *known == place) {
                self.swarm.add_external_address(place);
            }
        }
        let mut places = announced(&self.listening, &self.wanted);
        let mut reachable = false;
        // A reservation is listened on, too, under the relay's own addresses.
        for place in self.swarm.external_addresses().filter(|place| !is_relayed(place)) {
            reachable = true;
            if !places.contains(place) {
                places.push(place.clone());
            }
        }
        let status = if reachable { relay::Status::Enable } else { relay::Status::Disable };
        self.swarm.behaviour_mut().relay.set_status(Some(status));
        let addresses = places.into_iter().map(|place| Address::new(self.node, place)).collect();
        let changed = self.addresses.send_if_modified(|old| {
            let changed = *old != addresses;
            *old = addresses;
            changed
        });
        if changed {
            self.outbox.push(NetEvent::AddressesChanged);
        }
    }
}
