//! Whole networks on loopback, with real sockets.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt};
use libp2p::swarm::SwarmEvent;
use libp2p::{StreamProtocol, SwarmBuilder, noise, tcp, yamux};
use libp2p_stream::{Control, IncomingStreams, OpenStreamError};
use safelight_proto::id::{LibraryId, NodeId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::address::{node_id, peer_id};
use super::handle::{DialError, PublishError, RequestError};
use super::stream::OpenError;
use super::*;

/// No test may take longer for one step; none is expected to take a tenth of it.
const DEADLINE: Duration = Duration::from_secs(30);

/// A node whose shell echoes requests, accepts gossip, hashes what comes over streams and answers
/// with the hash, and lets the test see the rest.
struct TestNode {
    net: NetHandle,
    seen: mpsc::UnboundedReceiver<Seen>,
}

#[derive(Debug, PartialEq)]
enum Seen {
    Connected(NodeId, bool),
    Disconnected(NodeId),
    Request(NodeId, Channel),
    Gossip(NodeId, Bytes),
    Stream(NodeId),
    Dropped(NodeId, String),
}

fn config(seed: u8, port: u16) -> NetConfig {
    NetConfig {
        secret: [seed; 32],
        listen: vec![SocketAddr::from(([127, 0, 0, 1], port))],
        announce: Vec::new(),
        library: LibraryId([7; 32]),
        mdns: false,
        upnp: false,
    }
}

impl TestNode {
    async fn start(seed: u8) -> Self {
        Self::start_with(config(seed, 0)).await.expect("a node that starts")
    }

    async fn start_with(config: NetConfig) -> Result<Self, NetError> {
        let (net, events) = Net::start(config).await?;
        let (tell, seen) = mpsc::unbounded_channel();
        tokio::spawn(shell(events, tell));
        Ok(Self { net, seen })
    }

    fn id(&self) -> NodeId {
        self.net.node()
    }

    fn admit(&self, nodes: &[&TestNode]) {
        self.net.set_members(nodes.iter().map(|node| node.id()).collect());
    }

    /// Waits for what `wanted` picks, skipping the rest.
    async fn see<T>(&mut self, wanted: impl Fn(&Seen) -> Option<T>) -> T {
        let mut skipped = Vec::new();
        let found = tokio::time::timeout(DEADLINE, async {
            while let Some(seen) = self.seen.recv().await {
                match wanted(&seen) {
                    Some(found) => return found,
                    None => skipped.push(seen),
                }
            }
            panic!("the node stopped")
        });
        found.await.unwrap_or_else(|_| panic!("not seen in time; skipped {skipped:?}"))
    }

    async fn see_exactly(&mut self, wanted: Seen) {
        self.see(|seen| (*seen == wanted).then_some(())).await;
    }

    async fn ask(
        &self,
        of: &TestNode,
        channel: Channel,
        bytes: impl Into<Bytes>,
    ) -> Result<Bytes, RequestError> {
        self.net.request(of.id(), channel, bytes.into(), DEADLINE).await
    }

    /// One member request each way, tried until both take each other for members.
    async fn meet(&self, other: &TestNode) {
        until(|| async {
            let there = self.ask(other, Channel::Member, "hello").await.is_ok();
            there && other.ask(self, Channel::Member, "hello").await.is_ok()
        })
        .await;
    }
}

async fn shell(mut events: mpsc::Receiver<NetEvent>, tell: mpsc::UnboundedSender<Seen>) {
    while let Some(event) = events.recv().await {
        let seen = match event {
            NetEvent::Connected { node, member, .. } => Seen::Connected(node, member),
            NetEvent::Disconnected { node } => Seen::Disconnected(node),
            NetEvent::Request { from, channel, bytes, reply } => {
                reply.send(bytes);
                Seen::Request(from, channel)
            }
            NetEvent::Gossip { from, bytes, verdict } => {
                verdict.give(if bytes.starts_with(b"bad") { Verdict::Reject } else { Verdict::Accept });
                Seen::Gossip(from, bytes)
            }
            NetEvent::Stream { from, stream } => {
                tokio::spawn(hash_and_answer(stream));
                Seen::Stream(from)
            }
            NetEvent::Dropped { node, reason } => Seen::Dropped(node, reason),
            _ => continue,
        };
        let _ = tell.send(seen);
    }
}

async fn hash_and_answer(stream: ShardStream) -> std::io::Result<()> {
    let mut stream = stream.with_progress_timeout();
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match stream.read(&mut buffer).await? {
            0 => break,
            n => {
                hasher.update(&buffer[..n]);
            }
        }
    }
    stream.write_all(hasher.finalize().as_bytes()).await?;
    stream.shutdown().await
}

