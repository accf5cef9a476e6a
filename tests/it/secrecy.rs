//! What may be known where: a vault holds nothing that it could read, and the phrase is nowhere but on paper.

use std::fs;
use std::path::PathBuf;

use crate::support::photos::{noise, wedding, write};
use crate::support::{Cluster, Tree, disk};
use crate::words;

const SHOOT: &str = "Anneliese and Bartholomew, Gretna Green";

/// Bytes of each file that are looked for, at its start, middle and end.
const PIECE: usize = 24;

/// Names and pieces of the files under `card`, long enough to be no coincidence.
fn needles(card: &std::path::Path, went: &Tree) -> Vec<(String, Vec<u8>)> {
    let mut needles = vec![("the shoot's name".to_owned(), SHOOT.as_bytes().to_vec())];
    for path in went.keys() {
        let name = path.file_name().expect("a name").as_encoded_bytes();
        if name.len() >= 8 {
            needles.push((format!("the name {}", path.display()), name.to_vec()));
        }
        let content = fs::read(card.join(path)).expect("readable");
        if content.len() < 3 * PIECE {
            continue;
        }
        for at in [0, content.len() / 2, content.len() - PIECE] {
            needles.push((format!("{} at {at}", path.display()), content[at..at + PIECE].to_vec()));
        }
    }
    needles
}

#[test]
fn vaults_hold_neither_names_nor_pictures_and_nobody_holds_the_phrase() {
    let cluster = Cluster::three_sites();
    let card = cluster.place("card");
    wedding(&card, 40);
    write(&card, "The bride's mother is crying.jpg", &noise(40, 1, 30_000));
    let went = crate::support::tree(&card);
    cluster.ingest("studio", &card, SHOOT);
    // A vault that takes photos in seals them at once, and forgets.
    let other = cluster.place("other card");
    write(&other, "Best man under the table.jpg", &noise(41, 1, 60_000));
    let took = crate::support::tree(&other);
    cluster.ingest("friend", &other, SHOOT);
    cluster.until_safe("studio", SHOOT);

    let mut needles = needles(&card, &went);
    needles.extend(self::needles(&other, &took));
    let control = disk::find(&[card, other], &needles);
    assert!(control.len() >= needles.len() - 2, "the search itself works");
    let mut roots: Vec<PathBuf> = ["friend", "cloud"].iter().map(|node| cluster.home(node)).collect();
    roots.extend([cluster.volume("friend", "nas"), cluster.volume("cloud", "cloud")]);
    // Shards are sealed at the studio, too.
    roots.extend([cluster.volume("studio", "ssd"), cluster.volume("studio", "hdd")]);
    assert!(roots.iter().all(|root| !disk::files(root).is_empty()));
    let found = disk::find(&roots, &needles);
    assert!(found.is_empty(), "{found:#?}");
    for node in ["studio", "friend", "cloud"] {
        let said = cluster.said(node);
        for name in [SHOOT, "bride's mother", "Best man", "IMG_0001"] {
            assert!(!said.contains(name), "the log of {node} names {name}:\n{said}");
        }
    }

    roots.push(cluster.home("studio"));
    let found = disk::find(&roots, &phrase_needles(&cluster));
    assert!(found.is_empty(), "the phrase is on a disk: {found:#?}");
}

/// The phrase as words, with any neighbours, and as the entropy it stands for.
fn phrase_needles(cluster: &Cluster) -> Vec<(String, Vec<u8>)> {
    let text = fs::read_to_string(cluster.phrase()).expect("written by init");
    let words: Vec<_> = text.split_whitespace().collect();
    assert_eq!(words.len(), 24);
    let mut needles: Vec<_> = words
        .windows(3)
        .flat_map(|three| [three.join(" "), three.join("\n"), three.join("\",\"")])
        .map(|text| (format!("words \"{text}\""), text.into_bytes()))
        .collect();
    let mnemonic = bip39::Mnemonic::parse(words.join(" ")).expect("a phrase");
    needles.push(("the entropy".to_owned(), mnemonic.to_entropy()));
    needles.push(("the BIP-39 seed".to_owned(), mnemonic.to_seed("").to_vec()));
    needles
}

#[test]
fn the_home_is_closed_to_others_and_the_phrase_file_too() {
    use std::os::unix::fs::PermissionsExt;
    let mut cluster = Cluster::new();
    cluster.found("studio", &["hdd"]);
    let mode = |path: PathBuf| fs::metadata(path).expect("there").permissions().mode() & 0o077;
    assert_eq!(mode(cluster.home("studio")), 0);
    assert_eq!(mode(cluster.phrase()), 0);
    // The phrase is never printed where a script or a log would keep it.
    let json = Cluster::new();
    let mut args = words!["init", "--name", "a", "--site", "a"].to_vec();
    args.extend(json.volume_words("a", &["hdd"]));
    let reply = json.ask("a", &args);
    reply.failed(2);
    assert!(!json.home("a").exists());
}
