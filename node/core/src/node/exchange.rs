//! Keeping manifests equal: reconciliation with each connected member, on meeting and every so often.

use std::collections::{BTreeMap, BTreeSet};

use safelight_proto::id::{NodeId, RecordId};
use safelight_proto::limit;
use safelight_proto::message::{Request, Response};
use safelight_proto::record::{Body, Record};

use super::Node;
use crate::event::{Effect, Question, Step, Token};
use crate::manifest::Merged;
use crate::sync::{Next, Session, Snapshot};
use crate::time::Now;

/// Between two reconciliations with one peer, milliseconds; gossip bridges the time. Jittered by a half.
const PERIOD: u64 = 20_000;
/// After a failed one.
const RETRY: u64 = 2_000;
/// What this node says goes out by gossip at once; a reconciliation this soon after catches whom gossip did not reach.
const FOLLOW_UP: u64 = 1_000;
/// Removals that are held back until all else of a session is here; more than people ever say.
const REMOVALS: usize = 1024;
/// The peer with the larger id waits this long for the other to begin.
const COURTESY: u64 = 1_500;

/// Reconciliation with every peer.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    peers: BTreeMap<NodeId, Peer>,
    questions: u64,
    /// Peers whose whole set was taken in at least once since this node started.
    agreed: BTreeSet<NodeId>,
    /// Of the manifest as it was; taken anew when it has changed.
    snapshot: Option<(u64, Snapshot)>,
}

#[derive(Debug)]
struct Peer {
    /// When to begin the next session.
    due: u64,
    asked: Option<(Question, Phase)>,
}

#[derive(Debug)]
enum Phase {
    Reconciling(Box<Session>),
    Fetching {
        /// What is still to be fetched.
        rest: Vec<RecordId>,
        /// Removals, which are taken in when all else is.
        removals: Vec<Record>,
    },
}

impl Exchange {
    pub(super) fn meet(&mut self, peer: NodeId, begins: bool, now: Now) {
        let due = now.steady + if begins { 0 } else { COURTESY };
        self.peers.insert(peer, Peer { due, asked: None });
    }

    /// This node has said something new.
    pub(super) fn follow_up(&mut self, now: Now) {
        for peer in self.peers.values_mut() {
            peer.due = peer.due.min(now.steady + FOLLOW_UP);
        }
    }

    /// Some peer has something to tell that cannot wait.
    pub(super) fn hurry(&mut self, now: Now) {
        for peer in self.peers.values_mut() {
            peer.due = now.steady;
        }
    }

    pub(super) fn part(&mut self, peer: NodeId) {
        self.peers.remove(&peer);
    }

    /// A question that was never asked before.
    pub(super) fn number(&mut self) -> Question {
        self.questions += 1;
        Question(self.questions)
    }
}

impl Node {
    /// Whether everything that `peer` knew at some moment since the start has been taken in here.
    pub fn has_heard(&self, peer: &NodeId) -> bool {
        self.exchange.agreed.contains(peer)
    }

    /// Whether all that some member knew at a moment since the start has been taken in here.
    pub(super) fn has_heard_anybody(&self) -> bool {
        !self.exchange.agreed.is_empty()
    }

    /// Begins the sessions that are due.
    pub(super) fn exchange(&mut self, now: Now, step: &mut Step) {
        let due: Vec<NodeId> = self
            .exchange
            .peers
            .iter()
            .filter(|(_, peer)| peer.asked.is_none() && peer.due <= now.steady)
            .map(|(id, _)| *id)
            .collect();
        for peer in due {
            let begun = self.snapshot().and_then(|snapshot| Session::begin(snapshot).ok());
            let Some((session, message)) = begun else { continue };
            self.ask(peer, Request::Reconcile(message), Phase::Reconciling(Box::new(session)), step);
        }
    }

    fn ask(&mut self, to: NodeId, request: Request, phase: Phase, step: &mut Step) {
        let question = self.exchange.number();
        if let Some(peer) = self.exchange.peers.get_mut(&to) {
            peer.asked = Some((question, phase));
            step.effects.push(Effect::Ask(to, question, request));
        }
    }

    /// The set as it is; made once for all peers until the set changes.
    fn snapshot(&mut self) -> Option<Snapshot> {
        let version = self.manifest.version();
        match &self.exchange.snapshot {
            Some((of, snapshot)) if *of == version => Some(snapshot.clone()),
            _ => {
                let snapshot = Snapshot::of(&self.manifest).ok()?;
                self.exchange.snapshot = Some((version, snapshot.clone()));
                Some(snapshot)
            }
        }
    }

    pub(super) fn asked(&mut self, from: NodeId, request: Request, token: Token, now: Now, step: &mut Step) {
        let effect = match request {
            _ if self.manifest.members().is_removed(&from) => {
                Effect::Reply(token, Response::Refused("this machine was removed from the library".into()))
            }
            Request::Reconcile(message) => match self.snapshot().map(|set| set.answer(&message)) {
                Some(Ok(answer)) => {
                    // The other compares the sets already: ours can wait its time.
                    self.postpone(from, now);
                    Effect::Reply(token, Response::Reconcile(answer))
                }
                Some(Err(error)) => Effect::Drop(token, error.to_string()),
                None => Effect::Reply(token, Response::Refused("not now".into())),
            },
            Request::Push(records) => match self.take_all(&records, now, step) {
                Ok(removals) => {
                    self.take_each(removals, step);
                    Effect::Reply(token, Response::Accepted)
                }
                Err(reason) => Effect::Drop(token, reason),
            },
            Request::Promise(roll) => return self.promise(&roll, token, step),
            _ => Effect::Reply(token, Response::Refused("asked of the wrong part".into())),
        };
        step.effects.push(effect);
    }

