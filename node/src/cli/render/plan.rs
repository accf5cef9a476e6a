//! What would happen, for a photographer who thinks about buying, selling or losing a drive.

use std::time::Duration;

use super::name_or_sealed;
use super::table::{Align, table};
use crate::admin::doc::{LinkDoc, LowestDoc, PlanDoc, PlanShootDoc, UnhealableDoc, Verdict};
use crate::cli::units::{about, bytes, counted, plain};

use Align::{Left, Right};

/// Shoots in trouble that are told in full.
const MOST_TOLD: usize = 20;

/// `plan`: the verdict first, then what it takes, then what is weaker meanwhile and afterwards.
pub fn plan(document: &PlanDoc) -> String {
    let mut text = format!("{}\nNothing was changed.\n", sentence(document));
    let short: Vec<&PlanShootDoc> =
        document.shoots.iter().filter(|shoot| shoot.after != Verdict::Safe).collect();
    for shoot in short.iter().take(MOST_TOLD) {
        text.push_str(&format!(
            "  {}: {}\n",
            name_or_sealed(shoot.name.as_deref()),
            change(shoot.before, shoot.after)
        ));
        text.extend(shoot.reason.iter().map(|reason| format!("      {}\n", plain(reason))));
    }
    if short.len() > MOST_TOLD {
        text.push_str(&format!("  and {} more; --json lists them all\n", short.len() - MOST_TOLD));
    }
    let mut remedies: Vec<&str> = short.iter().filter_map(|shoot| shoot.remedy.as_deref()).collect();
    remedies.dedup();
    text.extend(remedies.iter().map(|remedy| format!("  Remedy: {}\n", plain(remedy))));
    match document.links.is_empty() {
        true => text.push_str("\nNothing would have to be moved.\n"),
        false => text.push_str(&format!("\n{}{}", effort(document), links(&document.links))),
    }
    text.push('\n');
    text.extend(document.lowest.as_ref().map(|lowest| format!("{}\n", on_the_way(lowest))));
    if !document.shoots.is_empty() {
        text.push_str(&healing(document.after, &document.unhealable));
    }
    text
}

fn sentence(document: &PlanDoc) -> String {
    let what: Vec<String> = document
        .volumes
        .iter()
        .map(|volume| {
            let whose = volume.node.as_deref().map(|node| format!("{}'s ", plain(node))).unwrap_or_default();
            let size = bytes(volume.capacity_bytes);
            format!("{whose}{} volume of {size} at {}", plain(&volume.media), plain(&volume.site))
        })
        .collect();
    let what = if what.is_empty() { "nothing that holds photos".to_owned() } else { what.join(", ") };
    let event = match document.event.as_str() {
        "add" => format!("If you add {what}"),
        "lose" => format!("If you lose {what}"),
        _ => format!("If you retire {what}"),
    };
    let shoots = document.shoots.len() as u64;
    let safe = document.shoots.iter().filter(|shoot| shoot.after == Verdict::Safe).count() as u64;
    let outcome = match (shoots, shoots - safe) {
        (0, _) => "no photos are concerned".to_owned(),
        (1, 0) => "the one shoot ends up safe".to_owned(),
        (_, 0) => format!("all {} end up safe", counted(shoots, "shoot", "shoots")),
        _ => format!("{safe} of {} end up safe", counted(shoots, "shoot", "shoots")),
    };
    format!("{event}, {outcome}.")
}

fn change(before: Verdict, after: Verdict) -> String {
    let word = |verdict| match verdict {
        Verdict::Safe => "safe",
        Verdict::CatchingUp => "catching up",
        Verdict::AtRisk => "AT RISK",
        Verdict::Lost => "LOST",
    };
    match before == after {
        true => format!("{} as it is now", word(after)),
        false => format!("{} now, then {}", word(before), word(after)),
    }
}

fn effort(document: &PlanDoc) -> String {
    let time = match document.days {
        Some(days) => format!(", {} at the speed measured", span(days)),
        None if document.links.iter().any(|link| link.from != link.to) => {
            ", in a time that cannot be told: some speeds are not measured yet".to_owned()
        }
        None => String::new(),
    };
    let rolls = counted(document.rolls, "roll", "rolls");
    format!("To be moved or made: {} of {rolls}{time}.\n", bytes(document.bytes))
}

fn span(days: f64) -> String {
    about(Duration::from_secs_f64((days * 86_400.0).clamp(0.0, 1e12)))
}

/// What goes where and why, as `status` shows it too.
pub fn links(links: &[LinkDoc]) -> String {
    let row = |link: &LinkDoc| {
        let to = match link.from == link.to {
            true => "(another drive there)".to_owned(),
            false => format!("{} at {}", link.to.name, link.to.site),
        };
        let time = match (link.from == link.to, link.days) {
            (true, _) => String::new(),
            (false, Some(days)) => span(days),
            (false, None) => "not measured yet".into(),
        };
        let why = match link.why.as_str() {
            "new" => "new photos",
            "re-made" => "made again, for what was lost",
            "moved" => "moved off what leaves",
            "better" => "better protection",
            "re-coded" => "coded anew",
            other => other,
        };
        let from = format!("{} at {}", link.from.name, link.from.site);
        vec![from, to, bytes(link.bytes), counted(link.rolls, "roll", "rolls"), why.to_owned(), time]
    };
    let rows: Vec<_> = links.iter().map(row).collect();
    let head = [("from", Left), ("to", Left), ("bytes", Right), ("of", Right), ("why", Left), ("time", Left)];
    table(&head, &rows)
}

fn on_the_way(lowest: &LowestDoc) -> String {
    if lowest.files_lost > 0 {
        return format!("LOST FOR GOOD: {}.", counted(lowest.files_lost, "file", "files"));
    }
    if !lowest.readable {
        return "On the way some photos cannot be read: too few of their shards are within reach.".into();
    }
    let drives = match lowest.survives_volumes {
        0 => "no further drive may fail".to_owned(),
        1 => "any one drive may fail".to_owned(),
        more => format!("any {more} drives may fail"),
    };
    let sites: Vec<String> = lowest.fatal_sites.iter().map(|site| plain(site)).collect();
    let sites = match sites.as_slice() {
        [] => "any one site may be lost".to_owned(),
        sites => format!("the loss of {} would be fatal", sites.join(" or of ")),
    };
    format!("On the way, at its weakest: nothing is lost, {drives}, and {sites}.")
}

fn healing(after: Verdict, unhealable: &[UnhealableDoc]) -> String {
    match (unhealable.is_empty(), after) {
        (true, Verdict::Safe) => {
            return "Afterwards there is room to make up for the loss of any one site or volume.\n".into();
        }
        (true, _) => return "What falls short then has nothing to spare for a further loss.\n".into(),
        (false, _) => {}
    }
    let mut text = String::from("Afterwards these losses could not be made up for with what is left:\n");
    for loss in unhealable {
        let why = match loss.last_studio {
            true => " (no studio is left then: `safelight recover` makes one from the phrase first)",
            false => "",
        };
        let what = if loss.volume.is_some() { "the volume" } else { "all of" };
        text.push_str(&format!("  {what} {}{why}\n", plain(&loss.name)));
    }
    text
}
