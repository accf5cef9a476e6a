//! Drives and nodes that come and go in order: `volume add`, `volume retire`, `retire`, `moved`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use safelight_core::event::{Event, Shard};
use safelight_proto::id::{Hash, NodeId, VolumeId};
use safelight_proto::record::{Body, Leaver, Retired, Seeding};

use super::{casualties, look, none};
use crate::admin::command::{Casualty, VolumeName};
use crate::admin::doc;
use crate::admin::operator::{Failure, Outcome, Progress, Reporter};
use crate::blobs::arg::VolumeArg;
use crate::blobs::marker::Marker;
use crate::blobs::{FsVolume, StoreError, VolumeSpec};
use crate::shell::Shell;
use crate::view::find_volume;
use crate::workers::housekeeping;

/// Adds a volume: a new one, or one of this library that comes from another node or was retired here. What it brings
/// along is read and verified before it counts.
pub async fn add(shell: &Arc<Shell>, text: &str, reporter: &Reporter) -> Result<Outcome, Failure> {
    let arg: VolumeArg = text.parse().map_err(|error| Failure::usage(format!("{text}: {error}")))?;
    let failed = |error: StoreError| {
        Failure::new(format!("the volume cannot be added: {error}"))
            .next("name another folder, or free this one")
    };
    let marker = Marker::read(&arg.path).map_err(|error| failed(error.into()));
    let known = if arg.path.is_dir() { marker? } else { None };
    if let Some(marker) = &known
        && marker.library != shell.library
    {
        return Err(Failure::new(format!("{} is a volume of another library", arg.path.display()))
            .next("name another folder; nothing was changed"));
    }
    let (id, brought) = match known {
        Some(marker) if shell.volumes.get(&marker.volume).is_some() => (marker.volume, Vec::new()),
        Some(marker) => (marker.volume, verify_all(shell, &arg.path, marker.volume, reporter).await?),
        None => {
            let (media, capacity, site) = (arg.media, arg.capacity, arg.site.clone());
            let spec = VolumeSpec { library: shell.library, media, capacity, site };
            let made = FsVolume::create(&arg.path, spec).await.map_err(failed)?;
            let id = made.id();
            made.shutdown().await;
            (id, Vec::new())
        }
    };
    if let Some(site) = &arg.site {
        Marker::set_site(&arg.path, site).map_err(failed)?;
    }
    shell.store.add_volume(id, &arg.path)?;
    if shell.volumes.get(&id).is_none() {
        housekeeping::open(shell, id, arg.path.clone()).await;
    }
    if shell.volumes.get(&id).is_none() {
        return Err(Failure::new(format!("{} was added, but does not open", arg.path.display()))
            .next("safelight volumes"));
    }
    housekeeping::round(shell, housekeeping::trust_declared()).await?;
    let brought = brought.into_iter().map(|shard| (id, shard)).collect();
    shell.core.settle(Event::Brought(brought)).await?;
    say_retired(shell, Leaver::Volume(id), false).await?;
    volumes(shell, &BTreeSet::from([id])).await
}

/// Every shard on a volume that this node's ledger does not know, read and found to be what its name says.
async fn verify_all(
    shell: &Arc<Shell>,
    path: &Path,
    id: VolumeId,
    reporter: &Reporter,
) -> Result<Vec<Shard>, Failure> {
    let failed = |error: StoreError| Failure::new(format!("the volume cannot be read: {error}"));
    let (volume, found) = FsVolume::open(path, id, shell.library, &[]).await.map_err(failed)?;
    let mut shards = Vec::new();
    for (number, hash) in found.unrecorded.iter().enumerate() {
        reporter.progress(Progress {
            phase: "reading what the volume brings along".into(),
            note: Some(format!("shard {} of {}", number + 1, found.unrecorded.len())),
            ..Progress::default()
        });
        if reporter.is_cancelled() {
            break;
        }
        match volume.adopt(*hash).await {
            Ok(durable) => shards.extend(described(&volume, *hash, durable.len())),
            Err(error) => tracing::warn!(%hash, "a shard on an added volume does not count: {error}"),
        }
    }
    volume.shutdown().await;
    match reporter.is_cancelled() {
        true => Err(Failure::new("the volume was not added; nothing on it was changed").next("add it again")),
        false => Ok(shards),
    }
}

/// What a shard's own header says of it.
fn described(volume: &FsVolume, hash: Hash, bytes: u64) -> Option<Shard> {
    let id = volume.header(hash).ok()?;
    Some(Shard { hash, bytes, roll: id.roll, coding: id.coding, index: id.index, staged: false })
}

/// Lets a volume leave: it is emptied first, then it is no longer needed.
pub async fn retire_volume(shell: &Arc<Shell>, name: VolumeName) -> Result<Outcome, Failure> {
    let here = shell.volumes.all();
    let id = shell.core.ask(move |node| find_volume(node, &here, &name)).await??;
    say_retired(shell, Leaver::Volume(id), true).await?;
    volumes(shell, &BTreeSet::from([id])).await
}

/// Lets a node leave with all its volumes.
pub async fn retire_node(shell: &Arc<Shell>, text: &str) -> Result<Outcome, Failure> {
    let id = node_named(shell, text).await?;
    if shell.reading_key.is_none() && id != shell.me {
        return Err(Failure::new("a vault may let nobody leave but itself").next("do it on a studio node"));
    }
    say_retired(shell, Leaver::Node(id), true).await?;
    let all =
        shell.core.ask(|node| node.manifest().volumes().into_iter().map(|(v, (n, _))| (v, n)).collect());
    let all: Vec<(VolumeId, NodeId)> = all.await?;
    volumes(shell, &all.into_iter().filter(|(_, host)| *host == id).map(|(volume, _)| volume).collect()).await
}

/// A node that was filled elsewhere stands at its own site from now on.
pub async fn moved(shell: &Arc<Shell>, text: &str) -> Result<Outcome, Failure> {
    let id = node_named(shell, text).await?;
    if shell.core.ask(move |node| node.manifest().seeding_at(&id)).await?.is_none() {
        return Err(Failure::new(format!(
            "{text} was not declared to stand elsewhere; it counts at its own site"
        ))
        .next("safelight nodes"));
    }
    shell.core.settle(Event::Say(vec![Body::Seeding(Seeding { node: id, at: None })])).await?;
    let mut nodes = look(shell, none).await?.nodes;
    nodes.retain(|node| node.id == id.to_string());
    Ok(Outcome::done(doc::NodesDoc { nodes }))
}

async fn say_retired(shell: &Arc<Shell>, what: Leaver, retired: bool) -> Result<(), Failure> {
    if shell.core.ask(move |node| node.manifest().is_retired(&what)).await? != retired {
        shell.core.settle(Event::Say(vec![Body::Retired(Retired { what, retired })])).await?;
    }
    Ok(())
}

async fn volumes(shell: &Arc<Shell>, chosen: &BTreeSet<VolumeId>) -> Result<Outcome, Failure> {
    let mut volumes = look(shell, none).await?.volumes;
    volumes.retain(|volume| chosen.iter().any(|id| id.to_string() == volume.id));
    Ok(Outcome::done(doc::VolumesDoc { volumes }))
}

async fn node_named(shell: &Arc<Shell>, text: &str) -> Result<NodeId, Failure> {
    let what = Casualty::Node(text.to_owned());
    let found = shell.core.ask(move |node| casualties(node, &what)).await??;
    found.first().copied().ok_or_else(|| super::unknown("node", text))
}
