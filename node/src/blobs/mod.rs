//! Shards on volumes: written so that a power cut loses nothing, verified whenever they are read, moved aside
//! when bad.
//!
//! One volume is a directory that the user names; everything of ours is in its `safelight/` folder:
//!
//! ```text
//! volume.json   the marker: format, volume id, library, medium, capacity
//! lock          held while a process uses the volume
//! shards/       <hash>.shard: finished shards, plain self-describing files
//! drafts/       what is being written or received
//! bad/          damaged shards, moved aside, never deleted by us unasked
//! store/        iroh-blobs' FsStore: the outboards as its blobs, and a database that is only an index
//! ```
//!
//! The rules, each forced by something measured about iroh-blobs 0.104: the ledger (another module's) and the
//! files are the truth, and the store's database may be lost at any time; every shard enters by the one way
//! of [`FsVolume::finish`], which writes, fsyncs, renames and reads back, past the page cache; a received
//! shard is collected in a file of ours and then takes that same way, because an import of a stream over an
//! old entry would change nothing and say "done"; reading and sending verify the files themselves; garbage
//! collection is off.
//!
//! In the order of the data: [`arg`] what was typed, [`marker`] the volume's identity, [`volume`] open and
//! account ([`condition`]), [`durable`] and [`place`] the honest write, [`receive`] and [`send`] streams, [`read`] verified
//! reading, [`care`] scrub, quarantine and removal. Below them [`groups`], [`stream`], [`tree`] and
//! [`index`].

pub mod arg;
mod care;
mod condition;
mod durable;
mod error;
mod groups;
mod index;
pub mod marker;
mod place;
mod read;
mod receive;
mod send;
mod stream;
#[cfg(test)]
mod tests;
mod tree;
mod volume;

pub use self::condition::Reconciled;
pub use self::durable::{LedgerRow, ShardDraft};
pub use self::error::{StoreError, Unavailable};
pub use self::groups::{GROUP, Groups};
pub use self::read::ShardReader;
pub use self::receive::Received;
pub use self::stream::{check_proof, verify_stream};
pub use self::volume::{FsVolume, VolumeSpec};

/// Longest shard, in bytes: a roll of 4 GiB at k = 1, with room to grow.
pub const MAX_SHARD: u64 = 64 << 30;

/// A result of this module.
pub type Result<T> = std::result::Result<T, StoreError>;
