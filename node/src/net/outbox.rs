//! Events that wait for a slow shell, within bounds.

use std::collections::VecDeque;

use super::event::NetEvent;
use super::limits::{PENDING_EVENT_BYTES, PENDING_EVENTS};

/// Events that wait. One above the bounds is dropped, which refuses its request or ignores its
/// gossip; the network never waits for the shell, since the shell may be waiting for the network.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: VecDeque<NetEvent>,
    bytes: usize,
    addresses_changed: bool,
}

impl Outbox {
    pub fn push(&mut self, event: NetEvent) {
        if matches!(event, NetEvent::AddressesChanged) {
            self.addresses_changed = true;
            return;
        }
        let bytes = payload(&event);
        if self.waiting.len() >= PENDING_EVENTS || self.bytes + bytes > PENDING_EVENT_BYTES {
            tracing::warn!(
                waiting = self.waiting.len(),
                bytes = self.bytes,
                "the node is busy, dropping {event:?}"
            );
            return;
        }
        self.bytes += bytes;
        self.waiting.push_back(event);
    }

    pub fn pop(&mut self) -> Option<NetEvent> {
        if std::mem::take(&mut self.addresses_changed) {
            return Some(NetEvent::AddressesChanged);
        }
        let event = self.waiting.pop_front()?;
        self.bytes -= payload(&event);
        Some(event)
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && !self.addresses_changed
    }
}

fn payload(event: &NetEvent) -> usize {
    match event {
        NetEvent::Request { bytes, .. } | NetEvent::Gossip { bytes, .. } => bytes.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safelight_proto::id::NodeId;

    #[test]
    fn a_slow_shell_costs_bounded_memory() {
        let mut outbox = Outbox::default();
        for n in 0..2 * PENDING_EVENTS {
            outbox.push(NetEvent::Dropped { node: NodeId([0; 32]), reason: n.to_string() });
            outbox.push(NetEvent::AddressesChanged);
        }
        assert!(matches!(outbox.pop(), Some(NetEvent::AddressesChanged)));
        for n in 0..PENDING_EVENTS {
            assert!(
                matches!(outbox.pop(), Some(NetEvent::Dropped { reason, .. }) if reason == n.to_string())
            );
        }
        assert!(outbox.is_empty() && outbox.pop().is_none());
    }
}
