//! Certificates: what the last rehearsal of a site's loss came to.

use safelight_proto::id::NodeId;
use safelight_proto::record::{Body, Drill, Hlc, Key};
use safelight_proto::vocabulary::Site;

use super::Manifest;
use super::view::{HIGH_NODE, LOW_NODE};

/// A drill as its record says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Certificate<'a> {
    /// When it was said.
    pub at: Hlc,
    /// By whom.
    pub author: NodeId,
    /// What it says.
    pub drill: &'a Drill,
}

/// What stands of the library: what a drill can cover.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Rolls that are not deleted.
    pub rolls: u64,
    /// Their files that are not deleted.
    pub files: u64,
    /// When the first of these rolls was said.
    pub oldest: Hlc,
    /// When the latest was.
    pub newest: Hlc,
}

impl Manifest {
    /// The drills without `site`, one of each author.
    pub fn drills(&self, site: &Site) -> impl Iterator<Item = Certificate<'_>> {
        let keys = Key::Drill(site.clone(), LOW_NODE)..=Key::Drill(site.clone(), HIGH_NODE);
        self.range(keys).filter_map(|(_, entry)| match &entry.body {
            Body::Drill(drill) => Some(Certificate { at: entry.hlc, author: entry.author, drill }),
            _ => None,
        })
    }

    /// The latest drill without `site`, by any author.
    pub fn drill(&self, site: &Site) -> Option<Certificate<'_>> {
        self.drills(site).max_by_key(|drill| (drill.at, drill.author))
    }

    /// What stands of the library now.
    pub fn standing(&self) -> Standing {
        let mut standing = Standing::default();
        for (roll, _) in self.rolls().filter(|(roll, _)| !self.is_trashed(roll)) {
            let said = self.roll_said(&roll.roll).unwrap_or_default();
            standing.oldest = if standing.rolls == 0 { said } else { standing.oldest.min(said) };
            standing.newest = standing.newest.max(said);
            standing.rolls += 1;
            standing.files += self.files_left(roll);
        }
        standing
    }
}

impl Certificate<'_> {
    /// Whether everything that stands now was rebuilt then.
    pub fn covers(&self, standing: &Standing) -> bool {
        let Drill { all, rolls, of_files, newest, .. } = *self.drill;
        all && standing.newest <= newest && standing.rolls <= rolls && standing.files <= of_files
    }
}
