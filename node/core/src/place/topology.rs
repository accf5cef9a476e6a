//! The volumes there are, and which of them fail together.

use std::collections::BTreeMap;

use safelight_proto::id::{NodeId, VolumeId};
use safelight_proto::vocabulary::{Media, Role, Site};

/// One volume as the planner and the evaluator see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeView {
    /// Its id.
    pub id: VolumeId,
    /// What to call it in a sentence: its node and path.
    pub name: String,
    /// The node it hangs on.
    pub node: NodeId,
    /// The role of that node. A site without a `studio` node may vanish unannounced.
    pub role: Role,
    /// Where it is: its host's site, or its own while it travels.
    pub site: Site,
    /// Its medium.
    pub media: Media,
    /// Bytes that may be newly used; zero for a volume that takes no new shards.
    pub free: u64,
    /// Bytes in use on it that its owner could free; zero for a volume that is to take no new shards.
    pub used: u64,
    /// Identity of its drive or filesystem, where known. Volumes of one machine with one domain count as one.
    pub domain: Option<String>,
    /// Identity of its machine, where known. Sites that share a machine count as one.
    pub host: Option<String>,
    /// Take the declarations as they are, whatever `domain` and `host` say.
    pub trust_declared: bool,
}

/// Volumes or sites that look like several and count as one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Collision {
    /// These volumes share a drive or filesystem.
    Drive(Vec<VolumeId>),
    /// These sites share a machine.
    Host(Vec<Site>),
}

/// Volumes that fail together: one drive, mostly one volume.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    /// Positions in [`Topology::volumes`], ascending by volume id.
    pub volumes: Vec<usize>,
    /// Position in [`Topology::places`].
    pub place: usize,
    /// A drive has one medium: that of its volume with the lowest id.
    pub media: Media,
}

/// Sites that fail together: mostly one.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub sites: Vec<Site>,
    /// A studio node is here, so it does not vanish unannounced.
    pub own: bool,
}

/// All known volumes, grouped by what fails together.
#[derive(Debug, Clone, Default)]
pub struct Topology {
    volumes: Vec<VolumeView>,
    index: BTreeMap<VolumeId, usize>,
    unit_of: Vec<usize>,
    units: Vec<Unit>,
    places: Vec<Place>,
}

impl Topology {
    /// Groups `volumes`. Of two views of one volume the first is kept.
    pub fn new(volumes: impl IntoIterator<Item = VolumeView>) -> Self {
        let mut by_id = BTreeMap::new();
        for volume in volumes {
            by_id.entry(volume.id).or_insert(volume);
        }
        let volumes: Vec<_> = by_id.into_values().collect();
        let index = volumes.iter().enumerate().map(|(at, volume)| (volume.id, at)).collect();
        let (places, place_of) = group_sites(&volumes);
        let (units, unit_of) = group_volumes(&volumes, &place_of);
        Self { volumes, index, unit_of, units, places }
    }

    /// Every volume, by id.
    pub fn volumes(&self) -> &[VolumeView] {
        &self.volumes
    }

    /// One volume.
    pub fn volume(&self, id: VolumeId) -> Option<&VolumeView> {
        self.index.get(&id).map(|at| &self.volumes[*at])
    }

    /// How many things can fail by themselves: volumes, those on one drive counted once.
    pub fn drives(&self) -> usize {
        self.units.len()
    }

    /// What counts as one though it looks like several, for `status` to say.
    pub fn collisions(&self) -> Vec<Collision> {
        let drives = self.units.iter().filter(|unit| unit.volumes.len() > 1);
        let drives =
            drives.map(|unit| Collision::Drive(unit.volumes.iter().map(|at| self.volumes[*at].id).collect()));
        let hosts = self.places.iter().filter(|place| place.sites.len() > 1);
        drives.chain(hosts.map(|place| Collision::Host(place.sites.clone()))).collect()
    }

    /// The same with one more volume, for questions of the kind "what if".
    pub fn with_volume(&self, volume: VolumeView) -> Self {
        Self::new(self.volumes.iter().cloned().chain([volume]))
    }

    /// The same with `more` bytes of room on each volume named; unknown ones are ignored.
    pub fn with_room(&self, more: &BTreeMap<VolumeId, u64>) -> Self {
        let mut changed = self.clone();
        for volume in &mut changed.volumes {
            volume.free = volume.free.saturating_add(more.get(&volume.id).copied().unwrap_or(0));
        }
        changed
    }

