//! The node and its command line.

mod admin;
mod blobs;
mod catalogs;
mod cli;
mod demo;
mod disk;
mod driver;
mod home;
mod net;
mod shell;
mod store;
mod telemetry;
mod view;
mod volumes;
mod workers;

fn main() -> std::process::ExitCode {
    cli::run(std::env::args_os().collect())
}
