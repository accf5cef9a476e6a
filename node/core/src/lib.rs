//! Placeholder.

pub mod seal;

pub mod code;
