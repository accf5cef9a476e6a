//! The network task: owns the swarm, does what it is asked, tells what happens.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::error::Error;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use libp2p::core::ConnectedPoint;
use libp2p::core::transport::ListenerId;
use libp2p::gossipsub::{self, MessageAcceptance};
use libp2p::identity::Keypair;
use libp2p::request_response::{self, InboundRequestId, OutboundFailure, OutboundRequestId};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{self, ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, identify, mdns, ping, relay};
use safelight_proto::id::{LibraryId, NodeId};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::address::{Address, ip_of, is_relayed, multiaddrs, node_id, peer_id};
use super::behaviour::{self, Behaviour, BehaviourEvent, Find, MemberProtocolsEvent, SHARD_PROTOCOL};
use super::codec::{Incoming, TooLong};
use super::dialer::{Dial, Dialer};
use super::event::{Channel, Direction, NetEvent, ReplyHandle, VerdictHandle};
use super::gate::Members;
use super::handle::{Command, Connection, DialError, NetHandle, PublishError, RequestError, Views};
use super::listen::{announced, listen};
use super::outbox::Outbox;
use super::peers::{Link, Peers};
use super::stream::{self, Streams};
use super::{NetConfig, NetError, limits, relay as relaying};

/// How long a shutdown waits for connections to close.
const SHUTDOWN: Duration = Duration::from_secs(2);

/// Starts the task. See [`super::Net::start`].
pub(super) async fn start(config: NetConfig) -> Result<(NetHandle, mpsc::Receiver<NetEvent>), NetError> {
    let keypair =
        Keypair::ed25519_from_bytes(config.secret).map_err(|error| NetError::Setup(error.to_string()))?;
    let own = keypair.public().to_peer_id();
    let node = node_id(&own).map_err(|error| NetError::Setup(error.to_string()))?;
    let members = Members::default();
    let find = Find { mdns: config.mdns, upnp: config.upnp };
    let mut swarm = behaviour::swarm(keypair, config.library, members.clone(), find)
        .map_err(|error| NetError::Setup(error.to_string()))?;
    let mut control = swarm.behaviour_mut().gate.inner().streams.new_control();
    let incoming = control.accept(SHARD_PROTOCOL).map_err(|error| NetError::Setup(error.to_string()))?;
    let listening = listen(&mut swarm, &config.listen).await?;

    let (events, receiver) = mpsc::channel(limits::EVENT_QUEUE);
    let (commands, orders) = mpsc::unbounded_channel();
    let (addresses, addresses_view) = watch::channel(Vec::new());
    let (connected, connected_view) = watch::channel(BTreeMap::new());
    let (member_set, members_view) = watch::channel(Arc::new(BTreeSet::new()));
    let acceptor = tokio::spawn(stream::accept(incoming, members_view.clone(), events.clone()));
    let views = Views { addresses: addresses_view, connected: connected_view, members: members_view };
    let handle = NetHandle { node, commands: commands.clone(), views, streams: Streams(control) };
    let mut task = Task {
        node,
        library: config.library,
        wanted: config.listen,
        announce: config.announce.iter().flat_map(|at| multiaddrs(*at)).collect(),
        swarm,
        listening: Vec::new(),
        relays: BTreeMap::new(),
        members,
        peers: Peers::default(),
        dialer: Dialer::default(),
        outbox: Outbox::default(),
        exchanges: Exchanges::default(),
        commands,
        orders,
        addresses,
        connected,
        member_set,
        acceptor,
    };
    for place in listening {
        task.on_listening(place);
    }
    task.on_addresses_changed();
    tokio::spawn(task.run(events));
    Ok((handle, receiver))
}

struct Task {
    node: NodeId,
    library: LibraryId,
    /// Where the owner wants it to listen, and what to announce beside that.
    wanted: Vec<std::net::SocketAddr>,
    announce: Vec<Multiaddr>,
    swarm: Swarm<Behaviour>,
    listening: Vec<Multiaddr>,
    /// Nodes through which this one can be reached.
    relays: BTreeMap<NodeId, ListenerId>,
    members: Members,
    peers: Peers,
    dialer: Dialer,
    outbox: Outbox,
    exchanges: Exchanges,
    commands: mpsc::UnboundedSender<Command>,
    orders: mpsc::UnboundedReceiver<Command>,
    addresses: watch::Sender<Vec<Address>>,
    connected: watch::Sender<BTreeMap<NodeId, Connection>>,
    member_set: watch::Sender<Arc<BTreeSet<NodeId>>>,
    acceptor: JoinHandle<()>,
}

