//! A roll being written: plaintext in, shards in drafts on this node's volumes.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use rand_chacha::ChaCha20Rng;
use safelight_core::code::{FinishedShard, RollEnd};
use safelight_core::event::Shard;
use safelight_core::ingest::{CodingPlan, FinishError, NewRoll, RollCoder, RollSealer, SealedRoll};
use safelight_core::seal::FreshKey;
use safelight_proto::catalog::Catalog;
use safelight_proto::id::{CodingId, Hash, RollId, VolumeId};
use safelight_proto::record::{self, Body};
use safelight_proto::shard::Geometry;
use tokio::runtime::Handle;

use super::place::Placement;
use super::writer::{Draft, Drafts, Ended, VolumeFault, Writer};
use super::{Shoot, drawn};
use crate::admin::operator::Failure;
use crate::blobs::{FsVolume, ShardDraft, StoreError};
use crate::shell::Shell;

/// Why a roll cannot go on.
#[derive(Debug)]
pub enum Fault {
    /// A volume failed: again without it.
    Volume(VolumeFault),
    /// Nothing helps.
    Stop(Failure),
}

/// See the module's documentation. Dropped, it leaves nothing behind.
pub struct Stream {
    plan: CodingPlan,
    placement: Placement,
    sealer: RollSealer,
    /// None once a volume failed.
    writer: Option<Writer>,
}

impl Stream {
    /// A new roll with a new key; its shards' files are made, with the room they need set aside.
    pub fn start(
        shell: &Shell,
        shoot: &Shoot,
        placement: Placement,
        random: &mut ChaCha20Rng,
    ) -> Result<Self, Fault> {
        let key = FreshKey::from_random(drawn(random));
        let sealed = NewRoll::new(shell.library, RollId(drawn(random)), key, &shoot.reader, random);
        let roll = sealed.map_err(|error| Fault::Stop(Failure::new(error.to_string())))?;
        let plan = CodingPlan {
            library: shell.library,
            roll: roll.roll(),
            wrapped_key: roll.wrapped_key(),
            coding: CodingId(drawn(random)),
            k: placement.k,
            unit: placement.unit,
            indices: (0u8..).take(placement.layout.len()).collect(),
        };
        let stop = |why: String| Fault::Stop(Failure::new(why));
        let coder =
            RollCoder::new(&plan).map_err(|error| stop(format!("the roll cannot be coded: {error}")))?;
        let mut drafts = Drafts::new();
        for ((index, header), volume) in coder.headers().zip(&placement.staged) {
            let fault = |error| Fault::Volume(VolumeFault { volume: volume.id(), error });
            let draft = volume.draft(placement.shard_bytes).map_err(fault)?;
            let mut draft = Draft { volume: Arc::clone(volume), draft };
            draft.write(&header).map_err(Fault::Volume)?;
            drafts.insert(index, draft);
        }
        let sealer = RollSealer::new(roll, plan.stripe_len());
        let writer = Writer::start(coder, drafts)
            .map_err(|error| stop(format!("the system gives no thread: {error}")))?;
        Ok(Self { plan, placement, sealer, writer: Some(writer) })
    }

    /// The roll.
    pub fn roll(&self) -> RollId {
        self.plan.roll
    }

    /// Where the next byte stands.
    pub fn position(&self) -> u64 {
        self.sealer.position()
    }

    /// Bytes of files that it still takes.
    pub fn room(&self) -> u64 {
        self.placement.size.data.saturating_sub(self.position())
    }

    /// Bytes that its catalog may have.
    pub fn catalog_room(&self) -> u64 {
        self.placement.size.catalog
    }

    /// Where the next bytes go. Empty when the roll is full.
    pub fn buffer(&mut self) -> &mut [u8] {
        let room = usize::try_from(self.room()).unwrap_or(usize::MAX);
        let buffer = self.sealer.buffer();
        let most = buffer.len().min(room);
        &mut buffer[..most]
    }

    /// Takes the first bytes of [`Self::buffer`]. After an error the stream is of no more use.
    pub fn advance(&mut self, filled: usize) -> Result<(), Fault> {
        let writer = &mut self.writer;
        let mut sink = |batch| writer.as_mut().ok_or(Ended)?.send(batch);
        match self.sealer.advance(filled, &mut sink) {
            Ok(()) => Ok(()),
            Err(Ended) => Err(why_ended(self.writer.take())),
        }
    }

    /// Seals the catalog, and makes every shard durable.
    pub fn finish(self, shoot: &Shoot, catalog: &Catalog, runtime: &Handle) -> Result<Written, Fault> {
        let Self { plan, placement, sealer, mut writer } = self;
        let sealed = sealer.finish(catalog, &mut |batch| writer.as_mut().ok_or(Ended)?.send(batch));
        let sealed = match sealed {
            Ok(sealed) => sealed,
            Err(FinishError::Sink(Ended)) => return Err(why_ended(writer)),
            Err(other) => {
                return Err(Fault::Stop(Failure::new(format!("the roll cannot be finished: {other}"))));
            }
        };
        let Some(writer) = writer else { return Err(why_ended(None)) };
        let (coder, mut drafts) = writer.end().map_err(Fault::Volume)?;
        let shards = coder.finish(&RollEnd { shape: sealed.shape, sealed_hash: sealed.sealed_hash });
        for shard in &shards {
            let Some(draft) = drafts.get_mut(&shard.id.index) else { continue };
            draft.write(&shard.trailer).map_err(Fault::Volume)?;
        }
        let kept = runtime.block_on(make_durable(drafts, &shards, &plan)).map_err(Fault::Volume)?;
        Ok(Written::new(shoot, catalog, &plan, &placement, sealed, &shards, kept))
    }
}