/// Sends `length` bytes of `fill` and checks that the other side got them.
async fn send(from: &NetHandle, to: NodeId, fill: u8, length: usize) {
    let mut stream = from.open_stream(to).await.expect("a stream").with_progress_timeout();
    let bytes = vec![fill; length];
    stream.write_all(&bytes).await.expect("written");
    stream.shutdown().await.expect("half closed");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    assert_eq!(answer, blake3::hash(&bytes).as_bytes());
}

/// Tries until it is true.
async fn until<F: Future<Output = bool>>(mut attempt: impl FnMut() -> F) {
    let tried = tokio::time::timeout(DEADLINE, async {
        while !attempt().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    tried.await.expect("it never came true");
}

/// Two members, connected.
async fn two_members() -> (TestNode, TestNode) {
    let (a, b) = (TestNode::start(1).await, TestNode::start(2).await);
    a.admit(&[&a, &b]);
    b.admit(&[&a, &b]);
    assert_eq!(a.net.dial(b.net.addresses()).await, Ok(b.id()));
    a.meet(&b).await;
    (a, b)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_exchange_requests_gossip_and_streams() {
    let (mut a, mut b) = two_members().await;
    a.see_exactly(Seen::Connected(b.id(), true)).await;
    b.see_exactly(Seen::Connected(a.id(), true)).await;

    let largest = vec![5; limits::MEMBER_FRAME];
    assert_eq!(a.ask(&b, Channel::Member, largest.clone()).await, Ok(largest.into()));
    let above = vec![5; limits::MEMBER_FRAME + 1];
    assert!(matches!(a.ask(&b, Channel::Member, above).await, Err(RequestError::TooLong { .. })));
    b.see_exactly(Seen::Request(a.id(), Channel::Member)).await;

    until(|| async { a.net.publish(Bytes::from_static(b"news")).await.is_ok() }).await;
    b.see_exactly(Seen::Gossip(a.id(), Bytes::from_static(b"news"))).await;
    let largest = Bytes::from(vec![6; limits::GOSSIP_PAYLOAD]);
    assert_eq!(a.net.publish(largest.clone()).await, Ok(()));
    b.see_exactly(Seen::Gossip(a.id(), largest)).await;

    let there = (0..16).map(|n| send(&a.net, b.id(), n, 2 << 20));
    let back = (0..16).map(|n| send(&b.net, a.id(), n, 2 << 20));
    let (there, back) = (futures::future::join_all(there), futures::future::join_all(back));
    tokio::time::timeout(DEADLINE, async { tokio::join!(there, back) }).await.expect("64 MiB in time");
    a.see_exactly(Seen::Stream(b.id())).await;
    b.see_exactly(Seen::Stream(a.id())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_families_share_one_port() {
    let free = std::net::TcpListener::bind("[::]:0").or_else(|_| std::net::TcpListener::bind("0.0.0.0:0"));
    let port = free.and_then(|free| free.local_addr()).expect("a free port").port();
    let everywhere = ["0.0.0.0", "::"].map(|ip| SocketAddr::new(ip.parse().expect("an address"), port));
    let config = NetConfig { listen: everywhere.to_vec(), ..config(1, 0) };
    TestNode::start_with(config).await.expect("listens everywhere");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gossip_travels_on_only_after_its_verdict() {
    let (a, mut b) = two_members().await;
    let mut c = TestNode::start(3).await;
    for node in [&a, &b, &c] {
        node.admit(&[&a, &b, &c]);
    }
    // c hears of a's messages only through b.
    assert_eq!(c.net.dial(b.net.addresses()).await, Ok(b.id()));
    c.meet(&b).await;
    until(|| async { c.net.publish(Bytes::from_static(b"ready")).await.is_ok() }).await;
    b.see_exactly(Seen::Gossip(c.id(), Bytes::from_static(b"ready"))).await;
    until(|| async { a.net.publish(Bytes::from_static(b"news")).await.is_ok() }).await;
    c.see_exactly(Seen::Gossip(b.id(), Bytes::from_static(b"news"))).await;
    // What b rejects costs a its connection, and c never sees it.
    assert_eq!(a.net.publish(Bytes::from_static(b"bad news")).await, Ok(()));
    b.see(|seen| matches!(seen, Seen::Dropped(node, _) if *node == a.id()).then_some(())).await;
    assert_eq!(b.net.publish(Bytes::from_static(b"end")).await, Ok(()));
    let next = c.see(|seen| match seen {
        Seen::Gossip(_, bytes) => Some(bytes.clone()),
        _ => None,
    });
    assert_eq!(next.await, Bytes::from_static(b"end"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_may_ask_to_join_and_nothing_else() {
    let (a, stranger) = (TestNode::start(1).await, TestNode::start(9).await);
    // The stranger believes to be a member; a does not.
    stranger.admit(&[&a]);
    assert_eq!(stranger.net.dial(a.net.addresses()).await, Ok(a.id()));
    assert_eq!(stranger.ask(&a, Channel::Join, "please").await, Ok(Bytes::from_static(b"please")));
    assert_eq!(stranger.ask(&a, Channel::Member, "hello").await, Err(RequestError::NotAccepted));
    assert!(matches!(stranger.net.open_stream(a.id()).await, Err(OpenError::NotAccepted)));
    assert_eq!(stranger.net.publish(Bytes::from_static(b"news")).await, Err(PublishError::Nobody));
    // And a does not ask it anything either.
    assert_eq!(a.ask(&stranger, Channel::Member, "hello").await, Err(RequestError::NotConnected));
    assert!(matches!(a.net.open_stream(stranger.id()).await, Err(OpenError::NotMember)));
    assert!(a.net.connected().get(&stranger.id()).is_some_and(|connection| !connection.member));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joining_goes_on_over_a_members_connection() {
    let (mut inviter, mut newcomer) = (TestNode::start(1).await, TestNode::start(2).await);
    assert_eq!(newcomer.net.dial(inviter.net.addresses()).await, Ok(inviter.id()));
    assert!(newcomer.ask(&inviter, Channel::Join, "please").await.is_ok());
    inviter.see_exactly(Seen::Connected(newcomer.id(), false)).await;
    inviter.admit(&[&newcomer]);
    newcomer.admit(&[&inviter]);
    newcomer.net.keep(inviter.id(), inviter.net.addresses());
    newcomer.meet(&inviter).await;
    inviter.see_exactly(Seen::Connected(newcomer.id(), true)).await;
    newcomer.see_exactly(Seen::Connected(inviter.id(), true)).await;
    send(&inviter.net, newcomer.id(), 1, 1000).await;

    // Removed, it is cut at once and stays out.
    newcomer.net.forget(inviter.id());
    inviter.admit(&[]);
    inviter.see(|seen| matches!(seen, Seen::Dropped(node, _) if *node == newcomer.id()).then_some(())).await;
    inviter.see_exactly(Seen::Disconnected(newcomer.id())).await;
    newcomer.see_exactly(Seen::Disconnected(inviter.id())).await;
    // The connection from before it was a member may close a moment later.
    until(|| async { newcomer.net.connected().is_empty() }).await;
    assert_eq!(newcomer.net.dial(inviter.net.addresses()).await, Ok(inviter.id()));
    assert_eq!(newcomer.ask(&inviter, Channel::Member, "hello").await, Err(RequestError::NotAccepted));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_dial_each_other_at_once_end_up_connected() {
    for round in 0..5 {
        let (mut a, mut b) = (TestNode::start(1).await, TestNode::start(2).await);
        a.admit(&[&b]);
        b.admit(&[&a]);
        let (there, back) = tokio::join!(a.net.dial(b.net.addresses()), b.net.dial(a.net.addresses()));
        assert_eq!((there, back), (Ok(b.id()), Ok(a.id())), "round {round}");
        a.see_exactly(Seen::Connected(b.id(), true)).await;
        b.see_exactly(Seen::Connected(a.id(), true)).await;
        assert!(a.ask(&b, Channel::Member, "hello").await.is_ok());
        assert!(b.ask(&a, Channel::Member, "hello").await.is_ok());
        tokio::join!(a.net.shutdown(), b.net.shutdown());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_node_is_dialled_again_after_its_restart() {
    let (mut a, b) = (TestNode::start(1).await, TestNode::start(2).await);
    a.admit(&[&b]);
    b.admit(&[&a]);
    a.net.keep(b.id(), b.net.addresses());
    a.see_exactly(Seen::Connected(b.id(), true)).await;
    let port = port(&b);
    b.net.shutdown().await;
    a.see_exactly(Seen::Disconnected(b.id())).await;
    let restart = async {
        loop {
            if let Ok(b) = TestNode::start_with(config(2, port)).await {
                return b;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let b = tokio::time::timeout(DEADLINE, restart).await.expect("b is back");
    b.admit(&[&a]);
    a.meet(&b).await;
    // A forgotten one is not.
    a.net.forget(b.id());
    a.see_exactly(Seen::Connected(b.id(), true)).await;
    b.net.shutdown().await;
    a.see_exactly(Seen::Disconnected(b.id())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dials_fail_with_a_reason() {
    let (a, b) = (TestNode::start(1).await, TestNode::start(2).await);
    assert_eq!(a.net.dial(vec![]).await, Err(DialError::NoAddress));
    assert_eq!(a.net.dial(a.net.addresses()).await, Err(DialError::Ourselves));
    let (address, other) = (b.net.addresses().remove(0), TestNode::start(3).await);
    let wrong = Address::new(other.id(), address.place().clone());
    assert!(matches!(a.net.dial(vec![wrong]).await, Err(DialError::WrongNode { .. })));
    let both = vec![address, other.net.addresses().remove(0)];
    assert_eq!(a.net.dial(both).await, Err(DialError::MixedAddresses));
    let gone = other.net.addresses();
    other.net.shutdown().await;
    let tcp_only = gone.into_iter().filter(|address| address.to_string().contains("/tcp/")).collect();
    let error = a.net.dial(tcp_only).await.expect_err("nobody is there");
    assert!(error.to_string().contains("refused"), "{error}");
    assert_eq!(other.net.dial(b.net.addresses()).await, Err(DialError::Closed));
    assert_eq!(a.ask(&b, Channel::Member, "hello").await, Err(RequestError::NotConnected));
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let a = TestNode::start(1).await;
    let taken = config(2, port(&a));
    let error = TestNode::start_with(taken.clone()).await.err().expect("no second node");
    assert!(
        matches!(error, NetError::Listen(ListenError::PortInUse { address }) if address == taken.listen[0])
    );
    assert!(error.to_string().contains(&taken.listen[0].to_string()));
}

#[tokio::test]
async fn a_node_announces_one_port_for_both_transports() {
    let mut config = config(1, 0);
    config.announce = vec![SocketAddr::from(([192, 0, 2, 7], 4000))];
    let node = TestNode::start_with(config).await.expect("a node");
    let told: BTreeSet<String> =
        node.net.addresses().iter().map(|address| address.place().to_string()).collect();
    let port = port(&node);
    let expected = [
        format!("/ip4/127.0.0.1/tcp/{port}"),
        format!("/ip4/127.0.0.1/udp/{port}/quic-v1"),
        "/ip4/192.0.2.7/tcp/4000".to_owned(),
        "/ip4/192.0.2.7/udp/4000/quic-v1".to_owned(),
    ];
    assert_eq!(told, expected.into());
    assert_ne!(port, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_transport_carries_requests() {
    for transport in ["/tcp/", "/quic-v1/"] {
        let (a, b) = (TestNode::start(1).await, TestNode::start(2).await);
        let way = b.net.addresses().into_iter().filter(|address| address.to_string().contains(transport));
        assert_eq!(a.net.dial(way.collect()).await, Ok(b.id()));
        assert!(a.ask(&b, Channel::Join, "please").await.is_ok(), "{transport}");
        let at = a.net.connected()[&b.id()].address.to_string();
        assert!(at.contains(transport), "{at}");
    }
}

/// A client that keeps to none of the rules of this module.
struct RawClient {
    streams: Control,
    node: NodeId,
    closed: mpsc::UnboundedReceiver<()>,
    /// Gossip offered by the node; refused, the node would stop offering it.
    _gossip: IncomingStreams,
}

impl RawClient {
    async fn connect(to: &TestNode, seed: u8) -> Self {
        let keypair = libp2p::identity::Keypair::ed25519_from_bytes([seed; 32]).expect("a seed");
        let node = node_id(&keypair.public().to_peer_id()).expect("a key");
        let mut swarm = SwarmBuilder::with_existing_identity(keypair)
            .with_tokio()
            .with_tcp(tcp::Config::new(), noise::Config::new, yamux::Config::default)
            .expect("a transport")
            .with_behaviour(|_| libp2p_stream::Behaviour::new())
            .expect("a behaviour")
            .with_swarm_config(|config| config.with_idle_connection_timeout(DEADLINE))
            .build();
        let mut streams = swarm.behaviour().new_control();
        let gossip = streams.accept(StreamProtocol::new("/safelight/gossip/1.1.0")).expect("a first one");
        let way = to.net.addresses().into_iter().find(|address| address.to_string().contains("/tcp/"));
        let way: libp2p::Multiaddr = way.expect("a way").to_string().parse().expect("a multiaddr");
        swarm.dial(way).expect("a dial");
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let (tell, closed) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut ready = Some(ready);
            loop {
                match swarm.select_next_some().await {
                    SwarmEvent::ConnectionEstablished { .. } => {
                        let _ = ready.take().map(|ready| ready.send(()));
                    }
                    SwarmEvent::ConnectionClosed { .. } => {
                        let _ = tell.send(());
                    }
                    _ => {}
                }
            }
        });
        is_ready.await.expect("a connection");
        Self { streams, node, closed, _gossip: gossip }
    }

    /// Announces a frame of `length` bytes and waits until it is thrown out.
    async fn announce(&mut self, to: &TestNode, protocol: &'static str, length: u32) {
        let peer = peer_id(&to.id()).expect("a key");
        let opened = self.streams.open_stream(peer, StreamProtocol::new(protocol)).await;
        let mut stream = opened.expect("a stream");
        stream.write_all(&length.to_be_bytes()).await.expect("written");
        stream.flush().await.expect("flushed");
        let mut answer = Vec::new();
        // However the stream ends, it carries nothing back.
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty());
        tokio::time::timeout(DEADLINE, self.closed.recv()).await.expect("thrown out in time");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oversized_frames_cost_the_connection_and_not_the_node() {
    let mut a = TestNode::start(1).await;
    for (seed, length) in [(9, 100 << 20), (10, u32::MAX), (11, limits::JOIN_FRAME as u32 + 1)] {
        let mut client = RawClient::connect(&a, seed).await;
        client.announce(&a, "/safelight/join/1", length).await;
        let reason = a.see(|seen| match seen {
            Seen::Dropped(node, reason) if *node == client.node => Some(reason.clone()),
            _ => None,
        });
        assert!(reason.await.contains(&length.to_string()));
    }
    let member = peer_of(12);
    a.net.set_members([member].into());
    let mut client = RawClient::connect(&a, 12).await;
    client.announce(&a, "/safelight/request/1", 100 << 20).await;
    a.see(|seen| matches!(seen, Seen::Dropped(node, _) if *node == member).then_some(())).await;
    let b = TestNode::start(2).await;
    assert_eq!(b.net.dial(a.net.addresses()).await, Ok(a.id()));
    assert!(b.ask(&a, Channel::Join, "please").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_not_even_offered_member_protocols() {
    let a = TestNode::start(1).await;
    let mut client = RawClient::connect(&a, 9).await;
    let peer = peer_id(&a.id()).expect("a key");
    for protocol in ["/safelight/request/1", "/safelight/shard/1", "/safelight/gossip/1.1.0"] {
        let opened = client.streams.open_stream(peer, StreamProtocol::new(protocol)).await;
        assert!(matches!(opened, Err(OpenStreamError::UnsupportedProtocol(_))), "{protocol}");
    }
    let opened = client.streams.open_stream(peer, StreamProtocol::new("/safelight/join/1")).await;
    assert!(opened.is_ok());
    // The same client as a member: the names above are the real ones.
    a.net.set_members([peer_of(10)].into());
    let mut client = RawClient::connect(&a, 10).await;
    for protocol in ["/safelight/request/1", "/safelight/shard/1", "/safelight/gossip/1.1.0"] {
        let opened = client.streams.open_stream(peer, StreamProtocol::new(protocol)).await;
        assert!(opened.is_ok(), "{protocol}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_few_and_leave_room_for_members() {
    let a = TestNode::start(1).await;
    let member = TestNode::start(2).await;
    a.admit(&[&member]);
    let mut clients = Vec::new();
    for seed in 0..limits::STRANGER_CONNECTIONS as u8 {
        clients.push(RawClient::connect(&a, 100 + seed).await);
        until(|| async { a.net.connected().len() == clients.len() }).await;
    }
    let mut one_more = RawClient::connect(&a, 200).await;
    tokio::time::timeout(DEADLINE, one_more.closed.recv()).await.expect("no room for it");
    assert_eq!(a.net.connected().len(), limits::STRANGER_CONNECTIONS);
    assert_eq!(member.net.dial(a.net.addresses()).await, Ok(a.id()));
    until(|| async { a.net.connected().get(&member.id()).is_some_and(|connection| connection.member) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_on_the_port_changes_nothing() {
    let (a, b) = (TestNode::start(1).await, TestNode::start(2).await);
    let at = SocketAddr::from(([127, 0, 0, 1], port(&a)));
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 100_000], b"\x13/multistream/1.0.0\n\x00\x00\x00"]
    {
        let mut socket = tokio::net::TcpStream::connect(at).await.expect("a connection");
        // It may hang up before all of it is written.
        let _ = socket.write_all(garbage).await;
        let _ = socket.shutdown().await;
        let mut answer = Vec::new();
        let read = tokio::time::timeout(DEADLINE, socket.read_to_end(&mut answer));
        let _ = read.await.expect("hung up in time");
    }
    let udp = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    udp.send_to(&[0xff; 1200], at).await.expect("sent");
    for transport in ["/tcp/", "/quic-v1/"] {
        let way = a.net.addresses().into_iter().filter(|address| address.to_string().contains(transport));
        assert_eq!(b.net.dial(way.collect()).await, Ok(a.id()));
        assert!(b.ask(&a, Channel::Join, "please").await.is_ok());
        b.net.disconnect(a.id(), "next");
        until(|| async { b.net.connected().is_empty() }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_shell_does_not_stop_the_network() {
    let (net, mut events) = Net::start(config(1, 0)).await.expect("a node");
    let (b, c) = (TestNode::start(2).await, TestNode::start(3).await);
    net.set_members([b.id(), c.id()].into());
    b.net.set_members([net.node()].into());
    assert_eq!(b.net.dial(net.addresses()).await, Ok(net.node()));
    until(|| async { b.net.publish(Bytes::from_static(b"ready")).await.is_ok() }).await;
    for n in 0..200u32 {
        assert_eq!(b.net.publish(n.to_be_bytes().to_vec().into()).await, Ok(()));
    }
    // Nobody takes events, yet commands work, and peers come and go.
    assert_eq!(
        net.request(b.id(), Channel::Member, Bytes::from_static(b"x"), DEADLINE).await,
        Ok("x".into())
    );
    assert_eq!(c.net.dial(net.addresses()).await, Ok(net.node()));
    c.net.shutdown().await;
    until(|| async { !net.connected().contains_key(&c.id()) }).await;
    let refused = b.net.request(net.node(), Channel::Member, Bytes::new(), Duration::from_millis(50)).await;
    assert_eq!(refused, Err(RequestError::Timeout));
    // Now it takes them.
    let mut connected = BTreeSet::new();
    while let Ok(Some(event)) = tokio::time::timeout(DEADLINE, events.recv()).await {
        match event {
            NetEvent::Connected { node, .. } => {
                connected.insert(node);
            }
            NetEvent::Request { from, .. } if from == b.id() => break,
            _ => {}
        }
    }
    assert!(connected.contains(&b.id()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_above_a_members_share_are_refused() {
    let (net, mut events) = Net::start(config(1, 0)).await.expect("a node");
    let b = TestNode::start(2).await;
    net.set_members([b.id()].into());
    b.net.set_members([net.node()].into());
    assert_eq!(b.net.dial(net.addresses()).await, Ok(net.node()));
    let taken = tokio::spawn(async move {
        let mut taken = Vec::new();
        while let Some(event) = events.recv().await {
            if let NetEvent::Stream { stream, .. } = event {
                taken.push(stream);
            }
            if taken.len() == limits::SHARD_STREAMS_PER_PEER {
                break;
            }
        }
        (taken, events)
    });
    let opening = (0..limits::SHARD_STREAMS_PER_PEER).map(|_| b.net.open_stream(net.node()));
    let opened = futures::future::join_all(opening).await;
    assert!(opened.iter().all(Result::is_ok), "{opened:?}");
    assert!(matches!(b.net.open_stream(net.node()).await, Err(OpenError::Busy)));
    let (mut taken, _events) = taken.await.expect("the streams");
    taken.pop();
    assert!(b.net.open_stream(net.node()).await.is_ok());
}

fn peer_of(seed: u8) -> NodeId {
    let keypair = libp2p::identity::Keypair::ed25519_from_bytes([seed; 32]).expect("a seed");
    node_id(&keypair.public().to_peer_id()).expect("a key")
}

fn port(node: &TestNode) -> u16 {
    let tcp = node.net.addresses().into_iter().find_map(|address| {
        let text = address.place().to_string();
        text.rsplit_once("/tcp/").and_then(|(_, port)| port.parse().ok())
    });
    tcp.expect("a TCP address")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_behind_a_wall_are_reached_through_a_member() {
    // The relay has a public address, if only by its own word.
    let mut public = config(1, 0);
    public.announce = vec![SocketAddr::from(([198, 51, 100, 7], 4000))];
    let relay = TestNode::start_with(public).await.expect("a relay");
    let (hidden, guest) = (TestNode::start(2).await, TestNode::start(3).await);
    relay.admit(&[&hidden]);
    hidden.admit(&[&relay]);
    hidden.net.keep(relay.id(), relay.net.addresses());
    let is_relayed = |address: &&Address| address.is_relayed();
    until(|| async { hidden.net.addresses().iter().any(|address| is_relayed(&address)) }).await;
    let told = hidden.net.addresses().iter().find(is_relayed).expect("a way").to_string();
    // Nobody is at the announced address here: the guest takes the real one.
    let (_, through) = told.split_once("/p2p/").expect("a relay");
    let way = format!("/ip4/127.0.0.1/tcp/{}/p2p/{through}", port(&relay));
    let way: Address = way.parse().expect("an address");
    assert_eq!((way.node(), way.is_relayed()), (hidden.id(), true));

    // A stranger to both may ask to join.
    assert_eq!(guest.net.dial(vec![way.clone()]).await, Ok(hidden.id()));
    assert!(guest.net.connected()[&hidden.id()].relayed);
    assert!(guest.ask(&hidden, Channel::Join, "please").await.is_ok());
    guest.net.disconnect(hidden.id(), "as a member now");
    until(|| async { !hidden.net.connected().contains_key(&guest.id()) }).await;

    // Members exchange what they like.
    for node in [&relay, &hidden, &guest] {
        node.admit(&[&relay, &hidden, &guest]);
    }
    assert_eq!(guest.net.dial(vec![way]).await, Ok(hidden.id()));
    guest.meet(&hidden).await;
    send(&guest.net, hidden.id(), 1, 1 << 20).await;
}
