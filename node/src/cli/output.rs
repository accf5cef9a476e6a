//! Standard output and the exit code: one JSON document for scripts, a page for people.

use std::io::{self, Write};

use super::render::{self, View};
use super::units::plain;
use crate::admin::line::ErrorBody;
use crate::admin::operator::{Exit, Failure, Outcome};

/// Prints what a command came to.
pub fn show(view: View, outcome: &Outcome, json: bool) -> Result<Exit, Failure> {
    let text = match json && view != View::Text {
        true => format!("{}\n", outcome.document),
        false => render::render(view, &outcome.document).map_err(|error| {
            Failure::new(format!("the node's answer was not understood: {error}"))
                .next("check that the node and this command are the same version")
        })?,
    };
    print(&text)?;
    Ok(outcome.exit)
}

/// Prints why a command failed, and gives its exit code.
pub fn fail(failure: &Failure, json: bool) -> Exit {
    if json {
        let body = ErrorBody { message: failure.message.clone(), next: failure.next.clone() };
        if let Err(error) = print(&format!("{}\n", serde_json::json!({"error": body}))) {
            eprintln!("{error}");
        }
        return failure.exit;
    }
    eprintln!("safelight: {}", sentences(&failure.message));
    if let Some(next) = &failure.next {
        eprintln!("Next: {}", sentences(next));
    }
    failure.exit
}

/// Prints a text that is an answer in itself.
pub fn text(text: &str) -> Exit {
    match print(text) {
        Ok(()) => Exit::Done,
        Err(failure) => fail(&failure, false),
    }
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever read on has read enough (`safelight files X | head`).
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|error| Failure::new(format!("standard output cannot be written: {error}"))),
    }
}

/// Safe on a terminal, with its line breaks.
fn sentences(text: &str) -> String {
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}
