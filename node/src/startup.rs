//! Wiring: from a home to a running node, and back to rest in order.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use safelight_core::event::Event;
use safelight_core::node::{Identity, Node};
use safelight_core::seal::ReadingKey;
use safelight_proto::message::{JoinRequest, Request, Response};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::catalogs::{CatalogError, Catalogs};
use crate::driver::{self, Driver, Perform};
use crate::effect::{Hands, Tokens, Waiting};
use crate::home::Home;
use crate::hours::Gate;
use crate::meter::Meter;
use crate::net::{Channel, Net, NetConfig, NetError, NetEvent};
use crate::pace::Pace;
use crate::settings;
use crate::shell::Shell;
use crate::store::{Store, StoreError};
use crate::view::Names;
use crate::volumes::Volumes;
use crate::workers::scrub::{self, Scrubs};
use crate::workers::{carry, drill, errands, housekeeping, index};

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its catalogs.
    #[error(transparent)]
    Catalogs(#[from] CatalogError),
    /// Its network.
    #[error(transparent)]
    Net(#[from] NetError),
    /// A thread or the random numbers.
    #[error("the system refused: {0}")]
    System(String),
}

impl From<std::io::Error> for StartError {
    fn from(error: std::io::Error) -> Self {
        Self::System(error.to_string())
    }
}

/// A node that runs.
pub struct Running {
    /// What everyone works with.
    pub shell: Arc<Shell>,
    tasks: JoinSet<()>,
    ended: watch::Receiver<Option<String>>,
}

impl Running {
    /// Starts the node of `home`. When this returns, its volumes are open or known to be unavailable, and it listens.
    pub async fn start(home: &Home, listen: Vec<SocketAddr>) -> Result<Self, StartError> {
        let (database, folder) = (home.database(), home.catalogs());
        let kept = tokio::task::spawn_blocking(move || Kept::load(&database, &folder))
            .await
            .map_err(|error| StartError::System(error.to_string()))??;
        let trust_declared = housekeeping::trust_declared();
        let loopback = listen.iter().all(|address| address.ip().is_loopback());
        let config = NetConfig {
            secret: kept.identity.secret,
            listen,
            announce: Vec::new(),
            library: kept.identity.library,
            mdns: !loopback,
            upnp: !loopback,
        };
        let (net, events) = Net::start(config).await?;
        let (core, inbox) = driver::channel();
        let name = kept.identity.name.clone();
        let shell = Arc::new(Shell {
            me: net.node(),
            library: kept.identity.library,
            site: kept.identity.site.clone(),
            reading_key: kept.identity.reading_key.as_ref().map(ReadingKey::from_secret),
            core,
            store: Arc::clone(&kept.store),
            net,
            volumes: Volumes::default(),
            catalogs: kept.catalogs.clone(),
            names: Names::default(),
            meter: Meter::default(),
            pace: Pace::default(),
            gate: Gate::default(),
            scrubs: Scrubs::default(),
        });
        let tokens = Arc::new(Tokens::default());
        let volumes = kept.volumes.clone();
        let ended = run_core(kept, Arc::clone(&shell), Arc::clone(&tokens), inbox)?;
        settings::apply(&shell).await.map_err(|failure| StartError::System(failure.message))?;
        for (id, path) in volumes {
            housekeeping::open(&shell, id, path).await;
        }
        let mut tasks = JoinSet::new();
        tasks.spawn(listen_to(Arc::clone(&shell), tokens, events, name.clone()));
        tasks.spawn(housekeeping::tick(Arc::clone(&shell)));
        tasks.spawn(index::keep(Arc::clone(&shell)));
        tasks.spawn(scrub::keep(Arc::clone(&shell)));
        tasks.spawn(drill::keep(Arc::clone(&shell)));
        // A node that is stopping has nothing to tell.
        let _ = housekeeping::round(&shell, trust_declared).await;
        let _ = housekeeping::tell_node(&shell, &name).await;
        tasks.spawn(housekeeping::volumes(Arc::clone(&shell), trust_declared));
        Ok(Self { shell, tasks, ended })
    }

    /// Returns when the core has ended by itself, with the reason.
    pub async fn failed(&mut self) -> String {
        loop {
            if let Some(reason) = self.ended.borrow_and_update().clone() {
                return reason;
            }
            if self.ended.changed().await.is_err() {
                return "the node's core ended".into();
            }
        }
    }

    /// Stops the node in order: no more visitors, then no more work, then the volumes are closed.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
        self.shell.net.shutdown().await;
        self.shell.core.stop().await;
        // The core's last commit is behind us when its end is told.
        let _ = self.ended.wait_for(Option::is_some).await;
        for volume in self.shell.volumes.open() {
            volume.shutdown().await;
        }
    }
}

