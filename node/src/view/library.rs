//! The documents of `status`, `nodes` and `volumes`.

use std::collections::BTreeMap;
use std::time::Duration;

use safelight_core::node::{Condition, Node};
use safelight_core::place::{Collision, Topology, library_verdict};
use safelight_core::seal::ReadingKey;
use safelight_proto::id::{NodeId, VolumeId};

use super::plan::Speeds;
use super::transfers::transfers;
use super::{Names, ShootView, name_of, shoots};
use crate::admin::doc;
use crate::driver::wall_millis;
use crate::meter::Sent;
use crate::volumes::State;

/// Clocks that differ by more than this are worth a word.
const CLOCKS_DIFFER: Duration = Duration::from_secs(3600);
const DAY_SECONDS: u64 = 86_400;

/// What only the shell knows about this node.
#[derive(Default)]
pub struct Local {
    /// Its addresses, as it announces them.
    pub addresses: Vec<String>,
    /// Its volumes.
    pub volumes: BTreeMap<VolumeId, (std::path::PathBuf, State)>,
    /// What was sent to each peer lately.
    pub sent: BTreeMap<NodeId, Sent>,
    /// How fast bytes go, and at what hours.
    pub speeds: Speeds,
    /// It is within these hours.
    pub within_hours: bool,
    /// Older drives are to be replaced.
    pub volume_age: Option<Duration>,
}

/// `status`, of all shoots or of one.
pub fn status(
    node: &Node,
    names: &Names,
    key: Option<&ReadingKey>,
    local: &Local,
    only: impl Fn(&[ShootView]) -> Result<Vec<ShootView>, crate::admin::operator::Failure>,
) -> Result<doc::StatusDoc, crate::admin::operator::Failure> {
    let topology = node.topology();
    let all = shoots(node, names, key);
    let chosen = only(&all)?;
    let mut documents: Vec<doc::ShootDoc> =
        chosen.iter().map(|shoot| shoot.document(node, &topology)).collect();
    tell_of_trash(node, &mut documents);
    let verdict = documents.iter().map(|shoot| shoot.verdict).max().unwrap_or(doc::Verdict::Safe);
    let rolls = chosen.iter().flat_map(|shoot| shoot.rolls.iter().map(|roll| roll.roll));
    let volumes = volumes(node, local);
    Ok(doc::StatusDoc {
        library: node.manifest().library().to_string(),
        rule: node.manifest().rule(None).to_string(),
        verdict,
        transfers: transfers(node, &local.sent, rolls),
        // `nodes` and `volumes` ask for no shoot, and show nothing of this.
        work: if chosen.is_empty() { Vec::new() } else { super::plan::work(node, &local.speeds) },
        drills: super::drills::drills(node, wall_millis()),
        shoots: documents,
        hours: local
            .speeds
            .hours
            .as_ref()
            .map(|hours| doc::HoursDoc { limit: hours.to_string(), within: local.within_hours }),
        nodes: nodes(node, local),
        warnings: warnings(node, &topology).into_iter().chain(aged(&volumes)).collect(),
        volumes,
        trust_declared: topology.volumes().iter().any(|volume| volume.trust_declared),
    })
}

/// The library's verdict alone.
pub fn verdict(node: &Node, names: &Names, key: Option<&ReadingKey>) -> doc::Verdict {
    let topology = node.topology();
    let verdicts = shoots(node, names, key).into_iter().map(|shoot| shoot.judge(node, &topology).verdict);
    super::verdict(library_verdict(verdicts))
}

/// What is deleted still takes room; where room is what a remedy asks for, that is worth knowing.
fn tell_of_trash(node: &Node, shoots: &mut [doc::ShootDoc]) {
    let bytes = match shoots.iter().any(|shoot| shoot.remedy.is_some()) {
        true => node.trash_bytes(),
        false => 0,
    };
    for remedy in shoots.iter_mut().filter_map(|shoot| shoot.remedy.as_mut()).filter(|_| bytes > 0) {
        let bytes = crate::cli::units::bytes(bytes);
        remedy.push_str(&format!(" The trash takes {bytes}, which are freed in time (`safelight trash`)."));
    }
}

/// What the owner has to know and to decide when the brake holds.
fn brake(node: &Node) -> Option<String> {
    let mass = node.braked()?;
    Some(format!(
        "THE BRAKE HOLDS: {} of {} files were deleted within a day. This node frees nothing of it until you say so; all \
         of it is still here and can be taken back (`safelight trash`, `safelight undelete SHOOT`). If it was meant: \
         safelight config brake release",
        mass.files, mass.of_files
    ))
}

