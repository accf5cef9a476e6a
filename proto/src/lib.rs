//! Bytes on wire and disk: everything two Safelight programs must agree on, and nothing else.
//!
//! `FORMAT.md` beside this crate is the normative text; `golden/` holds frozen vectors.

/// Names with a type each.
pub mod id;
/// The words of the trade.
pub mod vocabulary;

/// Bounds on everything that comes from outside.
pub mod limit;

/// The file list of a roll.
pub mod catalog;
/// One piece of a roll, as a file.
pub mod shard;

/// What nodes claim and sign.
pub mod record;

/// What nodes say to each other.
pub mod message;

/// How a newcomer is asked in.
pub mod invite;

/// Generated from `schema/*.proto`; only the modules above look inside.
#[allow(missing_docs, clippy::all)]
pub mod schema;
