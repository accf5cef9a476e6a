//! Placeholder.

pub mod seal;

pub mod code;

pub mod ingest;

pub mod restore;
