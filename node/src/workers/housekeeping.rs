//! What a node looks after by the clock: its volumes come and go, their room changes, its addresses change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use safelight_core::event::{Event, Shard};
use safelight_proto::id::{Hash, VolumeId};
use safelight_proto::limit;
use safelight_proto::record::{Body, NodeInfo, VolumeInfo};

use crate::blobs::marker::Marker;
use crate::blobs::{FsVolume, LedgerRow, Reconciled, StoreError, Unavailable};
use crate::driver::{Stopped, wall_millis};
use crate::settings;
use crate::shell::Shell;
use crate::volumes::State;

/// The core hears of time this often.
const TICK: Duration = Duration::from_millis(250);
/// Volumes are looked at this often.
const ROUND: Duration = Duration::from_secs(5);
/// Room is told anew when it has changed by this part of the capacity.
const ROOM_CHANGE: u64 = 100;

/// Whether declarations of drives and machines are taken as they are, as the environment says.
pub fn trust_declared() -> bool {
    std::env::var_os("SAFELIGHT_TRUST_DECLARED").is_some_and(|value| value == "1")
}

/// Ticks the core until the node stops.
pub async fn tick(shell: Arc<Shell>) {
    let mut beat = tokio::time::interval(TICK);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        beat.tick().await;
        if shell.gate.look()
            && let Err(failure) = settings::apply(&shell).await
        {
            tracing::warn!("the hours for transfers could not be put to work: {}", failure.message);
        }
        shell.core.tell(Event::Tick).await;
    }
}

/// Looks after volumes until the node stops: opens those that came, closes those that went, tells their room.
pub async fn volumes(shell: Arc<Shell>, trust_declared: bool) {
    loop {
        tokio::time::sleep(ROUND).await;
        if round(&shell, trust_declared).await.is_err() {
            return;
        }
    }
}

/// One look at every volume.
pub async fn round(shell: &Arc<Shell>, trust_declared: bool) -> Result<(), Stopped> {
    for (id, (path, state)) in shell.volumes.all() {
        match state {
            State::Open(volume) => {
                if let Err(error) = volume.check() {
                    close(shell, id, path, &volume, &error).await;
                } else {
                    tell_volume(shell, &volume, trust_declared).await?;
                }
            }
            State::Unavailable(_) => open(shell, id, path).await,
        }
    }
    Ok(())
}

/// Opens a volume and tells the core what it holds; or notes why it cannot be opened.
pub async fn open(shell: &Arc<Shell>, id: VolumeId, path: PathBuf) {
    match try_open(shell, id, &path).await {
        Ok((volume, shards, found)) => {
            tracing::info!(volume = %id, shards = shards.len(), "volume open");
            shell.volumes.set(id, path, State::Open(Arc::new(volume)));
            shell.core.tell(Event::VolumeOpened { volume: id, shards }).await;
            for hash in found.missing.into_iter().chain(found.damaged) {
                shell.core.tell(Event::ShardBad { volume: id, hash }).await;
            }
            let hashes: Vec<Hash> = found.unrecorded.into_iter().chain(found.partial).collect();
            if !hashes.is_empty() {
                shell.core.tell(Event::Unrecorded { volume: id, hashes }).await;
            }
        }
        Err(error) => {
            let known = matches!(shell.volumes.all().get(&id), Some((_, State::Unavailable(why))) if *why == error.to_string());
            if !known {
                tracing::warn!(volume = %id, "a volume is unavailable, nothing on it is given up: {error}");
            }
            shell.volumes.set(id, path, State::Unavailable(error.to_string()));
            tell_absent(shell, id, &error).await;
        }
    }
}

/// The open volume, what the ledger says it holds, and how its files compare.
async fn try_open(
    shell: &Arc<Shell>,
    id: VolumeId,
    path: &Path,
) -> Result<(FsVolume, Vec<Shard>, Reconciled), StoreError> {
    let store = Arc::clone(&shell.store);
    let read = tokio::task::spawn_blocking(move || store.shards(&id)).await;
    let Ok(Ok(shards)) = read else {
        return Err(StoreError::Refused("the ledger of the volume cannot be read"));
    };
    let rows: Vec<LedgerRow> =
        shards.iter().map(|shard| LedgerRow { hash: shard.hash, len: shard.bytes }).collect();
    let (volume, found) = FsVolume::open(path, id, shell.library, &rows).await?;
    if !found.missing.is_empty() || !found.damaged.is_empty() {
        tracing::warn!(volume = %id, missing = found.missing.len(), damaged = found.damaged.len(), "shards are gone from a volume");
    }
    for hash in &found.damaged {
        if let Err(error) = volume.quarantine(*hash).await {
            tracing::warn!(%hash, "a damaged shard could not be moved aside: {error}");
        }
    }
    Ok((volume, shards, found))
}

