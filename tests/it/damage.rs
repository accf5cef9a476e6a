//! Damage on the disks: found by hash before use, read from elsewhere, never passed on.

use std::fs;

use crate::support::cluster::failures;
use crate::support::photos::wedding;
use crate::support::{Cluster, Tree, assert_same, disk, tree};
use crate::words;

const SHOOT: &str = "Smith wedding";

fn a_safe_wedding(seed: u64) -> (Cluster, Tree) {
    let cluster = Cluster::three_sites();
    let card = cluster.place("card");
    let went = wedding(&card, seed);
    cluster.ingest("studio", &card, SHOOT);
    cluster.until_safe("studio", SHOOT);
    (cluster, went)
}

#[test]
fn flipped_and_truncated_shards_are_read_from_elsewhere() {
    let (mut cluster, went) = a_safe_wedding(70);
    let flipped = disk::shards(&cluster.volume("studio", "ssd"));
    let truncated = disk::shards(&cluster.volume("studio", "hdd"));
    assert!(!flipped.is_empty() && !truncated.is_empty());
    // Under the running node, as decay does it.
    flipped.iter().for_each(|shard| disk::flip(shard));
    truncated.iter().for_each(|shard| disk::truncate(shard));
    let back = cluster.restore_all("studio", "while running", &[]);
    assert_same(&went, &back.join(SHOOT));
    // And as a restart finds it.
    cluster.kill("studio");
    cluster.start("studio");
    cluster.until_online("studio", 3);
    let back = cluster.restore_all("studio", "after a restart", &[]);
    assert_same(&went, &back.join(SHOOT));
}

#[test]
fn a_vault_with_bad_shards_does_no_harm() {
    let (cluster, went) = a_safe_wedding(71);
    disk::shards(&cluster.volume("friend", "nas")).iter().for_each(|shard| disk::flip(shard));
    let back = cluster.restore_all("studio", "back", &[]);
    assert_same(&went, &back.join(SHOOT));
    // Where the bad shards are needed, what cannot come back is listed, and nothing wrong is written.
    let to = cluster.place("without the studio");
    let reply = cluster
        .ask("studio", &words!["restore", SHOOT, "--to", to, "--without", "studio", "--timeout", "5s"]);
    let document = reply.json();
    assert!(matches!(reply.code, Some(0 | 3)), "{reply:#?}");
    assert_eq!(reply.code == Some(0), failures(&document).is_empty(), "{document}");
    fs::create_dir_all(&to).expect("a folder");
    for (path, file) in tree(&to) {
        assert_eq!(went.get(&path), Some(&file), "{} is wrong", path.display());
    }
}

#[test]
fn deleted_shards_are_missed_and_never_counted() {
    let (mut cluster, went) = a_safe_wedding(72);
    cluster.stop("studio");
    for shard in disk::shards(&cluster.volume("studio", "ssd")) {
        fs::remove_file(shard).expect("deleted");
    }
    cluster.start("studio");
    cluster.until_online("studio", 3);
    let back = cluster.restore_all("studio", "back", &[]);
    assert_same(&went, &back.join(SHOOT));
    // Until they are made anew, that is said.
    let status = cluster.status("studio");
    if disk::shards(&cluster.volume("studio", "ssd")).is_empty() {
        assert_ne!(status["verdict"], "safe", "{status:#}");
        assert!(status["shoots"][0]["reason"].is_string(), "{status:#}");
    }
}

#[test]
fn a_lost_index_and_unfinished_leftovers_are_no_matter() {
    let (mut cluster, went) = a_safe_wedding(73);
    cluster.kill("studio");
    let volume = cluster.volume("studio", "hdd").join("safelight");
    fs::remove_dir_all(volume.join("store")).expect("an index, to be made anew");
    fs::create_dir_all(volume.join("drafts")).expect("a folder");
    fs::write(volume.join("drafts/half.draft"), b"half a shard").expect("a file");
    cluster.start("studio");
    let back = cluster.restore_all("studio", "back", &["--without", "friend"]);
    assert_same(&went, &back.join(SHOOT));
}
