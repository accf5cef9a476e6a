//! Who is to be dialled, where, and when again. No I/O: it says what to dial.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::swarm::ConnectionId;
use safelight_proto::id::NodeId;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::address::{Address, Way};
use super::handle::DialError;
use super::limits;

type Waiter = oneshot::Sender<Result<NodeId, DialError>>;

/// The nodes being dialled, and those that are to be dialled whenever they are away.
#[derive(Default)]
pub(super) struct Dialer {
    attempts: BTreeMap<NodeId, Attempt>,
    kept: BTreeMap<NodeId, Kept>,
    learned: BTreeMap<NodeId, VecDeque<Multiaddr>>,
}

/// One dial for the swarm: addresses of one kind, tried at once.
pub(super) struct Dial {
    pub node: NodeId,
    pub places: Vec<Multiaddr>,
    pub from_listening_port: bool,
}

/// Reaching for one node, way after way.
struct Attempt {
    ways: BTreeMap<Way, Vec<Multiaddr>>,
    tried: BTreeSet<String>,
    next_way: Instant,
    under_way: BTreeSet<ConnectionId>,
    failures: Vec<DialError>,
    waiters: Vec<Waiter>,
}

/// A node to stay connected with.
struct Kept {
    addresses: Vec<Address>,
    failures: u32,
    next_try: Instant,
    connected: Option<Instant>,
}

impl Dialer {
    /// Reaches for `node`; the waiter hears what came of it. Joins an attempt under way.
    pub fn reach(&mut self, node: NodeId, addresses: &[Address], waiter: Option<Waiter>, now: Instant) {
        let attempt = self.attempts.entry(node).or_insert_with(|| Attempt {
            ways: BTreeMap::new(),
            tried: BTreeSet::new(),
            next_way: now,
            under_way: BTreeSet::new(),
            failures: Vec::new(),
            waiters: Vec::new(),
        });
        for place in addresses.iter().map(Address::place).take(limits::DIAL_ADDRESSES) {
            if attempt.tried.len() < limits::DIAL_ADDRESSES && attempt.tried.insert(place.to_string()) {
                attempt.ways.entry(Way::of(place)).or_default().push(place.clone());
            }
        }
        attempt.waiters.extend(waiter);
    }

    /// Reach for `node` now and whenever it is gone.
    pub fn keep(&mut self, node: NodeId, addresses: Vec<Address>, connected: bool, now: Instant) {
        let kept = self.kept.entry(node).or_insert_with(|| Kept {
            addresses: Vec::new(),
            failures: 0,
            next_try: now,
            connected: connected.then_some(now),
        });
        if kept.addresses != addresses {
            // New addresses are worth a try at once.
            kept.addresses = addresses;
            kept.next_try = now;
        }
    }

    pub fn forget(&mut self, node: &NodeId) {
        self.kept.remove(node);
        self.learned.remove(node);
    }

    /// Addresses that a kept node, or the LAN, told. Those told last are remembered.
    pub fn learn(&mut self, node: NodeId, places: impl IntoIterator<Item = Multiaddr>, now: Instant) {
        let Some(kept) = self.kept.get_mut(&node) else { return };
        let learned = self.learned.entry(node).or_default();
        for place in places.into_iter().take(limits::LEARNED_ADDRESSES) {
            let place = Address::new(node, place).place().clone();
            if place.is_empty() || learned.contains(&place) {
                continue;
            }
            if learned.len() == limits::LEARNED_ADDRESSES {
                learned.pop_front();
            }
            learned.push_back(place);
            kept.next_try = kept.next_try.min(now + limits::BACKOFF_FIRST);
        }
    }

    /// The node is connected: whoever waited for it hears so.
    pub fn on_connected(&mut self, node: NodeId, now: Instant) {
        if let Some(attempt) = self.attempts.remove(&node) {
            for waiter in attempt.waiters {
                // Whoever stopped waiting does not need the answer.
                let _ = waiter.send(Ok(node));
            }
        }
        if let Some(kept) = self.kept.get_mut(&node) {
            kept.connected.get_or_insert(now);
        }
    }

