//! The HTTP around the local API.
//!
//! `POST /api/v1/command` takes a [`Request`] and streams [`Line`]s; `GET /health` says that the node is up.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::address::{ApiFile, Published, Token};
use super::command::Request;
use super::guard::{Guard, Refusal};
use super::line::Line;
use super::operator::{Failure, Operator, Reporter, Reports};
use crate::home::Home;

/// Where the API listens unless told otherwise.
pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3211);

/// Largest request, in bytes: an ingest names every path of a shell's longest command line.
pub const MAX_REQUEST: usize = 4 << 20;

/// Commands performed at once; one more is refused.
pub const MAX_COMMANDS: usize = 32;

/// Longest patience a caller may ask for.
const MAX_PATIENCE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Pause between two progress lines: five a second at most.
const REPORT_PAUSE: Duration = Duration::from_millis(200);

/// Silence after which an empty line says that the node is alive. Clients give up after several of them.
pub const HEARTBEAT: Duration = Duration::from_secs(5);

/// Lines on their way to one client.
const MAX_LINES: usize = 16;

/// How long commands may take to end when the node stops.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address asked for is taken or not ours.
    #[error("the dashboard cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No randomness, or the home is not writable.
    #[error("the node cannot say in its home how to reach it: {0}")]
    Publish(io::Error),
    /// The listener broke.
    #[error("the dashboard stopped listening: {0}")]
    Serve(io::Error),
}

/// The API, listening, and not answering yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    token: Token,
}

impl Server {
    /// Listens on `asked`; without a wish on [`DEFAULT_ADDRESS`], or a free port when that one is taken.
    pub async fn bind(asked: Option<SocketAddr>) -> Result<Self, ServeError> {
        let address = asked.unwrap_or(DEFAULT_ADDRESS);
        let listener = match TcpListener::bind(address).await {
            Err(error) if asked.is_none() => {
                tracing::info!(%error, "port {} is taken, the dashboard takes another", address.port());
                TcpListener::bind((address.ip(), 0)).await
            }
            bound => bound,
        };
        let listen = |source| ServeError::Listen { address, source };
        let listener = listener.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Self { listener, address, token: Token::random().map_err(ServeError::Publish)? })
    }

    /// Answers until `stop`, and says in `home` how to be reached. `pages` are served beside the API.
    ///
    /// Commands under way are cancelled by `stop` and have a few seconds to end.
    pub async fn serve(
        self,
        home: &Home,
        operator: Arc<dyn Operator>,
        pages: Router,
        stop: CancellationToken,
    ) -> Result<(), ServeError> {
        let _published = self.publish(home).map_err(ServeError::Publish)?;
        let api = Api {
            operator,
            guard: Guard::new(self.token, self.address.ip()),
            room: Arc::new(Semaphore::new(MAX_COMMANDS)),
            stop: stop.clone(),
        };
        let router = Router::new()
            .route("/api/v1/command", post(command))
            .with_state(Arc::new(api))
            .route("/health", get(|| async { "up\n" }))
            .merge(pages);
        let served =
            axum::serve(self.listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
        let grace = async {
            stop.cancelled().await;
            tokio::time::sleep(STOP_GRACE).await;
        };
        tokio::select! {
            served = served.into_future() => served.map_err(ServeError::Serve),
            () = grace => Ok(()),
        }
    }

    fn publish(&self, home: &Home) -> io::Result<Published> {
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let address = SocketAddr::new(ip, self.address.port());
        ApiFile { address, token: self.token.clone(), pid: std::process::id() }.publish(home)
    }
}

struct Api {
    operator: Arc<dyn Operator>,
    guard: Guard,
    room: Arc<Semaphore>,
    stop: CancellationToken,
}

async fn command(State(api): State<Arc<Api>>, request: axum::extract::Request) -> Response {
    match api.admit(request).await {
        Ok((request, permit)) => api.start(request, permit),
        Err(refusal) => refuse(refusal),
    }
}

