//! The one thread that owns the core: takes events in, makes what they change durable, and only then lets the effects
//! out. It is the only reader of the clocks.
//!
//! Events that wait are handled together and share one commit, so a burst of receipts costs one fsync.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use safelight_core::event::{Effect, Event};
use safelight_core::node::Node;
use safelight_core::time::Now;
use tokio::sync::{mpsc, oneshot};

use crate::store::{Store, StoreError};

/// Events that wait for the core; who has more waits.
const WAITING: usize = 1024;
/// Events that share one commit.
const TOGETHER: usize = 256;

/// The core is gone: the node is stopping, or its database failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node is stopping")]
pub struct Stopped;

type Question = Box<dyn FnOnce(&Node) + Send>;

enum Message {
    Event(Box<Event>, Option<oneshot::Sender<()>>),
    Question(Question),
    Stop,
}

/// Performs effects. Called on the core's thread: it hands work over and returns.
pub trait Perform: Send {
    /// Starts to perform one effect.
    fn perform(&mut self, effect: Effect);
}

/// The way to the core, for everyone else. Cheap to clone.
#[derive(Clone)]
pub struct Core(mpsc::Sender<Message>);

impl Core {
    /// Tells the core what happened.
    pub async fn tell(&self, event: Event) {
        // A core that is gone has no use for news.
        drop(self.0.send(Message::Event(Box::new(event), None)).await);
    }

    /// Tells the core what happened, and returns when what follows from it is durable.
    pub async fn settle(&self, event: Event) -> Result<(), Stopped> {
        let (done, settled) = oneshot::channel();
        self.0.send(Message::Event(Box::new(event), Some(done))).await.map_err(|_| Stopped)?;
        settled.await.map_err(|_| Stopped)
    }

    /// Asks the core something. What it answers is durable already.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Node) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (answer, answered) = oneshot::channel();
        let question: Question = Box::new(move |node| drop(answer.send(question(node))));
        self.0.send(Message::Question(question)).await.map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)
    }

    /// Ends the core, after all it was told before.
    pub async fn stop(&self) {
        // A core that is gone has stopped.
        drop(self.0.send(Message::Stop).await);
    }
}

/// The receiving end, before the thread runs.
pub struct Inbox(mpsc::Receiver<Message>);

/// A way to a core that does not run yet.
pub fn channel() -> (Core, Inbox) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Core(sender), Inbox(receiver))
}

/// Owns the core and runs until it is stopped, or the database fails.
pub struct Driver<P> {
    node: Node,
    store: Arc<Store>,
    perform: P,
    started: Instant,
}

impl<P: Perform> Driver<P> {
    /// A driver for `node`, with its store.
    pub fn new(node: Node, store: Arc<Store>, perform: P) -> Self {
        Self { node, store, perform, started: Instant::now() }
    }

    /// Runs. Blocks its thread.
    pub fn run(mut self, mut inbox: Inbox) -> Result<(), StoreError> {
        let mut waiting = None;
        loop {
            let Some(message) = waiting.take().or_else(|| inbox.0.blocking_recv()) else { return Ok(()) };
            match message {
                Message::Stop => return Ok(()),
                Message::Question(question) => question(&self.node),
                Message::Event(event, done) => {
                    let mut batch = vec![(event, done)];
                    while batch.len() < TOGETHER {
                        match inbox.0.try_recv() {
                            Ok(Message::Event(event, done)) => batch.push((event, done)),
                            Ok(other) => {
                                waiting = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    self.handle(batch)?;
                }
            }
        }
    }

    fn handle(&mut self, batch: Vec<(Box<Event>, Option<oneshot::Sender<()>>)>) -> Result<(), StoreError> {
        let (mut steps, mut settled) = (Vec::new(), Vec::new());
        for (event, done) in batch {
            steps.push(self.node.handle(*event, now(self.started)));
            settled.extend(done);
        }
        let proofs = self.store.commit(&steps)?;
        for (step, proof) in steps.into_iter().zip(proofs) {
            for effect in step.release(proof) {
                self.perform.perform(effect);
            }
        }
        for done in settled {
            // Whoever asked may have gone.
            let _ = done.send(());
        }
        Ok(())
    }
}

fn now(started: Instant) -> Now {
    Now { wall: wall_millis(), steady: started.elapsed().as_millis() as u64 }
}

/// Milliseconds since 1970 by the machine's clock; zero when it stands before that.
pub fn wall_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
