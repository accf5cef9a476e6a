//! Which code a roll gets, which volume each shard is meant for, and where on this node it is staged until it is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use safelight_core::code::unit_for;
use safelight_core::place::{LossRates, Plan, Planner, Topology, VolumeView};
use safelight_proto::id::VolumeId;
use safelight_proto::shard::{Geometry, StreamShape, padded};
use safelight_proto::vocabulary::{Rule, Site};

use crate::blobs::FsVolume;
use crate::cli::units;

/// Volumes as they are now: all for the planner, this node's own for staging.
pub struct Ground {
    topology: Topology,
    /// This node's open volumes, with the room they have.
    own: BTreeMap<VolumeId, (Arc<FsVolume>, u64)>,
    rule: Rule,
    site: Site,
}

/// How large a roll is to become at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Bytes of files.
    pub data: u64,
    /// Bytes of its catalog.
    pub catalog: u64,
}

impl Size {
    fn shape(self) -> StreamShape {
        StreamShape { data_bytes: padded(self.data), catalog_bytes: padded(self.catalog + 8) }
    }
}

/// The decision for one roll.
#[derive(Debug)]
pub struct Placement {
    /// Its size at most.
    pub size: Size,
    /// Shards that rebuild it.
    pub k: u8,
    /// Bytes of a unit.
    pub unit: u32,
    /// Bytes of a shard at most.
    pub shard_bytes: u64,
    /// The volume that each shard is meant for.
    pub layout: Vec<VolumeId>,
    /// The volume of this node where each shard is written now.
    pub staged: Vec<Arc<FsVolume>>,
    /// What is missing for want of room here, as a sentence.
    pub shortfall: Option<String>,
}

/// Not even the smallest roll finds room for one whole copy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no room: this node's volumes have {} free, and one copy needs {}", units::bytes(*.room), units::bytes(*.needed))]
pub struct NoRoom {
    /// Bytes that one copy of the smallest roll takes.
    pub needed: u64,
    /// Bytes free on this node's volumes.
    pub room: u64,
}

/// What a plan must be, from the best on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grade {
    /// It meets the rule and all shards find room here.
    Meets,
    /// All shards find room here.
    Whole,
    /// As many shards as find room here, one whole copy at least.
    Short,
}

impl Ground {
    /// The ground, with live room for this node's own volumes, less what is on its way to each; `avoid` takes nothing.
    pub fn new(
        topology: &Topology,
        promised: &BTreeMap<VolumeId, u64>,
        own: Vec<Arc<FsVolume>>,
        avoid: &BTreeSet<VolumeId>,
        me: safelight_proto::id::NodeId,
        rule: Rule,
        site: Site,
    ) -> Self {
        let own: BTreeMap<VolumeId, (Arc<FsVolume>, u64)> = own
            .into_iter()
            .filter(|volume| !avoid.contains(&volume.id()))
            .filter_map(|volume| {
                let room = volume.usage().ok()?.room;
                Some((volume.id(), (volume, room)))
            })
            .collect();
        let live = |view: &VolumeView| {
            let free = match own.get(&view.id) {
                Some((_, room)) => *room,
                // Its own volumes that are not open take nothing now.
                None if view.node == me => 0,
                None => view.free,
            };
            let free = free.saturating_sub(promised.get(&view.id).copied().unwrap_or(0));
            VolumeView { free, ..view.clone() }
        };
        let topology = Topology::new(topology.volumes().iter().map(live));
        Self { topology, own, rule, site }
    }

    /// Whether any volume of this node can be written.
    pub fn is_empty(&self) -> bool {
        self.own.is_empty()
    }

    /// The best placement of a roll of this size; of a smaller one down to `least` bytes of files, where room is short.
    pub fn place(&self, wanted: Size, least: u64) -> Result<Placement, NoRoom> {
        let mut planner = Planner::new(&self.topology, self.rule, &LossRates::default(), Some(&self.site));
        let smaller =
            |size: &Size| (size.data > least).then(|| Size { data: (size.data / 2).max(least), ..*size });
        for grade in [Grade::Meets, Grade::Whole, Grade::Short] {
            let mut sizes = std::iter::successors(Some(wanted), smaller);
            if let Some(placement) = sizes.find_map(|size| self.at(&mut planner, size, grade)) {
                return Ok(placement);
            }
        }
        let smallest = Size { data: wanted.data.min(least), ..wanted };
        let geometry =
            Geometry { shape: smallest.shape(), k: 1, unit: unit_for(smallest.shape().sealed_len(), 1) };
        Err(NoRoom { needed: geometry.shard_len(), room: self.own.values().map(|(_, room)| room).sum() })
    }

    fn at(&self, planner: &mut Planner, size: Size, grade: Grade) -> Option<Placement> {
        let sealed = size.shape().sealed_len();
        let plan = planner.plan(sealed).ok()?;
        if grade == Grade::Meets && !plan.meets {
            return None;
        }
        let unit = unit_for(sealed, plan.k);
        let shard_bytes = Geometry { shape: size.shape(), k: plan.k, unit }.shard_len();
        let staged = self.stage(&plan, shard_bytes);
        let whole = staged.iter().all(Option::is_some);
        let (layout, staged): (Vec<VolumeId>, Vec<Arc<FsVolume>>) =
            plan.assignment.iter().zip(staged).filter_map(|(volume, at)| Some((*volume, at?))).unzip();
        if layout.len() < usize::from(plan.k) || (!whole && grade != Grade::Short) {
            return None;
        }
        let shortfall = (!whole).then(|| {
            format!(
                "Room is short on this node: {} of the {} shards that were planned could be made.",
                layout.len(),
                plan.n
            )
        });
        Some(Placement { size, k: plan.k, unit, shard_bytes, layout, staged, shortfall })
    }

    /// Where each shard is written: on the volume that it is meant for where that is here, else on one of this node's
    /// that has the fewest of them.
    fn stage(&self, plan: &Plan, shard: u64) -> Vec<Option<Arc<FsVolume>>> {
        let mut room: BTreeMap<VolumeId, (usize, u64)> =
            self.own.iter().map(|(id, (_, room))| (*id, (0, *room))).collect();
        let put = |id: VolumeId, room: &mut BTreeMap<VolumeId, (usize, u64)>| {
            let (shards, left) = room.get_mut(&id).filter(|(_, left)| *left >= shard)?;
            (*shards, *left) = (*shards + 1, *left - shard);
            self.own.get(&id).map(|(volume, _)| Arc::clone(volume))
        };
        let mut staged: Vec<_> = plan.assignment.iter().map(|id| put(*id, &mut room)).collect();
        for slot in staged.iter_mut().filter(|slot| slot.is_none()) {
            let roomy = room.iter().filter(|(_, (_, left))| *left >= shard);
            let best = roomy.min_by_key(|(_, (shards, left))| (*shards, std::cmp::Reverse(*left)));
            if let Some(id) = best.map(|(id, _)| *id) {
                *slot = put(id, &mut room);
            }
        }
        staged
    }
}
