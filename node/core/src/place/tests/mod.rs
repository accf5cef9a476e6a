//! The planner and the evaluator against the worked cases of the design and against brute force.

mod brute;
mod planner;
mod verdict;

use safelight_proto::id::{NodeId, RollId, VolumeId};
use safelight_proto::vocabulary::{Media, Role, Rule, Site};

use super::{CodingView, Holding, LossRates, Plan, Planner, RollView, Topology, VolumeView};

pub const GB: u64 = 1_000_000_000;

pub fn id(n: u8) -> VolumeId {
    VolumeId([n; VolumeId::LEN])
}

pub fn site(name: &str) -> Site {
    Site::new(name).expect("a good name")
}

/// A volume on a node of its own. Site "studio" is the photographer's own.
pub fn volume(n: u8, at: &str, media: Media, free: u64) -> VolumeView {
    VolumeView {
        id: id(n),
        name: format!("{at}-{n}"),
        node: NodeId([n; NodeId::LEN]),
        role: if at == "studio" { Role::Studio } else { Role::Vault },
        site: site(at),
        media,
        free,
        used: 0,
        domain: None,
        host: None,
        trust_declared: false,
    }
}

/// Roomy volumes from "site medium" words, numbered from 1.
pub fn topology(volumes: &[(&str, &str)]) -> Topology {
    Topology::new(
        volumes.iter().enumerate().map(|(at, (site, media))| {
            volume(at as u8 + 1, site, media.parse().expect("a medium"), 1000 * GB)
        }),
    )
}

pub fn rule(text: &str) -> Rule {
    text.parse().expect("a rule")
}

pub fn planner(topology: &Topology, rule: Rule) -> Planner {
    Planner::new(topology, rule, &LossRates::default(), Some(&site("studio")))
}

pub fn plan(topology: &Topology, text: &str) -> Plan {
    planner(topology, rule(text)).plan(4 * GB).expect("there is room")
}

/// The roll as it is once `plan` is carried out.
pub fn carried_out(n: u8, plan: &Plan, sealed_len: u64) -> RollView {
    let holdings: Vec<Holding> = plan
        .assignment
        .iter()
        .enumerate()
        .map(|(index, volume)| Holding { index: index as u16, volume: *volume })
        .collect();
    let known_anywhere = holdings.len() as u16;
    RollView {
        roll: RollId([n; RollId::LEN]),
        sealed_len,
        files: 100,
        codings: vec![CodingView { k: plan.k, holdings, known_anywhere }],
    }
}
