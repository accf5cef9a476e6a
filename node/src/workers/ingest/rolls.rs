//! Where rolls begin and end: room found, batches recorded, and given up when a volume fails.

use safelight_core::event::Event;
use safelight_proto::catalog::{Entry, Extent};
use safelight_proto::limit::EXTENTS_MAX;

use super::place::{Ground, NoRoom, Placement, Size};
use super::stream::{Fault, Stream, Written};
use super::survey::Source;
use super::worker::Worker;
use super::writer::VolumeFault;
use crate::admin::doc::RollDoc;
use crate::admin::operator::Failure;
use crate::blobs::StoreError;
use crate::store::files::KnownFile;

/// Why no file can be taken in as things are.
#[derive(Debug)]
pub enum Halt {
    /// A volume failed: the batch starts again without it.
    Volume(VolumeFault),
    /// There is no room.
    Room(NoRoom),
    /// The ingest is over.
    Stop(Failure),
}

impl From<Fault> for Halt {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Volume(fault) => Self::Volume(fault),
            Fault::Stop(failure) => Self::Stop(failure),
        }
    }
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Stop(failure)
    }
}

impl Worker {
    /// A stream that takes a file of `len` bytes whole if any roll does; else one that begins with it.
    pub(super) fn make_room(&mut self, len: u64) -> Result<(), Halt> {
        if self.batch.stream.as_ref().is_some_and(|stream| stream.room() >= len) {
            return Ok(());
        }
        let spans = len > self.settings.roll_bytes && !self.batch.entries.is_empty();
        if self.batch.stream.is_some() || spans {
            self.commit()?;
        }
        self.start(len)?;
        let short = self.batch.stream.as_ref().is_some_and(|stream| stream.room() < len);
        if short && !self.batch.entries.is_empty() {
            // The file spans rolls after all, for want of room: what goes before it is recorded first.
            self.batch.stream = None;
            self.commit()?;
            self.start(len)?;
        }
        Ok(())
    }

    /// Ends a roll in the middle of a file and begins another.
    pub(super) fn next_roll(&mut self, extents: &mut [Extent], rest: u64) -> Result<(), Halt> {
        if extents.len() >= EXTENTS_MAX {
            return Err(Halt::Room(NoRoom { needed: rest, room: 0 }));
        }
        if let Some(stream) = self.batch.stream.take() {
            let roll = stream.roll();
            let catalog = self.batch.catalog(&self.shoot, self.ingested_ms);
            let written = stream.finish(&self.shoot, &catalog, &self.runtime)?;
            self.batch.full.push(written);
            extents.iter_mut().filter(|extent| extent.roll.is_none()).for_each(|e| e.roll = Some(roll));
        }
        self.start(rest)
    }

    fn start(&mut self, len: u64) -> Result<(), Halt> {
        let left = self.expected.bytes.saturating_sub(self.done.bytes);
        let files = self.expected.files.saturating_sub(self.done.files);
        let size = Size {
            data: left.max(len).min(self.settings.roll_bytes),
            catalog: self.batch.catalog_bytes(files, self.settings.roll_files),
        };
        let placement = self.place(size)?;
        self.batch.stream = Some(Stream::start(&self.shell, &self.shoot, placement, &mut self.random)?);
        Ok(())
    }

    fn place(&mut self, size: Size) -> Result<Placement, Halt> {
        let asked = self.shell.core.ask(|node| (node.staying(), node.promised().clone()));
        let (known, promised) = self.runtime.block_on(asked).map_err(Failure::from)?;
        let avoid = self.broken.union(&self.crowded).copied().collect();
        let own = self.shell.volumes.open();
        let ground = Ground::new(
            &known,
            &promised,
            own,
            &avoid,
            self.shell.me,
            self.shoot.rule,
            self.shell.site.clone(),
        );
        if ground.is_empty() && !self.broken.is_empty() {
            let failure = Failure::new(format!(
                "every volume of this node failed; what was stored before stays stored; the last one: {}",
                self.last_fault
            ));
            return Err(Halt::Stop(
                failure.next("`safelight volumes` says which of them answer, and what room they have"),
            ));
        }
        let placement = ground.place(size, self.settings.least_bytes).map_err(Halt::Room)?;
        if let Some(shortfall) = &placement.shortfall {
            self.reporter.notice(shortfall.clone());
        }
        Ok(placement)
    }

