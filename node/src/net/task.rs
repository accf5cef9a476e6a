//! The network task: owns the swarm, does what it is asked, tells what happens.

mod commands;
mod happenings;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::error::Error;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use libp2p::core::transport::ListenerId;
use libp2p::identity::Keypair;
use libp2p::request_response::{self, InboundRequestId, OutboundRequestId};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{self, ConnectionId};
use libp2p::{Multiaddr, PeerId, Swarm};
use safelight_proto::id::{LibraryId, NodeId};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::address::{Address, multiaddrs, node_id, peer_id};
use super::behaviour::{self, Behaviour, Find, SHARD_PROTOCOL};
use super::dialer::{Dial, Dialer};
use super::event::{Channel, NetEvent};
use super::gate::Members;
use super::handle::{Command, Connection, DialError, NetHandle, RequestError, Views};
use super::listen::listen;
use super::outbox::Outbox;
use super::peers::{Link, Peers};
use super::stream::{self, Streams};
use super::{NetConfig, NetError, limits};

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