    /// The same with so many bytes less room on each volume named; unknown ones are ignored.
    pub fn less_room(&self, less: &BTreeMap<VolumeId, u64>) -> Self {
        let mut changed = self.clone();
        for volume in &mut changed.volumes {
            volume.free = volume.free.saturating_sub(less.get(&volume.id).copied().unwrap_or(0));
        }
        changed
    }

    /// Uses so many bytes of room on a volume; an unknown one is ignored.
    pub(crate) fn use_room(&mut self, id: VolumeId, bytes: u64) {
        if let Some(at) = self.index.get(&id) {
            let free = &mut self.volumes[*at].free;
            *free = free.saturating_sub(bytes);
        }
    }

    pub(super) fn units(&self) -> &[Unit] {
        &self.units
    }

    pub(super) fn places(&self) -> &[Place] {
        &self.places
    }

    pub(super) fn unit_of(&self, id: VolumeId) -> Option<usize> {
        self.index.get(&id).map(|at| self.unit_of[*at])
    }

    pub(super) fn place_of_site(&self, site: &Site) -> Option<usize> {
        self.places.iter().position(|place| place.sites.contains(site))
    }

    /// Where new shards of a unit go: its roomiest volume. Volumes of one drive mostly share their room, so
    /// it is not added up.
    pub(super) fn roomiest(&self, unit: usize) -> &VolumeView {
        let mut volumes = self.units[unit].volumes.iter().map(|at| &self.volumes[*at]);
        let first = volumes.next().expect("a unit is made from a volume");
        volumes.fold(first, |best, volume| if volume.free > best.free { volume } else { best })
    }
}

/// The places, and the place of every volume. Sites join when a machine is at both.
fn group_sites(volumes: &[VolumeView]) -> (Vec<Place>, Vec<usize>) {
    let mut sites: Vec<&Site> = volumes.iter().map(|volume| &volume.site).collect();
    sites.sort();
    sites.dedup();
    let site_of = |volume: &VolumeView| sites.binary_search(&&volume.site).expect("collected above");

    let mut group: Vec<usize> = (0..sites.len()).collect();
    let mut site_of_host: BTreeMap<&str, usize> = BTreeMap::new();
    for volume in volumes.iter().filter(|volume| !volume.trust_declared) {
        let Some(host) = &volume.host else { continue };
        let site = site_of(volume);
        let first = *site_of_host.entry(host).or_insert(site);
        let (into, from) = (group[first].min(group[site]), group[first].max(group[site]));
        group.iter_mut().filter(|g| **g == from).for_each(|g| *g = into);
    }

    let mut heads = group.clone();
    heads.sort_unstable();
    heads.dedup();
    let place_of_group = |g: usize| heads.binary_search(&g).expect("every group has a head");
    let mut places = vec![Place { sites: Vec::new(), own: false }; heads.len()];
    for (site, g) in sites.iter().zip(&group) {
        places[place_of_group(*g)].sites.push((*site).clone());
    }
    let place_of: Vec<usize> = volumes.iter().map(|volume| place_of_group(group[site_of(volume)])).collect();
    for (volume, place) in volumes.iter().zip(&place_of) {
        places[*place].own |= volume.role == Role::Studio;
    }
    (places, place_of)
}

/// The units, and the unit of every volume. Volumes join when machine, domain and place are the same.
fn group_volumes(volumes: &[VolumeView], place_of: &[usize]) -> (Vec<Unit>, Vec<usize>) {
    let mut units: Vec<Unit> = Vec::new();
    let mut unit_of = Vec::with_capacity(volumes.len());
    let mut unit_of_drive = BTreeMap::new();
    for (at, volume) in volumes.iter().enumerate() {
        let fresh = units.len();
        let unit = match &volume.domain {
            Some(domain) if !volume.trust_declared => {
                let machine = volume.host.as_ref().ok_or(volume.node);
                *unit_of_drive.entry((machine, domain, place_of[at])).or_insert(fresh)
            }
            _ => fresh,
        };
        if unit == fresh {
            units.push(Unit { volumes: Vec::new(), place: place_of[at], media: volume.media });
        }
        units[unit].volumes.push(at);
        unit_of.push(unit);
    }
    (units, unit_of)
}
