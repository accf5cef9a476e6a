//! Bare shard files and the phrase are enough: no home, no node, no database, no network.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::cluster::{failures, no_failures};
use crate::support::photos::{noise, odd, wedding};
use crate::support::{Cluster, Seeded, Tree, assert_same, disk, tree};
use crate::words;

const SHOOT: &str = "Smith wedding";

/// A safe wedding whose nodes are all dead, with the folders of its volumes.
fn a_dead_library(seed: u64) -> (Cluster, Tree, Vec<PathBuf>) {
    let mut cluster = Cluster::three_sites();
    let card = cluster.place("card");
    wedding(&card, seed);
    odd(&card, seed);
    let went = tree(&card);
    cluster.ingest("studio", &card, SHOOT);
    cluster.until_safe("studio", SHOOT);
    let volumes = [("studio", "ssd"), ("studio", "hdd"), ("friend", "nas"), ("cloud", "cloud")];
    let volumes = volumes.map(|(node, media)| cluster.volume(node, media)).to_vec();
    for node in ["studio", "friend", "cloud"] {
        cluster.kill(node);
        fs::remove_dir_all(cluster.home(node)).expect("deleted");
    }
    (cluster, went, volumes)
}

/// Copies the shard files of some volumes under meaningless names, here and there in `to`, among other files.
fn scatter(volumes: &[PathBuf], to: &Path, seed: u64) -> usize {
    let mut chance = Seeded::new(seed);
    let shards: Vec<_> = volumes.iter().flat_map(|volume| disk::shards(volume)).collect();
    for (at, shard) in shards.iter().enumerate() {
        let folder = to.join(format!("found.{:03}", chance.below(4)));
        fs::create_dir_all(&folder).expect("a folder");
        fs::copy(shard, folder.join(format!("FILE{at:04}.CHK"))).expect("copied");
    }
    fs::write(to.join("holiday.mp4"), noise(seed, 1, 70_000)).expect("a file");
    fs::write(to.join("empty"), b"").expect("a file");
    shards.len()
}

#[test]
fn renamed_shard_files_among_others_give_every_file_back() {
    let (cluster, went, volumes) = a_dead_library(50);
    let (found, to) = (cluster.place("found"), cluster.place("back"));
    assert!(scatter(&volumes, &found, 50) >= 4);
    for volume in &volumes {
        fs::remove_dir_all(volume).expect("deleted");
    }
    let args = words!["salvage", found, "--phrase-file", cluster.phrase(), "--to", to];
    let back = cluster.homeless(&args).done();
    assert_eq!(back["files"].as_u64(), Some(went.len() as u64), "{back}");
    assert!(no_failures(&back), "{back}");
    assert_same(&went, &to.join(SHOOT));
}

#[test]
fn volumes_as_they_lie_are_enough_even_damaged() {
    let (cluster, went, volumes) = a_dead_library(51);
    // One volume is gone, another has a flipped bit in every shard.
    fs::remove_dir_all(&volumes[0]).expect("deleted");
    disk::shards(&volumes[2]).iter().for_each(|shard| disk::flip(shard));
    let to = cluster.place("back");
    let mut args = words!["salvage", "--phrase-file", cluster.phrase(), "--to", to].to_vec();
    args.extend(volumes[1..].iter().map(|volume| volume.clone().into_os_string()));
    let back = cluster.homeless(&args).done();
    assert!(no_failures(&back), "{back}");
    assert_same(&went, &to.join(SHOOT));
}

#[test]
fn too_few_shards_are_an_honest_list_of_what_is_missing() {
    let (cluster, went, volumes) = a_dead_library(52);
    let (found, to) = (cluster.place("found"), cluster.place("back"));
    assert!(scatter(&volumes[2..3], &found, 52) >= 1);
    let args = words!["salvage", found, "--phrase-file", cluster.phrase(), "--to", to];
    let reply = cluster.homeless(&args);
    let back = reply.exit(3);
    assert_eq!(back["files"], 0, "{back}");
    let failed = failures(&back);
    assert!(!failed.is_empty() && failed.iter().all(|(_, why)| !why.is_empty()), "{back}");
    fs::create_dir_all(&to).expect("a folder");
    let came = tree(&to);
    assert!(came.keys().all(|path| !went.contains_key(path)) && came.is_empty(), "{came:?}");
}

#[test]
fn another_phrase_opens_nothing_and_no_shards_are_said_to_be_none() {
    let (cluster, _, volumes) = a_dead_library(53);
    let other = cluster.place("other phrase");
    let mut args = words!["init", "--name", "b", "--site", "b", "--phrase-out", other].to_vec();
    args.extend(cluster.volume_words("b", &["hdd"]));
    cluster.ask("b", &args).done();
    let to = cluster.place("back");
    for (folder, phrase) in [(&volumes[0], &other), (&cluster.home("b"), &cluster.phrase())] {
        let reply = cluster.homeless(&words!["salvage", folder, "--phrase-file", phrase, "--to", to]);
        assert!(matches!(reply.code, Some(1 | 3)), "{reply:#?}");
        let document = reply.json();
        let said = document["error"]["message"].as_str().is_some_and(|text| !text.is_empty());
        assert!(said || !no_failures(&document), "nothing came back, and nothing is said: {document}");
        assert!(!to.exists() || tree(&to).is_empty());
    }
}
