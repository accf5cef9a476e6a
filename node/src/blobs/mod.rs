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
//! store/        iroh-blobs' FsStore: the outboards, and a database that is only an index
//! ```
//!
//! The rules, each forced by something measured about iroh-blobs 0.104: the ledger (another module's) and the
//! files are the truth, and the store's database may be lost at any time; every shard enters by the one way
//! of [`FsVolume::finish`], which writes, fsyncs, renames, drops the page cache and reads back; a received
//! shard is collected in a file of ours and then takes that same way, because an import of a stream over an
//! old entry would change nothing and say "done"; reading and sending verify the files themselves; garbage
//! collection is off.
//!
//! In the order of the data: [`arg`] what was typed, [`marker`] the volume's identity, [`volume`] open and
//! account, [`durable`] and [`place`] the honest write, [`receive`] and [`send`] streams, [`read`] verified
//! reading, [`care`] scrub, quarantine and removal. Below them [`groups`], [`stream`], [`tree`] and
//! [`index`].

pub mod arg;
mod care;
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

use std::ops::Range;

use futures::future::BoxFuture;
use safelight_proto::id::{Hash, VolumeId};
use tokio::io::{AsyncRead, AsyncWrite};

pub use self::care::ShardFile;
pub use self::durable::{Durable, LedgerRow, ShardDraft, ShardState};
pub use self::error::{Damage, StoreError, Unavailable};
pub use self::groups::{GROUP, Groups, MAX_RANGES};
pub use self::read::{MAX_READ, ShardReader};
pub use self::receive::Received;
pub use self::stream::{MAX_PROOF_GROUPS, check_proof, stream_len, verify_stream};
pub use self::volume::{FsVolume, Reconciled, Usage, VolumeSpec};

/// Longest shard, in bytes: a roll of 4 GiB at k = 1, with room to grow.
pub const MAX_SHARD: u64 = 64 << 30;

/// A result of this module.
pub type Result<T> = std::result::Result<T, StoreError>;

/// What every kind of volume can do. [`FsVolume`] is the one on a file system; a bucket would be another.
pub trait ShardStore: Send + Sync {
    /// The volume.
    fn id(&self) -> VolumeId;
    /// What is used and what is free.
    fn usage(&self) -> Result<Usage>;
    /// A new shard of at most `len` bytes, to be written from a thread that may block. Refused when there is
    /// no room.
    fn draft(&self, len: u64) -> Result<ShardDraft>;
    /// Makes written shards durable under their hashes, many at the price of one; results in the same order.
    fn finish(&self, drafts: Vec<(ShardDraft, Hash)>) -> BoxFuture<'_, Vec<Result<Durable>>>;
    /// The groups that are still to come of a shard being received: all of them when nothing is there, none
    /// when it is held.
    fn missing(&self, hash: Hash, len: u64) -> BoxFuture<'_, Result<Groups>>;
    /// Takes in the stream of `groups`; every group is verified before it is kept. Exactly [`stream_len`]
    /// bytes are read.
    fn receive<'a>(
        &'a self,
        hash: Hash,
        len: u64,
        groups: &'a Groups,
        reader: &'a mut (dyn AsyncRead + Send + Unpin),
    ) -> BoxFuture<'a, Result<Received>>;
    /// Forgets what was received of a shard that is no longer wanted.
    fn forget(&self, hash: Hash) -> BoxFuture<'_, Result<()>>;
    /// Writes the stream of `groups` of a held shard; every group is verified before it is sent.
    fn send<'a>(
        &'a self,
        hash: Hash,
        groups: &'a Groups,
        writer: &'a mut (dyn AsyncWrite + Send + Unpin),
    ) -> BoxFuture<'a, Result<u64>>;
    /// The stream of a few groups, for an audit.
    fn prove<'a>(&'a self, hash: Hash, groups: &'a Groups) -> BoxFuture<'a, Result<Vec<u8>>>;
    /// Verified bytes of a held shard, at most [`MAX_READ`] at once.
    fn read(&self, hash: Hash, bytes: Range<u64>) -> BoxFuture<'_, Result<Vec<u8>>>;
    /// Reads every group from the medium. A damaged shard is reported, not touched.
    fn verify(&self, hash: Hash) -> BoxFuture<'_, Result<Durable>>;
    /// Moves a bad shard aside.
    fn quarantine(&self, hash: Hash) -> BoxFuture<'_, Result<()>>;
    /// Deletes a shard for good. Whoever calls it has made sure that it may go.
    fn remove(&self, hash: Hash) -> BoxFuture<'_, Result<()>>;
    /// All shard files there are, recorded or not.
    fn list(&self) -> BoxFuture<'_, Result<Vec<ShardFile>>>;
    /// Closes the volume; what is asked afterwards may fail.
    fn shutdown(&self) -> BoxFuture<'_, ()>;
}

impl ShardStore for FsVolume {
    fn id(&self) -> VolumeId {
        self.id()
    }
    fn usage(&self) -> Result<Usage> {
        self.usage()
    }
    fn draft(&self, len: u64) -> Result<ShardDraft> {
        self.draft(len)
    }
    fn finish(&self, drafts: Vec<(ShardDraft, Hash)>) -> BoxFuture<'_, Vec<Result<Durable>>> {
        Box::pin(self.finish(drafts))
    }
    fn missing(&self, hash: Hash, len: u64) -> BoxFuture<'_, Result<Groups>> {
        Box::pin(self.missing(hash, len))
    }
    fn receive<'a>(
        &'a self,
        hash: Hash,
        len: u64,
        groups: &'a Groups,
        reader: &'a mut (dyn AsyncRead + Send + Unpin),
    ) -> BoxFuture<'a, Result<Received>> {
        Box::pin(self.receive(hash, len, groups, reader))
    }
    fn forget(&self, hash: Hash) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.forget(hash))
    }
    fn send<'a>(
        &'a self,
        hash: Hash,
        groups: &'a Groups,
        writer: &'a mut (dyn AsyncWrite + Send + Unpin),
    ) -> BoxFuture<'a, Result<u64>> {
        Box::pin(self.send(hash, groups, writer))
    }
    fn prove<'a>(&'a self, hash: Hash, groups: &'a Groups) -> BoxFuture<'a, Result<Vec<u8>>> {
        Box::pin(self.prove(hash, groups))
    }
    fn read(&self, hash: Hash, bytes: Range<u64>) -> BoxFuture<'_, Result<Vec<u8>>> {
        Box::pin(self.read(hash, bytes))
    }
    fn verify(&self, hash: Hash) -> BoxFuture<'_, Result<Durable>> {
        Box::pin(self.verify(hash))
    }
    fn quarantine(&self, hash: Hash) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.quarantine(hash))
    }
    fn remove(&self, hash: Hash) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.remove(hash))
    }
    fn list(&self) -> BoxFuture<'_, Result<Vec<ShardFile>>> {
        Box::pin(self.list())
    }
    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.shutdown())
    }
}
