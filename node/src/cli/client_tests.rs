use std::io::Write;
use std::net::TcpListener;

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::admin::address::{Published, Token};
use crate::admin::operator::{Exit, Operator, Reporter};
use crate::admin::server::Server;
use crate::home::HomeLock;

/// A home with a "node" that gives each connection the next of `answers` and closes it.
struct Rig {
    temp: tempfile::TempDir,
    _lock: HomeLock,
    _published: Published,
}

fn home(dir: &Path) -> Home {
    let home = Home::create(dir).expect("empty");
    std::fs::write(home.database(), b"redb").expect("writable");
    home
}

fn rig(answers: Vec<String>) -> Rig {
    let temp = tempfile::tempdir().expect("temp");
    let home = home(temp.path());
    let lock = home.lock().expect("free");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let api = ApiFile { address, token: Token::random().expect("randomness"), pid: 1 };
    let published = api.publish(&home).expect("writable");
    thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut request = BufReader::new(stream.try_clone().expect("a socket"));
            let (mut line, mut length) = (String::new(), 0);
            while request.read_line(&mut line).expect("a header") > 2 {
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().expect("a number");
                }
                line.clear();
            }
            request.read_exact(&mut vec![0; length]).expect("a body");
            stream.write_all(answer.as_bytes()).expect("a reader");
        }
    });
    Rig { temp, _lock: lock, _published: published }
}

const HEALTH: &str = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nup\n";

fn stream(body: &str, ended: bool) -> String {
    let end = if ended { "0\r\n\r\n" } else { "" };
    format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{:x}\r\n{body}\r\n{end}",
        body.len()
    )
}

fn ask(answer: String) -> (Result<Outcome, Failure>, Vec<Report>) {
    let rig = rig(vec![HEALTH.into(), answer]);
    let client = Client::find(rig.temp.path(), Duration::from_secs(5)).expect("up");
    let mut heard = Vec::new();
    let end = client.perform(Command::Shoots, |report| heard.push(report));
    (end, heard)
}

#[test]
fn reports_and_then_the_end() {
    let body = "{\"notice\":\"one\"}\n\n{\"progress\":{\"phase\":\"copying\",\"bytes_done\":1,\"files_done\":0}}\n\
                {\"done\":{\"exit\":3,\"document\":{\"a\":1}}}\n";
    let (end, heard) = ask(stream(body, true));
    assert_eq!(end.expect("done").exit, Exit::Attention);
    assert_eq!(heard.len(), 2);
}

#[test]
fn failures_keep_their_next_step() {
    let (end, _) = ask(stream("{\"error\":{\"message\":\"no\",\"next\":\"yes\"},\"exit\":2}\n", true));
    assert_eq!(end, Err(Failure::usage("no").next("yes")));
    let refusal = "{\"error\":{\"message\":\"busy\",\"next\":null},\"exit\":1}\n";
    let refusal = format!("HTTP/1.1 503 Busy\r\nContent-Length: {}\r\n\r\n{refusal}", refusal.len());
    assert_eq!(ask(refusal).0, Err(Failure::new("busy")));
}

#[test]
fn a_node_that_dies_is_noticed() {
    for answer in [
        stream("{\"notice\":\"one\"}\n", true),
        stream("{\"notice\":\"one\"}\n", false),
        stream("{\"notice\":\"one\"}\n{\"done\":{\"exit\":0,\"docum", true),
        String::new(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
    ] {
        let failure = ask(answer.clone()).0.expect_err(&answer);
        assert_eq!(failure.exit, Exit::Failed);
        assert!(failure.message.starts_with("the node stopped answering"), "{failure}");
        assert!(failure.next.is_some_and(|next| next.contains("run")));
    }
}

#[test]
fn no_home_and_no_node_say_what_to_do() {
    let temp = tempfile::tempdir().expect("temp");
    let dir = temp.path().join("my home");
    let failure = Client::find(&dir, Duration::ZERO).expect_err("nothing there");
    assert!(failure.next.as_deref().is_some_and(|n| n.contains("init") && n.contains("'")), "{failure:?}");
    let home = home(&dir);
    let failure = Client::find(&dir, Duration::from_secs(60)).expect_err("nobody runs");
    assert!(failure.next.as_deref().is_some_and(|n| n.ends_with("/my home' run")), "{failure:?}");
    // A node that is starting holds the lock and has no address yet: it is waited for, and not for ever.
    let _lock = home.lock().expect("free");
    let begun = Instant::now();
    let failure = Client::find(&dir, Duration::from_millis(300)).expect_err("still starting");
    assert!(failure.message.contains("still starting"), "{failure}");
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

/// Says one notice and then waits until it is cancelled, or answers with the home's shoots: none.
struct Fake(std::sync::Arc<std::sync::atomic::AtomicBool>);

impl Operator for Fake {
    fn perform(&self, command: Command, reporter: Reporter) -> BoxFuture<'_, Result<Outcome, Failure>> {
        let cancelled = self.0.clone();
        Box::pin(async move {
            reporter.notice("begun");
            if command != Command::Shoots {
                reporter.cancelled().await;
                cancelled.store(true, std::sync::atomic::Ordering::SeqCst);
            }
            Ok(Outcome::done(serde_json::json!({"shoots": []})))
        })
    }
}

#[test]
fn the_client_and_the_real_server() {
    let temp = tempfile::tempdir().expect("temp");
    let home = home(temp.path());
    let _lock = home.lock().expect("free");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (stop, cancelled) =
        (CancellationToken::new(), std::sync::Arc::<std::sync::atomic::AtomicBool>::default());
    let (operator, stopped, at) = (std::sync::Arc::new(Fake(cancelled.clone())), stop.clone(), home.clone());
    let served = runtime.spawn(async move {
        let server = Server::bind(Some(([127, 0, 0, 1], 0).into())).await?;
        // Slow to start: the client waits for it.
        tokio::time::sleep(Duration::from_millis(200)).await;
        server.serve(&at, operator, axum::Router::new(), stopped).await
    });
    let client = Client::find(temp.path(), Duration::from_secs(10)).expect("it came up");
    let mut heard = Vec::new();
    let outcome = client.perform(Command::Shoots, |report| heard.push(report)).expect("answered");
    assert_eq!(outcome, Outcome::done(serde_json::json!({"shoots": []})));
    assert_eq!(heard, [Report::Notice("begun".into())]);
    // A client that breaks off in the middle, as Ctrl-C does, is noticed by the command it asked for.
    let gone = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        client.perform(Command::Nodes, |_| std::panic::panic_any("Ctrl-C"))
    }));
    assert!(gone.is_err());
    let deadline = Instant::now() + Duration::from_secs(10);
    while !cancelled.load(std::sync::atomic::Ordering::SeqCst) {
        assert!(Instant::now() < deadline, "the command was not told");
        thread::sleep(Duration::from_millis(10));
    }
    stop.cancel();
    runtime.block_on(served).expect("no panic").expect("served");
    assert!(
        matches!(Client::find(temp.path(), Duration::from_millis(200)), Err(failure) if failure.message.contains("still starting"))
    );
}
