//! What rehearsals of a loss came to.

use super::care::safety;
use crate::admin::doc::{CertificateDoc, DrillDoc, DrillFailureDoc, StatusDoc, VolumeState};
use crate::cli::client::quoted;
use crate::cli::units::{ago, bytes, counted, number, plain};

/// Failures that are told one by one; all of them are in the JSON.
const MOST_TOLD: usize = 50;

/// `drill`: whether everything came back, what did not, and whether the photos are safe.
pub fn drill(document: &DrillDoc) -> String {
    let without = plain(&document.without);
    let tested = amount(document.files_tested, document.files);
    if document.passed {
        let sources: Vec<String> = document.sources.iter().map(|source| plain(&source.site)).collect();
        let from = if sources.is_empty() { String::new() } else { format!(", from {}", listed(&sources)) };
        return format!(
            "Without {without}: {tested} rebuilt and found identical ({}){from}.\nCertificate recorded; `safelight status` \
             shows it.\n",
            bytes(document.bytes)
        );
    }
    let lost = document.failed.iter().any(|failed| failed.index.is_none());
    let mut text = format!("Without {without}: the drill FAILED. {tested} tested");
    text.push_str(&match lost {
        true => format!(", {} came back identical.\n", bytes(document.bytes)),
        false => ": every one came back identical, but bad pieces were met on the way.\n".to_owned(),
    });
    for failed in document.failed.iter().take(MOST_TOLD) {
        text.push_str(&format!("  {}\n", failure(failed)));
    }
    if document.failed.len() > MOST_TOLD {
        text.push_str(&format!("  and {} more; --json lists them all\n", document.failed.len() - MOST_TOLD));
    }
    text.push_str("That is recorded; `safelight status` shows it until a drill passes.\n");
    text.push_str(safety(document.verdict));
    text
}

fn failure(failed: &DrillFailureDoc) -> String {
    let error = plain(&failed.error);
    match (&failed.path, failed.index, &failed.node) {
        (Some(path), ..) => format!("{}: {error}", plain(path)),
        (None, Some(index), Some(node)) => {
            let site = failed.site.as_deref().unwrap_or_default();
            let roll: String = failed.roll.iter().flat_map(|roll| roll.chars()).take(8).collect();
            format!("shard {index} of roll {roll} on {} ({}): {error}", plain(node), plain(site))
        }
        _ => error,
    }
}

/// In `status`, beside what needs attention: drills that failed.
pub fn alarms(document: &StatusDoc) -> String {
    let failed = document.drills.iter().filter(|drill| !drill.passed);
    failed.map(|drill| format!("  DRILL FAILED: {}\n", certificate(drill))).collect()
}

/// In `status`: every site and its last drill.
pub fn drills(document: &StatusDoc) -> String {
    let mut sites: Vec<&str> = Vec::new();
    for volume in document.volumes.iter().filter(|volume| volume.state != VolumeState::Lost) {
        let known = |site: &&str| site.to_lowercase() == volume.site.to_lowercase();
        if !volume.site.is_empty() && !sites.iter().any(known) {
            sites.push(&volume.site);
        }
    }
    if document.shoots.is_empty() || sites.len() < 2 {
        return String::new();
    }
    let mut text = String::from("\nDrills\n");
    for drill in &document.drills {
        text.push_str(&format!("  {}\n", certificate(drill)));
        sites.retain(|site| site.to_lowercase() != drill.without.to_lowercase());
    }
    for site in sites {
        let command = format!("safelight drill --without {}", quoted(plain(site).as_ref()));
        text.push_str(&format!("  without {}: not rehearsed yet: {command}\n", plain(site)));
    }
    text
}

