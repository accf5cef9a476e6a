//! The promises of the program, kept by real processes: every test drives the real binary through its public
//! commands and `--json`, and looks at what lies on the disks. One file for each promise.

mod support;

mod story;

mod studios;

mod ingest;

mod verdicts;

mod restart;

mod secrecy;

mod badinput;

mod places;

mod damage;

mod repair;

mod leaving;

mod plan;

mod hours;
mod removal;

mod scrub;

mod surplus;

mod salvage;

mod cli;

mod photos;

mod deletion;

mod drill;

mod tidy;
