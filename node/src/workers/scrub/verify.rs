//! `verify`: every shard of this node's volumes, or of one, read now; then a while for the repairs that follow.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use safelight_core::event::Shard;
use safelight_core::node::Node;
use safelight_proto::id::VolumeId;
use tokio_util::sync::CancellationToken;

use super::Turn;
use super::examine::{Finding, examine};
use super::rounds::finish;
use crate::admin::command::VolumeName;
use crate::admin::doc;
use crate::admin::operator::{Failure, Outcome, Progress, Reporter};
use crate::driver::wall_millis;
use crate::shell::Shell;
use crate::store::scrubs::Round;
use crate::view;
use crate::volumes::State;

/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(200);
/// Shards that could not be judged are told one by one up to here.
const MOST_TOLD: usize = 100;

/// A volume to be read, and what it holds.
struct Plan {
    volume: VolumeId,
    path: PathBuf,
    device: String,
    shards: Vec<Shard>,
}

/// What became of it.
#[derive(Default)]
struct Found {
    shards: u64,
    bytes: u64,
    bad: Vec<Shard>,
    unverified: Vec<String>,
}

/// How far all of it is.
#[derive(Default)]
struct Tally {
    bytes: AtomicU64,
    shards: AtomicU64,
    bad: AtomicU64,
}

/// Performs `verify`.
pub async fn verify(
    shell: &Arc<Shell>,
    volume: Option<VolumeName>,
    reporter: &Reporter,
) -> Result<Outcome, Failure> {
    let (begun, _busy) = (Instant::now(), shell.scrubs.busy());
    let (plans, unavailable) = plan(shell, volume).await?;
    let found = read_all(shell, &plans, reporter).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let bad: Vec<(VolumeId, Shard)> = plans
        .iter()
        .zip(&found)
        .flat_map(|(plan, found)| found.bad.iter().map(|shard| (plan.volume, *shard)))
        .collect();
    await_repairs(shell, &bad, reporter).await?;
    let document = document(shell, &plans, &found, unavailable, bad, seconds).await?;
    let well = document.bad.is_empty() && document.unverified.is_empty();
    Ok(if well { Outcome::done(document) } else { Outcome::attention(document) })
}

/// What to read; and what cannot be, when nobody asked for it alone.
async fn plan(
    shell: &Arc<Shell>,
    only: Option<VolumeName>,
) -> Result<(Vec<Plan>, Vec<doc::UnverifiedDoc>), Failure> {
    let here = shell.volumes.all();
    let only = match only {
        None => None,
        Some(name) => {
            let (known, place) = (here.clone(), here.clone());
            let found =
                shell.core.ask(move |node| (view::find_volume(node, &known, &name), hosts(node))).await?;
            let volume = found.0?;
            match place.get(&volume) {
                None => return Err(elsewhere(found.1.get(&volume))),
                Some((path, State::Unavailable(why))) => {
                    return Err(Failure::new(format!(
                        "the volume at {} is not available now: {why}. Nothing on it is given up",
                        path.display()
                    ))
                    .next("bring the drive back and run it again"));
                }
                Some(_) => Some(volume),
            }
        }
    };
    let (mut plans, mut unavailable) = (Vec::new(), Vec::new());
    for (volume, (path, state)) in here.into_iter().filter(|(id, _)| only.is_none_or(|only| only == *id)) {
        match state {
            State::Open(open) => {
                let held = move |node: &Node| {
                    node.ledger().get(&volume).map(|held| held.values().copied().collect())
                };
                let shards: Option<Vec<Shard>> = shell.core.ask(held).await?;
                let (shards, device) = (shards.unwrap_or_default(), open.device().identity());
                plans.push(Plan { volume, path, device, shards });
            }
            State::Unavailable(reason) => unavailable.push(doc::UnverifiedDoc {
                volume: volume.to_string(),
                path: path.display().to_string(),
                reason,
            }),
        }
    }
    Ok((plans, unavailable))
}

