//! `kit`: one page of plain text for the drawer, with all that is needed to come back after the worst.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::args::KitArgs;
use super::client::Client;
use super::{local, phrase};
use crate::admin::command::{Command, PhraseText};
use crate::admin::doc::{KitDoc, NodeDoc, NodesDoc};
use crate::admin::operator::{Failure, Outcome};

/// Makes the page; asks the node on `home` for addresses, if one runs there.
pub fn make(args: KitArgs, home: Option<&Path>, timeout: Duration) -> Result<Outcome, Failure> {
    let phrase = phrase::read(&args.phrase_file)?;
    let library = local::library_of(&phrase)?;
    let nodes = home.map(|home| known_nodes(home, timeout)).unwrap_or_default();
    let text = page(&phrase, &library, &nodes);
    let Some(out) = args.out else {
        return Ok(Outcome::done(KitDoc { library, text: Some(text), out: None }));
    };
    phrase::write_new(&out, text.as_bytes()).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::new(format!("{} is there already, and is not overwritten", out.display()))
                .next("name a new file")
        }
        _ => Failure::new(format!("the page cannot be written to {}: {error}", out.display())),
    })?;
    Ok(Outcome::done(KitDoc { library, text: None, out: Some(out.display().to_string()) }))
}

/// The page is worth having without addresses, so a node that does not answer costs them only.
fn known_nodes(home: &Path, timeout: Duration) -> Vec<NodeDoc> {
    let asked = Client::find(home, timeout).and_then(|client| client.perform(Command::Nodes, |_| ()));
    let nodes = asked.and_then(|outcome| {
        serde_json::from_value::<NodesDoc>(outcome.document).map_err(|error| Failure::new(error.to_string()))
    });
    match nodes {
        Ok(document) => document.nodes,
        Err(failure) => {
            tracing::info!(%failure, "the page has no addresses");
            Vec::new()
        }
    }
}

fn page(phrase: &PhraseText, library: &str, nodes: &[NodeDoc]) -> String {
    let words = phrase::page(phrase);
    let words = words.as_str();
    let nodes = addresses(nodes);
    format!(
        "\
SAFELIGHT RECOVERY KIT
======================

Library {library}

Keep this page where the photos are not: with a friend, in a bank box. Whoever has
it can read every photo of this library and own it. Nothing can replace it.

THE PHRASE (24 words, in this order)

{words}
WHERE THE NODES WERE when this page was made

{nodes}
IF THE STUDIO IS GONE and another node still runs

1. On a new computer, install safelight. Write the 24 words into a file, phrase.txt.
2. Run, with the address of a node that still runs:

   safelight recover --phrase-file phrase.txt --peer ADDRESS \\
       --name NAME --site SITE --volume FOLDER --to FOLDER-FOR-THE-PHOTOS

   The photos come back into the last folder, one folder for each shoot, and every
   file is checked against the hash taken when it was ingested.
3. Run `safelight run` to keep the library protected from here on, and then
   `safelight lost --site SITE` for the site that is gone, so that repairs begin.

IF NO NODE RUNS ANY MORE, but drives are left

Every drive has plain files that explain themselves. Any set of drives that held
enough of a shoot brings it back, with no network and no database:

   safelight salvage DRIVE-1 DRIVE-2 --phrase-file phrase.txt --to FOLDER

   Copies of drives will do, and so will damaged ones: what can be read is used.

AFTERWARDS delete phrase.txt.
"
    )
}

fn addresses(nodes: &[NodeDoc]) -> String {
    if nodes.is_empty() {
        return "\
   No node answered, so fill this in by hand (`safelight nodes` lists the addresses):

   ______________________________________________________________

   ______________________________________________________________
"
        .to_owned();
    }
    let mut text = String::new();
    for node in nodes {
        text.push_str(&format!("   {} at {} ({})\n", node.name, node.site, node.role));
        node.addresses.iter().for_each(|address| text.push_str(&format!("      {address}\n")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::doc::NodeState;

    fn phrase() -> PhraseText {
        PhraseText::new(&["abandon"; 23].join(" ").replacen("abandon", "zoo", 1))
    }

    #[test]
    fn all_that_is_needed_is_on_the_page() {
        let node = NodeDoc {
            id: "0a".into(),
            name: "tom-nas".into(),
            site: "friend".into(),
            role: "vault".into(),
            state: NodeState::Online,
            addresses: vec!["/ip4/203.0.113.7/udp/3210/quic-v1/p2p/12D3".into()],
        };
        let page = page(&phrase(), "1122", &[node]);
        for needed in [
            "Library 1122",
            "   1 zoo",
            "tom-nas at friend (vault)",
            "/ip4/203.0.113.7/udp/3210/quic-v1/p2p/12D3",
            "safelight recover --phrase-file",
            "safelight salvage",
            "safelight lost --site",
        ] {
            assert!(page.contains(needed), "{needed}\n{page}");
        }
        assert!(page.lines().all(|line| line.len() <= 84), "it is printed on paper\n{page}");
    }

    #[test]
    fn without_a_node_there_is_room_for_a_pen() {
        assert!(page(&phrase(), "1122", &[]).contains("____"));
        assert!(known_nodes(Path::new("/nowhere/at/all"), Duration::ZERO).is_empty());
    }
}