    /// The node's last connection is gone.
    pub fn on_disconnected(&mut self, node: NodeId, now: Instant) {
        if let Some(kept) = self.kept.get_mut(&node)
            && let Some(since) = kept.connected.take()
        {
            // One that throws us out at once is no better than one that is away.
            kept.failures = if now - since >= limits::STEADY_AFTER { 0 } else { kept.failures + 1 };
            kept.next_try = now + backoff(kept.failures, random());
        }
    }

    /// The swarm took the dial.
    pub fn on_dialling(&mut self, node: NodeId, connection: ConnectionId) {
        if let Some(attempt) = self.attempts.get_mut(&node) {
            attempt.under_way.insert(connection);
        }
    }

    /// A dial failed; `connection` is none when the swarm did not even take it.
    pub fn on_failed(
        &mut self,
        node: NodeId,
        connection: Option<ConnectionId>,
        error: DialError,
        now: Instant,
    ) {
        let Some(attempt) = self.attempts.get_mut(&node) else { return };
        if let Some(connection) = connection
            && !attempt.under_way.remove(&connection)
        {
            return;
        }
        attempt.failures.push(error);
        if !attempt.under_way.is_empty() {
            return;
        }
        attempt.next_way = now;
        if attempt.ways.is_empty() {
            self.give_up(node, now);
        }
    }

    /// What to dial now. `connected` nodes are not dialled.
    pub fn due(&mut self, now: Instant, connected: impl Fn(&NodeId) -> bool) -> Vec<Dial> {
        let wanted: Vec<(NodeId, Vec<Address>)> = self
            .kept
            .iter()
            .filter(|(node, kept)| {
                kept.next_try <= now && !connected(node) && !self.attempts.contains_key(node)
            })
            .map(|(node, kept)| (*node, self.places_of(*node, kept)))
            .collect();
        for (node, addresses) in wanted {
            self.reach(node, &addresses, None, now);
        }
        let mut dials = Vec::new();
        let mut hopeless = Vec::new();
        for (node, attempt) in &mut self.attempts {
            if attempt.next_way > now {
                continue;
            }
            match attempt.ways.pop_first() {
                Some((way, places)) => {
                    attempt.next_way = now + limits::DIAL_HEAD_START;
                    dials.push(Dial {
                        node: *node,
                        places,
                        from_listening_port: way.dials_from_listening_port(),
                    });
                }
                None if attempt.under_way.is_empty() => hopeless.push(*node),
                None => {}
            }
        }
        for node in hopeless {
            self.give_up(node, now);
        }
        dials
    }

    /// When [`Self::due`] has something to say next.
    pub fn next(&self, connected: impl Fn(&NodeId) -> bool) -> Option<Instant> {
        let ways =
            self.attempts.values().filter(|attempt| !attempt.ways.is_empty() || attempt.under_way.is_empty());
        let tries =
            self.kept.iter().filter(|(node, _)| !connected(node) && !self.attempts.contains_key(node));
        ways.map(|attempt| attempt.next_way).chain(tries.map(|(_, kept)| kept.next_try)).min()
    }

    fn places_of(&self, node: NodeId, kept: &Kept) -> Vec<Address> {
        let learned = self.learned.get(&node).into_iter().flatten();
        let learned = learned.map(|place| Address::new(node, place.clone()));
        kept.addresses.iter().cloned().chain(learned).collect()
    }

    fn give_up(&mut self, node: NodeId, now: Instant) {
        if let Some(attempt) = self.attempts.remove(&node) {
            let error = verdict(attempt.failures);
            for waiter in attempt.waiters {
                // Whoever stopped waiting does not need the answer.
                let _ = waiter.send(Err(error.clone()));
            }
        }
        if let Some(kept) = self.kept.get_mut(&node) {
            kept.failures = kept.failures.saturating_add(1);
            kept.next_try = now + backoff(kept.failures, random());
        }
    }
}