fn certificate(drill: &CertificateDoc) -> String {
    let (without, tested) = (plain(&drill.without), amount(drill.files_tested, drill.files));
    let age = ago(drill.age_seconds);
    if !drill.passed {
        let again = format!("safelight drill --without {}", quoted(without.as_ref()));
        return format!(
            "the drill without {without} FAILED {age}: {} went wrong ({tested} tested). Try again: {again}",
            counted(drill.failed, "thing", "things")
        );
    }
    let since = if drill.outdated { "; photos came since" } else { "" };
    format!("restorable without {without}: proven {age} ({tested} rebuilt{since})")
}

/// `100 of 2,412 files`, `all 3 files`, `1 file`.
fn amount(some: u64, all: u64) -> String {
    match (some, all) {
        (1, 1) => "the one file".into(),
        (some, all) if some >= all => format!("all {} files", number(some)),
        (some, all) => format!("{} of {}", number(some), counted(all, "file", "files")),
    }
}

/// `a`, `a and b`, `a, b and c`.
fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::doc::{SourceDoc, Verdict};

    fn document() -> DrillDoc {
        DrillDoc {
            without: "studio".into(),
            files_tested: 100,
            files: 2_412,
            bytes: 3_200_000_000,
            failed: vec![],
            passed: true,
            all: false,
            sources: vec![
                SourceDoc { site: "cloud".into(), bytes: 1 },
                SourceDoc { site: "friend".into(), bytes: 2 },
            ],
            verdict: Verdict::Safe,
            seconds: 3.0,
        }
    }

    #[test]
    fn what_passed_is_one_sentence() {
        let text = drill(&document());
        let first =
            "Without studio: 100 of 2,412 files rebuilt and found identical (3.2 GB), from cloud and friend.";
        assert_eq!(text.lines().next(), Some(first));
        let all = drill(&DrillDoc { files_tested: 2_412, all: true, ..document() });
        assert!(all.starts_with("Without studio: all 2,412 files rebuilt"), "{all}");
    }

    #[test]
    fn what_failed_is_told_with_its_place() {
        let shard = DrillFailureDoc {
            roll: Some("5b".repeat(32)),
            index: Some(2),
            node: Some("nas\u{1b}".into()),
            site: Some("friend".into()),
            error: "it was damaged".into(),
            ..DrillFailureDoc::default()
        };
        let file = DrillFailureDoc {
            path: Some("Smith/a.CR3".into()),
            error: "friend is away".into(),
            ..DrillFailureDoc::default()
        };
        let text = drill(&DrillDoc { passed: false, failed: vec![shard.clone()], ..document() });
        assert!(text.contains("FAILED") && text.contains("every one came back identical"), "{text}");
        assert!(text.contains("shard 2 of roll 5b5b5b5b on nas\u{fffd} (friend): it was damaged"), "{text}");
        let both =
            DrillDoc { passed: false, failed: vec![shard; 60], verdict: Verdict::AtRisk, ..document() };
        let text = drill(&DrillDoc { failed: [vec![file], both.failed.clone()].concat(), ..both });
        assert!(!text.contains("every one came back"), "{text}");
        for words in ["Smith/a.CR3: friend is away", "and 11 more", "AT RISK"] {
            assert!(text.contains(words), "no '{words}' in {text}");
        }
    }

    #[test]
    fn a_certificate_says_how_old_it_is_and_what_it_covers() {
        let drill = CertificateDoc {
            without: "studio".into(),
            passed: true,
            at: "2026-11-22T10:00:00Z".into(),
            age_seconds: 3 * 86_400 + 5,
            files_tested: 100,
            files: 2_412,
            bytes: 1,
            failed: 0,
            covers_all: false,
            outdated: false,
            by: "lena".into(),
        };
        let text = certificate(&drill);
        assert_eq!(text, "restorable without studio: proven 3 days ago (100 of 2,412 files rebuilt)");
        assert!(
            certificate(&CertificateDoc { outdated: true, ..drill.clone() }).contains("photos came since")
        );
        let failed = certificate(&CertificateDoc { passed: false, failed: 2, ..drill });
        assert!(failed.contains("FAILED 3 days ago: 2 things"), "{failed}");
    }
}
