use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::admin::command::Command;
use crate::admin::operator::{Outcome, Progress};

/// Answers `shoots` at once, refuses `nodes`, breaks on `volumes`, and does not end on `status` until it is told to.
#[derive(Default)]
struct Fake {
    cancelled: AtomicBool,
}

impl Operator for Fake {
    fn perform(&self, command: Command, reporter: Reporter) -> BoxFuture<'_, Result<Outcome, Failure>> {
        async move {
            match command {
                Command::Shoots => {
                    reporter.notice("counting");
                    for files_done in 0..100_000 {
                        reporter.progress(Progress { files_done, ..Progress::default() });
                    }
                    Ok(Outcome::attention(json!({"patience": reporter.patience().as_secs()})))
                }
                Command::Nodes => Err(Failure::new("no").next("yes")),
                Command::Volumes => panic!("a bug of ours"),
                _ => {
                    reporter.cancelled().await;
                    self.cancelled.store(true, Ordering::SeqCst);
                    Err(Failure::new("cancelled"))
                }
            }
        }
        .boxed()
    }
}

struct Rig {
    _temp: tempfile::TempDir,
    fake: Arc<Fake>,
    home: Home,
    api: ApiFile,
    stop: CancellationToken,
    served: tokio::task::JoinHandle<Result<(), ServeError>>,
}

async fn rig() -> Rig {
    let temp = tempfile::tempdir().expect("temp");
    let home = Home::create(temp.path()).expect("empty");
    let server = Server::bind(Some(([127, 0, 0, 1], 0).into())).await.expect("a free port");
    let (fake, stop) = (Arc::new(Fake::default()), CancellationToken::new());
    let (operator, stopped, at) = (Arc::clone(&fake), stop.clone(), home.clone());
    let served = tokio::spawn(async move { server.serve(&at, operator, Router::new(), stopped).await });
    let api = loop {
        match ApiFile::read(&home).expect("readable") {
            Some(api) => break api,
            None => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    Rig { _temp: temp, fake, home, api, stop, served }
}

impl Rig {
    async fn send(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.api.address).await.expect("listening");
        stream.write_all(text.as_bytes()).await.expect("sent");
        stream
    }

    async fn ask(&self, text: &str) -> String {
        let mut answer = Vec::new();
        let mut stream = self.send(text).await;
        tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer))
            .await
            .expect("in time")
            .expect("read");
        String::from_utf8(answer).expect("text")
    }

    fn post(&self, extra: &str, body: &str) -> String {
        let length = body.len();
        format!(
            "POST /api/v1/command HTTP/1.1\r\nConnection: close\r\nContent-Length: {length}\r\n{extra}\r\n{body}"
        )
    }

    /// A request as the command line sends it.
    fn good(&self, body: &str) -> String {
        let extra = format!("Host: {}\r\nAuthorization: {}\r\n", self.api.address, self.api.token.bearer());
        self.post(&extra, body)
    }
}

const SHOOTS: &str = r#"{"command":"shoots","timeout_seconds":7}"#;

#[tokio::test]
async fn an_answer_is_few_lines_and_ends() {
    let rig = rig().await;
    let answer = rig.ask(&rig.good(SHOOTS)).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains(r#"{"notice":"counting"}"#), "{answer}");
    assert!(answer.contains(r#"{"done":{"exit":3,"document":{"patience":7}}}"#), "{answer}");
    assert!(answer.matches("progress").count() <= 3, "{answer}");
    let answer = rig.ask(&rig.good(r#"{"command":"nodes"}"#)).await;
    assert!(answer.contains(r#"{"error":{"message":"no","next":"yes"},"exit":1}"#), "{answer}");
}

#[tokio::test]
async fn strangers_are_refused() {
    let rig = rig().await;
    let (address, bearer) = (rig.api.address, rig.api.token.bearer());
    for (extra, status) in [
        (format!("Host: {address}\r\n"), 401),
        (format!("Host: {address}\r\nAuthorization: Bearer 00\r\n"), 401),
        (format!("Host: evil.example\r\nAuthorization: {bearer}\r\n"), 403),
        (format!("Host: {address}\r\nAuthorization: {bearer}\r\nOrigin: http://evil.example\r\n"), 403),
        (format!("Host: {address}\r\nAuthorization: {bearer}\r\nOrigin: null\r\n"), 403),
        (format!("Host: {address}\r\nAuthorization: {bearer}\r\nOrigin: http://{address}\r\n"), 200),
    ] {
        let answer = rig.ask(&rig.post(&extra, SHOOTS)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{extra}: {answer}");
        assert_eq!(answer.contains(r#"{"error":{"message":"#), status != 200, "{answer}");
    }
    let health = rig.ask("GET /health HTTP/1.1\r\nHost: anything\r\nConnection: close\r\n\r\n").await;
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
}

#[tokio::test]
async fn nonsense_is_refused_and_the_node_goes_on() {
    let rig = rig().await;
    for (body, status) in [("{", 400), (r#"{"command":"format"}"#, 400), ("", 400)] {
        let answer = rig.ask(&rig.good(body)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(answer.contains(r#""exit":2"#), "{answer}");
    }
    // Only the size is announced: the refusal comes before the body.
    let huge = rig.good(SHOOTS).replace(
        &format!("Content-Length: {}", SHOOTS.len()),
        &format!("Content-Length: {}", MAX_REQUEST + 1),
    );
    let answer = rig.ask(&huge).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let broke = rig.ask(&rig.good(r#"{"command":"volumes"}"#)).await;
    assert!(broke.contains("broke off this command"), "{broke}");
    assert!(rig.ask(&rig.good(SHOOTS)).await.contains("done"));
}

#[tokio::test]
async fn a_client_that_leaves_cancels_its_command() {
    let rig = rig().await;
    let stream = rig.send(&rig.good(r#"{"command":"status"}"#)).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!rig.fake.cancelled.load(Ordering::SeqCst));
    drop(stream);
    let told = async {
        while !rig.fake.cancelled.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), told).await.expect("told in time");
}

#[tokio::test]
async fn commands_at_once_are_bounded() {
    let rig = rig().await;
    let mut held = Vec::new();
    for _ in 0..MAX_COMMANDS {
        let mut stream = rig.send(&rig.good(r#"{"command":"status"}"#)).await;
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.expect("begun");
        held.push(stream);
    }
    let answer = rig.ask(&rig.good(SHOOTS)).await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("busy"), "{answer}");
    drop(held);
    let again = async {
        while !rig.ask(&rig.good(SHOOTS)).await.contains("done") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), again).await.expect("room again");
}

#[tokio::test]
async fn stopping_ends_commands_and_takes_the_address_back() {
    let rig = rig().await;
    let mut stream = rig.send(&rig.good(r#"{"command":"status"}"#)).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    rig.stop.cancel();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("read");
    assert!(answer.contains("cancelled"), "{answer}");
    rig.served.await.expect("no panic").expect("served");
    assert!(!rig.home.api().exists());
}

#[tokio::test]
async fn a_port_asked_for_is_that_port() {
    let first = Server::bind(Some(([127, 0, 0, 1], 0).into())).await.expect("free");
    assert!(matches!(Server::bind(Some(first.address)).await, Err(ServeError::Listen { .. })));
    let (one, two) =
        (Server::bind(None).await.expect("some port"), Server::bind(None).await.expect("another"));
    assert_ne!(one.address, two.address);
}
