//! What the shell asks of the network.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use libp2p::PeerId;
use libp2p::gossipsub::{MessageAcceptance, MessageId};
use libp2p::request_response::ResponseChannel;
use safelight_proto::id::NodeId;
use tokio::sync::{mpsc, oneshot, watch};

use super::address::{Address, AddressError};
use super::codec::Incoming;
use super::event::Channel;
use super::limits;
use super::stream::{OpenError, ShardStream, Streams};

/// Why a node could not be reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// No address was given.
    #[error("no address of the node is known")]
    NoAddress,
    /// More than [`limits::DIAL_ADDRESSES`], or addresses of several nodes.
    #[error("a dial takes up to {} addresses of one node", limits::DIAL_ADDRESSES)]
    MixedAddresses,
    /// The address is this node's own.
    #[error("the address is this node's own")]
    Ourselves,
    /// Another node answered there.
    #[error("at {place} another node answered: {found}")]
    WrongNode {
        /// Where.
        place: String,
        /// The libp2p id of who answered.
        found: String,
    },
    /// No address led to it.
    #[error("the node cannot be reached: {}", reasons.join("; "))]
    Unreachable {
        /// What went wrong at each address.
        reasons: Vec<String>,
    },
    /// The network was shut down.
    #[error("the network is shut down")]
    Closed,
}

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// There is no connection that may carry it.
    #[error("the node is not connected")]
    NotConnected,
    /// The message is above the channel's bound.
    #[error("the message has {length} bytes, at most {bound} can be sent")]
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The channel's bound in bytes.
        bound: usize,
    },
    /// [`limits::REQUESTS_PER_PEER`] requests to it wait already.
    #[error("too many requests to the node wait for an answer")]
    Busy,
    /// The answer did not come in time.
    #[error("the node did not answer in time")]
    Timeout,
    /// The other node does not take this node for a member, or speaks another version.
    #[error("the node does not accept this kind of request from here")]
    NotAccepted,
    /// The other node read the request and would not answer it.
    #[error("the node refused to answer, or the connection broke: {0}")]
    Refused(String),
    /// The answer was above the channel's bound; the connection was dropped.
    #[error("the node's answer was above the bound")]
    AnswerTooLong,
    /// The network was shut down.
    #[error("the network is shut down")]
    Closed,
}

/// Why a message was not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Above [`limits::GOSSIP_PAYLOAD`].
    #[error("the message has {0} bytes, at most {max} can be published", max = limits::GOSSIP_PAYLOAD)]
    TooLong(usize),
    /// No member is listening. Reconciliation brings it to them later.
    #[error("no member is connected")]
    Nobody,
    /// All members' send queues are full.
    #[error("the members do not take messages as fast as they are published")]
    Busy,
    /// The network was shut down.
    #[error("the network is shut down")]
    Closed,
}

/// One connected node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Where its first connection leads.
    pub address: Address,
    /// Whether all its connections lead through another node.
    pub relayed: bool,
    /// Whether a connection carries the member protocols.
    pub member: bool,
}

/// What the network task is asked to do. The queue is unbounded because only this process fills
/// it, and what answers a peer (replies, verdicts) is bounded by the events it answers.
pub(super) enum Command {
    Dial {
        addresses: Vec<Address>,
        done: oneshot::Sender<Result<NodeId, DialError>>,
    },
    Keep {
        node: NodeId,
        addresses: Vec<Address>,
    },
    Forget {
        node: NodeId,
    },
    Request {
        node: NodeId,
        channel: Channel,
        bytes: Bytes,
        done: oneshot::Sender<Result<Bytes, RequestError>>,
    },
    Reply {
        channel: Channel,
        slot: ResponseChannel<Incoming>,
        bytes: Bytes,
    },
    Publish {
        bytes: Bytes,
        done: oneshot::Sender<Result<(), PublishError>>,
    },
    Verdict {
        message: MessageId,
        source: PeerId,
        acceptance: MessageAcceptance,
    },
    SetMembers {
        members: BTreeSet<NodeId>,
    },
    Disconnect {
        node: NodeId,
        reason: String,
    },
    Shutdown {
        done: oneshot::Sender<()>,
    },
}

/// What the network task lets everyone see.
#[derive(Clone)]
pub(super) struct Views {
    pub addresses: watch::Receiver<Vec<Address>>,
    pub connected: watch::Receiver<BTreeMap<NodeId, Connection>>,
    pub members: watch::Receiver<Arc<BTreeSet<NodeId>>>,
}

