//! The library as it stands: verdicts, shoots, nodes, volumes, rule, settings.

use std::time::Duration;

use super::table::{Align, table};
use super::{drill, name_or_sealed};
use crate::admin::doc::{
    ConfigDoc, FilesDoc, LostDoc, NodeDoc, NodeState, NodesDoc, RuleDoc, ShootDoc, ShootsDoc, StatusDoc,
    TransferDoc, Verdict, VolumeDoc, VolumeState, VolumesDoc,
};
use crate::cli::units::{about, age, bytes, counted, plain, short};

use Align::{Left, Right};

/// Shoots in trouble that `status` tells in full.
const MOST_TOLD: usize = 20;

/// `status`: one sentence, then what needs attention, then where everything is.
pub fn status(document: &StatusDoc) -> String {
    let mut text = format!("{}\n", sentence(document));
    let troubled = document.shoots.iter().filter(|shoot| shoot.verdict != Verdict::Safe);
    let mut troubled: Vec<&ShootDoc> = troubled.collect();
    troubled.sort_by_key(|shoot| std::cmp::Reverse(shoot.verdict));
    for shoot in troubled.iter().take(MOST_TOLD) {
        text.push_str(&trouble(shoot));
    }
    if troubled.len() > MOST_TOLD {
        text.push_str(&format!("  and {} more; `safelight shoots` lists them\n", troubled.len() - MOST_TOLD));
    }
    text.push_str(&drill::alarms(document));
    for warning in &document.warnings {
        text.push_str(&format!("  Note: {}\n", plain(warning)));
    }
    if document.trust_declared {
        text.push_str(
            "  Note: sites and media are taken as declared, for demonstration; this proves nothing\n",
        );
    }
    if !document.transfers.is_empty() {
        text.push_str(&format!("\nMoving\n{}", transfers(&document.transfers)));
    }
    if let Some(hours) = document.hours.as_ref().filter(|hours| !hours.within && !document.work.is_empty()) {
        text.push_str(&format!(
            "  What is to be moved waits for its hours ({}); restores and rolls in danger do not.\n",
            plain(&hours.limit)
        ));
    }
    if !document.work.is_empty() {
        text.push_str(&format!("\nTo be done\n{}", super::plan::links(&document.work)));
    }
    text.push_str(&format!("\nSites\n{}", sites(document)));
    text.push_str(&drill::drills(document));
    text.push_str(&format!("\nNodes\n{}", nodes_table(&document.nodes)));
    text.push_str(&format!("\nVolumes\n{}", volumes_table(&document.volumes, &document.nodes)));
    text
}

fn sentence(document: &StatusDoc) -> String {
    let all = document.shoots.len() as u64;
    let count = |verdict| document.shoots.iter().filter(|s| s.verdict == verdict).count() as u64;
    let (safe, lost, risk) = (count(Verdict::Safe), count(Verdict::Lost), count(Verdict::AtRisk));
    let files: u64 = document.shoots.iter().map(|s| s.files).sum();
    let size: u64 = document.shoots.iter().map(|s| s.bytes).sum();
    if all == 0 {
        return "There are no photos here yet. Take some in with `safelight ingest`.".into();
    }
    let what = format!("{}, {}", counted(files, "file", "files"), bytes(size));
    let shoots = counted(all, "shoot", "shoots");
    match (safe == all, lost, risk) {
        (true, _, _) if all == 1 => {
            format!("The one shoot is safe by the rule {} ({what}).", plain(&document.rule))
        }
        (true, _, _) => format!("All {shoots} are safe by the rule {} ({what}).", plain(&document.rule)),
        (_, 1.., _) => {
            format!("LOST: {lost} of {shoots} cannot be rebuilt from anything known; {safe} safe.")
        }
        (_, _, 1..) => format!("AT RISK: {risk} of {shoots}; {safe} safe. The photos are all readable now."),
        _ => format!(
            "{safe} of {shoots} safe, {} being protected. Keep the cards until all are safe.",
            all - safe
        ),
    }
}

fn trouble(shoot: &ShootDoc) -> String {
    let mut text = format!("  {}: {}", name_or_sealed(shoot.name.as_deref()), verdict_words(shoot.verdict));
    if shoot.pending_bytes > 0 {
        text.push_str(&format!(", {} still to move", bytes(shoot.pending_bytes)));
    }
    text.push('\n');
    for line in [shoot.reason.as_deref(), shoot.remedy.as_deref()].into_iter().flatten() {
        text.push_str(&format!("      {}\n", plain(line)));
    }
    text
}

fn verdict_words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Safe => "safe",
        Verdict::CatchingUp => "catching up",
        Verdict::AtRisk => "AT RISK",
        Verdict::Lost => "LOST",
    }
}

