//! What the network tells the shell.

use std::fmt;

use bytes::Bytes;
use libp2p::PeerId;
use libp2p::gossipsub::{MessageAcceptance, MessageId};
use libp2p::request_response::ResponseChannel;
use safelight_proto::id::NodeId;
use tokio::sync::mpsc;

use super::address::Address;
use super::codec::Incoming;
use super::handle::Command;
use super::stream::ShardStream;

/// Which exchange a request belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Between members; at most [`MEMBER_FRAME`](super::limits::MEMBER_FRAME) bytes each way.
    Member,
    /// Open to strangers; at most [`JOIN_FRAME`](super::limits::JOIN_FRAME) bytes each way.
    Join,
}

/// Who opened a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The other node.
    Inbound,
    /// This node.
    Outbound,
}

/// What the network tells the shell.
///
/// Connected and Disconnected come in order and are never lost; a slow shell may miss a quick
/// disconnection and return only if it would have seen both at once. Everything else that comes
/// from peers is dropped when the shell is slower than they are: a request then fails at its
/// sender, gossip comes again by reconciliation.
#[derive(Debug)]
pub enum NetEvent {
    /// A new address is listened on (also after the start, when an interface comes up).
    Listening {
        /// The address, as others would dial it.
        address: Address,
    },
    /// First connection of a node, or (`member` turns true) its first one with the member protocols.
    Connected {
        /// Who.
        node: NodeId,
        /// Where the connection leads. Of an inbound one: where it came from.
        address: Address,
        /// Whether it leads through another node.
        relayed: bool,
        /// Whether it carries the member protocols.
        member: bool,
    },
    /// The last connection of a node is gone.
    Disconnected {
        /// Who.
        node: NodeId,
    },
    /// A request. Dropping `reply` refuses it.
    Request {
        /// Who asks, proved by the connection's handshake.
        from: NodeId,
        /// [`Channel::Join`] comes from strangers too.
        channel: Channel,
        /// The request.
        bytes: Bytes,
        /// To answer with.
        reply: ReplyHandle,
    },
    /// A gossip message. It travels on only after it was accepted.
    Gossip {
        /// The member that passed it on; not its author.
        from: NodeId,
        /// The message.
        bytes: Bytes,
        /// To judge it with.
        verdict: VerdictHandle,
    },
    /// A member opened a shard stream.
    Stream {
        /// Who.
        from: NodeId,
        /// The stream; it counts against the member's share until it is dropped.
        stream: ShardStream,
    },
    /// Some node is on the LAN (mDNS). Not authenticated before it is connected.
    Discovered {
        /// Its claimed id.
        node: NodeId,
        /// Its claimed address.
        address: Address,
    },
    /// The own addresses changed: see [`NetHandle::addresses`](super::NetHandle::addresses).
    AddressesChanged,
    /// A peer was cut off.
    Dropped {
        /// Who.
        node: NodeId,
        /// Why, as a sentence without the name.
        reason: String,
    },
}

/// Answers one request.
pub struct ReplyHandle {
    pub(super) channel: Channel,
    pub(super) slot: ResponseChannel<Incoming>,
    pub(super) commands: mpsc::UnboundedSender<Command>,
}

impl ReplyHandle {
    /// Sends the answer. If the asker is gone, or the answer is above the channel's bound, it sees
    /// a request that failed.
    pub fn send(self, bytes: Bytes) {
        let command = Command::Reply { channel: self.channel, slot: self.slot, bytes };
        // A network that has shut down has no one to answer.
        let _ = self.commands.send(command);
    }
}

impl fmt::Debug for ReplyHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplyHandle({:?})", self.channel)
    }
}

/// What a gossip message is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Valid: pass it on.
    Accept,
    /// Not ours to judge, or known: do not pass it on.
    Ignore,
    /// Invalid: do not pass it on, and cut off who sent it.
    Reject,
}

/// Judges one gossip message; dropping it is [`Verdict::Ignore`].
pub struct VerdictHandle {
    pub(super) message: MessageId,
    pub(super) source: PeerId,
    pub(super) commands: mpsc::UnboundedSender<Command>,
    pub(super) given: bool,
}

impl VerdictHandle {
    /// Gives the verdict.
    pub fn give(mut self, verdict: Verdict) {
        self.send(verdict);
    }

    fn send(&mut self, verdict: Verdict) {
        self.given = true;
        let acceptance = match verdict {
            Verdict::Accept => MessageAcceptance::Accept,
            Verdict::Ignore => MessageAcceptance::Ignore,
            Verdict::Reject => MessageAcceptance::Reject,
        };
        let command = Command::Verdict { message: self.message.clone(), source: self.source, acceptance };
        // After the shutdown nothing is passed on anyway.
        let _ = self.commands.send(command);
    }
}

impl Drop for VerdictHandle {
    fn drop(&mut self) {
        if !self.given {
            self.send(Verdict::Ignore);
        }
    }
}

impl fmt::Debug for VerdictHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerdictHandle({})", self.message)
    }
}