/// What a home remembers.
struct Kept {
    identity: crate::store::Identity,
    store: Arc<Store>,
    catalogs: Catalogs,
    volumes: BTreeMap<safelight_proto::id::VolumeId, std::path::PathBuf>,
    node: Node,
    first: safelight_core::event::Step,
}

impl Kept {
    fn load(database: &std::path::Path, catalogs: &std::path::Path) -> Result<Self, StartError> {
        let store = Arc::new(Store::open(database)?);
        let identity = store.identity()?;
        let catalogs = Catalogs::open(catalogs)?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| StartError::System(error.to_string()))?;
        let who = Identity {
            key: SigningKey::from_bytes(&identity.secret),
            library: identity.library,
            reading_key: identity.reading_key,
        };
        let (mut node, first) = Node::new(who, store.records()?, store.invites()?, catalogs.all()?, seed);
        node.remember(store.memory()?);
        let volumes = store.volumes()?;
        Ok(Self { identity, store, catalogs, volumes, node, first })
    }
}

/// Runs the core on its thread. The receiver hears why, should it end by itself.
fn run_core(
    kept: Kept,
    shell: Arc<Shell>,
    tokens: Arc<Tokens>,
    inbox: driver::Inbox,
) -> Result<watch::Receiver<Option<String>>, StartError> {
    let (tell, ended) = watch::channel(None);
    let mut hands = Hands::new(shell, tokens, Handle::current(), &kept.identity.hints);
    if let Some(proof) = kept.store.commit(std::slice::from_ref(&kept.first))?.pop() {
        kept.first.release(proof).into_iter().for_each(|effect| hands.perform(effect));
    }
    let driver = Driver::new(kept.node, kept.store, hands);
    std::thread::Builder::new().name("core".into()).spawn(move || {
        let reason = match driver.run(inbox) {
            Ok(()) => "the node is stopping".to_owned(),
            Err(error) => error.to_string(),
        };
        tell.send_replace(Some(reason));
    })?;
    Ok(ended)
}

/// Carries what the network tells to the core and the workers.
async fn listen_to(
    shell: Arc<Shell>,
    tokens: Arc<Tokens>,
    mut events: mpsc::Receiver<NetEvent>,
    name: String,
) {
    while let Some(event) = events.recv().await {
        match event {
            NetEvent::Connected { node, address, member: true, relayed } => {
                tracing::info!(%node, ?address, relayed, "connected");
                shell.core.tell(Event::Connected(node)).await;
            }
            NetEvent::Disconnected { node } => shell.core.tell(Event::Disconnected(node)).await,
            NetEvent::Gossip { from, bytes, verdict } => {
                tracing::debug!(%from, bytes = bytes.len(), "gossip");
                let token = tokens.issue(Waiting::Verdict(verdict));
                shell.core.tell(Event::Gossip { bytes: bytes.to_vec(), token }).await;
            }
            NetEvent::Request { from, channel: Channel::Join, bytes, reply } => {
                match JoinRequest::decode(&bytes) {
                    Ok(request) => {
                        let token = tokens.issue(Waiting::Reply(from, reply));
                        shell.core.tell(Event::Join { from, request, token }).await;
                    }
                    Err(error) => shell.net.disconnect(from, error.to_string()),
                }
            }
            NetEvent::Request { from, channel: Channel::Member, bytes, reply } => {
                match Request::decode(&bytes) {
                    Ok(request) => drop(tokio::spawn(asked(
                        Arc::clone(&shell),
                        Arc::clone(&tokens),
                        from,
                        request,
                        reply,
                    ))),
                    Err(error) => shell.net.disconnect(from, error.to_string()),
                }
            }
            NetEvent::Stream { from, stream } => {
                drop(tokio::spawn(carry::serve(Arc::clone(&shell), from, stream)))
            }
            NetEvent::AddressesChanged => {
                let _ = housekeeping::tell_node(&shell, &name).await;
            }
            NetEvent::Dropped { node, reason } => tracing::warn!(%node, "a connection was dropped: {reason}"),
            NetEvent::Connected { node, address, member: false, .. } => {
                tracing::debug!(%node, ?address, "a stranger connected");
            }
            NetEvent::Listening { address } => tracing::debug!(?address, "listening"),
            // The network dials members that it discovers by itself.
            NetEvent::Discovered { node, address } => tracing::debug!(%node, ?address, "discovered"),
        }
    }
}

async fn asked(
    shell: Arc<Shell>,
    tokens: Arc<Tokens>,
    from: safelight_proto::id::NodeId,
    request: Request,
    reply: crate::net::ReplyHandle,
) {
    match errands::answer(&shell, &request).await {
        Some(answer) => reply.send(Response::encode(answer).into()),
        None => {
            let token = tokens.issue(Waiting::Reply(from, reply));
            shell.core.tell(Event::Asked { from, request, token }).await;
        }
    }
}
