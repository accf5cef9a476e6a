//! Shards made out of others of the same roll, without any key: what repair, growth and a new coding come to.
//!
//! k shards are read stripe by stripe from wherever they are, here or at other nodes, each unit verified before it is
//! decoded; the new shards go to drafts on this node's volumes, are checked against the roll's sealed hash (and against
//! the hashes that the coding's record promises), and only then made durable. Those that are meant for other nodes are
//! staged here; their volumes pull them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::join_all;
use safelight_core::code::{FinishedShard, unit_for};
use safelight_core::event::{Event, Made, Remake};
use safelight_core::ingest::CodingPlan;
use safelight_core::restore::Rebuilder;
use safelight_core::seal::WrappedKey;
use safelight_proto::id::{Hash, VolumeId};
use safelight_proto::record::{Body, Coding, Layout, Roll};
use safelight_proto::shard::Geometry;

use super::carry::set_aside;
use super::ingest::{Draft, Drafts, make_durable, remove};
use super::restore::{Fault, Feed, Source, Spans, open, roll_sources};
use crate::blobs::FsVolume;
use crate::shell::Shell;

/// Sources that fail are left out of the next attempt; so many attempts are made.
const ATTEMPTS: usize = 4;

/// Makes what is asked for and tells the core.
pub async fn remake(shell: Arc<Shell>, remake: Remake) {
    let roll = remake.roll;
    let outcome = try_remake(&shell, &remake).await;
    match &outcome {
        Ok(made) => tracing::info!(%roll, shards = made.shards.len(), "shards were made again"),
        Err(why) => tracing::info!(%roll, "shards could not be made yet: {why}"),
    }
    shell.core.tell(Event::Remade { roll, outcome }).await;
}

async fn try_remake(shell: &Arc<Shell>, remake: &Remake) -> Result<Made, String> {
    let roll = remake.roll;
    let mut bad: BTreeSet<(VolumeId, Hash)> = BTreeSet::new();
    for _ in 0..ATTEMPTS {
        let known = shell.core.ask(move |node| roll_sources(node, &roll)).await.map_err(|e| e.to_string())?;
        let known = known.ok_or("the roll is not known here yet")?;
        let may = |source: &Source| {
            source.within_reach && !source.lost && !bad.contains(&(source.volume, source.hash))
        };
        let Some((from, chosen)) = known.choose(may) else { return Err(known.shortfall(may, &[])) };
        let (geometry, chosen) = (from.geometry, chosen.into_iter().cloned().collect::<Vec<Source>>());
        let job = Job::new(shell, remake, &known.roll, geometry)?;
        let spans = Spans::new(geometry, std::iter::once(0..geometry.stripes()));
        let (length, urgent) = (geometry.shard_len(), remake.urgent);
        let opened = chosen.iter().map(|source| open(shell, source, spans.clone(), length, urgent));
        let opened = join_all(opened).await;
        let mut feeds = Vec::with_capacity(opened.len());
        let mut faults = Vec::new();
        for (source, feed) in chosen.iter().zip(opened) {
            match feed {
                Ok(feed) => feeds.push(feed),
                Err(fault) => faults.push((source.clone(), fault)),
            }
        }
        if faults.is_empty() {
            let worked = tokio::task::spawn_blocking(move || job.run(feeds)).await;
            match worked.map_err(|error| error.to_string())? {
                Ok(finished) => return settle(remake, &known.roll, finished).await,
                Err(Trouble::Source(number, fault)) => {
                    faults.extend(chosen.get(number).map(|source| (source.clone(), fault)));
                }
                Err(Trouble::Other(why)) => return Err(why),
            }
        }
        for (source, fault) in faults {
            tracing::warn!(of = %source.name, shard = %source.hash, "a shard cannot be read for repair: {fault}");
            if fault == Fault::Damaged
                && source.here
                && let Some(volume) = shell.volumes.get(&source.volume)
            {
                set_aside(shell, &volume, source.hash).await;
            }
            bad.insert((source.volume, source.hash));
        }
    }
    Err("too many of its shards could not be read".into())
}

/// Why a remaking broke off.
enum Trouble {
    /// One of the feeds, by number.
    Source(usize, Fault),
    /// Something that no other source mends.
    Other(String),
}

/// One remaking, ready to run on a thread that may block.
struct Job {
    plan: CodingPlan,
    rebuilder: Rebuilder,
    drafts: Drafts,
}

/// New shards in drafts that are not durable yet.
struct Finished {
    plan: CodingPlan,
    drafts: Drafts,
    shards: Vec<FinishedShard>,
}

