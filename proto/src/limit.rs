//! Every bound that two Safelight programs must agree on, and the sizes the format is built from.

/// Plaintext bytes of a segment, the unit of sealing. The last one of each part of a roll may be shorter.
pub const SEGMENT: usize = 1024 * 1024;
/// Bytes that sealing adds to a segment: the AES-GCM tag.
pub const TAG: usize = 16;
/// Both parts of a roll's plaintext are padded to a multiple of this.
pub const GRAIN: u64 = 4096;

/// Bytes of a BLAKE3 chunk group, the smallest thing bao verifies on its own (`BlockSize(4)`).
pub const GROUP: usize = 16 * 1024;
/// Units are multiples of a group, so that a group never spans two units.
pub const UNIT_MIN: u32 = GROUP as u32;
/// Unit of a roll that is large enough for it.
pub const UNIT_DEFAULT: u32 = 256 * 1024;
/// Largest unit that a reader accepts.
pub const UNIT_MAX: u32 = 1024 * 1024;

/// Most shards that the planner lets a coding need.
pub const K_PLANNED: u8 = 8;
/// Most shards that the planner gives a coding.
pub const N_PLANNED: u8 = 12;
/// Largest k that a reader accepts: with [`UNIT_MAX`] it bounds the memory of a stripe.
pub const K_MAX: u8 = 32;
/// Most shards of one coding: rows of the code are numbered in one byte.
pub const N_MAX: u8 = 255;

/// A roll is cut before it holds more plaintext than this.
pub const ROLL_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// A roll is cut before it holds more files than this.
pub const ROLL_FILES: usize = 10_000;
/// Most plaintext in one part of a roll that a reader accepts.
pub const PART_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;

/// Longest path in a catalog, in bytes.
pub const PATH_MAX: usize = 4096;
/// Longest name of a shoot, in bytes.
pub const SHOOT_NAME_MAX: usize = 1024;
/// Most entries of a catalog that a reader accepts.
pub const ENTRIES_MAX: usize = 65_536;
/// Most extents of one file.
pub const EXTENTS_MAX: usize = 1024;
/// Longest entry of a catalog on the wire: two paths and the extents.
pub const ENTRY_BYTES_MAX: usize = 2 * PATH_MAX + 64 * EXTENTS_MAX + 256;
/// Longest catalog, in bytes before padding.
pub const CATALOG_BYTES_MAX: u64 = 96 * 1024 * 1024;

/// Longest record, in bytes: fits a gossip message with room to spare.
pub const RECORD_BYTES: usize = 48 * 1024;

/// Most bytes of records that one adoption carries; so none that is longer can be adopted.
pub const ADOPTED_BYTES: usize = RECORD_BYTES - 4096;

/// Most rolls that one roll may refer to.
pub const REFERENCES: usize = 1024;

/// Longest name of a node, in bytes.
pub const NAME_BYTES: usize = 64;

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

/// Most shards in one promise: those that a layout may want.
pub const PROMISED_SHARDS: usize = N_MAX as usize;

/// Longest message of the join protocol, in bytes.
pub const JOIN_BYTES: usize = 16 * 1024;

/// An invite lives so long at most, in milliseconds.
pub const INVITE_MILLIS: u64 = 24 * 3600 * 1000;

const _: () = assert!((SEGMENT as u64).is_multiple_of(GRAIN));
const _: () = assert!(UNIT_DEFAULT.is_multiple_of(UNIT_MIN) && UNIT_MAX.is_multiple_of(UNIT_MIN));
const _: () = assert!(K_PLANNED <= K_MAX && N_PLANNED < N_MAX);
const _: () = assert!(ROLL_BYTES <= PART_BYTES_MAX && CATALOG_BYTES_MAX < PART_BYTES_MAX);
const _: () = assert!(ROLL_FILES <= ENTRIES_MAX);
const _: () = assert!((ROLL_FILES * (2 * PATH_MAX + 512)) as u64 <= CATALOG_BYTES_MAX);
const _: () = assert!(ANSWER_BYTES + RECORD_BYTES < MESSAGE_BYTES);
const _: () = assert!(RECONCILE_BYTES < MESSAGE_BYTES);
const _: () = assert!(FETCH_IDS * 34 < MESSAGE_BYTES);
const _: () = assert!(REFERENCES * 34 + 4096 < ADOPTED_BYTES);
const _: () = assert!(ENTRIES_MAX / 8 + 4096 < ADOPTED_BYTES);