async fn close(shell: &Arc<Shell>, id: VolumeId, path: PathBuf, volume: &FsVolume, why: &StoreError) {
    tracing::warn!(volume = %id, "a volume went away, nothing on it is given up: {why}");
    shell.volumes.set(id, path, State::Unavailable(why.to_string()));
    shell.core.tell(Event::VolumeGone(id)).await;
    tell_absent(shell, id, why).await;
    volume.shutdown().await;
}

/// Tells everyone that a volume of this node cannot be found, and since when. Nothing on it is given up by that.
async fn tell_absent(shell: &Arc<Shell>, id: VolumeId, why: &StoreError) {
    let me = shell.me;
    // A drive that is there and fails has not gone on its travels.
    let travels =
        matches!(why, StoreError::Unavailable(Unavailable::Missing(_) | Unavailable::NotMounted(_)));
    let said =
        shell.core.ask(move |node| node.manifest().volume(&id).map(|(host, info)| (host, info.clone())));
    if let Ok(Some((host, info))) = said.await
        && host == me
        && info.absent == 0
    {
        let site = info.site.clone().filter(|_| travels);
        let absent = VolumeInfo { absent: wall_millis().max(1), site, ..info };
        // A node that is stopping says it at its next start.
        let _ = shell.core.settle(Event::Say(vec![Body::Volume(absent)])).await;
    }
}

/// Tells everyone of a volume and its room, when that is news.
async fn tell_volume(
    shell: &Arc<Shell>,
    volume: &Arc<FsVolume>,
    trust_declared: bool,
) -> Result<(), Stopped> {
    let measured = Arc::clone(volume);
    // Its own site may have been given to it since it was opened.
    let looked = tokio::task::spawn_blocking(move || (measured.usage(), Marker::read(measured.dir()))).await;
    let Ok((Ok(usage), read)) = looked else { return Ok(()) };
    let site = read.ok().flatten().and_then(|marker| marker.site);
    let used = usage.shards + usage.bad + usage.reserved;
    let marker = volume.marker();
    let capacity = marker.capacity.unwrap_or(used + usage.room);
    let info = VolumeInfo {
        volume: marker.volume,
        media: marker.media,
        capacity,
        free: usage.room.min(capacity),
        site,
        device: bounded(volume.device().identity()),
        host: bounded(host()),
        trust_declared,
        since: marker.made,
        absent: 0,
    };
    let me = shell.me;
    let body = Body::Volume(info.clone());
    let key = body.key(me);
    let said = shell.core.ask(move |node| node.manifest().get(&key).map(|entry| entry.body.clone())).await?;
    let news = match said {
        Some(Body::Volume(said)) => {
            let moved = said.free.abs_diff(info.free) > capacity / ROOM_CHANGE;
            let emptied = (said.free == 0) != (info.free == 0);
            moved || emptied || VolumeInfo { free: said.free, capacity: said.capacity, ..info } != said
        }
        _ => true,
    };
    let volume = marker.volume;
    let mine = shell.core.ask(move |node| node.may_claim(&volume)).await?;
    if news || mine { shell.core.settle(Event::Say(vec![body])).await } else { Ok(()) }
}

/// Tells everyone this node's name and addresses, when that is news.
pub async fn tell_node(shell: &Arc<Shell>, name: &str) -> Result<(), Stopped> {
    let addresses: Vec<String> = shell
        .net
        .addresses()
        .iter()
        .map(ToString::to_string)
        .filter(|address| address.len() <= limit::ADDRESS_BYTES)
        .take(limit::ADDRESSES)
        .collect();
    let body = Body::Node(NodeInfo { name: name.to_owned(), addresses });
    let key = body.key(shell.me);
    let said = shell.core.ask(move |node| node.manifest().get(&key).map(|entry| entry.body.clone())).await?;
    if said.as_ref() == Some(&body) { Ok(()) } else { shell.core.settle(Event::Say(vec![body])).await }
}

/// Identity of this machine: two sites with one identity burn together. Hashed, for it is nobody's business.
fn host() -> String {
    let id = std::fs::read("/etc/machine-id").unwrap_or_default();
    let boot = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    match (id.is_empty(), boot.is_empty()) {
        (true, true) => String::new(),
        // Containers share an empty or copied machine id, but not their kernel's boot.
        _ => blake3::derive_key("safelight host identity v1", &[id, boot].concat())
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect(),
    }
}

fn bounded(text: String) -> String {
    text.chars().take(limit::DEVICE_BYTES / 4).collect()
}
