//! The last drill without each site, for `status`.

use std::collections::BTreeSet;

use safelight_core::node::Node;
use safelight_proto::vocabulary::Site;

use super::library::rfc3339;
use super::name_of;
use crate::admin::doc::CertificateDoc;

/// One for each site that was drilled and still belongs to the library; `now` in milliseconds since 1970.
pub fn drills(node: &Node, now: u64) -> Vec<CertificateDoc> {
    let manifest = node.manifest();
    let sites: BTreeSet<Site> = node.sites();
    let standing = manifest.standing();
    let document = |site: Site| {
        let certificate = manifest.drill(&site)?;
        let drill = certificate.drill;
        let newer = standing.newest > drill.newest || standing.rolls > drill.rolls;
        Some(CertificateDoc {
            without: site.name().to_owned(),
            passed: drill.passed,
            at: rfc3339(certificate.at.millis()),
            age_seconds: now.saturating_sub(certificate.at.millis()) / 1000,
            files_tested: drill.files,
            files: drill.of_files,
            bytes: drill.bytes,
            failed: drill.failed,
            covers_all: certificate.covers(&standing),
            outdated: newer || standing.files > drill.of_files,
            by: name_of(node, &certificate.author),
        })
    };
    sites.into_iter().filter_map(document).collect()
}
