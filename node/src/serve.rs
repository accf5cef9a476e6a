//! `run`: the node in the foreground, until it is told to stop.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::admin::operator::{Failure, Outcome};
use crate::admin::server::Server;
use crate::home::Home;
use crate::net::{NetError, everywhere};
use crate::operator::NodeOperator;
use crate::startup::{Running, StartError};

/// Runs the node of `home` and answers commands, until SIGTERM or SIGINT.
pub async fn serve(
    home: &Home,
    listen: Option<SocketAddr>,
    dashboard: Option<SocketAddr>,
) -> Result<Outcome, Failure> {
    let refused = |error: std::io::Error| Failure::new(format!("signals cannot be waited for: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
    let server = Server::bind(dashboard).await.map_err(|error| Failure::new(error.to_string()))?;
    let listen = listen.map_or_else(everywhere, |address| vec![address]);
    let mut running = Running::start(home, listen).await.map_err(explain)?;
    for address in running.shell.net.addresses() {
        tracing::info!("listening on {address}");
    }
    let stop = CancellationToken::new();
    let operator = Arc::new(NodeOperator(Arc::clone(&running.shell)));
    let serving = server.serve(home, operator, axum::Router::new(), stop.clone());
    tokio::pin!(serving);
    let ended = tokio::select! {
        served = &mut serving => served.map_err(|error| Failure::new(error.to_string())),
        reason = running.failed() => Err(Failure::new(format!("the node stopped: {reason}"))
            .next("check the drive that its home is on, then start it again; nothing acknowledged was lost")),
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    stop.cancel();
    if ended.is_ok() {
        tracing::info!("stopping");
        // Commands under way end in the time that serving gives them.
        let _ = serving.await;
    }
    running.stop().await;
    ended.map(|()| Outcome::done(serde_json::json!({})))
}

fn explain(error: StartError) -> Failure {
    let failure = Failure::new(error.to_string());
    match error {
        StartError::Net(NetError::Listen(_)) => failure.next("choose another with --listen HOST:PORT"),
        _ => failure,
    }
}
