//! `plan`: what would happen if volumes came, left or were lost. Nothing is said or changed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use safelight_core::node::{Node, WhatIf};
use safelight_core::place::VolumeView;
use safelight_proto::id::{NodeId, VolumeId};
use safelight_proto::vocabulary::{Media, Role, Site};

use super::{nodes_named, unknown};
use crate::admin::command::{Supposed, Target};
use crate::admin::operator::{Failure, Outcome};
use crate::blobs::arg::VolumeArg;
use crate::blobs::marker::Marker;
use crate::disk::device::{Device, Space};
use crate::shell::Shell;
use crate::view::{name_of, plan as view, volumes_named};
use crate::volumes::State;
use crate::workers::housekeeping;

/// Most volumes that one question adds.
const MOST_ADDED: usize = 64;

/// Answers what would come of `event`.
pub async fn plan(shell: &Arc<Shell>, event: Supposed) -> Result<Outcome, Failure> {
    let (worker, here) = (Arc::clone(shell), shell.volumes.all());
    let speeds = view::Speeds { of: shell.meter.speeds(), hours: shell.gate.hours() };
    let wanted = match &event {
        Supposed::Add { volumes, .. } => {
            let volumes = volumes.clone();
            let measured = tokio::task::spawn_blocking(move || volumes.iter().map(|v| newcomer(v)).collect());
            measured.await.map_err(|error| Failure::new(error.to_string()))?
        }
        _ => Ok(Vec::new()),
    };
    let wanted: Vec<Newcomer> = wanted?;
    let answer = shell.core.ask(move |node| {
        let (word, what) = match &event {
            Supposed::Add { site, .. } => ("add", added(node, wanted, site.as_deref())?),
            Supposed::Lose(target) => {
                ("lose", WhatIf { lost: volumes_of(node, &here, target)?, ..WhatIf::default() })
            }
            Supposed::Retire(target) => {
                ("retire", WhatIf { leaving: volumes_of(node, &here, target)?, ..WhatIf::default() })
            }
        };
        Ok::<_, Failure>(view::plan(node, &worker.names, worker.reading_key.as_ref(), &speeds, word, &what))
    });
    Ok(Outcome::done(answer.await??))
}

/// A volume that there may be, as far as this machine can tell.
struct Newcomer {
    arg: VolumeArg,
    media: Media,
    free: u64,
    /// Identity of the drive below it, when it is here.
    domain: Option<String>,
}

/// What `text` would come to as a volume.
fn newcomer(text: &str) -> Result<Newcomer, Failure> {
    let arg: VolumeArg = text.parse().map_err(|error| Failure::usage(format!("{text}: {error}")))?;
    let path = arg.path.display().to_string();
    if !arg.path.is_dir() {
        return match (arg.media, arg.capacity) {
            (Some(media), Some(free)) => Ok(Newcomer { arg, media, free, domain: None }),
            _ => Err(Failure::new(format!("there is no folder {path} here to look at"))
                .next(format!("say what it would be: safelight plan add {path},media=hdd,capacity=4TB"))),
        };
    }
    let failed = |error: String| Failure::new(format!("{path} cannot be looked at: {error}"));
    if Marker::read(&arg.path).map_err(|error| failed(error.to_string()))?.is_some() {
        return Err(Failure::new(format!("{path} is a volume already")).next("safelight volumes"));
    }
    let device = Device::of(&arg.path).map_err(|error| failed(error.to_string()))?;
    let space = Space::of(&arg.path).map_err(|error| failed(error.to_string()))?;
    Ok(Newcomer {
        media: arg.media.or(device.media).unwrap_or(Media::Hdd),
        free: arg.capacity.map_or(space.free, |capacity| capacity.min(space.free)),
        domain: Some(device.identity()),
        arg,
    })
}

/// The question what came of `wanted` at `site`: on the node that stands there, else on a new one.
fn added(node: &Node, wanted: Vec<Newcomer>, site: Option<&str>) -> Result<WhatIf, Failure> {
    if wanted.len() > MOST_ADDED {
        return Err(Failure::usage(format!(
            "more than {MOST_ADDED} volumes cannot be added in one question"
        )));
    }
    let manifest = node.manifest();
    let own = manifest.stands_at(&node.id());
    let site = match site {
        Some(name) => Site::new(name).ok_or_else(|| Failure::usage(format!("'{name}' is no site")))?,
        None => own.ok_or_else(|| Failure::new("this node has no site yet").next("name one with --site"))?,
    };
    let mut volumes = Vec::new();
    for (number, new) in (0u8..).zip(wanted) {
        let site = new.arg.site.clone().unwrap_or_else(|| site.clone());
        let there = |id: &NodeId| manifest.stands_at(id).as_ref() == Some(&site) && node.counts(id);
        let first = [node.id()].into_iter().chain(manifest.members().iter().map(|(id, _)| *id)).find(there);
        let host = first.unwrap_or_else(|| stranger(&site));
        let role = manifest.members().get(&host).map_or(Role::Vault, |member| member.role);
        let known = manifest.volumes().into_values().find(|(on, _)| *on == host);
        let machine = known.map(|(_, info)| info.host.clone()).filter(|machine| !machine.is_empty());
        let name = match first {
            Some(host) => format!("{}'s new {} volume", name_of(node, &host), new.media),
            None => format!("the new {} volume at {}", new.media, site.name()),
        };
        volumes.push(VolumeView {
            id: VolumeId([0xff - number; VolumeId::LEN]),
            name,
            node: host,
            role,
            site,
            media: new.media,
            free: new.free,
            used: 0,
            domain: new.domain.filter(|_| host == node.id()),
            host: machine,
            trust_declared: housekeeping::trust_declared(),
        });
    }
    Ok(WhatIf { added: volumes, ..WhatIf::default() })
}

/// A node at a site where none stands: no key has its id.
fn stranger(site: &Site) -> NodeId {
    NodeId(blake3::derive_key("safelight node that there may be v1", site.key().as_bytes()))
}

/// The volumes that go with what a person named.
fn volumes_of(
    node: &Node,
    here: &BTreeMap<VolumeId, (PathBuf, State)>,
    target: &Target,
) -> Result<BTreeSet<VolumeId>, Failure> {
    let manifest = node.manifest();
    let all = manifest.volumes();
    match target {
        Target::Site(name) => {
            let site = Site::new(name).filter(|site| node.sites().contains(site));
            let site = site.ok_or_else(|| unknown("site", name))?;
            let there =
                all.iter().filter(|(_, (host, info))| manifest.site_of(info, host).as_ref() == Some(&site));
            Ok(there.map(|(id, _)| *id).collect())
        }
        Target::One(name) => {
            let text = &name.text;
            match (nodes_named(node, text).as_slice(), volumes_named(node, here, name).as_slice()) {
                ([], []) => Err(unknown("node or volume", text).next("safelight nodes; safelight volumes")),
                ([one], []) => {
                    Ok(all.iter().filter(|(_, (host, _))| host == one).map(|(id, _)| *id).collect())
                }
                ([], [one]) => Ok(BTreeSet::from([*one])),
                _ => Err(Failure::new(format!(
                    "'{text}' fits several nodes or volumes; give more digits of the id"
                ))
                .next("safelight nodes; safelight volumes")),
            }
        }
    }
}