impl Api {
    /// Takes a request in: who asks comes first, so that a stranger's body is not even read.
    async fn admit(
        &self,
        request: axum::extract::Request,
    ) -> Result<(Request, OwnedSemaphorePermit), Refusal> {
        let (head, body) = request.into_parts();
        self.guard.check_source(&head.headers)?;
        self.guard.check_token(&head.headers)?;
        let announced =
            head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: u64| length > MAX_REQUEST as u64) {
            let failure = Failure::usage(format!("a command of more than {MAX_REQUEST} bytes is not taken"));
            return Err((
                StatusCode::PAYLOAD_TOO_LARGE,
                failure.next("name folders instead of single files"),
            ));
        }
        let body = axum::body::to_bytes(body, MAX_REQUEST).await.map_err(|error| {
            (StatusCode::BAD_REQUEST, Failure::usage(format!("the command was not read to its end: {error}")))
        })?;
        let request = serde_json::from_slice(&body)
            .map_err(|e| (StatusCode::BAD_REQUEST, Failure::usage(format!("this is no command: {e}"))))?;
        let permit = Arc::clone(&self.room).try_acquire_owned().map_err(|_| {
            let failure = Failure::new(format!("the node is busy with {MAX_COMMANDS} commands"));
            (StatusCode::SERVICE_UNAVAILABLE, failure.next("wait until one has ended, then try again"))
        })?;
        Ok((request, permit))
    }

    /// Performs the command in a task of its own: it is told when the client goes, and never cut off half-way.
    fn start(&self, request: Request, permit: OwnedSemaphorePermit) -> Response {
        let patience = Duration::from_secs(request.timeout_seconds).min(MAX_PATIENCE);
        let (reporter, reports) = Reporter::under(&self.stop, patience);
        let operator = Arc::clone(&self.operator);
        let performed = tokio::spawn(async move {
            let _permit = permit;
            operator.perform(request.command, reporter).await
        });
        let (lines, taken) = mpsc::channel(MAX_LINES);
        tokio::spawn(relay(performed, reports, lines));
        let stream = futures::stream::unfold(taken, |mut taken| async {
            let line = taken.recv().await?;
            Some((Ok::<_, io::Error>(line), taken))
        });
        ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(stream)).into_response()
    }
}

type Performed = tokio::task::JoinHandle<Result<super::operator::Outcome, Failure>>;

/// Passes reports on until the command has ended, and then its end. Stops, which cancels, when the client is gone.
async fn relay(mut performed: Performed, reports: Reports, lines: mpsc::Sender<String>) {
    let mut tick = tokio::time::interval(REPORT_PAUSE);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut spoke = Instant::now();
    let end = loop {
        tokio::select! {
            ended = &mut performed => break ended,
            () = lines.closed() => return,
            _ = tick.tick() => {}
        }
        let mut text: String = reports.take().into_iter().map(|report| Line::from(report).encode()).collect();
        if text.is_empty() && spoke.elapsed() >= HEARTBEAT {
            text.push('\n');
        }
        if !text.is_empty() {
            spoke = Instant::now();
            if lines.send(text).await.is_err() {
                return;
            }
        }
    };
    let end = end.unwrap_or_else(|error| {
        tracing::error!(%error, "a command broke off");
        Err(Failure::new("the node broke off this command; photos already stored stay stored")
            .next("the node's log says more; please report it"))
    });
    let mut text: String = reports.take().into_iter().map(|report| Line::from(report).encode()).collect();
    text.push_str(&Line::from(end).encode());
    if lines.send(text).await.is_err() {
        tracing::debug!("the client left before the end");
    }
}

fn refuse((status, failure): Refusal) -> Response {
    tracing::debug!(%status, "a request to the local API was refused");
    (status, [(header::CONTENT_TYPE, "application/json")], Line::from(failure).encode()).into_response()
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
