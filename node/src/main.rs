//! The node and its command line.

mod admin;
mod cli;
mod demo;
mod home;
mod store;
mod telemetry;

fn main() -> std::process::ExitCode {
    cli::run(std::env::args_os().collect())
}