    /// Makes the batch durable and has it recorded: only now do its files count as stored.
    pub(super) fn commit(&mut self) -> Result<(), Halt> {
        if self.batch.entries.is_empty() {
            // Dead bytes at most.
            self.drop_pieces();
            self.batch.stream = None;
            self.close_tally();
            return Ok(());
        }
        self.check_cancelled()?;
        if self.batch.stream.is_none() {
            // Its placement is that of a catalog alone.
            let size = Size { data: 0, catalog: self.batch.catalog_bytes(0, self.settings.roll_files) };
            let placement = self.place(size)?;
            self.batch.stream = Some(Stream::start(&self.shell, &self.shoot, placement, &mut self.random)?);
        }
        let Some(stream) = self.batch.stream.take() else { return Ok(()) };
        let catalog = self.batch.catalog(&self.shoot, self.ingested_ms);
        let last = stream.finish(&self.shoot, &catalog, &self.runtime)?;
        let files = known_files(&last, &catalog.entries);
        let index = last.roll.catalog_hash;
        for written in std::mem::take(&mut self.batch.full).into_iter().chain([last]) {
            self.record(&written)?;
        }
        if self.shell.reading_key.is_some()
            && let Err(error) = self.shell.store.index_files(index, &files)
        {
            tracing::error!("the index of known files cannot be written: {error}");
        }
        self.crowded.clear();
        self.library.look_again();
        self.close_tally();
        Ok(())
    }

    fn record(&mut self, written: &Written) -> Result<(), Failure> {
        let catalog = written.roll.catalog_hash;
        self.shell
            .catalogs
            .keep(&catalog, &written.catalog_blob)
            .map_err(|error| Failure::new(format!("the node's home fails: {error}")))?;
        let stored = Event::Stored { bodies: written.bodies(), shards: written.shards(), catalog };
        self.runtime.block_on(self.shell.core.settle(stored)).map_err(Failure::from)?;
        let (k, n) = written.code();
        let id = written.roll.roll.to_string();
        self.batch.tally.rolls.push(RollDoc { id, k: k.into(), n: n as u32 });
        Ok(())
    }

    /// What the batch came to counts from now on; the next one is empty.
    pub(super) fn close_tally(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        self.total.add(batch.tally);
    }

    /// Rolls that carry pieces of a file that will not be whole are removed, with the one being written.
    pub(super) fn drop_pieces(&mut self) {
        if !self.batch.full.is_empty() {
            self.batch.stream = None;
        }
        for written in std::mem::take(&mut self.batch.full) {
            written.undo(&self.runtime);
        }
    }

    /// Drops the batch because a volume failed. Its files are to be read again.
    pub(super) fn give_up(&mut self, fault: VolumeFault) -> Result<Vec<Source>, Failure> {
        let VolumeFault { volume, error } = fault;
        self.reporter.notice(format!("A volume failed, its roll is written again without it: {error}"));
        self.last_fault = error.to_string();
        match error {
            StoreError::Full { .. } => self.crowded.insert(volume),
            _ => self.broken.insert(volume),
        };
        self.drop_pieces();
        let batch = std::mem::take(&mut self.batch);
        self.done.files -= batch.sources.len() as u64;
        self.done.bytes -= batch.source_bytes;
        Ok(batch.sources)
    }

    /// A batch that found no room for its catalog: its files are not taken in.
    pub(super) fn out_of_room(&mut self, no_room: &NoRoom) {
        self.drop_pieces();
        let batch = std::mem::take(&mut self.batch);
        for source in batch.sources {
            self.total.fail(source.path.display().to_string(), no_room.to_string());
        }
    }
}

fn known_files(written: &Written, entries: &[Entry]) -> Vec<KnownFile> {
    let roll = written.roll.roll;
    let known = |(place, entry): (u32, &Entry)| KnownFile {
        bytes: entry.bytes,
        head: entry.head,
        hash: entry.hash,
        roll,
        place,
    };
    (0..).zip(entries).map(known).collect()
}
