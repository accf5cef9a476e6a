//! The short code of a studio's invite: people on both sides see that it is the same before the reading key travels.
//!
//! Nothing is asked where standard input is no terminal, and nothing with `--json`: scripts go on as they are.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::termios::{QueueSelector, tcflush};
use safelight_proto::id::Hash;
use safelight_proto::invite::Invite;
use safelight_proto::vocabulary::Role;

use super::args::{Global, InviteArgs};
use super::client::Client;
use super::local::{self, JoinOptions};
use super::progress::Display;
use super::render::View;
use super::units::plain;
use super::{dispatch, output, phrase};
use crate::admin::command::Command;
use crate::admin::doc::{InviteDoc, NewcomerDoc};
use crate::admin::operator::{Failure, Outcome, Report};

/// Longest answer to a question, in bytes.
const MAX_ANSWER: u64 = 1024;

/// `invite`. A person who invites a studio waits for it and is asked; everyone else gets the code, and that is all.
pub fn invite(args: InviteArgs, global: &Global) -> Result<(View, Outcome), Failure> {
    let phrase = args.phrase_file.as_deref().map(phrase::read).transpose()?;
    let attended = args.role == Role::Studio && asks(global);
    let command =
        Command::Invite { role: args.role, expires_seconds: args.expires.as_secs(), phrase, attended };
    let client = dispatch::client(global)?;
    let made = client.perform(command, |_| {})?;
    if !attended {
        return Ok((View::Invite, made));
    }
    output::show(View::Invite, &made, false)?;
    let made: InviteDoc = read(made)?;
    let code: Invite = made
        .code
        .parse()
        .map_err(|error| Failure::new(format!("the node's code was not understood: {error}")))?;
    say(&format!(
        "\nStay here: it comes in only when you say so. Waiting for it until {}; Ctrl-C ends the invite.",
        plain(&made.expires)
    ))?;
    Ok((View::Newcomer, admit(&client, &Hash::of(&code.secret).to_string())?))
}

/// Waits for the studio that comes with an invite, asks about its short code, and waits until it is in.
fn admit(client: &Client, invite: &str) -> Result<Outcome, Failure> {
    let wait = |newcomer| Command::InviteWait { invite: invite.to_owned(), newcomer };
    let mut display = Display::new();
    let came = client.perform(wait(None), |report| display.show(report))?;
    drop(display);
    let newcomer: NewcomerDoc = read(came)?;
    let who = format!("{} at {}", plain(&newcomer.name), plain(&newcomer.site));
    let asking = AtomicBool::new(true);
    thread::scope(|scope| {
        // While the question stands, the node hears that somebody is here, and this side what happens meanwhile.
        let watching = scope.spawn(|| {
            let end = client.perform(wait(Some(newcomer.node.clone())), |report| {
                if let Report::Notice(text) = report {
                    eprintln!("\n{}", plain(&text));
                }
            });
            if let (Err(failure), true) = (&end, asking.load(Ordering::Relaxed)) {
                eprintln!("\n{}. Press Enter.", plain(&failure.message));
            }
            end
        });
        let same = ask(
            &format!("{who} asks to become a studio of this library. Its screen shows a short code."),
            &format!("Does it show {}?", newcomer.short_code),
        );
        asking.store(false, Ordering::Relaxed);
        let same = same?;
        if !watching.is_finished() {
            let (invite, newcomer) = (invite.to_owned(), newcomer.node.clone());
            client.perform(Command::InviteAnswer { invite, newcomer, same }, |_| {})?;
            if same {
                say(&format!("Waiting until {who} says the same."))?;
            }
        }
        watching.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// `join`. Where it makes a studio, a person is asked first whether the inviting screen shows the same short code.
pub fn join(options: JoinOptions, global: &Global) -> Result<Outcome, Failure> {
    let joining = local::begin_join(options)?;
    let patience = global.timeout;
    let compare = dispatch::attend(patience, |reporter| local::knock(&joining, reporter))?;
    if let Some(compare) = compare {
        let code = compare.code;
        if !asks(global) {
            eprintln!("The short code of this joining is {code}.");
        } else if !ask(
            &match compare.attended {
                true => format!(
                    "The library's node at {} asks the person who made the invite; its screen shows a short code.",
                    compare.site
                ),
                false => format!(
                    "Nobody waits at the inviting screen; the library's node at {} has the short code in its log.",
                    compare.site
                ),
            },
            &format!("Does the inviting screen show {code}?"),
        )? {
            dispatch::attend(patience, |reporter| local::decline(joining, reporter))?;
            return Err(Failure::new(
                "the short codes are not the same: another machine may be in between; nothing was made here",
            )
            .next("ask for a new invite, over a channel that nobody else reads"));
        }
    }
    dispatch::attend(patience, |reporter| local::join(joining, reporter))
}

/// Whether there is a person to ask.
pub(super) fn asks(global: &Global) -> bool {
    !global.json && io::stdin().is_terminal()
}

/// Asks a person; anything but yes is no.
pub(super) fn ask(situation: &str, question: &str) -> Result<bool, Failure> {
    // What was typed before the question was there is no answer to it. Where it cannot be thrown away it is one.
    let _ = tcflush(io::stdin(), QueueSelector::IFlush);
    put(&format!("\n{situation}\n{question} [y/N] "))?;
    let mut answer = String::new();
    let read = io::stdin().lock().take(MAX_ANSWER).read_line(&mut answer);
    read.map_err(|error| Failure::new(format!("the answer cannot be read: {error}; nothing was made")))?;
    Ok(is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

/// Tells a person something.
pub(super) fn say(text: &str) -> Result<(), Failure> {
    put(&format!("{text}\n"))
}

/// Shows a text where the person looks.
fn put(text: &str) -> Result<(), Failure> {
    let output = io::stdout();
    let mut screen: Box<dyn Write> =
        if output.is_terminal() { Box::new(output.lock()) } else { Box::new(io::stderr().lock()) };
    screen
        .write_all(text.as_bytes())
        .and_then(|()| screen.flush())
        .map_err(|error| Failure::new(format!("the screen cannot be written to: {error}")))
}

/// The document of what a command came to.
pub(super) fn read<T: serde::de::DeserializeOwned>(outcome: Outcome) -> Result<T, Failure> {
    serde_json::from_value(outcome.document).map_err(|error| {
        Failure::new(format!("the node's answer was not understood: {error}"))
            .next("check that the node and this command are the same version")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for (answer, yes) in
            [("y\n", true), (" Yes \n", true), ("", false), ("\n", false), ("n\n", false), ("yn\n", false)]
        {
            assert_eq!(is_yes(answer), yes, "{answer:?}");
        }
    }
}
