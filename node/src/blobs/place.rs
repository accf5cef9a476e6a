//! The honest write: fsync, name, fsync of the directory, read back past the page cache, index; only then
//! [`Durable`].

use std::fs;
use std::io;

use safelight_proto::id::Hash;

use super::Result;
use super::durable::{Durable, Sealed, ShardDraft};
use super::error::{Damage, StoreError};
use super::groups::Groups;
use super::tree::read_tree;
use super::volume::{FsVolume, Inner, blocking, size_of};
use crate::disk::durable::{sync_dir, sync_file};

impl FsVolume {
    /// Makes written shards durable, each under the hash it is to have. Many at once share the fsyncs of
    /// directories and database. One that reads back as something else is moved aside; the others are not
    /// affected.
    pub async fn finish(&self, drafts: Vec<(ShardDraft, Hash)>) -> Vec<Result<Durable>> {
        let seal = move || drafts.into_iter().map(|(draft, hash)| (hash, draft.seal())).collect::<Vec<_>>();
        let sealed = blocking(seal).await;
        self.place(sealed).await
    }

    /// Takes a shard file that the ledger does not know into account: makes it durable and verifies all of
    /// it. One that is not what its name says is moved aside.
    pub async fn adopt(&self, hash: Hash) -> Result<Durable> {
        let _one = self.0.placing.lock().await;
        let path = self.0.folders.shard(hash);
        let len = blocking(move || {
            let len = fs::metadata(&path)?.len();
            sync_file(&path).map(|()| len)
        })
        .await;
        let len = match len {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(StoreError::NotHere(hash)),
            other => other.map_err(|e| self.fail(hash, e))?,
        };
        self.sync_shards().await.map_err(|e| self.fail(hash, e))?;
        let placed = self.read_back(hash, len).await.map(|()| (hash, len));
        self.settle(vec![placed]).await.pop().unwrap_or(Err(StoreError::NotHere(hash)))
    }

    /// Gives sealed files their names and proves them.
    pub(super) async fn place(&self, sealed: Vec<(Hash, Result<Sealed>)>) -> Vec<Result<Durable>> {
        let _one = self.0.placing.lock().await;
        let mut placed = Vec::with_capacity(sealed.len());
        for (hash, sealed) in sealed {
            placed.push(match sealed {
                Ok(sealed) => self.name(hash, sealed).await.map(|len| (hash, len)),
                Err(error) => Err(self.0.judge(error)),
            });
        }
        if let Err(error) = self.sync_shards().await {
            let again = || io::Error::new(error.kind(), error.to_string());
            return placed
                .into_iter()
                .map(|p| p.and_then(|(hash, _)| Err(self.fail(hash, again()))))
                .collect();
        }
        for one in &mut placed {
            if let Ok((hash, len)) = *one
                && let Err(error) = self.read_back(hash, len).await
            {
                *one = Err(error);
            }
        }
        self.settle(placed).await
    }

    /// Moves a sealed file to its name. A file that has the name already is kept if it is good: it was
    /// durable, and the new one is not yet.
    async fn name(&self, hash: Hash, sealed: Sealed) -> Result<u64> {
        let target = self.0.folders.shard(hash);
        if target.exists() {
            match self.read_back(hash, sealed.len).await {
                Ok(()) => {
                    // The shard stands; a second copy of it among the drafts is swept away at the next opening.
                    let _ = fs::remove_file(&sealed.path);
                    return Ok(sealed.len);
                }
                // Moved aside by the reading.
                Err(StoreError::ReadBack { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        fs::rename(&sealed.path, &target).map_err(|e| self.fail(hash, e))?;
        Ok(sealed.len)
    }

    /// Reads a shard file from the medium, which makes its outboard on the way, and enters it in the index. A
    /// file with other content is moved aside.
    pub(super) async fn read_back(&self, hash: Hash, len: u64) -> Result<()> {
        let path = self.0.folders.shard(hash);
        let read = blocking(move || read_tree(&path)).await.map_err(|e| self.fail(hash, e))?;
        if read.hash() == hash && read.len() == len {
            return self.0.index.enter(read).await.map_err(|e| self.0.index_error(e));
        }
        let inner = self.0.clone();
        blocking(move || inner.move_aside(hash)).await?;
        Err(StoreError::ReadBack { expected: hash, got: read.hash() })
    }

    /// Makes outboards and index durable, and only then calls the shards durable and held.
    async fn settle(&self, placed: Vec<Result<(Hash, u64)>>) -> Vec<Result<Durable>> {
        let inner = self.0.clone();
        let good: Vec<Hash> = placed.iter().flatten().map(|(hash, _)| *hash).collect();
        let synced = blocking(move || inner.sync_outboards(&good)).await;
        let committed = self.0.index.sync().await;
        let settled = placed.into_iter().map(|one| {
            let (hash, len) = one?;
            if let Err(error) = &synced {
                return Err(self.fail(hash, io::Error::new(error.kind(), error.to_string())));
            }
            if let Err(error) = &committed {
                return Err(StoreError::Index(format!("{error:?}")));
            }
            self.0.state().held.insert(hash, len);
            Ok(Durable::new(hash, len))
        });
        settled.collect()
    }

    async fn sync_shards(&self) -> io::Result<()> {
        let shards = self.0.folders.shards();
        blocking(move || sync_dir(&shards)).await
    }

    /// An I/O error at a shard's file, or that the volume went away.
    pub(super) fn fail(&self, hash: Hash, error: io::Error) -> StoreError {
        self.0.judge(StoreError::io(&self.0.folders.shard(hash), error))
    }
}

impl Inner {
    /// Moves a shard file to `bad/` under a name of its own and forgets that it is held. Its outboard goes.
    pub(super) fn move_aside(&self, hash: Hash) -> Result<()> {
        let (from, bad) = (self.folders.shard(hash), self.folders.bad());
        let fail = |e| self.judge(StoreError::io(&from, e));
        let mut number = 0_u32;
        let to = loop {
            let to = bad.join(format!("{hash}.{number}.shard"));
            if !to.try_exists().map_err(fail)? {
                break to;
            }
            number += 1;
        };
        match fs::rename(&from, &to) {
            // Nothing there to move: it is not held either, if the volume is there at all.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.check()?,
            other => other.map_err(fail)?,
        }
        // An outboard alone is never trusted: whoever brings the shard again makes it anew.
        let _ = fs::remove_file(self.index.outboard(hash));
        {
            let mut state = self.state();
            state.held.remove(&hash);
            state.bad = size_of(&bad, ".shard");
        }
        sync_dir(&self.folders.shards()).and_then(|()| sync_dir(&bad)).map_err(fail)
    }

    fn sync_outboards(&self, shards: &[Hash]) -> io::Result<()> {
        for hash in shards {
            match sync_file(&self.index.outboard(*hash)) {
                // A shard of one group has none.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        sync_dir(&self.index.outboards())
    }

    /// A shard whose file cannot be there at all: every group is bad.
    pub(super) fn all_bad(&self, hash: Hash, len: u64) -> StoreError {
        Damage { hash, bad: Groups::all(len) }.into()
    }
}