impl Job {
    fn new(shell: &Shell, remake: &Remake, roll: &Roll, from: Geometry) -> Result<Self, String> {
        let sealed = from.shape.sealed_len();
        let unit = if remake.unit == 0 { unit_for(sealed, remake.k) } else { remake.unit };
        let plan = CodingPlan {
            library: shell.library,
            roll: remake.roll,
            wrapped_key: WrappedKey(roll.wrapped_key),
            coding: remake.coding,
            k: remake.k,
            unit,
            indices: remake.make.iter().map(|(index, _)| *index).collect(),
        };
        let bytes = Geometry { shape: from.shape, k: remake.k, unit }.shard_len();
        let rebuilder = Rebuilder::new(from, roll.sealed_hash, &plan).map_err(|error| error.to_string())?;
        let targets = targets(shell, &remake.make, bytes)?;
        let mut drafts = Drafts::new();
        for (index, header) in rebuilder.headers() {
            let volume = targets.get(&index).ok_or("a shard has no place")?;
            let draft = volume.draft(bytes).map_err(|error| error.to_string())?;
            let mut draft = Draft { volume: Arc::clone(volume), draft };
            draft.write(&header).map_err(|fault| fault.error.to_string())?;
            drafts.insert(index, draft);
        }
        Ok(Self { plan, rebuilder, drafts })
    }

    /// Reads, decodes, codes and writes every stripe.
    fn run(self, mut feeds: Vec<Feed>) -> Result<Finished, Trouble> {
        let Self { plan, mut rebuilder, mut drafts } = self;
        let other = |why: String| Trouble::Other(why);
        while let Some(stripe) = rebuilder.wants() {
            for (number, feed) in feeds.iter_mut().enumerate() {
                feed.advance(stripe, &|| false).map_err(|fault| Trouble::Source(number, fault))?;
            }
            let units: Vec<(u8, &[u8])> = feeds.iter().map(|feed| (feed.index, feed.unit(stripe))).collect();
            let mut write = |index: u8, unit: &[u8]| match drafts.get_mut(&index) {
                Some(draft) => draft.write(unit).map_err(|fault| fault.error),
                None => Ok(()),
            };
            rebuilder.stripe(&units, &mut write).map_err(|error| other(error.to_string()))?;
        }
        let shards =
            rebuilder.finish::<std::convert::Infallible>().map_err(|error| other(error.to_string()))?;
        for shard in &shards {
            if let Some(draft) = drafts.get_mut(&shard.id.index) {
                draft.write(&shard.trailer).map_err(|fault| other(fault.error.to_string()))?;
            }
        }
        Ok(Finished { plan, drafts, shards })
    }
}

/// Where each shard is written: on the volume that it is meant for when that is here, else on the roomiest of this node's.
fn targets(
    shell: &Shell,
    make: &[(u8, VolumeId)],
    bytes: u64,
) -> Result<BTreeMap<u8, Arc<FsVolume>>, String> {
    let mut room: BTreeMap<VolumeId, (u64, Arc<FsVolume>)> = BTreeMap::new();
    for volume in shell.volumes.open() {
        if let Ok(usage) = volume.usage() {
            room.insert(volume.id(), (usage.room, volume));
        }
    }
    let mut targets = BTreeMap::new();
    for (index, wanted) in make {
        let fits = |id: &VolumeId| room.get(id).is_some_and(|(room, _)| *room >= bytes);
        let roomiest = || room.iter().max_by_key(|(_, (room, _))| *room).map(|(id, _)| *id);
        let id = if fits(wanted) { Some(*wanted) } else { roomiest().filter(|id| fits(id)) };
        let slot = id.and_then(|id| room.get_mut(&id));
        let (left, volume) = slot.ok_or("no volume of this node has room for the shards to be made")?;
        *left -= bytes;
        targets.insert(*index, Arc::clone(volume));
    }
    Ok(targets)
}

/// Makes the new shards durable, and says what they are. One that differs from what the coding's record promises is
/// kept from ever counting.
async fn settle(remake: &Remake, roll: &Roll, finished: Finished) -> Result<Made, String> {
    let Finished { plan, drafts, shards } = finished;
    let hash = |index: u8| shards.iter().find(|shard| shard.id.index == index).map(|shard| shard.tree.hash());
    let differs = |(index, known): &(u8, &Hash)| hash(*index).is_some_and(|made| made != **known);
    if let Some((index, _)) = (0u8..).zip(&remake.known).find(differs) {
        return Err(format!(
            "shard {index} of roll {} came out other than its record says",
            roll.roll.short()
        ));
    }
    let mut hashes = remake.known.clone();
    for index in (0u8..=u8::MAX).skip(hashes.len()) {
        let Some(hash) = hash(index) else { break };
        hashes.push(hash);
    }
    let length = shards.first().map_or(0, |shard| shard.tree.len());
    let kept = make_durable(drafts, &shards, &plan).await.map_err(|fault| fault.error.to_string())?;
    let mut bodies = Vec::new();
    if hashes.len() > remake.known.len() {
        if hashes.len() < remake.layout.len() {
            remove(&kept).await;
            return Err("a shard of the new layout was not made".into());
        }
        let (roll, coding) = (remake.roll, remake.coding);
        let (k, unit) = (plan.k, plan.unit);
        bodies.push(Body::Coding(Coding { roll, coding, k, unit, shard_bytes: length, shards: hashes }));
        bodies.push(Body::Layout(Layout { roll, coding, volumes: remake.layout.clone() }));
    }
    let shards = kept.into_iter().map(|(volume, shard)| (volume.id(), shard)).collect();
    Ok(Made { bodies, shards })
}
