//! Bytes on wire and disk: everything two Safelight programs must agree on, and nothing else.
//!
//! `FORMAT.md` beside this crate is the normative text; `golden/` holds frozen vectors.

pub mod id;
pub mod limit;
pub mod vocabulary;

pub mod schema;

pub mod catalog;
pub mod shard;
