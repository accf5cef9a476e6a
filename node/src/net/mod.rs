//! The network: one libp2p stack behind a small interface. Nothing else in the program names
//! libp2p.
//!
//! It is a pipe. It proves who is at the other end, lets members do more than strangers, keeps
//! connections up, and bounds everything that comes in; what the bytes mean is decided elsewhere.
//!
//! ```text
//! shell ── NetHandle ──▶ task ── swarm ── door ▸ identify, ping, join ▸ gate ▸ gossip, requests, streams
//!       ◀── NetEvent ───  │
//!                         dialer (whom, where, when)   peers (who is there)   outbox (slow shell)
//! ```

mod address;
mod behaviour;
mod codec;
mod dialer;
mod event;
mod gate;
mod handle;
pub mod limits;
mod listen;
mod outbox;
mod peers;
mod relay;
mod stream;
mod task;
#[cfg(test)]
mod tests;

pub use address::Address;
pub use event::{Channel, NetEvent, ReplyHandle, Verdict, VerdictHandle};
pub use handle::{NetHandle, RequestError};
pub use listen::{ListenError, everywhere};
pub use stream::ShardStream;

use std::net::SocketAddr;

use safelight_proto::id::LibraryId;
use tokio::sync::mpsc;

/// How a node appears on the network.
#[derive(Clone)]
pub struct NetConfig {
    /// The seed of the node's ed25519 key.
    pub secret: [u8; 32],
    /// Where to listen, by QUIC and TCP each; see [`everywhere`]. Port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// Addresses under which others reach this node although it does not have them itself (a
    /// forwarded port, a cloud machine's public IP).
    pub announce: Vec<SocketAddr>,
    /// The library. Its id names the gossip topic.
    pub library: LibraryId,
    /// Whether to look for nodes on the LAN, and be found.
    pub mdns: bool,
    /// Whether to ask the router for a port that leads here (UPnP).
    pub upnp: bool,
}

/// Why the network did not start.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A protocol or transport could not be set up.
    #[error("the network could not be set up: {0}")]
    Setup(String),
}

/// The network of one node.
pub struct Net;

impl Net {
    /// Starts the network: listens, then serves in a task of its own until it is told to shut down
    /// or the receiver is dropped. Until [`NetHandle::set_members`] everyone is a stranger.
    pub async fn start(config: NetConfig) -> Result<(NetHandle, mpsc::Receiver<NetEvent>), NetError> {
        task::start(config).await
    }
}
