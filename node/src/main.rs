//! The node and its command line.

mod admin;
mod blobs;
mod catalogs;
mod cli;
mod demo;
mod disk;
mod driver;
mod effect;
mod entrance;
mod home;
mod hours;
mod invites;
mod meter;
mod net;
mod operator;
mod pace;
mod serve;
mod settings;
mod shell;
mod startup;
mod store;
mod telemetry;
mod view;
mod volumes;
mod workers;

fn main() -> std::process::ExitCode {
    cli::run(std::env::args_os().collect())
}
