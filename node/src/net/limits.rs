//! Every bound of the network module, in one place.
//!
//! Worst case held for strangers: [`STRANGER_CONNECTIONS`] connections, each with at most
//! [`STREAMS_PER_CONNECTION`] streams of 256 KiB yamux window (32 MiB) or 15 MB of QUIC window.

use std::time::Duration;

/// Longest request or answer between members, in bytes.
pub const MEMBER_FRAME: usize = 4 << 20;
/// Longest request or answer of the join protocol, in bytes.
pub const JOIN_FRAME: usize = 16 << 10;
/// Longest gossip transmission, envelope included, in bytes.
pub const GOSSIP_TRANSMIT: usize = 64 << 10;
/// Longest gossip payload, in bytes: what fits the transmission beside its envelope.
pub const GOSSIP_PAYLOAD: usize = GOSSIP_TRANSMIT - 1024;

/// Connections of one peer. Two simultaneous dials make two; the rest is room for a stranger's
/// connection that is being replaced by a member's, and for a relayed one.
pub const CONNECTIONS_PER_PEER: u32 = 4;
/// Connections of all peers.
pub const CONNECTIONS: u32 = 512;
/// Inbound connections whose handshake is not done.
pub const PENDING_INBOUND: u32 = 64;
/// Outbound connections whose handshake is not done.
pub const PENDING_OUTBOUND: u32 = 64;
/// Inbound connections of all strangers together.
pub const STRANGER_CONNECTIONS: usize = 16;
/// A stranger's connection is closed after this long, whatever it does. Joining as a studio node
/// waits for two people to compare a code.
pub const STRANGER_LIFETIME: Duration = Duration::from_secs(600);
/// A stranger's connection without a join request under way is closed after this long.
pub const STRANGER_IDLE: Duration = Duration::from_secs(30);

/// Streams of all protocols on one connection.
pub const STREAMS_PER_CONNECTION: usize = 128;
/// Inbound streams of one connection whose protocol is not yet agreed.
pub const NEGOTIATING_STREAMS: usize = 64;
/// Shard streams that one member may hold open here.
pub const SHARD_STREAMS_PER_PEER: usize = 32;
/// How long a new shard stream may wait for room in the event queue before it is told to come again.
pub const STREAM_ADMISSION: Duration = Duration::from_secs(10);
/// How long opening a shard stream may take, retries included.
pub const STREAM_OPENING: Duration = Duration::from_secs(30);
/// A transfer without a byte in either direction for this long is broken (rust-libp2p #5410).
pub const PROGRESS_TIMEOUT: Duration = Duration::from_secs(30);

/// Requests to one peer that wait for an answer.
pub const REQUESTS_PER_PEER: usize = 16;
/// Requests, in and out, on one member's connection.
pub const REQUEST_STREAMS: usize = 64;
/// Join requests, in and out, on one connection.
pub const JOIN_STREAMS: usize = 4;
/// Longest wait for an answer between members, whatever the caller asks for.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(300);

/// Events that the shell has not taken yet, beside [`PENDING_EVENTS`] inside the network task.
pub const EVENT_QUEUE: usize = 16;
/// Events held back inside the network task while the shell is slow. More are dropped.
pub const PENDING_EVENTS: usize = 1024;
/// Payload bytes held back inside the network task while the shell is slow.
pub const PENDING_EVENT_BYTES: usize = 32 << 20;

/// Addresses taken from one peer's word about itself, and from mDNS.
pub const LEARNED_ADDRESSES: usize = 16;
/// Addresses in one dial.
pub const DIAL_ADDRESSES: usize = 64;
/// Head start of the cheaper way to a peer before the next one is tried beside it.
pub const DIAL_HEAD_START: Duration = Duration::from_millis(500);
/// First wait before a kept peer is dialled again.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(200);
/// Longest wait before a kept peer is dialled again.
pub const BACKOFF_LAST: Duration = Duration::from_secs(60);
/// A connection that held for this long forgives the failures before it.
pub const STEADY_AFTER: Duration = Duration::from_secs(10);

/// How long a connection from before its node was admitted stays after its last join exchange, so
/// that the answer gets through (closing a QUIC connection discards what is unsent).
pub const LINGER: Duration = Duration::from_secs(1);

/// Relays at which a node without a public address can be reached.
pub const RELAYS: usize = 2;
/// Members that may be reached through this node.
pub const RELAY_RESERVATIONS: usize = 128;
/// Circuits through this node at once.
pub const RELAY_CIRCUITS: usize = 128;
/// Circuits of strangers begun within [`STRANGER_CIRCUIT`], one for each stranger.
pub const STRANGER_CIRCUITS: usize = 4;
/// How long a stranger that uses a circuit stays connected to the relay, and with it the circuit.
pub const STRANGER_CIRCUIT: Duration = Duration::from_secs(120);
/// How long a relayed connection stays beside a direct one. Transfers on it go on over the other.
pub const RELAYED_BESIDE_DIRECT: Duration = Duration::from_secs(5);

/// Time between two pings of a connection.
pub const PING_INTERVAL: Duration = Duration::from_secs(10);
/// A ping without answer for this long ends the connection. Long, because on a slow uplink an
/// answer queues behind megabytes of photos.
pub const PING_TIMEOUT: Duration = Duration::from_secs(30);
/// How long binding the listeners may take.
pub const LISTEN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long "all IPv6 interfaces" may take to name one, beside IPv4: there may be none.
pub const V6_PATIENCE: Duration = Duration::from_millis(300);

const _: () = assert!(JOIN_FRAME < MEMBER_FRAME);
const _: () = assert!(MEMBER_FRAME <= PENDING_EVENT_BYTES);
const _: () = assert!(MEMBER_FRAME <= u32::MAX as usize);
const _: () = assert!(SHARD_STREAMS_PER_PEER + REQUEST_STREAMS < STREAMS_PER_CONNECTION);
const _: () = assert!(REQUESTS_PER_PEER * 2 <= REQUEST_STREAMS);
const _: () = assert!(STRANGER_CONNECTIONS * 4 < CONNECTIONS as usize);