/// What the owner of a machine has to know that was removed, perhaps by mistake.
fn removed(node: &Node) -> Option<String> {
    let members = node.manifest().members();
    let by = members.removed_by(&node.id())?;
    let by = match members.is_authority(&by) {
        true => "with the recovery phrase".to_owned(),
        false => format!("by {}", name_of(node, &by)),
    };
    Some(format!(
        "THIS NODE WAS REMOVED from the library, {by}. It takes no part in it any more: the others do not talk to it, \
         and nothing that it says counts. What lies on its drives is still there; the recovery phrase opens it \
         (`safelight salvage`). To belong again, set this machine up anew, with a new home and a new invite"
    ))
}

fn warnings(node: &Node, topology: &Topology) -> Vec<String> {
    let name = |id: &VolumeId| topology.volume(*id).map_or_else(|| id.short(), |volume| volume.name.clone());
    let mut warnings: Vec<String> = topology
        .collisions()
        .into_iter()
        .map(|collision| match collision {
            Collision::Drive(volumes) => {
                let names: Vec<String> = volumes.iter().map(name).collect();
                format!("{} are on one drive and count as one volume", names.join(" and "))
            }
            Collision::Host(sites) => {
                let names: Vec<&str> = sites.iter().map(|site| site.name()).collect();
                format!("{} are on one machine and count as one site", names.join(" and "))
            }
        })
        .collect();
    warnings.extend(removed(node));
    warnings.extend(brake(node));
    warnings.extend(clocks(node, wall_millis()));
    warnings.extend(scrubs(node, wall_millis()));
    warnings.extend(stuck(node).filter(|_| !node.is_removed()));
    if node.missing_catalogs() > 0 {
        warnings.push(format!("{} catalogs are still on their way here", node.missing_catalogs()));
    }
    warnings
}

/// Drives that are to be replaced, all in one sentence.
fn aged(volumes: &[doc::VolumeDoc]) -> Option<String> {
    let old: Vec<&doc::VolumeDoc> = volumes.iter().filter(|volume| volume.replace).collect();
    let days = old.iter().filter_map(|volume| volume.age_days).max()?;
    let age = crate::cli::units::age(days);
    let which = match old.as_slice() {
        [one] => format!(
            "the {} volume {} at {} is {age} old",
            one.media,
            crate::cli::units::short(&one.id),
            one.site
        ),
        several => format!("{} volumes are to be replaced, the oldest is {age} old", several.len()),
    };
    Some(format!("{which}: plan the replacement; `safelight volumes` says how"))
}

/// Volumes that count and that nobody has read through for long.
fn scrubs(node: &Node, now: u64) -> Vec<String> {
    let manifest = node.manifest();
    let most = node.settings().scrub_period.saturating_mul(2);
    let counting = manifest.volumes().into_iter().filter(|(volume, _)| node.volume_counts(volume));
    let old = counting.filter_map(|(volume, (host, info))| {
        let last = manifest.scrubbed(&volume).map(|(at, _)| at.millis());
        let age = now.saturating_sub(last.unwrap_or(info.since).max(info.since));
        let name = name_of(node, &host);
        (age > most).then(|| {
            let span = humantime::format_duration(Duration::from_secs(age / 1000 / 3600 * 3600));
            format!(
                "the shards on the {} volume {} of {name} were last verified {span} ago; `safelight verify` there does it now",
                info.media,
                volume.short()
            )
        })
    });
    old.collect()
}

/// Shards that are missing here and cannot be repaired from anything within reach.
fn stuck(node: &Node) -> Option<String> {
    let (shards, awaited) = node.stuck();
    let names: Vec<String> = awaited.iter().map(|id| name_of(node, id)).collect();
    let what =
        if shards == 1 { "1 shard that belongs".into() } else { format!("{shards} shards that belong") };
    match (shards, names.is_empty()) {
        (0, _) => None,
        (_, false) => Some(format!(
            "{what} on this node's volumes cannot be repaired or brought before {} can be reached",
            names.join(" or ")
        )),
        (_, true) => Some(format!(
            "{what} on this node's volumes cannot be repaired from anything that is known; look for missing drives"
        )),
    }
}

/// Members whose clock is far ahead of this node's. One of the two is wrong; order is kept by hybrid time either way.
fn clocks(node: &Node, now: u64) -> Vec<String> {
    let mut ahead: BTreeMap<NodeId, u64> = BTreeMap::new();
    for (member, said, _) in node.manifest().heads() {
        let by = said.millis().saturating_sub(now);
        if by > CLOCKS_DIFFER.as_millis() as u64 && member != node.id() {
            ahead.insert(member, by);
        }
    }
    let sentence = |(member, by): (NodeId, u64)| {
        let name = node.manifest().node(&member).map_or_else(|| member.short(), |info| info.name.clone());
        let hours = Duration::from_millis(by).as_secs() / 3600;
        let span = if hours >= 48 { format!("{} days", hours / 24) } else { format!("{hours} hours") };
        format!(
            "the clock of {name} is {span} ahead of this node's: set the one that is wrong; no photo is at risk by it"
        )
    };
    ahead.into_iter().map(sentence).collect()
}

