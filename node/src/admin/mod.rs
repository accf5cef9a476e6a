//! The node's local API: what the command line and the dashboard ask of a running node.
//!
//! `command` is what can be asked, `doc` what is answered, `operator` who answers, `line` how an answer
//! travels, `address` where the node is found, `guard` who may ask, `server` the HTTP around it.

pub mod command;

pub mod doc;

pub mod operator;

pub mod line;

pub mod address;

pub mod guard;

pub mod server;