fn transfers(transfers: &[TransferDoc]) -> String {
    let row = |t: &TransferDoc| {
        let eta = t.eta_seconds.map_or_else(|| "no estimate yet".into(), |s| about(Duration::from_secs(s)));
        vec![t.peer.clone(), bytes(t.bytes_done), bytes(t.bytes_total), eta]
    };
    let rows: Vec<_> = transfers.iter().map(row).collect();
    table(&[("with", Left), ("done", Right), ("of", Right), ("left", Left)], &rows)
}

/// Each site, what stands there, and whether everything survives its loss.
fn sites(document: &StatusDoc) -> String {
    let mut names: Vec<&str> = Vec::new();
    let of_nodes = document.nodes.iter().map(|n| n.site.as_str());
    for site in of_nodes.chain(document.volumes.iter().map(|v| v.site.as_str())) {
        if !names.contains(&site) {
            names.push(site);
        }
    }
    let row = |site: &&str| {
        let nodes = document.nodes.iter().filter(|n| n.site == *site);
        let (mut here, mut online) = (0, 0);
        for node in nodes {
            here += 1;
            online += u64::from(node.state == NodeState::Online);
        }
        let volumes = document.volumes.iter().filter(|v| v.site == *site).count() as u64;
        let gone =
            document.shoots.iter().filter(|s| s.sites.iter().any(|x| x.site == *site && !x.survives)).count();
        let loss = match (document.shoots.is_empty(), gone as u64) {
            (true, _) => String::new(),
            (false, 0) => "everything survives its loss".into(),
            (false, gone) => format!("its loss takes photos of {}", counted(gone, "shoot", "shoots")),
        };
        vec![
            (*site).to_owned(),
            format!("{online} of {} online", counted(here, "node", "nodes")),
            counted(volumes, "volume", "volumes"),
            loss,
        ]
    };
    let rows: Vec<_> = names.iter().map(row).collect();
    table(&[("site", Left), ("nodes", Left), ("volumes", Left), ("", Left)], &rows)
}

/// `shoots`
pub fn shoots(document: &ShootsDoc) -> String {
    if document.shoots.is_empty() {
        return "There are no shoots yet. Take photos in with `safelight ingest`.\n".into();
    }
    let row = |s: &ShootDoc| {
        vec![
            name_or_sealed(s.name.as_deref()),
            counted(s.files, "file", "files"),
            bytes(s.bytes),
            bytes(s.stored_bytes),
            verdict_words(s.verdict).to_owned(),
            short(&s.id),
        ]
    };
    let rows: Vec<_> = document.shoots.iter().map(row).collect();
    let head = [
        ("shoot", Left),
        ("files", Right),
        ("size", Right),
        ("stored", Right),
        ("verdict", Left),
        ("id", Left),
    ];
    table(&head, &rows)
}

/// `files`
pub fn files(document: &FilesDoc) -> String {
    let row = |f: &crate::admin::doc::FileDoc| {
        vec![bytes(f.bytes), f.hash.chars().take(16).collect(), f.path.clone()]
    };
    let rows: Vec<_> = document.files.iter().map(row).collect();
    let size: u64 = document.files.iter().map(|f| f.bytes).sum();
    let count = counted(document.files.len() as u64, "file", "files");
    format!(
        "{}{count}, {}\n",
        table(&[("size", Right), ("blake3", Left), ("path", Left)], &rows),
        bytes(size)
    )
}

/// `nodes`
pub fn nodes(document: &NodesDoc) -> String {
    let mut text = nodes_table(&document.nodes);
    for node in document.nodes.iter().filter(|node| !node.addresses.is_empty()) {
        text.push_str(&format!("\n{} answers at\n", plain(&node.name)));
        node.addresses.iter().for_each(|address| text.push_str(&format!("  {}\n", plain(address))));
    }
    text
}

pub(super) fn nodes_table(nodes: &[NodeDoc]) -> String {
    let row = |n: &NodeDoc| {
        let state = match n.state {
            NodeState::Online => "online",
            NodeState::Away => "away",
            NodeState::Lost => "LOST",
            NodeState::Retired => "retired",
            NodeState::Removed => "REMOVED",
        };
        vec![n.name.clone(), n.site.clone(), n.role.clone(), state.to_owned(), short(&n.id)]
    };
    let rows: Vec<_> = nodes.iter().map(row).collect();
    table(&[("node", Left), ("site", Left), ("role", Left), ("state", Left), ("id", Left)], &rows)
}

