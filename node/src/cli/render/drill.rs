//! What rehearsals of a loss came to.

use std::collections::BTreeMap;

use super::care::safety;
use crate::admin::doc::{CertificateDoc, DrillDoc, DrillFailureDoc, StatusDoc, VolumeState};
use crate::cli::client::quoted;
use crate::cli::units::{ago, bytes, counted, number, plain};

/// Failures that are told one by one; all of them are in the JSON.
const MOST_TOLD: usize = 50;

/// `drill`: whether everything came back, what did not, and whether the photos are safe.
pub fn drill(document: &DrillDoc) -> String {
    let without = plain(&document.without);
    if document.passed {
        let tested = amount(document.files_tested, document.files);
        let sources: Vec<String> = document.sources.iter().map(|source| plain(&source.site)).collect();
        let from = if sources.is_empty() { String::new() } else { format!(", from {}", listed(&sources)) };
        return format!(
            "Without {without}: {tested} rebuilt and found identical ({}){from}.\nCertificate recorded; `safelight status` \
             shows it.\n",
            bytes(document.bytes)
        );
    }
    let tested = counted(document.files_tested, "file", "files");
    let mut text = format!(
        "Without {without}: the drill FAILED. {} of the {tested} tested were rebuilt and found identical ({}).\n",
        number(document.files_passed),
        bytes(document.bytes)
    );
    let lines = failures(&document.failed);
    lines.iter().take(MOST_TOLD).for_each(|line| text.push_str(&format!("  {line}\n")));
    if lines.len() > MOST_TOLD {
        text.push_str(&format!("  and {} more; --json lists them all\n", lines.len() - MOST_TOLD));
    }
    text.push_str("That is recorded; `safelight status` shows it until a drill passes.\n");
    text.push_str(safety(document.verdict));
    text
}

/// A line for each thing that failed; files that failed for one reason share one.
fn failures(failed: &[DrillFailureDoc]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut files: Vec<(&str, &str, u64)> = Vec::new();
    let mut by_error: BTreeMap<&str, usize> = BTreeMap::new();
    for one in failed {
        let Some(path) = &one.path else {
            lines.push(bad_piece(one));
            continue;
        };
        match by_error.get(one.error.as_str()) {
            Some(&at) => files[at].2 += 1,
            None => {
                by_error.insert(&one.error, files.len());
                files.push((path, &one.error, 0));
            }
        }
    }
    let line = |(path, error, more): (&str, &str, u64)| {
        let more = if more > 0 { format!(" and {} more", number(more)) } else { String::new() };
        format!("{}{more}: {}", plain(path), plain(error))
    };
    lines.extend(files.into_iter().map(line));
    lines
}

fn bad_piece(failed: &DrillFailureDoc) -> String {
    let error = plain(&failed.error);
    let (Some(index), Some(node)) = (failed.index, &failed.node) else { return error };
    let site = failed.site.as_deref().unwrap_or_default();
    let roll: String = failed.roll.iter().flat_map(|roll| roll.chars()).take(8).collect();
    format!("shard {index} of roll {roll} on {} ({}): {error}", plain(node), plain(site))
}

/// In `status`, beside what needs attention: drills that failed.
pub fn alarms(document: &StatusDoc) -> String {
    let failed = document.drills.iter().filter(|drill| !drill.passed);
    failed.map(|drill| format!("  A DRILL FAILED {}\n", certificate(drill))).collect()
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
        text.push_str(&match drill.passed {
            true => format!("  {}\n", certificate(drill)),
            false => {
                format!("  without {}: FAILED {}, see above\n", plain(&drill.without), ago(drill.age_seconds))
            }
        });
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
        let wrong = counted(drill.failed, "file or shard was", "files or shards were");
        return format!(
            "without {without}, {age}: {wrong} not right ({tested} tested). To see which: {again}"
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
            files_passed: 100,
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
        assert!(text.contains("FAILED. 100 of the 100 files tested were rebuilt"), "{text}");
        assert!(text.contains("shard 2 of roll 5b5b5b5b on nas\u{fffd} (friend): it was damaged"), "{text}");
        let away = DrillFailureDoc { path: Some("Smith/b.CR3".into()), ..file.clone() };
        let late = DrillFailureDoc { error: "another".into(), ..file.clone() };
        let failed = [vec![shard; 60], vec![file, away, late]].concat();
        let text = drill(&DrillDoc { passed: false, failed, verdict: Verdict::AtRisk, ..document() });
        for words in ["and 12 more", "AT RISK"] {
            assert!(text.contains(words), "no '{words}' in {text}");
        }
    }

    #[test]
    fn files_that_failed_for_one_reason_share_a_line() {
        let file = |path: &str, error: &str| DrillFailureDoc {
            path: Some(path.into()),
            error: error.into(),
            ..DrillFailureDoc::default()
        };
        let failed = ["a", "b", "c"].map(|path| file(path, "friend is away"));
        let lines = failures(&[&failed[..], &[file("d", "its hash differs")]].concat());
        assert_eq!(lines, ["a and 2 more: friend is away", "d: its hash differs"]);
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
        assert!(failed.contains("3 days ago: 2 files or shards were not right"), "{failed}");
    }
}
