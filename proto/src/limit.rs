//! Every bound that two nodes must agree on. What breaks one is refused with a reason.

/// Longest record, in bytes: fits a gossip message with room to spare.
pub const RECORD_BYTES: usize = 48 * 1024;

/// Most rolls that one roll may refer to.
pub const REFERENCES: usize = 1024;

/// Most shards of one coding.
pub const SHARDS: usize = 255;

/// Most data shards of one coding.
pub const DATA_SHARDS: usize = 64;

/// Longest name of a node, in bytes.
pub const NAME_BYTES: usize = 64;

/// Longest name of a shoot, in bytes.
pub const SHOOT_NAME_BYTES: usize = 255;

/// Most addresses a node announces, and the longest of them.
pub const ADDRESSES: usize = 16;
/// Longest address, in bytes.
pub const ADDRESS_BYTES: usize = 256;

/// Longest identity of a device or host, in bytes.
pub const DEVICE_BYTES: usize = 128;

/// Longest message between members, in bytes.
pub const MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of records or of a catalog that one answer carries at most.
pub const ANSWER_BYTES: usize = 1024 * 1024;

/// Most record ids that one request asks for.
pub const FETCH_IDS: usize = 4096;

/// Largest frame of a reconciliation message, in bytes.
pub const RECONCILE_BYTES: usize = 2 * 1024 * 1024;

/// Most groups asked for in one proof.
pub const PROOF_GROUPS: usize = 16;

/// Longest sealed catalog, in bytes.
pub const CATALOG_BYTES: u64 = 64 * 1024 * 1024;

/// Longest message of the join protocol, in bytes.
pub const JOIN_BYTES: usize = 16 * 1024;

/// An invite lives so long at most, in milliseconds.
pub const INVITE_MILLIS: u64 = 24 * 3600 * 1000;

const _: () = assert!(ANSWER_BYTES + RECORD_BYTES < MESSAGE_BYTES);
const _: () = assert!(RECONCILE_BYTES < MESSAGE_BYTES);
const _: () = assert!(FETCH_IDS * 34 < MESSAGE_BYTES);
const _: () = assert!(REFERENCES * 34 + 4096 < RECORD_BYTES);