fn why_ended(writer: Option<Writer>) -> Fault {
    match writer.map(Writer::end) {
        Some(Err(fault)) => Fault::Volume(fault),
        _ => Fault::Stop(Failure::new("a roll went on after it had failed")),
    }
}

/// A shard that lies durably on a volume.
pub type Kept = (Arc<FsVolume>, Shard);

/// What one volume is to make durable.
type OnVolume = (Arc<FsVolume>, Vec<Shard>, Vec<(ShardDraft, Hash)>);

/// Finishes the drafts of all volumes at once. When one fails, the others' shards are removed again.
pub async fn make_durable(
    drafts: Drafts,
    finished: &[FinishedShard],
    plan: &CodingPlan,
) -> Result<Vec<Kept>, VolumeFault> {
    let mut by_volume: BTreeMap<VolumeId, OnVolume> = BTreeMap::new();
    for (index, Draft { volume, draft }) in drafts {
        let Some(made) = finished.iter().find(|shard| shard.id.index == index) else { continue };
        let hash = made.tree.hash();
        let shard = Shard {
            hash,
            bytes: made.tree.len(),
            roll: plan.roll,
            coding: plan.coding,
            index,
            staged: false,
        };
        let slot = by_volume.entry(volume.id()).or_insert_with(|| (volume, Vec::new(), Vec::new()));
        slot.1.push(shard);
        slot.2.push((draft, hash));
    }
    let all = by_volume.into_values().map(|(volume, shards, drafts)| async move {
        let outcomes = volume.finish(drafts).await;
        let pair = |(shard, outcome): (Shard, Result<_, _>)| (Arc::clone(&volume), shard, outcome);
        shards.into_iter().zip(outcomes).map(pair).collect::<Vec<_>>()
    });
    let (mut kept, mut fault) = (Vec::new(), None);
    for (volume, shard, outcome) in join_all(all).await.into_iter().flatten() {
        match outcome {
            // The proof names what was proven: nothing else counts.
            Ok(durable) if durable.hash() == shard.hash && durable.len() == shard.bytes => {
                kept.push((volume, shard));
            }
            Ok(durable) => {
                let error = StoreError::ReadBack { expected: shard.hash, got: durable.hash() };
                fault = Some(VolumeFault { volume: volume.id(), error });
            }
            Err(error) => fault = Some(VolumeFault { volume: volume.id(), error }),
        }
    }
    match fault {
        None => Ok(kept),
        Some(fault) => {
            remove(&kept).await;
            Err(fault)
        }
    }
}

/// Removes shards that nobody was told of.
pub async fn remove(kept: &[Kept]) {
    for (volume, shard) in kept {
        if let Err(error) = volume.remove(shard.hash).await {
            tracing::warn!(volume = %volume.id(), shard = %shard.hash, "an unfinished roll's shard stays behind: {error}");
        }
    }
}

/// A roll whose shards are durable, and which nobody has been told of.
pub struct Written {
    /// Its record.
    pub roll: record::Roll,
    coding: record::Coding,
    layout: record::Layout,
    shards: Vec<Kept>,
    /// The sealed catalog.
    pub catalog_blob: Vec<u8>,
}

impl Written {
    fn new(
        shoot: &Shoot,
        catalog: &Catalog,
        plan: &CodingPlan,
        placement: &Placement,
        sealed: SealedRoll,
        finished: &[FinishedShard],
        shards: Vec<Kept>,
    ) -> Self {
        let geometry = Geometry { shape: sealed.shape, k: plan.k, unit: plan.unit };
        let (roll, coding) = (plan.roll, plan.coding);
        Self {
            roll: record::Roll {
                roll,
                shoot: shoot.id,
                shoot_name: shoot.sealed_name.clone(),
                references: catalog.references().into_iter().collect(),
                data_bytes: sealed.shape.data_bytes,
                catalog_bytes: sealed.shape.catalog_bytes,
                sealed_hash: sealed.sealed_hash,
                wrapped_key: plan.wrapped_key.0,
                catalog_hash: Hash::of(&sealed.catalog_blob),
                files: catalog.entries.len() as u64,
                bytes: catalog.entries.iter().map(|entry| entry.bytes).sum(),
            },
            coding: record::Coding {
                roll,
                coding,
                k: plan.k,
                unit: plan.unit,
                shard_bytes: geometry.shard_len(),
                shards: finished.iter().map(|shard| shard.tree.hash()).collect(),
            },
            layout: record::Layout { roll, coding, volumes: placement.layout.clone() },
            shards,
            catalog_blob: sealed.catalog_blob,
        }
    }

    /// Shards that rebuild it, and shards there are.
    pub fn code(&self) -> (u8, usize) {
        (self.coding.k, self.coding.shards.len())
    }

    /// What is said of it.
    pub fn bodies(&self) -> Vec<Body> {
        vec![
            Body::Roll(self.roll.clone()),
            Body::Coding(self.coding.clone()),
            Body::Layout(self.layout.clone()),
        ]
    }

    /// What lies where.
    pub fn shards(&self) -> Vec<(VolumeId, Shard)> {
        self.shards.iter().map(|(volume, shard)| (volume.id(), *shard)).collect()
    }

    /// Removes its shards again: it never was.
    pub fn undo(self, runtime: &Handle) {
        runtime.block_on(remove(&self.shards));
    }
}