/// `nodes`.
pub fn nodes(node: &Node, local: &Local) -> Vec<doc::NodeDoc> {
    let (manifest, me) = (node.manifest(), node.id());
    // A node that was removed still knows itself.
    let own = manifest.members().ever(&me).filter(|_| node.is_removed()).map(|member| (&me, member));
    manifest
        .members()
        .iter()
        .chain(own)
        .map(|(id, member)| {
            let info = manifest.node(id);
            let own = *id == node.id();
            doc::NodeDoc {
                id: id.to_string(),
                name: info.map_or_else(|| id.short(), |info| info.name.clone()),
                site: member.site.name().to_owned(),
                role: member.role.to_string(),
                state: node_state(node, id),
                addresses: match info {
                    _ if own => local.addresses.clone(),
                    Some(info) => info.addresses.clone(),
                    None => Vec::new(),
                },
            }
        })
        .collect()
}

fn node_state(node: &Node, id: &NodeId) -> doc::NodeState {
    match node.condition(id) {
        Some(Condition::Online) => doc::NodeState::Online,
        Some(Condition::Away) => doc::NodeState::Away,
        Some(Condition::Retired) => doc::NodeState::Retired,
        Some(Condition::Lost) => doc::NodeState::Lost,
        None => doc::NodeState::Removed,
    }
}

/// Bytes of shards on each volume, by the holdings.
fn used(node: &Node) -> BTreeMap<VolumeId, u64> {
    let manifest = node.manifest();
    let mut used = BTreeMap::new();
    for (roll, _) in manifest.rolls() {
        for (coding, held) in manifest.holdings(&roll.roll) {
            let bytes = manifest.coding(&roll.roll, &coding).map_or(0, |coding| coding.shard_bytes);
            for (volume, indexes) in held {
                *used.entry(volume).or_default() += bytes * indexes.len() as u64;
            }
        }
    }
    used
}

/// `volumes`.
pub fn volumes(node: &Node, local: &Local) -> Vec<doc::VolumeDoc> {
    let manifest = node.manifest();
    let (used, now) = (used(node), wall_millis());
    manifest
        .volumes()
        .into_iter()
        .map(|(id, (host, info))| {
            let here = local.volumes.get(&id).filter(|_| host == node.id());
            let scrubbed = manifest.scrubbed(&id);
            let unavailable = matches!(here, Some((_, State::Unavailable(_))));
            let state = match () {
                () if !node.counts(&host) => doc::VolumeState::Lost,
                () if unavailable || info.absent > 0 => doc::VolumeState::Unavailable,
                () if node.is_leaving(&id) && node.is_missed(&id) => doc::VolumeState::Leaving,
                () if node.is_leaving(&id) => doc::VolumeState::Retired,
                () if info.free == 0 => doc::VolumeState::Full,
                () => doc::VolumeState::Ok,
            };
            let age = (info.since > 0).then(|| Duration::from_millis(now.saturating_sub(info.since)));
            let stays = !matches!(
                state,
                doc::VolumeState::Lost | doc::VolumeState::Leaving | doc::VolumeState::Retired
            );
            let old = age.zip(local.volume_age).is_some_and(|(age, most)| age >= most);
            doc::VolumeDoc {
                id: id.to_string(),
                node: host.to_string(),
                site: manifest.site_of(info, &host).map(|site| site.name().to_owned()).unwrap_or_default(),
                media: info.media.to_string(),
                capacity_bytes: info.capacity,
                used_bytes: used.get(&id).copied().unwrap_or_default(),
                state,
                since: age.map(|_| rfc3339(info.since)),
                age_days: age.map(|age| age.as_secs() / DAY_SECONDS),
                replace: old && stays,
                scrubbed: scrubbed.map(|(at, _)| rfc3339(at.millis())),
                scrubbed_bad: scrubbed.map_or(0, |(_, scrubbed)| scrubbed.bad),
                surplus_bytes: here.map(|_| node.surplus_on(&id)),
                path: here.map(|(path, _)| path.display().to_string()),
            }
        })
        .collect()
}

pub(super) fn rfc3339(millis: u64) -> String {
    // A clock may say anything; what no calendar has is left at its end.
    let most = Duration::from_secs(253_402_300_799);
    let at = std::time::UNIX_EPOCH + Duration::from_millis(millis).min(most);
    humantime::format_rfc3339_seconds(at).to_string()
}
