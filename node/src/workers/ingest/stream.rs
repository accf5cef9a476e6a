//! A roll being written: plaintext in, shards in drafts on this node's volumes.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use rand_chacha::ChaCha20Rng;
use safelight_core::event::Shard;
use safelight_core::ingest::{CodingPlan, FinishError, NewRoll, RollEncoder, RollSummary};
use safelight_core::seal::FreshKey;
use safelight_proto::catalog::Catalog;
use safelight_proto::id::{CodingId, Hash, RollId, VolumeId};
use safelight_proto::record::{self, Body};
use safelight_proto::shard::Geometry;
use tokio::runtime::Handle;

use super::place::Placement;
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

/// A volume that failed.
#[derive(Debug)]
pub struct VolumeFault {
    /// Which.
    pub volume: VolumeId,
    /// How.
    pub error: StoreError,
}

/// One shard, on its way to a file.
struct Draft {
    volume: Arc<FsVolume>,
    draft: ShardDraft,
}

impl Draft {
    fn write(&mut self, bytes: &[u8]) -> Result<(), VolumeFault> {
        let fault = |error| VolumeFault { volume: self.volume.id(), error };
        self.draft.write_all(bytes).map_err(fault)
    }
}

/// See the module's documentation. Dropped, it leaves nothing behind.
pub struct Stream {
    plan: CodingPlan,
    placement: Placement,
    encoder: RollEncoder,
    drafts: BTreeMap<u8, Draft>,
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
        let encoder = RollEncoder::new(roll, &plan)
            .map_err(|error| Fault::Stop(Failure::new(format!("the roll cannot be coded: {error}"))))?;
        let mut drafts = BTreeMap::new();
        for ((index, header), volume) in encoder.headers().zip(&placement.staged) {
            let fault = |error| Fault::Volume(VolumeFault { volume: volume.id(), error });
            let draft = volume.draft(placement.shard_bytes).map_err(fault)?;
            let mut draft = Draft { volume: Arc::clone(volume), draft };
            draft.write(&header).map_err(Fault::Volume)?;
            drafts.insert(index, draft);
        }
        Ok(Self { plan, placement, encoder, drafts })
    }

    /// The roll.
    pub fn roll(&self) -> RollId {
        self.plan.roll
    }

    /// Where the next byte stands.
    pub fn position(&self) -> u64 {
        self.encoder.position()
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
        let buffer = self.encoder.buffer();
        let most = buffer.len().min(room);
        &mut buffer[..most]
    }

    /// Takes the first bytes of [`Self::buffer`].
    pub fn advance(&mut self, filled: usize) -> Result<(), Fault> {
        let drafts = &mut self.drafts;
        self.encoder.advance(filled, |index, unit| write(drafts, index, unit)).map_err(Fault::Volume)
    }

    /// Seals the catalog, and makes every shard durable.
    pub fn finish(mut self, shoot: &Shoot, catalog: &Catalog, runtime: &Handle) -> Result<Written, Fault> {
        let drafts = &mut self.drafts;
        let summary = self.encoder.finish(catalog, |index, unit| write(drafts, index, unit));
        let summary = summary.map_err(|error| match error {
            FinishError::Sink(fault) => Fault::Volume(fault),
            other => Fault::Stop(Failure::new(format!("the roll cannot be finished: {other}"))),
        })?;
        for shard in &summary.shards {
            write(drafts, shard.id.index, &shard.trailer).map_err(Fault::Volume)?;
        }
        let shards =
            runtime.block_on(make_durable(self.drafts, &summary, &self.plan)).map_err(Fault::Volume)?;
        Ok(Written::new(shoot, catalog, &self.plan, &self.placement, summary, shards))
    }
}

fn write(drafts: &mut BTreeMap<u8, Draft>, index: u8, bytes: &[u8]) -> Result<(), VolumeFault> {
    match drafts.get_mut(&index) {
        Some(draft) => draft.write(bytes),
        None => Ok(()),
    }
}

/// A shard that lies durably on a volume.
type Kept = (Arc<FsVolume>, Shard);

/// Finishes the drafts of all volumes at once. When one fails, the others' shards are removed again.
async fn make_durable(
    drafts: BTreeMap<u8, Draft>,
    summary: &RollSummary,
    plan: &CodingPlan,
) -> Result<Vec<Kept>, VolumeFault> {
    let mut by_volume: BTreeMap<VolumeId, (Arc<FsVolume>, Vec<Shard>, Vec<(ShardDraft, Hash)>)> =
        BTreeMap::new();
    for (index, Draft { volume, draft }) in drafts {
        let Some(finished) = summary.shards.iter().find(|shard| shard.id.index == index) else { continue };
        let hash = finished.tree.hash();
        let shard = Shard { hash, bytes: finished.tree.len(), roll: plan.roll, coding: plan.coding, index };
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

async fn remove(kept: &[Kept]) {
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
        summary: RollSummary,
        shards: Vec<Kept>,
    ) -> Self {
        let sealed = summary.sealed;
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
                shards: summary.shards.iter().map(|shard| shard.tree.hash()).collect(),
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