/// The shell's end of the network. Cheap to clone; the network stops when it is told to, or when
/// the event receiver is dropped.
#[derive(Clone)]
pub struct NetHandle {
    pub(super) node: NodeId,
    pub(super) commands: mpsc::UnboundedSender<Command>,
    pub(super) views: Views,
    pub(super) streams: Streams,
}

impl NetHandle {
    /// This node.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Connects to the one node that `addresses` lead to, and returns it. Already connected is
    /// success. Near addresses are tried first by TCP, far ones by QUIC.
    pub async fn dial(&self, addresses: Vec<Address>) -> Result<NodeId, DialError> {
        let (done, answer) = oneshot::channel();
        self.tell(Command::Dial { addresses, done }).ok_or(DialError::Closed)?;
        answer.await.unwrap_or(Err(DialError::Closed))
    }

    /// Stay connected to `node`: dial it now and whenever it is gone, with jittered backoff from
    /// [`limits::BACKOFF_FIRST`] to [`limits::BACKOFF_LAST`]. Replaces the addresses given before;
    /// what the node says about itself is tried too.
    pub fn keep(&self, node: NodeId, addresses: Vec<Address>) {
        self.tell(Command::Keep { node, addresses });
    }

    /// Undoes [`Self::keep`]. An open connection stays.
    pub fn forget(&self, node: NodeId) {
        self.tell(Command::Forget { node });
    }

    /// Sends a request to a connected node and waits up to `timeout` for its answer.
    pub async fn request(
        &self,
        node: NodeId,
        channel: Channel,
        bytes: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, RequestError> {
        let bound = channel.bound();
        if bytes.len() > bound {
            return Err(RequestError::TooLong { length: bytes.len(), bound });
        }
        let (done, answer) = oneshot::channel();
        self.tell(Command::Request { node, channel, bytes, done }).ok_or(RequestError::Closed)?;
        match tokio::time::timeout(timeout, answer).await {
            Ok(answer) => answer.unwrap_or(Err(RequestError::Closed)),
            Err(_) => Err(RequestError::Timeout),
        }
    }

    /// Gossips a message to all members. One that was published lately is not sent again.
    pub async fn publish(&self, bytes: Bytes) -> Result<(), PublishError> {
        if bytes.len() > limits::GOSSIP_PAYLOAD {
            return Err(PublishError::TooLong(bytes.len()));
        }
        let (done, answer) = oneshot::channel();
        self.tell(Command::Publish { bytes, done }).ok_or(PublishError::Closed)?;
        answer.await.unwrap_or(Err(PublishError::Closed))
    }

    /// Who is let through the gate. Nodes that are no longer in the set are cut off at once;
    /// connections from before a node was in it are replaced. The own id may be in it.
    pub fn set_members(&self, members: BTreeSet<NodeId>) {
        self.tell(Command::SetMembers { members });
    }

    /// Opens a shard stream to a connected member, which has admitted it when this returns.
    pub async fn open_stream(&self, node: NodeId) -> Result<ShardStream, OpenError> {
        let open = self.streams.open(node, &self.views);
        tokio::time::timeout(limits::STREAM_OPENING, open).await.unwrap_or(Err(OpenError::Timeout))
    }

    /// Where others may find this node: addresses listened on, given to announce, and learned from
    /// the outside. An address that was given to listen on is announced as it is.
    pub fn addresses(&self) -> Vec<Address> {
        self.views.addresses.borrow().clone()
    }

    /// Who is connected now.
    #[cfg(test)]
    pub fn connected(&self) -> BTreeMap<NodeId, Connection> {
        self.views.connected.borrow().clone()
    }

    /// Cuts all connections of `node`; it is told to the shell as [`super::NetEvent::Dropped`].
    pub fn disconnect(&self, node: NodeId, reason: impl Into<String>) {
        self.tell(Command::Disconnect { node, reason: reason.into() });
    }

    /// Closes all connections and listeners, and returns when that is done.
    pub async fn shutdown(&self) {
        let (done, answer) = oneshot::channel();
        if self.tell(Command::Shutdown { done }).is_some() {
            // An error means that the task is gone, which is what was asked for.
            let _ = answer.await;
        }
    }

    fn tell(&self, command: Command) -> Option<()> {
        self.commands.send(command).ok()
    }
}

impl Channel {
    /// The longest message, in bytes.
    pub fn bound(self) -> usize {
        match self {
            Self::Member => limits::MEMBER_FRAME,
            Self::Join => limits::JOIN_FRAME,
        }
    }
}

impl From<AddressError> for RequestError {
    fn from(_: AddressError) -> Self {
        Self::NotConnected
    }
}
