//! Performs what the core asks for: every effect becomes a task of its own, or an answer to someone who waits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use safelight_core::event::{Effect, Event, Judgement, Token};
use safelight_proto::id::NodeId;
use tokio::runtime::Handle;

use crate::blobs::StoreError;
use crate::driver::Perform;
use crate::net::{Address, ReplyHandle, Verdict, VerdictHandle};
use crate::shell::Shell;
use crate::workers::{carry, errands, remake};

/// Someone who waits for the core.
pub enum Waiting {
    /// A member or stranger, for an answer.
    Reply(NodeId, ReplyHandle),
    /// The network, for a judgement of a gossip message.
    Verdict(VerdictHandle),
}

/// Who waits, by token.
#[derive(Default)]
pub struct Tokens(Mutex<(u64, BTreeMap<Token, Waiting>)>);

impl Tokens {
    /// A token for someone who waits. The core answers every token, so none is left behind.
    pub fn issue(&self, waiting: Waiting) -> Token {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.0 += 1;
        let token = Token(tokens.0);
        tokens.1.insert(token, waiting);
        token
    }

    fn take(&self, token: Token) -> Option<Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.remove(&token)
    }
}

/// The core's hands.
pub struct Hands {
    shell: Arc<Shell>,
    tokens: Arc<Tokens>,
    runtime: Handle,
    kept: BTreeMap<NodeId, Vec<String>>,
    hints: Vec<Address>,
}

impl Hands {
    /// Hands that work on `runtime`; `hints` are addresses to try beside those that members announce.
    pub fn new(shell: Arc<Shell>, tokens: Arc<Tokens>, runtime: Handle, hints: &[String]) -> Self {
        let hints = hints.iter().filter_map(|text| text.parse().ok()).collect();
        Self { shell, tokens, runtime, kept: BTreeMap::new(), hints }
    }

    fn reply(&self, token: Token, bytes: Vec<u8>) {
        if let Some(Waiting::Reply(_, reply)) = self.tokens.take(token) {
            reply.send(Bytes::from(bytes));
        }
    }

    /// Opens the gate to all members and keeps in touch with them; new addresses replace old ones.
    fn gate(&mut self, members: BTreeMap<NodeId, Vec<String>>) {
        let net = &self.shell.net;
        net.set_members(members.keys().copied().collect::<BTreeSet<_>>());
        for node in self.kept.keys().filter(|node| !members.contains_key(*node)) {
            net.forget(*node);
        }
        for (node, addresses) in &members {
            if self.kept.get(node) != Some(addresses) {
                // What a node says of its addresses is its own affair; what cannot be dialled is left out.
                let announced = addresses.iter().filter_map(|text| text.parse::<Address>().ok());
                let known = announced.chain(self.hints.iter().cloned());
                net.keep(*node, known.filter(|address| address.node() == *node).collect());
            }
        }
        self.kept = members;
    }
}

impl Perform for Hands {
    fn perform(&mut self, effect: Effect) {
        let shell = Arc::clone(&self.shell);
        match effect {
            Effect::Reply(token, response) => self.reply(token, response.encode()),
            Effect::Welcome(token, reply) => self.reply(token, reply.encode()),
            Effect::Tell(text) => tracing::warn!("{text}"),
            Effect::Drop(token, reason) => {
                if let Some(Waiting::Reply(from, _)) = self.tokens.take(token) {
                    shell.net.disconnect(from, reason);
                }
            }
            Effect::Judge(token, judgement) => {
                if let Some(Waiting::Verdict(handle)) = self.tokens.take(token) {
                    handle.give(match judgement {
                        Judgement::Accept => Verdict::Accept,
                        Judgement::Ignore => Verdict::Ignore,
                        Judgement::Reject => Verdict::Reject,
                    });
                }
            }
            Effect::Gate(members) => self.gate(members),
            Effect::Ask(to, question, request) => {
                self.runtime.spawn(errands::ask(shell, to, question, request));
            }
            Effect::Push(to, ids) => drop(self.runtime.spawn(errands::push(shell, to, ids))),
            Effect::Publish(bytes) => {
                // Nobody listening is no fault: reconciliation brings it to them.
                self.runtime.spawn(async move { drop(shell.net.publish(Bytes::from(bytes)).await) });
            }
            Effect::Pull { want, hash, bytes, from, urgent } => {
                self.runtime.spawn(carry::pull(shell, want, (hash, bytes), from, urgent));
            }
            Effect::Remake(what) => drop(self.runtime.spawn(remake::remake(shell, what))),
            Effect::Audit { of, roll, volume, claim, hash, bytes, groups } => {
                let done = move |outcome| Event::Audited { roll, volume, claim, hash, outcome };
                self.runtime.spawn(errands::audit(shell, of, volume, (hash, bytes), groups, done));
            }
            Effect::FetchCatalog { hash, from } => {
                self.runtime.spawn(errands::fetch_catalog(shell, hash, from));
            }
            Effect::Alert(mass) => tracing::error!(
                files = mass.files,
                of = mass.of_files,
                "too much was deleted within a day: the brake holds, this node gives up nothing until its owner says so"
            ),
            Effect::Unlink(volume, hash) => {
                let Some(open) = shell.volumes.get(&volume) else { return };
                // At once, before an effect that comes later may bring the same shard back.
                open.release(hash);
                self.runtime.spawn(async move {
                    match open.remove_released(hash).await {
                        Ok(()) | Err(StoreError::NotHere(_)) => {}
                        Err(error) => {
                            tracing::warn!(%hash, "a shard that is no longer needed could not be removed: {error}");
                        }
                    }
                });
            }
        }
    }
}
