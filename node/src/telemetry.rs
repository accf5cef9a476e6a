//! What the program says of itself, on standard error.
//!
//! No names of files or shoots at level info and above: a log is read by people who may not see the photos.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// How much is said unless `RUST_LOG` decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Warnings: for a command that ends soon.
    Command,
    /// What the node does: for `run`.
    Daemon,
}

/// Starts logging. `verbose` counts the `-v` flags.
pub fn start(detail: Detail, verbose: u8) {
    let filter = match std::env::var("RUST_LOG") {
        Ok(wish) if !wish.is_empty() => EnvFilter::builder().parse_lossy(wish),
        _ => EnvFilter::new(directives(detail, verbose)),
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    if let Err(error) = subscriber.with_target(verbose > 0).try_init() {
        eprintln!("logging could not be started: {error}");
    }
}

fn directives(detail: Detail, verbose: u8) -> &'static str {
    match (detail, verbose) {
        (Detail::Command, 0) => "warn",
        (Detail::Daemon, 0) => "warn,safelight=info,safelight_core=info",
        (Detail::Command, 1) => "warn,safelight=info,safelight_core=info",
        (Detail::Daemon, 1) | (Detail::Command, 2) => "info,safelight=debug,safelight_core=debug",
        _ => "debug,safelight=trace,safelight_core=trace",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wish_is_a_filter() {
        for detail in [Detail::Command, Detail::Daemon] {
            for verbose in 0..5 {
                assert!(EnvFilter::builder().parse(directives(detail, verbose)).is_ok());
            }
        }
    }
}
