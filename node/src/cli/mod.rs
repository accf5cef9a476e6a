//! The command line: from words to a command, from its outcome to lines and an exit code.
//!
//! `args` and `values` are the words, `dispatch` who does what, `client` asks the running node, `local` does
//! what needs none, `output`, `render` and `progress` show it.

pub mod args;

pub mod values;

mod dispatch;

mod drill;

pub mod client;

pub mod local;

mod confirm;

mod founding;

mod phrase;

mod kit;

mod manual;

pub mod output;

mod progress;

mod removal;

mod render;

pub mod units;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use safelight_core::code::check_cpu;

use crate::admin::operator::{Exit, Failure};
use crate::telemetry::{self, Detail};
use args::{Cli, Verb};

/// Performs the command line `args`, the program's own name first, and says how it went.
pub fn run(args: Vec<OsString>) -> ExitCode {
    let exit = match Cli::try_parse_from(&args) {
        Ok(cli) => perform(cli),
        Err(error) => misunderstood(&error, &args),
    };
    ExitCode::from(u8::from(exit))
}

fn perform(cli: Cli) -> Exit {
    let detail = if matches!(cli.verb, Verb::Run(_)) { Detail::Daemon } else { Detail::Command };
    telemetry::start(detail, cli.global.verbose);
    let json = cli.global.json;
    // An old processor gets a sentence, not an illegal instruction in the middle of a wedding.
    let fit = check_cpu().map_err(|old| Failure::new(old.to_string()));
    let shown = fit
        .and_then(|()| dispatch::perform(cli))
        .and_then(|(view, outcome)| output::show(view, &outcome, json));
    shown.unwrap_or_else(|failure| output::fail(&failure, json))
}

/// Help and version are answers; anything else is a usage error.
fn misunderstood(error: &clap::Error, args: &[OsString]) -> Exit {
    if !error.use_stderr() {
        return output::text(&error.render().to_string());
    }
    // Clap gave up before it could say whether --json was there.
    let json = args.iter().take_while(|arg| *arg != "--").any(|arg| arg == "--json");
    if json {
        return output::fail(&usage(error), true);
    }
    if let Err(error) = error.print() {
        tracing::debug!(%error, "standard error cannot be written");
    }
    Exit::Usage
}

fn usage(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let message = text.split("\n\nUsage:").next().unwrap_or_default();
    let message = message.split("\n\nFor more").next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(message).split_whitespace();
    Failure::usage(message.collect::<Vec<_>>().join(" ")).next("safelight --help")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usage_error_is_one_sentence() {
        let error = Cli::try_parse_from(["safelight", "files"]).expect_err("no shoot");
        let failure = usage(&error);
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.message.contains("<SHOOT>") && !failure.message.contains('\n'), "{failure}");
        let error = Cli::try_parse_from(["safelight", "format-card"]).expect_err("unknown");
        assert_eq!(usage(&error).message, "unrecognized subcommand 'format-card'");
        let error = Cli::try_parse_from(["safelight", "invite", "--expires", "48h"]).expect_err("too long");
        assert!(usage(&error).message.ends_with("24h at most"), "{error}");
    }
}
