//! Real photographs: a card of every maker's RAW, JPEG, HEIC and video, and a folder of broken files.
//!
//! They lie outside the repository. Where they are not, this says so and tests nothing.

use std::path::{Path, PathBuf};

use crate::support::photos::bytes;
use crate::support::{Cluster, assert_same, tree};
use crate::words;

/// The collection, if it is here.
fn collection() -> Option<PathBuf> {
    let told = std::env::var_os("SAFELIGHT_PHOTOS").filter(|path| !path.is_empty()).map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/photos");
    let folder = told.unwrap_or_else(beside);
    if folder.join("card").is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: no photographs in {}; name a folder with SAFELIGHT_PHOTOS", folder.display());
    None
}

#[test]
fn real_photographs_and_broken_ones_come_back_byte_for_byte() {
    let Some(collection) = collection() else { return };
    let mut cluster = Cluster::three_sites();
    let shoots = [("card", "A card"), ("malformed", "Broken files")];
    let shoots = shoots.map(|(folder, shoot)| (collection.join(folder), shoot));
    let shoots: Vec<_> = shoots.into_iter().filter(|(folder, _)| folder.is_dir()).collect();
    let mut went = Vec::new();
    for (folder, shoot) in &shoots {
        let before = tree(folder);
        assert!(!before.is_empty(), "{} has files", folder.display());
        cluster.ingest("studio", folder, shoot);
        went.push((shoot, before));
    }
    for (_, shoot) in &shoots {
        cluster.until_safe("studio", shoot);
    }
    let peer = cluster.address("cloud");
    cluster.burn("studio");
    let back = cluster.place("back");
    let (phrase, name) = (cluster.phrase(), "studio-2");
    let mut args =
        words!["recover", "--phrase-file", phrase, "--peer", peer, "--name", name, "--site", name].to_vec();
    args.extend(words!["--to", back]);
    args.extend(cluster.volume_words(name, &["ssd"]));
    let recovered = cluster.ask(name, &args).done();
    let total: u64 = went.iter().map(|(_, tree)| bytes(tree)).sum();
    assert_eq!(recovered["bytes"].as_u64(), Some(total), "{recovered}");
    for (shoot, before) in &went {
        assert_same(before, &back.join(shoot));
    }
}
