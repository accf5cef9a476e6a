//! What a removal means, for people.

use crate::admin::doc::{RemovalDoc, Verdict};
use crate::cli::units::{counted, plain};

/// Names that are told one by one; all of them are in the JSON.
const MOST_TOLD: usize = 10;

/// `remove`: what the machine can still do and cannot, what stays, and what happens next.
pub fn removal(document: &RemovalDoc) -> String {
    let who = format!("{} at {}", plain(&document.removed.name), plain(&document.removed.site));
    let mut text = match document.preview {
        true => format!("To remove {who} shuts it out of the library, for good.\n"),
        false => format!("{who} is removed from the library, for good.\n"),
    };
    text.push_str("Whoever has the machine can still:\n");
    document.can.iter().for_each(|what| text.push_str(&format!("  - {}\n", plain(what))));
    text.push_str("It cannot any more:\n");
    document.cannot.iter().for_each(|what| text.push_str(&format!("  - {}\n", plain(what))));
    if document.removed.role == "studio" {
        text.push_str(
            "A new library key, which would shut out copies of this one, is not something Safelight can make yet: keep \
             the other drives out of foreign hands.\n",
        );
    }
    text.push_str(&stays(document));
    text.push_str(&next(document));
    text
}

fn stays(document: &RemovalDoc) -> String {
    let mut text = format!(
        "What it took in stays in the library: {} adopted here. Its shards count no longer.\n",
        counted(document.adopted, "record is", "records are")
    );
    if !document.let_in.is_empty() {
        let names = some(&document.let_in);
        text.push_str(&format!("It had let in {names}, and they stay. Remove any that you do not know.\n"));
    }
    if !document.had_removed.is_empty() {
        let count = counted(document.had_removed.len() as u64, "node", "nodes");
        text.push_str(&format!("It had removed {count}, and that stands.\n"));
    }
    if document.deletions > 0 {
        let count = counted(document.deletions, "batch of files", "batches of files");
        text.push_str(&format!(
            "It had deleted something of {count}, and that stands; `safelight trash` shows what can be taken back.\n"
        ));
    }
    if document.studios == 1 {
        text.push_str(
            "This node is then the only studio: the only one that can read, but for the recovery phrase.\n",
        );
    }
    text
}

fn next(document: &RemovalDoc) -> String {
    if document.preview {
        return String::new();
    }
    let names: Vec<String> = document
        .shoots
        .iter()
        .map(|shoot| shoot.name.clone().unwrap_or_else(|| "(sealed)".to_owned()))
        .collect();
    let safety = match document.verdict {
        Verdict::Safe => return "Every shoot is safe without it.\n".to_owned(),
        Verdict::CatchingUp => {
            "All photos can be read, and the repairs have begun. Next: `safelight status` shows how far they are."
        }
        Verdict::AtRisk => "What is left cannot meet the rule. Next: `safelight status` says what would.",
        Verdict::Lost => {
            "Some photos cannot be rebuilt from what is left. Next: `safelight status` says which."
        }
    };
    format!("Without it these fall short of their rule: {}.\n{safety}\n", some(&names))
}

fn some(names: &[String]) -> String {
    let mut told: Vec<String> = names.iter().take(MOST_TOLD).map(|name| plain(name)).collect();
    if names.len() > MOST_TOLD {
        told.push(format!("{} more", names.len() - MOST_TOLD));
    }
    told.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::doc::{FallenShootDoc, NodeDoc, NodeState};

    #[test]
    fn it_says_what_can_be_done_and_whether_the_photos_are_safe() {
        let removed = NodeDoc {
            id: "00".into(),
            name: "lap\u{1b}top".into(),
            site: "studio".into(),
            role: "studio".into(),
            state: NodeState::Removed,
            addresses: vec![],
        };
        let fallen = FallenShootDoc { name: Some("Smith".into()), verdict: Verdict::CatchingUp };
        let mut document = RemovalDoc {
            removed,
            preview: false,
            adopted: 3,
            shards: 4,
            bytes: 5,
            can: vec!["read what it has".into()],
            cannot: vec!["come back".into()],
            let_in: vec!["nas".into()],
            had_removed: vec![],
            deletions: 1,
            studios: 1,
            verdict: Verdict::CatchingUp,
            shoots: vec![fallen; 12],
        };
        let text = removal(&document);
        for words in [
            "is removed",
            "read what it has",
            "come back",
            "3 records",
            "nas",
            "trash",
            "only studio",
            "Smith",
        ] {
            assert!(text.contains(words), "no '{words}' in: {text}");
        }
        assert!(text.contains("2 more") && text.contains("status") && !text.contains('\u{1b}'), "{text}");
        document.preview = true;
        assert!(removal(&document).starts_with("To remove"));
    }
}