/// To whoever waits for an answer.
type Answer = oneshot::Sender<Result<Bytes, RequestError>>;

/// Requests that wait for an answer.
#[derive(Default)]
struct Exchanges {
    asked: HashMap<(Channel, OutboundRequestId), (NodeId, Answer)>,
    joining: HashMap<InboundRequestId, NodeId>,
}

impl Exchanges {
    fn asked_of(&self, node: &NodeId) -> usize {
        self.asked.values().filter(|(asked, _)| asked == node).count()
    }

    /// Whether a join request of or to the node is under way.
    fn is_joining(&self, node: &NodeId) -> bool {
        let asked =
            self.asked.iter().any(|((channel, _), (asked, _))| *channel == Channel::Join && asked == node);
        asked || self.joining.values().any(|joining| joining == node)
    }
}

impl Task {
    async fn run(mut self, events: mpsc::Sender<NetEvent>) {
        let done = loop {
            let wake = self.next_wake().unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                // What the shell said before an event happened holds when it is handled: above all
                // who is a member. Only the last branch can be ready without end.
                biased;
                order = self.orders.recv() => {
                    // The task holds a sender itself, so there is always a next one.
                    if let Some(ControlFlow::Break(done)) = order.map(|order| self.on_command(order)) {
                        break Some(done);
                    }
                }
                () = tokio::time::sleep_until(wake) => self.on_wake(),
                room = events.reserve(), if self.peers.has_news() || !self.outbox.is_empty() => {
                    let Ok(room) = room else { break None };
                    if let Some(event) = self.peers.news().or_else(|| self.outbox.pop()) {
                        room.send(event);
                    }
                }
                () = events.closed() => break None,
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
            }
        };
        self.stop().await;
        if let Some(done) = done {
            // Whoever asked may have stopped waiting.
            let _ = done.send(());
        }
    }

    async fn stop(mut self) {
        self.acceptor.abort();
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            // An error means that it is gone already.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let closed = async {
            while self.swarm.connected_peers().next().is_some() {
                self.swarm.select_next_some().await;
            }
        };
        if tokio::time::timeout(SHUTDOWN, closed).await.is_err() {
            tracing::debug!("some connections did not close in time");
        }
        self.connected.send_replace(BTreeMap::new());
    }

    // What the shell asks for.

    fn on_command(&mut self, command: Command) -> ControlFlow<oneshot::Sender<()>> {
        let now = Instant::now();
        match command {
            Command::Dial { addresses, done } => self.dial(&addresses, done),
            Command::Keep { node, addresses } if node != self.node => {
                self.dialer.keep(node, addresses, self.peers.contains(&node), now);
            }
            Command::Keep { .. } => {}
            Command::Forget { node } => self.dialer.forget(&node),
            Command::Request { node, channel, bytes, done } => self.request(node, channel, bytes, done),
            Command::Reply { channel, slot, bytes } => {
                if bytes.len() > channel.bound() {
                    tracing::error!(bytes = bytes.len(), ?channel, "an answer above the bound is not sent");
                } else {
                    // An error means that the asker is gone.
                    let _ = self.exchange(channel).send_response(slot, Ok(bytes));
                }
            }
            Command::Publish { bytes, done } => {
                let _ = done.send(self.publish(bytes));
            }
            Command::Verdict { message, source, acceptance } => {
                let rejected = matches!(acceptance, MessageAcceptance::Reject);
                let gossip = &mut self.swarm.behaviour_mut().gate.inner().gossip;
                gossip.report_message_validation_result(&message, &source, acceptance);
                if rejected {
                    self.drop_peer(source, "it sent invalid gossip");
                }
            }
            Command::SetMembers { members } => self.set_members(members, now),
            Command::Disconnect { node, reason } => {
                if let Ok(peer) = peer_id(&node) {
                    self.drop_peer(peer, &reason);
                }
            }
            Command::Shutdown { done } => return ControlFlow::Break(done),
        }
        ControlFlow::Continue(())
    }

    fn dial(&mut self, addresses: &[Address], done: oneshot::Sender<Result<NodeId, DialError>>) {
        let answer = match addresses.first().map(Address::node) {
            None => Err(DialError::NoAddress),
            Some(node) if node == self.node => Err(DialError::Ourselves),
            Some(node) if addresses.iter().any(|address| address.node() != node) => {
                Err(DialError::MixedAddresses)
            }
            Some(_) if addresses.len() > limits::DIAL_ADDRESSES => Err(DialError::MixedAddresses),
            Some(node) if self.peers.contains(&node) => Ok(node),
            Some(node) => return self.dialer.reach(node, addresses, Some(done), Instant::now()),
        };
        let _ = done.send(answer);
    }

    fn request(&mut self, node: NodeId, channel: Channel, bytes: Bytes, done: Answer) {
        let connected = match channel {
            Channel::Member => self.peers.is_open(&node),
            Channel::Join => self.peers.contains(&node),
        };
        let refused = match peer_id(&node) {
            Ok(_) if self.exchanges.asked_of(&node) >= limits::REQUESTS_PER_PEER => RequestError::Busy,
            Ok(peer) if connected => {
                let id = self.exchange(channel).send_request(&peer, Ok(bytes));
                self.exchanges.asked.insert((channel, id), (node, done));
                return;
            }
            _ => RequestError::NotConnected,
        };
        let _ = done.send(Err(refused));
    }

    fn publish(&mut self, bytes: Bytes) -> Result<(), PublishError> {
        let topic = behaviour::topic(self.library);
        let length = bytes.len();
        match self.swarm.behaviour_mut().gate.inner().gossip.publish(topic, bytes) {
            Ok(_) | Err(gossipsub::PublishError::Duplicate) => Ok(()),
            Err(gossipsub::PublishError::NoPeersSubscribedToTopic) => Err(PublishError::Nobody),
            Err(gossipsub::PublishError::MessageTooLarge) => Err(PublishError::TooLong(length)),
            Err(error) => {
                tracing::debug!(%error, "gossip was not sent");
                Err(PublishError::Busy)
            }
        }
    }

    fn set_members(&mut self, members: BTreeSet<NodeId>, now: Instant) {
        let ids = members.iter().filter_map(|node| peer_id(node).ok());
        self.members.replace(ids.collect());
        let mut removed = BTreeSet::new();
        let mut added: BTreeMap<NodeId, Vec<Address>> = BTreeMap::new();
        for (node, _, _, link) in self.peers.links() {
            if link.open && !members.contains(&node) {
                removed.insert(node);
            } else if !link.open && members.contains(&node) && !self.peers.is_open(&node) {
                // Whoever dialled dials again; the old connection closes once it is unused.
                let again = added.entry(node).or_default();
                if link.direction == Direction::Outbound {
                    again.push(link.address.clone());
                }
            }
        }
        self.member_set.send_replace(Arc::new(members));
        for node in removed {
            if let Ok(peer) = peer_id(&node) {
                self.drop_peer(peer, "it is no longer a member");
            }
        }
        for (node, addresses) in added {
            if !addresses.is_empty() {
                self.dialer.reach(node, &addresses, None, now);
            }
        }
    }

    // What happens on the network.

    fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
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

    fn on_listening(&mut self, place: Multiaddr) {
        if !self.listening.contains(&place) {
            self.listening.push(place.clone());
            self.outbox.push(NetEvent::Listening { address: Address::new(self.node, place) });
            self.on_addresses_changed();
        }
    }

    fn on_addresses_changed(&mut self) {
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

    // What time brings.

    fn next_wake(&self) -> Option<Instant> {
        let dial = self.dialer.next(|node| self.peers.contains(node));
        let close = self.peers.links().filter_map(|(node, join, _, link)| self.overdue(node, join, link));
        dial.into_iter().chain(close.map(|(when, _)| when)).min()
    }

    /// When a connection outlives its use, and the reason to tell.
    fn overdue(
        &self,
        node: NodeId,
        join: Option<Instant>,
        link: &Link,
    ) -> Option<(Instant, Option<&'static str>)> {
        if link.closing {
            None
        } else if link.open {
            let direct = self.peers.direct_since(&node).filter(|_| link.address.is_relayed())?;
            Some((direct.max(link.since) + limits::RELAYED_BESIDE_DIRECT, None))
        } else if !self.member_set.borrow().contains(&node) {
            let end = link.since + limits::STRANGER_LIFETIME;
            Some((link.until.map_or(end, |until| until.min(end)), Some("a stranger's time is over")))
        } else if self.exchanges.is_joining(&node) {
            None
        } else {
            Some((join.unwrap_or(link.since).max(link.since) + limits::LINGER, None))
        }
    }

    fn on_wake(&mut self) {
        let now = Instant::now();
        let overdue: Vec<_> = self
            .peers
            .links()
            .filter_map(|(node, join, id, link)| {
                let (when, reason) = self.overdue(node, join, link)?;
                (when <= now).then_some((node, id, reason))
            })
            .collect();
        for (node, id, reason) in overdue {
            self.peers.on_closing(node, id);
            match (reason, peer_id(&node)) {
                (Some(reason), Ok(peer)) => self.drop_connection(peer, id, reason),
                _ => {
                    self.swarm.close_connection(id);
                }
            }
        }
        for dial in self.dialer.due(now, |node| self.peers.contains(node)) {
            self.start_dial(dial, now);
        }
    }

    fn start_dial(&mut self, dial: Dial, now: Instant) {
        let Ok(peer) = peer_id(&dial.node) else {
            return self.dialer.on_failed(dial.node, None, DialError::NoAddress, now);
        };
        let mut options = DialOpts::peer_id(peer).condition(PeerCondition::Always).addresses(dial.places);
        if !dial.from_listening_port {
            options = options.allocate_new_port();
        }
        let options = options.build();
        self.dialer.on_dialling(dial.node, options.connection_id());
        let id = options.connection_id();
        if let Err(error) = self.swarm.dial(options) {
            self.dialer.on_failed(dial.node, Some(id), explain(&error), now);
        }
    }

    // Cutting off.

    fn drop_peer(&mut self, peer: PeerId, reason: &str) {
        if self.swarm.disconnect_peer_id(peer).is_ok() {
            self.on_dropped(peer, reason);
        }
    }

    fn drop_connection(&mut self, peer: PeerId, connection: ConnectionId, reason: &str) {
        if self.swarm.close_connection(connection) {
            self.on_dropped(peer, reason);
        }
    }

    fn on_dropped(&mut self, peer: PeerId, reason: &str) {
        let Ok(node) = node_id(&peer) else { return };
        tracing::info!(node = %node.short(), reason, "connection dropped");
        self.outbox.push(NetEvent::Dropped { node, reason: reason.to_owned() });
    }

    fn exchange(&mut self, channel: Channel) -> &mut request_response::Behaviour<super::codec::FrameCodec> {
        let behaviour = self.swarm.behaviour_mut();
        match channel {
            Channel::Member => &mut behaviour.gate.inner().requests,
            Channel::Join => &mut behaviour.join,
        }
    }
}

fn explain(error: &swarm::DialError) -> DialError {
    match error {
        swarm::DialError::LocalPeerId { .. } => DialError::Ourselves,
        swarm::DialError::NoAddresses => DialError::NoAddress,
        swarm::DialError::WrongPeerId { obtained, address } => {
            DialError::WrongNode { place: address.to_string(), found: obtained.to_base58() }
        }
        swarm::DialError::Transport(errors) => DialError::Unreachable {
            reasons: errors.iter().map(|(place, error)| format!("{place}: {}", root(error))).collect(),
        },
        other => DialError::Unreachable { reasons: vec![root(other)] },
    }
}

/// The innermost cause: libp2p's outer errors say little.
fn root(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
