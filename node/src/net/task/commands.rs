//! What the shell asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use libp2p::gossipsub::{self, MessageAcceptance};
use safelight_proto::id::NodeId;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::super::address::{Address, peer_id};
use super::super::event::{Channel, Direction};
use super::super::handle::{Command, DialError, PublishError, RequestError};
use super::super::{behaviour, limits};
use super::{Answer, Task};

impl Task {
    pub(super) fn on_command(&mut self, command: Command) -> ControlFlow<oneshot::Sender<()>> {
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
}
