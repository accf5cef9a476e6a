//! What every part of the running node works with: the way to the core, the store, the network, the open volumes and the
//! catalogs. Workers get an `Arc` of it.

use std::sync::Arc;

use safelight_core::seal::ReadingKey;
use safelight_proto::id::{LibraryId, NodeId};
use safelight_proto::vocabulary::Site;

use crate::catalogs::Catalogs;
use crate::driver::Core;
use crate::hours::Gate;
use crate::meter::Meter;
use crate::net::NetHandle;
use crate::pace::Pace;
use crate::store::Store;
use crate::view::Names;
use crate::volumes::Volumes;
use crate::workers::scrub::Scrubs;

/// See the module's documentation.
pub struct Shell {
    /// This node.
    pub me: NodeId,
    /// Its library.
    pub library: LibraryId,
    /// Its site.
    pub site: Site,
    /// Opens rolls, on a studio.
    pub reading_key: Option<ReadingKey>,
    /// The way to the core.
    pub core: Core,
    /// What must not be forgotten.
    pub store: Arc<Store>,
    /// The network.
    pub net: NetHandle,
    /// This node's volumes.
    pub volumes: Volumes,
    /// Every roll's catalog.
    pub catalogs: Catalogs,
    /// Names of shoots, opened once.
    pub names: Names,
    /// What went to whom.
    pub meter: Meter,
    /// How fast shards may go.
    pub pace: Pace,
    /// When shards may go.
    pub gate: Gate,
    /// How far the verification of each volume is, and who works meanwhile.
    pub scrubs: Scrubs,
}
