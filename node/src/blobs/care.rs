//! Scrub, quarantine and removal.

use std::fs;
use std::io;

use safelight_proto::id::Hash;

use super::Result;
use super::durable::Durable;
use super::error::{Damage, StoreError};
use super::tree::read_tree;
use super::volume::{FsVolume, blocking};
use crate::disk::durable::{drop_cache, sync_dir};

impl FsVolume {
    /// Reads every group of a held shard from the medium. Unreadable sectors count as damage while the volume
    /// itself answers. A bad outboard beside good data is made again and is no damage. Nothing is moved: see
    /// [`FsVolume::quarantine`].
    pub async fn verify(&self, hash: Hash) -> Result<Durable> {
        self.verify_stepwise(hash, |_| true).await
    }

    /// The same, in steps: `step` hears how many bytes were read since it was last asked, on a thread that may block,
    /// and says whether to go on; when it does not, the verification is refused.
    pub async fn verify_stepwise(
        &self,
        hash: Hash,
        mut step: impl FnMut(u64) -> bool + Send + 'static,
    ) -> Result<Durable> {
        let len = self.0.held(hash)?;
        let reader = self.open_reader(hash, len).await?;
        let path = self.0.folders.shard(hash);
        let read = blocking(move || {
            let there = reader.data().metadata()?.len();
            drop_cache(reader.data())?;
            let Some(bad) = reader.damaged(&mut step) else { return Ok(None) };
            // The outboard may be what is bad: then the bytes alone still give the hash.
            let whole =
                there == len && (bad.is_empty() || read_tree(&path).is_ok_and(|read| read.hash() == hash));
            Ok(Some((bad, whole)))
        })
        .await
        .map_err(|e: io::Error| self.fail(hash, e))?;
        let Some((bad, whole)) = read else {
            return Err(StoreError::Refused("the verification was stopped"));
        };
        if whole && bad.is_empty() {
            return Ok(Durable::new(hash, len));
        }
        self.0.check()?;
        if whole {
            tracing::warn!(shard = %hash.short(), "the outboard of a good shard was bad; it is made again");
            return self.adopt(hash).await;
        }
        match bad.is_empty() {
            true => Err(self.0.all_bad(hash, len)),
            false => Err(Damage { hash, bad }.into()),
        }
    }

    /// Moves a bad shard to `bad/`, durably. It is held no longer; its room stays used until somebody empties
    /// `bad/`.
    pub async fn quarantine(&self, hash: Hash) -> Result<()> {
        let _one = self.0.placing.lock().await;
        let inner = self.0.clone();
        blocking(move || inner.move_aside(hash)).await
    }

    /// Deletes a shard for good, durably, or what has come of one that nobody is receiving now. iroh-blobs keeps a stale
    /// line in its database; the shard can only come back by a write that is read back, which replaces that line.
    pub async fn remove(&self, hash: Hash) -> Result<()> {
        let _one = self.0.placing.lock().await;
        let removed = self.unlink(hash).await;
        if matches!(removed, Ok(()) | Err(StoreError::NotHere(_))) {
            self.release(hash);
        }
        removed
    }

    /// Holds a shard no longer; its file is still there. Quick, so that whoever gives a shard up can say so before
    /// anything that comes later wants it anew.
    pub fn release(&self, hash: Hash) {
        self.0.state().held.remove(&hash);
    }

    /// Deletes a shard that was released, as [`FsVolume::remove`] does; one that was taken on anew since then stays.
    pub async fn remove_released(&self, hash: Hash) -> Result<()> {
        let _one = self.0.placing.lock().await;
        let anew = self.0.state().held.contains_key(&hash);
        if anew { Ok(()) } else { self.unlink(hash).await }
    }

    async fn unlink(&self, hash: Hash) -> Result<()> {
        let inner = self.0.clone();
        blocking(move || {
            let path = inner.folders.shard(hash);
            let parts = inner.forget_partial(hash)?;
            match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    inner.check()?;
                    return if parts { Ok(()) } else { Err(StoreError::NotHere(hash)) };
                }
                other => other.map_err(|e| inner.judge(StoreError::io(&path, e)))?,
            }
            // An outboard without its shard is only room; it is made anew, never trusted, should the hash come again.
            let _ = fs::remove_file(inner.index.outboard(hash));
            sync_dir(&inner.folders.shards()).map_err(|e| inner.judge(StoreError::io(&path, e)))
        })
        .await
    }
}
