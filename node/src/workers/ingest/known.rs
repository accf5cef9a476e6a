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
use crate::view::{is_laid_out_badly, normal_name};

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
    worth: BTreeMap<RollId, Worth>,
    hidden: BTreeMap<RollId, BTreeSet<u32>>,
}

/// What a roll is worth to those who would refer to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    /// It cannot be read, or is deleted.
    Nothing,
    /// It can be read, and does not lie as well as the same bytes would if they were stored anew.
    Poor,
    /// It can be read and lies as well as anything would.
    Good,
}

impl Library {
    /// The library as this node can read it.
    pub fn new(shell: Arc<Shell>, runtime: Handle, shoot: &str) -> Self {
        let shoot = normal_name(shoot);
        Self { shell, runtime, shoot, catalogs: Vec::new(), worth: BTreeMap::new(), hidden: BTreeMap::new() }
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
            // To store a file once more in its own place would not undo what is there.
            let least = if same_place { Worth::Poor } else { Worth::Good };
            if entry.bytes != candidate.bytes || self.least_worth(&extents)? < least {
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
        self.worth.clear();
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

    /// The worth of the poorest roll among `extents`.
    fn least_worth(&mut self, extents: &[Extent]) -> Result<Worth, Failure> {
        let mut least = Worth::Good;
        for roll in extents.iter().filter_map(|extent| extent.roll) {
            let worth = match self.worth.get(&roll) {
                Some(known) => *known,
                None => {
                    let asked = self.shell.core.ask(move |node| worth(node, &roll));
                    let worth = self.runtime.block_on(asked).map_err(Failure::from)?;
                    self.worth.insert(roll, worth);
                    worth
                }
            };
            least = least.min(worth);
        }
        Ok(least)
    }
}

/// Whether an entry has the name that `source` would get.
pub fn is_named(entry: &Entry, source: &Source) -> bool {
    entry.path == source.name && entry.raw_path == source.raw_name
}

fn worth(node: &Node, roll: &RollId) -> Worth {
    match node.manifest().roll(roll) {
        Some(_) if node.is_dead(roll) => Worth::Nothing,
        // Only what refers to it already keeps it.
        Some((record, _)) if node.manifest().is_trashed(record) => Worth::Poor,
        Some((record, _)) if is_readable(node, roll) => match is_laid_out_badly(node, record) {
            true => Worth::Poor,
            false => Worth::Good,
        },
        _ => Worth::Nothing,
    }
}

/// Whether the roll is recorded and some coding has enough shards on volumes of nodes that are not lost.
fn is_readable(node: &Node, roll: &RollId) -> bool {
    let manifest = node.manifest();
    if manifest.roll(roll).is_none() {
        return false;
    }
    let held = manifest.holdings(roll);
    manifest.codings(roll).into_values().any(|coding| {
        let there = held
            .get(&coding.coding)
            .into_iter()
            .flatten()
            .filter(|(volume, _)| node.volume_counts(volume) && manifest.believed(roll, volume));
        let indexes: BTreeSet<u8> =
            there.flat_map(|(_, indexes)| indexes.iter().copied()).collect();
        indexes.len() >= usize::from(coding.k)
    })
}