/// One error for the whole attempt: the most telling one.
fn verdict(failures: Vec<DialError>) -> DialError {
    let mut reasons = Vec::new();
    for failure in failures {
        match failure {
            DialError::Unreachable { reasons: more } => reasons.extend(more),
            telling => return telling,
        }
    }
    if reasons.is_empty() { DialError::NoAddress } else { DialError::Unreachable { reasons } }
}

/// The wait after so many failures: doubling, and between half and all of it at random, so that a
/// studio's machines do not all dial at once when the power comes back.
fn backoff(failures: u32, random: u32) -> Duration {
    let doubled = limits::BACKOFF_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let full = doubled.min(limits::BACKOFF_LAST);
    full.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX))
}

fn random() -> u32 {
    // Without a source of randomness there is no jitter, which costs politeness only.
    getrandom::u32().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    const NODE: NodeId = NodeId([1; 32]);

    fn at(text: &str) -> Address {
        Address::new(NODE, text.parse().expect("a multiaddr"))
    }

    fn failure() -> DialError {
        DialError::Unreachable { reasons: vec!["no".to_owned()] }
    }

    #[test]
    fn backoff_doubles_within_its_bounds() {
        assert_eq!(backoff(1, u32::MAX), limits::BACKOFF_FIRST);
        assert_eq!(backoff(2, u32::MAX), limits::BACKOFF_FIRST * 2);
        assert_eq!(backoff(2, 0), limits::BACKOFF_FIRST);
        assert_eq!(backoff(u32::MAX, u32::MAX), limits::BACKOFF_LAST);
    }

    #[tokio::test]
    async fn ways_follow_each_other_and_all_failures_are_told() {
        let mut dialer = Dialer::default();
        let (waiter, mut answer) = oneshot::channel();
        let start = Instant::now();
        let addresses = [at("/ip4/127.0.0.1/udp/1/quic-v1"), at("/ip4/127.0.0.1/tcp/1")];
        dialer.reach(NODE, &addresses, Some(waiter), start);
        let first = dialer.due(start, |_| false);
        assert_eq!(first[0].places, [addresses[1].place().clone()]);
        assert!(!first[0].from_listening_port);
        assert!(dialer.due(start, |_| false).is_empty());
        // The first way fails: the second is due at once, without the head start.
        dialer.on_failed(NODE, None, failure(), start);
        assert_eq!(dialer.due(start, |_| false)[0].places, [addresses[0].place().clone()]);
        dialer.on_failed(NODE, None, failure(), start);
        let told = answer.try_recv().expect("an answer").expect_err("a failure");
        assert_eq!(told, DialError::Unreachable { reasons: vec!["no".to_owned(); 2] });
        assert_eq!(dialer.next(|_| false), None);
    }

    #[tokio::test]
    async fn kept_nodes_are_tried_again_until_connected() {
        let mut dialer = Dialer::default();
        let connected = Cell::new(false);
        let mut now = Instant::now();
        dialer.keep(NODE, vec![at("/ip4/127.0.0.1/tcp/1")], false, now);
        for _ in 0..20 {
            assert_eq!(dialer.due(now, |_| connected.get()).len(), 1);
            dialer.on_failed(NODE, None, failure(), now);
            let next = dialer.next(|_| connected.get()).expect("another try");
            assert!(next > now && next - now <= limits::BACKOFF_LAST);
            assert!(dialer.due(now, |_| connected.get()).is_empty());
            now = next;
        }
        connected.set(true);
        dialer.on_connected(NODE, now);
        assert_eq!(dialer.next(|_| connected.get()), None);
        // A steady connection forgives: the next try is soon.
        now += limits::STEADY_AFTER;
        connected.set(false);
        dialer.on_disconnected(NODE, now);
        assert!(dialer.next(|_| false).is_some_and(|next| next - now <= limits::BACKOFF_FIRST));
    }
}
