//! The messages generated from `schema/*.proto`. They are raw: checked types are built from them.

include!(concat!(env!("OUT_DIR"), "/safelight.v1.rs"));
