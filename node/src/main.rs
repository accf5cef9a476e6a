//! The node and its command line.

mod admin;
mod blobs;
mod cli;
mod demo;
mod disk;
mod home;
mod store;
mod telemetry;

fn main() -> std::process::ExitCode {
    cli::run(std::env::args_os().collect())
}
