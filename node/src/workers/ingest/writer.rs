//! The second thread of a roll: codes what the first has sealed, and writes the shards' files.
//!
//! At most three batches of some 10 MiB are about: one being filled, one on its way, one being coded.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use safelight_core::ingest::{RollCoder, SealedBatch};
use safelight_proto::id::VolumeId;

use crate::blobs::{FsVolume, ShardDraft, StoreError};

/// A volume that failed.
#[derive(Debug)]
pub struct VolumeFault {
    /// Which.
    pub volume: VolumeId,
    /// How.
    pub error: StoreError,
}

/// One shard, on its way to a file.
pub struct Draft {
    /// Where.
    pub volume: Arc<FsVolume>,
    /// The file.
    pub draft: ShardDraft,
}

impl Draft {
    /// Appends bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), VolumeFault> {
        let fault = |error| VolumeFault { volume: self.volume.id(), error };
        self.draft.write_all(bytes).map_err(fault)
    }
}

/// The drafts of a roll, by the index of the shard.
pub type Drafts = BTreeMap<u8, Draft>;

/// The thread has ended, because a volume failed: [`Writer::end`] says which.
#[derive(Debug)]
pub struct Ended;

/// See the module's documentation. When it is dropped, so are the drafts.
pub struct Writer {
    batches: Option<SyncSender<SealedBatch>>,
    buffers: Receiver<Vec<u8>>,
    thread: Option<JoinHandle<Result<(RollCoder, Drafts), VolumeFault>>>,
}

impl Writer {
    /// Starts the thread.
    pub fn start(coder: RollCoder, drafts: Drafts) -> std::io::Result<Self> {
        let (batches, incoming) = sync_channel(1);
        let (used, buffers) = sync_channel(3);
        let work = move || code(coder, drafts, &incoming, &used);
        let thread = std::thread::Builder::new().name("coder".into()).spawn(work)?;
        Ok(Self { batches: Some(batches), buffers, thread: Some(thread) })
    }

    /// Hands a batch over, and gives memory for another.
    pub fn send(&mut self, batch: SealedBatch) -> Result<Vec<u8>, Ended> {
        let batches = self.batches.as_ref().ok_or(Ended)?;
        batches.send(batch).map_err(|_| Ended)?;
        Ok(self.buffers.try_recv().unwrap_or_default())
    }

    /// Waits until everything is written. After [`Ended`] it tells why.
    pub fn end(mut self) -> Result<(RollCoder, Drafts), VolumeFault> {
        self.batches = None;
        let thread = self.thread.take().expect("it is taken here and in drop alone");
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            // Drafts are gone when this returns; what became of them is of no interest any more.
            drop(thread.join());
        }
    }
}

fn code(
    mut coder: RollCoder,
    mut drafts: Drafts,
    incoming: &Receiver<SealedBatch>,
    used: &SyncSender<Vec<u8>>,
) -> Result<(RollCoder, Drafts), VolumeFault> {
    for batch in incoming {
        coder.push(&batch, &mut |index, unit| match drafts.get_mut(&index) {
            Some(draft) => draft.write(unit),
            None => Ok(()),
        })?;
        // A buffer that nobody waits for is let go.
        let _ = used.try_send(batch.into_buffer());
    }
    Ok((coder, drafts))
}
