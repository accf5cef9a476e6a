//! What a command did: photos taken in, brought back, nodes made.

use std::time::Duration;

use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

use super::library::nodes_table;
use super::table::{Align, table};
use crate::admin::doc::{
    DemoDoc, FailedFileDoc, IngestDoc, InviteDoc, KitDoc, MemberDoc, NewcomerDoc, RecoverDoc, RestoreDoc,
    StepDoc, Verdict,
};
use crate::cli::units::{bytes, counted, number, plain};

/// Failed files that are told one by one; all of them are in the JSON.
const MOST_TOLD: usize = 50;

/// `ingest`
pub fn ingest(document: &IngestDoc) -> String {
    let shoot = plain(&document.shoot);
    let mut text = format!("{} stored in {shoot}", counted(document.files_new, "new file", "new files"));
    text.push_str(&format!(" ({})", bytes(document.bytes)));
    if document.files_known > 0 {
        text.push_str(&format!("; {} in the library already", number(document.files_known)));
    }
    text.push_str(".\n");
    text.push_str(&failed(&document.files_failed, "not taken in"));
    text.push_str(match (document.stored, document.verdict) {
        (false, _) => "NOT STORED. Keep the cards.\n",
        (true, _) if document.safe_to_format => {
            "SAFE TO FORMAT: the shoot meets its rule. The cards may be formatted.\n"
        }
        (true, Verdict::Safe) => {
            "Stored here and read back, and the shoot is safe; but keep the cards, not every file came.\n"
        }
        (true, Verdict::CatchingUp) => {
            "Stored here and read back. Do NOT format yet: other sites are being supplied.\n"
        }
        (true, Verdict::AtRisk) => {
            "Stored here and read back. Do NOT format: the rule cannot be met; `safelight status` says why.\n"
        }
        (true, Verdict::Lost) => {
            "Do NOT format: parts of this shoot are lost; `safelight status` says which.\n"
        }
    });
    text
}

/// `restore`, `salvage`
pub fn restore(document: &RestoreDoc) -> String {
    let time = Duration::from_secs_f64(document.seconds.clamp(0.0, 1e9));
    let mut text = match document.files_failed.is_empty() {
        true => format!("All {} came back", counted(document.files, "file", "files")),
        false => format!("{} came back", counted(document.files, "file", "files")),
    };
    text.push_str(&format!(
        " ({}) in {:.1} s, every one checked against its hash.\n",
        bytes(document.bytes),
        time.as_secs_f64()
    ));
    if document.files_kept > 0 {
        let kept = counted(document.files_kept, "file was", "files were");
        text.push_str(&format!("{kept} there already, equal, and left as they are.\n"));
    }
    text.push_str(&failed(&document.files_failed, "did not come back"));
    for renamed in document.renamed.iter().take(MOST_TOLD) {
        text.push_str(&format!("  {} was written as {}\n", plain(&renamed.path), plain(&renamed.written_as)));
    }
    if document.renamed.len() > MOST_TOLD {
        text.push_str(&format!("  and {} more under other names\n", document.renamed.len() - MOST_TOLD));
    }
    let sources: Vec<_> =
        document.sources.iter().map(|s| format!("{} from {}", bytes(s.bytes), plain(&s.site))).collect();
    if !sources.is_empty() {
        text.push_str(&format!("Read {}.\n", sources.join(", ")));
    }
    text
}

/// `recover`
pub fn recover(document: &RecoverDoc) -> String {
    let mut text = format!("This machine is a studio node of library {} again.\n", plain(&document.library));
    if let Some(as_of) = &document.as_of {
        text.push_str(&format!("The picture of the library is {}.\n", plain(as_of)));
    }
    if document.restored.files > 0 || !document.restored.files_failed.is_empty() {
        text.push_str(&restore(&document.restored));
    }
    if !document.silent.is_empty() {
        text.push_str(&format!("\nNot heard from:\n{}", nodes_table(&document.silent)));
        text.push_str("\nNothing was declared lost. For what is gone for good, once the node runs:\n");
        for node in &document.silent {
            text.push_str(&format!("  safelight lost {}\n", crate::cli::client::quoted(node.name.as_ref())));
        }
    }
    text.push_str("Next: start the node with `safelight run` and the same --home.\n");
    text
}