    /// Not before this node has heard the other once: what the other sends is what it finds missing here, and whether that
    /// was all is known to its side alone. Postponed again and again, a recovery would wait for ever.
    fn postpone(&mut self, peer: NodeId, now: Now) {
        if !self.has_heard(&peer) {
            return;
        }
        let due = now.steady + PERIOD / 2 + self.below(PERIOD);
        if let Some(peer) = self.exchange.peers.get_mut(&peer).filter(|peer| peer.asked.is_none()) {
            peer.due = due;
        }
    }

    pub(super) fn answered(
        &mut self,
        from: NodeId,
        question: Question,
        answer: Result<Response, String>,
        now: Now,
        step: &mut Step,
    ) {
        if self.answered_promise(from, question, &answer) {
            return;
        }
        let Some(peer) = self.exchange.peers.get_mut(&from) else { return };
        let Some((_, phase)) = peer.asked.take_if(|(asked, _)| *asked == question) else { return };
        let done = match (phase, answer) {
            (Phase::Reconciling(session), Ok(Response::Reconcile(message))) => {
                self.reconciled(from, session, &message, step)
            }
            (Phase::Fetching { rest, removals }, Ok(Response::Records(records))) => {
                self.fetched(from, rest, removals, &records, now, step)
            }
            _ => Some(RETRY),
        };
        if let (Some(wait), Some(peer)) = (done, self.exchange.peers.get_mut(&from)) {
            peer.due = now.steady + wait;
        }
    }

    /// Goes on with a session. When it is over: how long to wait before the next.
    fn reconciled(
        &mut self,
        from: NodeId,
        mut session: Box<Session>,
        message: &[u8],
        step: &mut Step,
    ) -> Option<u64> {
        match session.step(message) {
            Ok(Next::Send(message)) => {
                self.ask(from, Request::Reconcile(message), Phase::Reconciling(session), step);
                None
            }
            Ok(Next::Done { mut have, need }) => {
                if !have.is_empty() {
                    self.removals_last(&mut have);
                    step.effects.push(Effect::Push(from, have));
                }
                self.fetch(from, need, Vec::new(), step)
            }
            Err(_) => Some(RETRY),
        }
    }

    fn fetch(
        &mut self,
        from: NodeId,
        rest: Vec<RecordId>,
        removals: Vec<Record>,
        step: &mut Step,
    ) -> Option<u64> {
        if rest.is_empty() {
            self.take_each(removals, step);
            self.exchange.agreed.insert(from);
            return Some(PERIOD / 2 + self.below(PERIOD));
        }
        let asked = rest[..rest.len().min(limit::FETCH_IDS)].to_vec();
        self.ask(from, Request::Fetch(asked), Phase::Fetching { rest, removals }, step);
        None
    }

    /// Takes in an answer to a fetch and asks for what did not fit into it.
    fn fetched(
        &mut self,
        from: NodeId,
        mut rest: Vec<RecordId>,
        mut removals: Vec<Record>,
        records: &[Vec<u8>],
        now: Now,
        step: &mut Step,
    ) -> Option<u64> {
        let before = rest.len();
        let taken = self.take_all(records, now, step);
        let failed = taken.is_err();
        removals.extend(taken.unwrap_or_default());
        // Whoever cannot send the rest must not keep a removal from being heard of.
        if failed || records.is_empty() || removals.len() > REMOVALS {
            self.take_each(std::mem::take(&mut removals), step);
        }
        if failed {
            return Some(PERIOD);
        }
        // Answers come in the order asked; what came is at the front. A record that the peer has lost meanwhile
        // must not be asked for for ever.
        rest.drain(..records.len().min(before));
        if records.is_empty() { Some(RETRY) } else { self.fetch(from, rest, removals, step) }
    }

    pub(super) fn take_each(&mut self, records: Vec<Record>, step: &mut Step) {
        for record in records {
            self.take(record, step);
        }
    }

    /// Takes in records that a member sent, but for removals, which it gives back: they come after what is adopted. One
    /// that nobody may say is the sender's fault.
    pub(super) fn take_all(
        &mut self,
        records: &[Vec<u8>],
        now: Now,
        step: &mut Step,
    ) -> Result<Vec<Record>, String> {
        let mut removals = Vec::new();
        for bytes in records {
            let record = Record::parse(self.identity.library, bytes).map_err(|error| error.to_string())?;
            self.clock.observe(record.hlc, now);
            if matches!(record.body, Body::Remove(_)) {
                removals.push(record);
            } else if let Merged::Refused(reason) = self.take(record, step) {
                return Err(reason.to_owned());
            }
        }
        Ok(removals)
    }
}