/// The name of each volume's node.
fn hosts(node: &Node) -> BTreeMap<VolumeId, String> {
    let named = |(volume, (host, _))| (volume, view::name_of(node, &host));
    node.manifest().volumes().into_iter().map(named).collect()
}

fn elsewhere(host: Option<&String>) -> Failure {
    let host = host.map_or("another node", String::as_str);
    Failure::new(format!("that volume is on {host}; a node reads its own volumes only"))
        .next(format!("run `safelight verify` on {host}"))
}

/// Reads all volumes: those on one drive one after the other, the drives at the same time.
async fn read_all(shell: &Arc<Shell>, plans: &[Plan], reporter: &Reporter) -> Result<Vec<Found>, Failure> {
    let shards = || plans.iter().flat_map(|plan| &plan.shards);
    let (all, bytes) = (shards().count(), shards().map(|shard| shard.bytes).sum());
    let tally = Arc::new(Tally::default());
    let drives: BTreeSet<&str> = plans.iter().map(|plan| plan.device.as_str()).collect();
    let drives = drives.into_iter().map(|drive| {
        let tally = &tally;
        async move {
            let mut found = Vec::new();
            for (at, plan) in plans.iter().enumerate().filter(|(_, plan)| plan.device == drive) {
                found.push((at, read_volume(shell, plan, tally, reporter).await));
            }
            found
        }
    });
    let telling = async {
        loop {
            let read = tally.shards.load(Ordering::Relaxed);
            let bad = match tally.bad.load(Ordering::Relaxed) {
                0 => String::new(),
                bad => format!(", {bad} BAD"),
            };
            reporter.progress(Progress {
                phase: "verifying".into(),
                bytes_done: tally.bytes.load(Ordering::Relaxed),
                bytes_total: Some(bytes),
                note: Some(format!("{read} of {all} shards{bad}")),
                ..Progress::default()
            });
            tokio::time::sleep(LOOK).await;
        }
    };
    let reading = async { join_all(drives).await.into_iter().flatten().collect::<BTreeMap<usize, Found>>() };
    let found = tokio::select! {
        found = reading => found,
        () = telling => BTreeMap::new(),
    };
    if reporter.is_cancelled() {
        return Err(Failure::new(
            "the verification was interrupted; what it found bad until then was moved aside",
        )
        .next("run it again: it begins anew"));
    }
    Ok(found.into_values().collect())
}

/// Reads one volume, as fast as it goes.
async fn read_volume(shell: &Arc<Shell>, plan: &Plan, tally: &Arc<Tally>, reporter: &Reporter) -> Found {
    let turn: Arc<Turn> = shell.scrubs.turn(plan.volume);
    let mut progress = turn.take().await;
    let (started, mut found) = (wall_millis(), Found::default());
    let cut = CancellationToken::new();
    let _cut = cut.clone().drop_guard();
    for shard in &plan.shards {
        let (worker, tally_of, volume) = (Arc::clone(shell), Arc::clone(tally), plan.volume);
        let (cut, caller) = (cut.clone(), reporter.clone());
        let step = move |bytes| {
            tally_of.bytes.fetch_add(bytes, Ordering::Relaxed);
            !cut.is_cancelled() && !caller.is_cancelled() && worker.volumes.get(&volume).is_some()
        };
        match examine(shell, plan.volume, shard, step).await {
            Ok(Finding::Gone) => continue,
            Ok(Finding::Good) => {}
            Ok(Finding::Bad) => {
                tally.bad.fetch_add(1, Ordering::Relaxed);
                found.bad.push(*shard);
            }
            Ok(Finding::Unread(why)) => {
                found.unverified.push(format!("shard {} of roll {}: {why}", shard.index, shard.roll.short()));
                continue;
            }
            Ok(Finding::Stopped) => {
                found.unverified.push("the volume was closed while it was read".into());
                return found;
            }
            Err(error) => {
                found.unverified.push(error.to_string());
                return found;
            }
        }
        tally.shards.fetch_add(1, Ordering::Relaxed);
        found.shards += 1;
        found.bytes += shard.bytes;
    }
    let bad = found.bad.len() as u64;
    let ended = wall_millis().max(1);
    let round = Round { started, ended, last: None, shards: found.shards, bytes: found.bytes, bad };
    // All of it was read: the next round by the clock begins in its time after this one.
    if let Err(error) = finish(shell, plan.volume, &round, found.unverified.len() as u64).await {
        tracing::warn!("that a volume was verified could not be written down: {error}");
    }
    (progress.round, progress.loaded) = (Some(round), true);
    found
}

