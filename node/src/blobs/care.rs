//! Scrub, quarantine and removal.

use std::fs::{self, File};
use std::io::{self, Read};

use safelight_proto::id::Hash;

use super::Result;
use super::durable::Durable;
use super::error::{Damage, StoreError};
use super::groups::Groups;
use super::tree::read_tree;
use super::volume::{FsVolume, blocking};
use crate::disk::durable::{drop_cache, sync_dir};

impl FsVolume {
    /// Reads every group of a held shard from the medium. Unreadable sectors count as damage while the volume
    /// itself answers. A bad outboard beside good data is made again and is no damage. Nothing is moved: see
    /// [`FsVolume::quarantine`].
    pub async fn verify(&self, hash: Hash) -> Result<Durable> {
        let len = self.0.held(hash)?;
        let reader = self.open_reader(hash, len).await?;
        let path = self.0.folders.shard(hash);
        let (bad, whole) = blocking(move || {
            let read = read_tree(&path).ok().filter(|read| read.hash() == hash && read.len() == len);
            let outboard = reader.outboard().map_or_else(|| Ok(Vec::new()), whole_file);
            let bad = match &read {
                Some(read) if outboard.is_ok_and(|outboard| outboard == read.outboard()) => Groups::none(),
                // The outboard may be what is bad: then the bytes alone still give the hash.
                _ => reader.damaged(),
            };
            (bad, read.is_some())
        })
        .await;
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

    /// Deletes a shard for good, durably. iroh-blobs keeps a stale line in its database; the shard can only
    /// come back by a write that is read back, which replaces that line.
    pub async fn remove(&self, hash: Hash) -> Result<()> {
        let _one = self.0.placing.lock().await;
        let inner = self.0.clone();
        blocking(move || {
            let path = inner.folders.shard(hash);
            match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    inner.check()?;
                    inner.state().held.remove(&hash);
                    return Err(StoreError::NotHere(hash));
                }
                other => other.map_err(|e| inner.judge(StoreError::io(&path, e)))?,
            }
            inner.state().held.remove(&hash);
            // An outboard without its shard is only room; it is made anew, never trusted, should the hash come again.
            let _ = fs::remove_file(inner.index.outboard(hash));
            sync_dir(&inner.folders.shards()).map_err(|e| inner.judge(StoreError::io(&path, e)))
        })
        .await
    }
}

/// What stands in a file, as it is on the medium.
fn whole_file(mut file: &File) -> io::Result<Vec<u8>> {
    drop_cache(file)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}