/// `volumes`
pub fn volumes(document: &VolumesDoc) -> String {
    let mut text = volumes_table(&document.volumes, &[]);
    let surplus: u64 = document.volumes.iter().filter_map(|volume| volume.surplus_bytes).sum();
    if surplus > 0 {
        let surplus = bytes(surplus);
        text.push_str(&format!(
            "{surplus} on this node's volumes are left over from moves and repairs; they go after their quarantine.\n"
        ));
    }
    for volume in document.volumes.iter().filter(|volume| volume.replace) {
        let (id, days) = (short(&volume.id), volume.age_days.unwrap_or(0));
        let what = format!("The {} volume {id} at {}", plain(&volume.media), plain(&volume.site));
        text.push_str(&format!(
            "\n{what} is {} old: plan its replacement.\n  Next: `safelight volume add` the new one on its node, then \
             `safelight plan retire {id}` and `safelight volume retire {id}`.\n",
            age(days)
        ));
    }
    text
}

fn volumes_table(volumes: &[VolumeDoc], nodes: &[NodeDoc]) -> String {
    let row = |v: &VolumeDoc| {
        let node = nodes.iter().find(|n| n.id == v.node).map_or_else(|| short(&v.node), |n| n.name.clone());
        let state = match v.state {
            VolumeState::Ok => "ok",
            VolumeState::Full => "FULL",
            VolumeState::ReadOnly => "READ-ONLY",
            VolumeState::Unavailable => "unavailable",
            VolumeState::Lost => "LOST",
            VolumeState::Leaving => "leaving",
            VolumeState::Retired => "retired",
        };
        let place = v.path.clone().unwrap_or_default();
        let (used, capacity) = (bytes(v.used_bytes), bytes(v.capacity_bytes));
        let old = v.age_days.map(age).unwrap_or_default();
        let state = state.to_owned();
        vec![short(&v.id), node, v.site.clone(), v.media.clone(), used, capacity, old, state, place]
    };
    let rows: Vec<_> = volumes.iter().map(row).collect();
    let head = [
        ("volume", Left),
        ("node", Left),
        ("site", Left),
        ("media", Left),
        ("used", Right),
        ("of", Right),
        ("age", Left),
        ("state", Left),
        ("", Left),
    ];
    table(&head, &rows)
}

/// `rule`
pub fn rule(document: &RuleDoc) -> String {
    let whose = document.shoot.as_deref().map_or_else(|| "the library".to_owned(), plain);
    let mut text = format!("The rule of {whose} is {}", plain(&document.rule));
    match document.spend_percent {
        Some(percent) => {
            text.push_str(&format!(", and spare room may buy more, up to {}x.\n", f64::from(percent) / 100.0))
        }
        None => text.push_str(", at the least storage that meets it.\n"),
    }
    if let Some(chance) = document.yearly_loss {
        text.push_str(&format!("Estimated chance to lose any of it within a year: {}.\n", odds(chance)));
    }
    text.extend(document.advice.as_deref().map(|advice| format!("{}\n", plain(advice))));
    text
}

/// A small chance as people compare them.
fn odds(chance: f64) -> String {
    match chance {
        c if c.is_nan() || c <= 0.0 => "too small to tell".into(),
        c if c >= 0.1 => format!("{:.0} %", c.min(1.0) * 100.0),
        c => {
            let one_in = 1.0 / c;
            let digits = 10f64.powf(one_in.log10().floor());
            match one_in < 1e15 {
                true => {
                    format!("1 in {}", crate::cli::units::number(((one_in / digits).round() * digits) as u64))
                }
                false => "too small to tell".into(),
            }
        }
    }
}

/// `config`
pub fn config(document: &ConfigDoc) -> String {
    let row = |s: &crate::admin::doc::SettingDoc| {
        let mark = if s.default { "" } else { "changed" };
        vec![s.key.clone(), s.value.clone(), mark.to_owned(), s.about.clone()]
    };
    let rows: Vec<_> = document.settings.iter().map(row).collect();
    table(&[("setting", Left), ("value", Left), ("", Left), ("", Left)], &rows)
}

/// `lost`
pub fn lost(document: &LostDoc) -> String {
    let names: Vec<_> =
        document.lost.iter().map(|n| format!("{} at {}", plain(&n.name), plain(&n.site))).collect();
    let verdict = match document.verdict {
        Verdict::Safe => "Every shoot is safe without it.",
        Verdict::CatchingUp => "Repairs begin now; `safelight status` shows how far they are.",
        Verdict::AtRisk => "What is left cannot meet the rule; `safelight status` says what would.",
        Verdict::Lost => "Some photos cannot be rebuilt from what is left; `safelight status` says which.",
    };
    format!("Declared lost: {}.\n{verdict}\n", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odds_are_round() {
        for (chance, text) in [
            (0.0, "too small to tell"),
            (f64::NAN, "too small to tell"),
            (1e-20, "too small to tell"),
            (0.5, "50 %"),
            (2.0, "100 %"),
            (0.01, "1 in 100"),
            (1.0 / 34_567.0, "1 in 30,000"),
        ] {
            assert_eq!(odds(chance), text);
        }
    }
}