/// Waits until what was found bad stands again where it belongs, as long as the caller likes.
async fn await_repairs(
    shell: &Arc<Shell>,
    bad: &[(VolumeId, Shard)],
    reporter: &Reporter,
) -> Result<(), Failure> {
    let deadline = tokio::time::Instant::now() + reporter.patience();
    while !bad.is_empty() && tokio::time::Instant::now() < deadline && !reporter.is_cancelled() {
        let (asked, count) = (bad.to_vec(), bad.len());
        let (open, awaited) = shell.core.ask(move |node| (still_open(node, &asked), awaited(node))).await?;
        if open == 0 {
            break;
        }
        reporter.progress(Progress {
            phase: "waiting for repairs".into(),
            note: Some(match awaited.is_empty() {
                true => format!("{open} of {count} bad shards still to be repaired"),
                false => format!(
                    "{open} of {count} bad shards still to be repaired; {} must come back",
                    awaited.join(", ")
                ),
            }),
            ..Progress::default()
        });
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// Bad shards that belong somewhere and are not there yet.
fn still_open(node: &Node, bad: &[(VolumeId, Shard)]) -> usize {
    bad.iter().filter(|(_, shard)| stands(node, shard) == Some(false)).count()
}

fn stands(node: &Node, shard: &Shard) -> Option<bool> {
    node.stands(&shard.roll, &shard.coding, shard.index)
}

/// Members that would have to come back before what is missing here can be repaired.
fn awaited(node: &Node) -> Vec<String> {
    node.stuck().1.iter().map(|id| view::name_of(node, id)).collect()
}

async fn document(
    shell: &Arc<Shell>,
    plans: &[Plan],
    found: &[Found],
    mut unverified: Vec<doc::UnverifiedDoc>,
    bad: Vec<(VolumeId, Shard)>,
    seconds: f64,
) -> Result<doc::VerifyDoc, Failure> {
    let volumes: BTreeSet<VolumeId> = plans.iter().map(|plan| plan.volume).collect();
    let (worker, asked) = (Arc::clone(shell), bad.clone());
    let (repaired, missing, awaited, verdict) = shell
        .core
        .ask(move |node| {
            let repaired = asked.iter().filter(|(_, shard)| stands(node, shard) == Some(true)).count();
            let missing = node.wants().filter(|want| volumes.contains(&want.volume)).count();
            let awaited = if missing > 0 { awaited(node) } else { Vec::new() };
            let verdict = view::library::verdict(node, &worker.names, worker.reading_key.as_ref());
            (repaired as u64, missing as u64, awaited, verdict)
        })
        .await?;
    let path_of = |volume: &VolumeId| {
        let plan = plans.iter().find(|plan| plan.volume == *volume);
        plan.map(|plan| plan.path.display().to_string()).unwrap_or_default()
    };
    for (plan, found) in plans.iter().zip(found) {
        unverified.extend(found.unverified.iter().take(MOST_TOLD).map(|reason| doc::UnverifiedDoc {
            volume: plan.volume.to_string(),
            path: plan.path.display().to_string(),
            reason: reason.clone(),
        }));
    }
    Ok(doc::VerifyDoc {
        shards: found.iter().map(|found| found.shards).sum(),
        bytes: found.iter().map(|found| found.bytes).sum(),
        bad: bad
            .iter()
            .map(|(volume, shard)| doc::BadShardDoc {
                volume: volume.to_string(),
                roll: shard.roll.to_string(),
                index: shard.index,
                path: path_of(volume),
            })
            .collect(),
        repaired,
        missing,
        awaited,
        unverified,
        verdict,
        seconds,
    })
}
