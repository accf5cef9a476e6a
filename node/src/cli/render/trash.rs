//! What is deleted, and what was taken back.

use std::time::Duration;

use super::name_or_sealed;
use super::table::{Align, table};
use crate::admin::doc::{DeletedDoc, DeletionDoc, TrashDoc, UndeletionDoc};
use crate::cli::client::quoted;
use crate::cli::units::{about, bytes, counted, number};

use Align::{Left, Right};

/// What to do about a brake that holds.
const BRAKED: &str = "The brake holds on this node: too much was deleted within a day, so it frees nothing.\n\
                      If all of it was meant: safelight config brake release\n";

/// `delete`
pub fn deleted(document: &DeletionDoc) -> String {
    let name = name_or_sealed(document.shoot.as_deref());
    let mut text = format!(
        "Deleted {} of {name} ({}).\nNothing is gone yet: ",
        counted(document.files, "file", "files"),
        bytes(document.bytes)
    );
    let time = about(Duration::from_secs(document.quarantine_seconds));
    text.push_str(&match document.frees_bytes {
        0 => "its bytes stay, for they are packed together with other files, or other shoots hold them too.\n".into(),
        freed => format!(
            "every node keeps it for its own quarantine ({time} of running, on this one); then {} are freed in all.\n",
            bytes(freed)
        ),
    });
    text.push_str(&format!("To take it back until then: safelight undelete {}\n", quoted(name.as_ref())));
    if document.braked {
        text.push_str(BRAKED);
    }
    text
}

/// `undelete`
pub fn undeleted(document: &UndeletionDoc) -> String {
    let name = name_or_sealed(document.shoot.as_deref());
    let files = counted(document.files, "file is", "files are");
    let mut text = format!("{files} back in {name} ({}).\n", bytes(document.bytes));
    if document.gone_files > 0 {
        text.push_str(&format!(
            "{} more are gone for good: their quarantine ran out, and the room was freed.\n",
            number(document.gone_files)
        ));
    }
    text.push_str("Next: `safelight status` says whether everything is as well protected as before.\n");
    text
}

/// `trash`
pub fn trash(document: &TrashDoc) -> String {
    let mut text = match document.trash.is_empty() {
        true => "The trash is empty.\n".to_owned(),
        false => table(&HEAD, &document.trash.iter().map(row).collect::<Vec<_>>()),
    };
    if document.trash.iter().any(|line| line.stays.is_none()) {
        text.push_str(
            "Until then `safelight undelete` takes it back. Only time in which a node runs counts.\n",
        );
    }
    if document.braked {
        text.push_str(BRAKED);
    }
    text
}

const HEAD: [(&str, Align); 6] = [
    ("shoot", Left),
    ("files", Left),
    ("size", Right),
    ("takes", Right),
    ("deleted", Left),
    ("freed here", Left),
];

fn row(line: &DeletedDoc) -> Vec<String> {
    let freed = match (&line.stays, line.running_seconds_left) {
        (Some(why), _) => why.clone(),
        (None, Some(0)) => "now".into(),
        (None, Some(seconds)) => format!("in {} of running", about(Duration::from_secs(seconds))),
        (None, None) => String::new(),
    };
    vec![
        name_or_sealed(line.shoot.as_deref()),
        line.path.clone().unwrap_or_else(|| counted(line.files, "file", "files")),
        line.bytes.map(bytes).unwrap_or_default(),
        bytes(line.stored_bytes),
        line.deleted.clone(),
        freed,
    ]
}
