//! When the loss of a site is to be rehearsed, and by whom: from the records, the clock and the settings alone.

use std::collections::BTreeSet;

use safelight_proto::id::NodeId;
use safelight_proto::record::Roll;
use safelight_proto::vocabulary::{Role, Rule, Site};

use super::Node;
use crate::place::{Topology, VolumeView, evaluate_roll};
use crate::time::FAR_AHEAD;

/// After a drill that failed the next one comes after this long, milliseconds, or a period if that is shorter.
const AFTER_FAILURE: u64 = 24 * 3_600_000;
/// A node that has just started has better things to do for so long, milliseconds, unless a whole period was missed.
const SETTLING: u64 = 5 * 60_000;

impl Node {
    /// The sites that hold something of the library: those whose loss means something.
    pub fn drill_sites(&self) -> BTreeSet<Site> {
        self.topology().volumes().iter().map(|volume| volume.site.clone()).collect()
    }

    /// The site whose loss this node is to rehearse now, the longest overdue, none of `skip`: it is a studio, the first
    /// in line for it, and the others who would be needed are within reach. Those are not waited for beyond half a
    /// period: that they are away is then what the drill has to say.
    pub fn drill_due(&self, skip: &BTreeSet<Site>) -> Option<Site> {
        let period = self.settings.drill_period;
        let blind = !self.connected.is_empty() && !self.has_heard_anybody();
        if period == 0 || blind || !self.settings.within_hours || self.role_of(&self.me) != Some(Role::Studio)
        {
            return None;
        }
        let sites = self.drill_sites();
        if sites.len() < 2 {
            return None;
        }
        let settled = self.liveness.running_for(self.now) >= SETTLING;
        // To say when the first photos came takes a look at every roll.
        let mut first = None;
        let mut due: Vec<(u64, Site)> = Vec::new();
        for site in sites.into_iter().filter(|site| !skip.contains(site) && self.is_first_for_drill(site)) {
            let since = self.drill_next(&site).or_else(|| {
                let standing = *first.get_or_insert_with(|| self.manifest.standing());
                (standing.files > 0).then(|| standing.oldest.millis().saturating_add(period))
            });
            let Some(over) = since.and_then(|since| self.now.wall.checked_sub(since)) else { continue };
            let time = (settled || over >= period) && (over >= period / 2 || self.all_near_but(&site));
            if time && self.travellers_can_be_spared(&site) {
                due.push((over, site));
            }
        }
        let longest = due.into_iter().max_by(|a, b| (a.0, &b.1).cmp(&(b.0, &a.1)));
        longest.map(|(_, site)| site).filter(|_| self.manifest.standing().files > 0)
    }

    /// When the next drill without `site` is due by the last one, milliseconds since 1970; nothing when there was none.
    /// One that stands in the future by a broken clock says nothing.
    fn drill_next(&self, site: &Site) -> Option<u64> {
        let credible = |at: u64| at <= self.now.wall.saturating_add(FAR_AHEAD);
        let past = self.manifest.drills(site).filter(|drill| credible(drill.at.millis()));
        let last = past.max_by_key(|drill| (drill.at, drill.author))?;
        let period = self.settings.drill_period;
        let wait = if last.drill.passed { period } else { period.min(AFTER_FAILURE) };
        Some(last.at.millis().saturating_add(wait))
    }

    /// Whether this node is the one to rehearse the loss of `site`: of the studios within reach one that stands elsewhere,
    /// for it has shards of its own that it may read, then by a hash. Two that think so do no harm.
    fn is_first_for_drill(&self, site: &Site) -> bool {
        let near = self.connected.iter().chain([&self.me]);
        let studios = near.filter(|node| self.role_of(node) == Some(Role::Studio));
        let rank = |node: &&NodeId| {
            let draw = *blake3::hash(&[site.key().as_bytes(), &node.0].concat()).as_bytes();
            (self.manifest.stands_at(node).as_ref() == Some(site), draw)
        };
        studios.min_by_key(rank) == Some(&self.me)
    }

    /// Whether all can be read without `site` though some drives lie somewhere unplugged. Where it cannot, there is nothing
    /// to rehearse until they are back: that a drive is in its bank box is no failure.
    fn travellers_can_be_spared(&self, site: &Site) -> bool {
        let topology = self.topology();
        let away =
            |view: &&VolumeView| self.manifest.volume(&view.id).is_some_and(|(_, info)| info.absent != 0);
        if topology.volumes().iter().find(away).is_none() {
            return true;
        }
        let there = topology.volumes().iter().filter(|view| view.site != *site && !away(view));
        let there = Topology::new(there.cloned());
        let standing =
            self.manifest.rolls().map(|(roll, _)| roll).filter(|roll| !self.manifest.is_trashed(roll));
        let readable = |roll: &Roll| evaluate_roll(&there, &Rule::default(), &self.roll_view(roll)).readable;
        standing.into_iter().all(readable)
    }

    /// Whether every node that would be needed without `site` is within reach.
    fn all_near_but(&self, site: &Site) -> bool {
        let topology = self.topology();
        let mut others = topology.volumes().iter().filter(|volume| volume.site != *site);
        others.all(|volume| self.is_near(&volume.node))
    }
}
