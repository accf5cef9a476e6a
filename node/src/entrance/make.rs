//! The making of a home: volumes, identity and first records.

use std::path::Path;

use safelight_proto::id::{LibraryId, VolumeId};
use safelight_proto::limit;
use safelight_proto::record::Record;
use safelight_proto::vocabulary::Site;

use crate::admin::operator::Failure;
use crate::blobs::arg::VolumeArg;
use crate::blobs::{FsVolume, StoreError, Unavailable, VolumeSpec};
use crate::cli::client::explain;
use crate::home::Home;
use crate::store::{Identity, Store};

/// Who and where a node is to be.
#[derive(Debug, Clone)]
pub struct NodePlan {
    /// Its name.
    pub name: String,
    /// Its site.
    pub site: Site,
    /// Its volumes.
    pub volumes: Vec<VolumeArg>,
    /// It stands where the inviting node stands until it is moved to its site.
    pub seeding: bool,
}

impl NodePlan {
    /// The plan that was typed.
    pub fn parse(name: &str, site: &Site, volumes: &[String]) -> Result<Self, Failure> {
        let name = name.trim();
        if name.is_empty() || name.len() > limit::NAME_BYTES || name.chars().any(char::is_control) {
            return Err(Failure::usage(format!(
                "'{name}' is no name for a node: 1 to {} bytes",
                limit::NAME_BYTES
            )));
        }
        let parse = |text: &String| {
            text.parse::<VolumeArg>().map_err(|error| Failure::usage(format!("--volume {text}: {error}")))
        };
        let volumes = volumes.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { name: name.to_owned(), site: site.clone(), volumes, seeding: false })
    }
}

/// What a node is by its keys.
pub(super) struct Keys {
    /// Seed of its own key.
    pub secret: [u8; 32],
    /// The library it belongs to.
    pub library: LibraryId,
    /// The reading key, for a studio.
    pub reading_key: Option<[u8; 32]>,
}

/// Whether a home and volumes can be made: asked before anything is written or sent.
pub fn check(home: &Path, plan: &NodePlan) -> Result<(), Failure> {
    Home::check_vacant(home).map_err(|error| explain(error, home))?;
    for volume in &plan.volumes {
        let path = std::path::absolute(&volume.path).unwrap_or_else(|_| volume.path.clone());
        let parent = path.parent().unwrap_or(&path);
        if path.exists() && !path.is_dir() {
            return Err(Failure::new(format!("{} is not a directory", path.display())));
        }
        if !path.exists() && !parent.is_dir() {
            return Err(Failure::new(format!("{} does not exist", parent.display()))
                .next("mount the drive or create the folder, then try again"));
        }
    }
    Ok(())
}

/// Makes the home and its volumes; `hints` are addresses to find other members at. The home is complete when this
/// returns, and not before.
pub(super) async fn make(
    home: &Path,
    plan: &NodePlan,
    keys: Keys,
    records: &[Record],
    hints: Vec<String>,
) -> Result<Home, Failure> {
    let Keys { secret, library, reading_key } = keys;
    let made = Home::create(home).map_err(|error| explain(error, home))?;
    let mut volumes = Vec::new();
    for volume in &plan.volumes {
        let path = std::path::absolute(&volume.path)
            .map_err(|error| Failure::new(format!("{}: {error}", volume.path.display())))?;
        volumes.push((make_volume(volume, library).await?, path));
    }
    let (name, site) = (plan.name.clone(), plan.site.clone());
    let identity = Identity { secret, library, reading_key, name, site, hints };
    Store::create(&made.database(), &identity, records, &volumes)?;
    Ok(made)
}

/// Makes a volume; takes over one that an attempt which broke off had made for this library and left empty.
async fn make_volume(volume: &VolumeArg, library: LibraryId) -> Result<VolumeId, Failure> {
    let VolumeArg { media, capacity, site, .. } = volume.clone();
    let spec = VolumeSpec { library, media, capacity, site };
    let failed = |error: StoreError| {
        Failure::new(format!("the volume cannot be made: {error}"))
            .next("choose another folder with --volume")
    };
    match FsVolume::create(&volume.path, spec).await {
        Ok(made) => {
            tracing::info!(volume = %made.id(), media = %made.marker().media, "volume made");
            let id = made.id();
            made.shutdown().await;
            Ok(id)
        }
        Err(StoreError::Unavailable(Unavailable::Taken { found, path })) => {
            let (open, files) = FsVolume::open(&path, found, library, &[]).await.map_err(failed)?;
            let empty = files.unrecorded.is_empty();
            open.shutdown().await;
            if empty { Ok(found) } else { Err(failed(Unavailable::Taken { found, path }.into())) }
        }
        Err(error) => Err(failed(error)),
    }
}
