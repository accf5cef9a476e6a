//! The library as people see it, from the core's picture: shoots, verdicts, documents.
//!
//! Pure reading: functions here take the core as it is and change nothing. Names are opened once and remembered, because
//! opening one costs a key exchange.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use safelight_core::manifest::Manifest;
use safelight_core::node::Node;
use safelight_core::seal::{ReadingKey, open_text};
use safelight_proto::catalog::{Catalog, Entry};
use safelight_proto::id::{LibraryId, NodeId, RecordId, RollId};
use safelight_proto::record::Roll;
use unicode_normalization::UnicodeNormalization;

mod drills;
pub mod library;
pub mod plan;
mod shoots;
pub mod transfers;
pub mod trash;
mod volumes;

pub use shoots::{ShootView, find_shoot, shoots, shoots_of, verdict};
pub use volumes::{find_volume, volumes_named};

/// What the sealed texts are that hold shoots' names.
pub const SHOOT_NAME: &str = "shoot name";

/// Names of shoots and sizes of deleted files, opened once.
#[derive(Debug, Default)]
pub struct Names {
    names: Mutex<BTreeMap<RollId, Option<String>>>,
    /// Bytes of the files that a record deletes of a roll.
    hidden: Mutex<BTreeMap<RollId, (RecordId, u64)>>,
}

impl Names {
    /// The name of the shoot that `roll` belongs to, where this node can read it.
    pub fn of(&self, library: LibraryId, roll: &Roll, key: Option<&ReadingKey>) -> Option<String> {
        let key = key?;
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names
            .entry(roll.roll)
            .or_insert_with(|| open_text(key, library, SHOOT_NAME, &roll.shoot_name).ok())
            .clone()
    }

    /// Bytes of the files of `roll` that are deleted by themselves, as far as its catalog was read.
    fn hidden_bytes(&self, manifest: &Manifest, roll: &RollId) -> u64 {
        let hidden = self.hidden.lock().unwrap_or_else(PoisonError::into_inner);
        let said = manifest.deletion(roll).map(|deletion| deletion.record);
        hidden.get(roll).filter(|(record, _)| Some(*record) == said).map_or(0, |(_, bytes)| *bytes)
    }

    /// The rolls of which something is deleted by itself, and whose catalogs were not read for it.
    pub fn unread(&self, manifest: &Manifest) -> BTreeMap<RollId, RecordId> {
        let mut partly = manifest.partly_deleted();
        let mut hidden = self.hidden.lock().unwrap_or_else(PoisonError::into_inner);
        hidden.retain(|roll, (record, _)| partly.get(roll) == Some(record));
        partly.retain(|roll, _| !hidden.contains_key(roll));
        partly
    }

    /// Notes how much a record deletes of `roll`.
    pub fn read(&self, roll: RollId, record: RecordId, bytes: u64) {
        self.hidden.lock().unwrap_or_else(PoisonError::into_inner).insert(roll, (record, bytes));
    }
}

/// The entries of a catalog with their places, but for those that are `hidden`.
pub fn visible<'a>(
    catalog: &'a Catalog,
    hidden: Option<&'a BTreeSet<u32>>,
) -> impl Iterator<Item = (u32, &'a Entry)> {
    (0u32..)
        .zip(&catalog.entries)
        .filter(move |(place, _)| !hidden.is_some_and(|places| places.contains(place)))
}

/// What people call a node; the first digits of its id where it has not said.
pub fn name_of(node: &Node, id: &NodeId) -> String {
    node.manifest().node(id).map_or_else(|| id.short(), |info| info.name.clone())
}

/// How names are compared: Unicode's composed form, outer spaces gone.
pub fn normal_name(name: &str) -> String {
    name.trim().nfc().collect()
}
