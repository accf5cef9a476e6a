//! Files that the library has already: found by length and head, proven by the whole file's hash.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use safelight_core::node::Node;
use safelight_proto::catalog::{Catalog, Entry, Extent};
use safelight_proto::id::{Hash, RollId};
use safelight_proto::record::Roll;
use tokio::runtime::Handle;

use super::survey::Source;
use crate::admin::operator::Failure;
use crate::shell::Shell;
use crate::store::files::KnownFile;
use crate::view::normal_name;

/// Catalogs kept open: files mostly come in the order in which they came before.
const OPEN: usize = 4;
/// Of many equal files (the same small sidecar beside each photo) so many are looked at.
const LOOKED_AT: usize = 256;

/// A known file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Where its bytes lie; every extent names its roll.
    pub extents: Vec<Extent>,
    /// It is in this very shoot under this very name: there is nothing to add.
    pub same_place: bool,
}

/// See the module's documentation. A vault knows nothing: it cannot read catalogs.
pub struct Library {
    shell: Arc<Shell>,
    runtime: Handle,
    /// The shoot's normal name.
    shoot: String,
    catalogs: Vec<(RollId, Arc<Catalog>)>,
    /// Whether a roll can be read, for those looked at.
    readable: BTreeMap<RollId, bool>,
    /// Which places of a catalog are deleted, for those looked at.
    hidden: BTreeMap<RollId, BTreeSet<u32>>,
}

impl Library {
    /// The library as this node can read it.
    pub fn new(shell: Arc<Shell>, runtime: Handle, shoot: &str) -> Self {
        let shoot = normal_name(shoot);
        Self {
            shell,
            runtime,
            shoot,
            catalogs: Vec::new(),
            readable: BTreeMap::new(),
            hidden: BTreeMap::new(),
        }
    }

    /// Files of that length that begin so.
    pub fn like(&self, bytes: u64, head: [u8; 16]) -> Vec<KnownFile> {
        if self.shell.reading_key.is_none() {
            return Vec::new();
        }
        self.shell.store.files_like(bytes, head).unwrap_or_else(|error| {
            tracing::error!("the index of known files cannot be read, files are stored anew: {error}");
            Vec::new()
        })
    }

    /// The file among `candidates` with this hash, whose bytes can be had: best the one in the same place. What is
    /// deleted is not among them, even while its bytes are there.
    pub fn find(
        &mut self,
        candidates: &[KnownFile],
        hash: Hash,
        source: &Source,
    ) -> Result<Option<Known>, Failure> {
        let mut best = None;
        let mut looked_at = 0;
        for candidate in candidates.iter().filter(|known| known.hash == hash) {
            if looked_at == LOOKED_AT {
                break;
            }
            if self.is_deleted(candidate)? {
                continue;
            }
            looked_at += 1;
            let Some(catalog) = self.catalog(candidate.roll)? else { continue };
            let Some(entry) = catalog.entries.get(candidate.place as usize).filter(|e| e.hash == hash) else {
                continue;
            };
            let same_place = normal_name(&catalog.shoot_name) == self.shoot && is_named(entry, source);
            if best.is_some() && !same_place {
                continue;
            }
            let extents: Vec<Extent> = entry
                .extents
                .iter()
                .map(|extent| Extent { roll: Some(extent.roll.unwrap_or(candidate.roll)), ..*extent })
                .collect();
            if entry.bytes != candidate.bytes || !self.are_readable(&extents)? {
                continue;
            }
            best = Some(Known { extents, same_place });
            if same_place {
                break;
            }
        }
        Ok(best)
    }

    /// What was readable may not be so much later.
    pub fn look_again(&mut self) {
        self.readable.clear();
        self.hidden.clear();
    }

    /// Whether a file is deleted, by itself or with its roll.
    fn is_deleted(&mut self, file: &KnownFile) -> Result<bool, Failure> {
        let roll = file.roll;
        if let Some(hidden) = self.hidden.get(&roll) {
            return Ok(hidden.contains(&file.place));
        }
        let hidden = self.shell.core.ask(move |node| {
            let manifest = node.manifest();
            manifest.roll(&roll).map(|(roll, _)| manifest.hidden(roll)).unwrap_or_default()
        });
        let hidden = self.runtime.block_on(hidden).map_err(Failure::from)?;
        let deleted = hidden.contains(&file.place);
        self.hidden.insert(roll, hidden);
        Ok(deleted)
    }

    fn catalog(&mut self, roll: RollId) -> Result<Option<Arc<Catalog>>, Failure> {
        if let Some(at) = self.catalogs.iter().position(|(open, _)| *open == roll) {
            let found = self.catalogs.remove(at);
            let catalog = Arc::clone(&found.1);
            self.catalogs.push(found);
            return Ok(Some(catalog));
        }
        let record: Option<Roll> = self
            .runtime
            .block_on(
                self.shell.core.ask(move |node| node.manifest().roll(&roll).map(|(roll, _)| roll.clone())),
            )
            .map_err(Failure::from)?;
        let (Some(record), Some(key)) = (record, &self.shell.reading_key) else { return Ok(None) };
        match self.shell.catalogs.catalog(self.shell.library, &record, key) {
            Ok(catalog) => {
                let catalog = Arc::new(catalog);
                if self.catalogs.len() == OPEN {
                    self.catalogs.remove(0);
                }
                self.catalogs.push((roll, Arc::clone(&catalog)));
                Ok(Some(catalog))
            }
            Err(error) => {
                tracing::warn!("a catalog cannot be read, its files are stored anew: {error}");
                Ok(None)
            }
        }
    }

    /// Whether every roll among `extents` can be read.
    fn are_readable(&mut self, extents: &[Extent]) -> Result<bool, Failure> {
        for roll in extents.iter().filter_map(|extent| extent.roll) {
            let readable = match self.readable.get(&roll) {
                Some(known) => *known,
                None => {
                    let asked = self.shell.core.ask(move |node| is_readable(node, &roll));
                    let readable = self.runtime.block_on(asked).map_err(Failure::from)?;
                    self.readable.insert(roll, readable);
                    readable
                }
            };
            if !readable {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether an entry has the name that `source` would get.
pub fn is_named(entry: &Entry, source: &Source) -> bool {
    entry.path == source.name && entry.raw_path == source.raw_name
}

/// Whether the roll is recorded and not deleted, and some coding has enough shards on volumes of nodes that are not
/// lost.
fn is_readable(node: &Node, roll: &RollId) -> bool {
    let manifest = node.manifest();
    if manifest.roll(roll).is_none_or(|(record, _)| manifest.is_trashed(record)) {
        return false;
    }
    let held = manifest.holdings(roll);
    manifest.codings(roll).into_values().any(|coding| {
        let there = held
            .get(&coding.coding)
            .into_iter()
            .flatten()
            .filter(|(volume, _)| node.volume_counts(volume) && manifest.believed(roll, volume));
        let indexes: BTreeSet<u8> = there.flat_map(|(_, indexes)| indexes.iter().copied()).collect();
        indexes.len() >= usize::from(coding.k)
    })
}