fn failed(files: &[FailedFileDoc], what: &str) -> String {
    if files.is_empty() {
        return String::new();
    }
    let mut text = format!("{} {what}:\n", counted(files.len() as u64, "file", "files"));
    for file in files.iter().take(MOST_TOLD) {
        text.push_str(&format!("  {}: {}\n", plain(&file.path), plain(&file.error)));
    }
    if files.len() > MOST_TOLD {
        text.push_str(&format!("  and {} more; --json lists them all\n", files.len() - MOST_TOLD));
    }
    text
}

/// `invite`; the code is drawn, too, where a telephone could read it off the screen.
pub fn invite(document: &InviteDoc) -> String {
    let drawn = std::io::IsTerminal::is_terminal(&std::io::stdout()).then(|| draw(&document.code)).flatten();
    let code = plain(&document.code);
    let may = match document.role.as_str() {
        "studio" => "a studio: it can read every photo",
        _ => "a vault: it stores what it cannot see",
    };
    format!(
        "On the other machine, with its own name, site and folder:\n\n  \
         safelight join {code} \\\n      --name NAME --site SITE --volume FOLDER\n  safelight run\n\n\
         {}The code lets in one node, as {may}. It ends at {}.\n",
        drawn.map(|qr| format!("{qr}\n\n")).unwrap_or_default(),
        plain(&document.expires),
    )
}

/// What became of a studio's invite.
pub fn newcomer(document: &NewcomerDoc) -> String {
    let (name, site) = (plain(&document.name), plain(&document.site));
    match document.admitted {
        true => format!("{name} at {site} is a studio of this library now.\n"),
        false => format!("{name} at {site} is not let in yet.\n"),
    }
}

/// The code as a QR picture in half blocks; nothing when it is too long for one.
fn draw(code: &str) -> Option<String> {
    let qr = QrCode::with_error_correction_level(code, qrcode::EcLevel::L).ok()?;
    Some(qr.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}

/// `init`
pub fn founded(document: &MemberDoc) -> String {
    format!(
        "Library {} is founded; this machine is its first node.\n\
         Not safe yet: one site alone cannot meet the rule.\n\
         Next: start the node with `safelight run` (and the same --home), then let another site in with \
         `safelight invite`.\n",
        plain(&document.library)
    )
}

/// `join`
pub fn joined(document: &MemberDoc) -> String {
    format!(
        "This machine is a node of library {} now.\nNext: start it with `safelight run` and the same --home.\n",
        plain(&document.library)
    )
}

/// `kit`
pub fn kit(document: &KitDoc) -> String {
    match (&document.text, &document.out) {
        (Some(text), _) => text.clone(),
        (None, Some(out)) => {
            format!("The recovery kit is in {}. Print it, and delete the file.\n", plain(out))
        }
        (None, None) => String::new(),
    }
}

/// `demo`
pub fn demo(document: &DemoDoc) -> String {
    let row = |step: &StepDoc| {
        vec![
            if step.ok { "ok" } else { "FAILED" }.to_owned(),
            format!("{:.1} s", step.seconds),
            step.name.clone(),
        ]
    };
    let rows: Vec<_> = document.steps.iter().map(row).collect();
    let mut text = table(&[("", Align::Left), ("", Align::Right), ("", Align::Left)], &rows);
    let seconds: f64 = document.steps.iter().map(|step| step.seconds).sum();
    let photos = format!("{} ({})", counted(document.files, "file", "files"), bytes(document.bytes));
    text.push_str(&match document.passed {
        true => format!(
            "\nA shoot of {photos} was taken in at the studio. The studio with all its drives was destroyed.\n\
             From the recovery phrase and one surviving site every file came back, identical to the last byte.\n\
             It took {seconds:.0} s in all"
        ),
        false => format!("\nThe demonstration FAILED with a shoot of {photos}, after {seconds:.0} s"),
    });
    match document.storage_factor {
        Some(factor) => {
            text.push_str(&format!(", and the library took {factor:.2} times the room of its photos.\n"))
        }
        None => text.push_str(".\n"),
    }
    text
}
