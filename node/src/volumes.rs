//! This node's volumes: those that are open, and those that are not available now.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use safelight_proto::id::VolumeId;

use crate::blobs::FsVolume;

/// One volume as this node sees it.
#[derive(Clone)]
pub enum State {
    /// It is open.
    Open(Arc<FsVolume>),
    /// It is not available, and why. Nothing on it is given up.
    Unavailable(String),
}

/// See the module's documentation.
#[derive(Default)]
pub struct Volumes(RwLock<BTreeMap<VolumeId, (PathBuf, State)>>);

impl Volumes {
    /// Notes what became of a volume.
    pub fn set(&self, volume: VolumeId, path: PathBuf, state: State) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(volume, (path, state));
    }

    /// An open volume.
    pub fn get(&self, volume: &VolumeId) -> Option<Arc<FsVolume>> {
        match self.0.read().unwrap_or_else(PoisonError::into_inner).get(volume) {
            Some((_, State::Open(open))) => Some(Arc::clone(open)),
            _ => None,
        }
    }

    /// All open volumes, by id.
    pub fn open(&self) -> Vec<Arc<FsVolume>> {
        let volumes = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let open = |(_, state): &(PathBuf, State)| match state {
            State::Open(open) => Some(Arc::clone(open)),
            State::Unavailable(_) => None,
        };
        volumes.values().filter_map(open).collect()
    }

    /// All of them, with where they are.
    pub fn all(&self) -> BTreeMap<VolumeId, (PathBuf, State)> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
