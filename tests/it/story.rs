//! The story: a wedding is taken in at the studio, any one site is lost, and every byte comes back.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::cluster::{failures, no_failures, shoot_of};
use crate::support::photos::{self, bytes, wedding};
use crate::support::{Cluster, Reply, Tree, assert_same, tree};
use crate::words;

const SHOOT: &str = "2026-11-21 Smith wedding";

/// Three sites, with a wedding that is safe.
fn a_safe_wedding(seed: u64) -> (Cluster, Tree) {
    let cluster = Cluster::three_sites();
    let card = cluster.place("card");
    let went = wedding(&card, seed);
    let taken = cluster.ask("studio", &words!["ingest", card, "--shoot", SHOOT, "--wait", "safe"]).done();
    assert_eq!(taken["verdict"], "safe", "{taken}");
    assert_eq!(taken["stored"], true, "{taken}");
    assert_eq!(taken["safe_to_format"], true, "{taken}");
    assert_eq!(taken["files_new"].as_u64().expect("a count") as usize, went.len() - known(&went), "{taken}");
    assert!(no_failures(&taken), "{taken}");
    (cluster, went)
}

/// Files whose bytes another file has, too; of nothing there is no second copy to save.
fn known(tree: &Tree) -> usize {
    let full = || tree.values().filter(|(bytes, _)| *bytes > 0);
    full().count() - full().collect::<BTreeSet<_>>().len()
}

/// `recover` on a new node, from the phrase and one peer, with the files into `back`.
fn recover(cluster: &Cluster, node: &str, peer: &str) -> Reply {
    let (phrase, back) = (cluster.phrase(), cluster.place("back"));
    let mut args =
        words!["recover", "--phrase-file", phrase, "--peer", peer, "--name", node, "--site", "new studio"]
            .to_vec();
    args.extend(words!["--to", back]);
    args.extend(cluster.volume_words(node, &["ssd"]));
    cluster.ask(node, &args)
}

/// The folder of the one shoot that was brought back.
fn only_folder(back: &PathBuf) -> PathBuf {
    let folders: Vec<_> = fs::read_dir(back).expect("a folder").flatten().map(|e| e.path()).collect();
    assert_eq!(folders.len(), 1, "one shoot, one folder: {folders:?}");
    folders[0].clone()
}

fn sites_of(document: &Value) -> Vec<&str> {
    let sources = document["sources"].as_array().expect("sources");
    sources.iter().filter_map(|source| source["site"].as_str()).collect()
}

#[test]
fn the_studio_burns_and_every_byte_comes_back_from_the_phrase_and_one_vault() {
    let (mut cluster, went) = a_safe_wedding(1);
    let status = cluster.ask("studio", &words!["status"]).done();
    assert_eq!(status["verdict"], "safe");
    assert_eq!(status["trust_declared"], true);
    let shoot = shoot_of(&status, SHOOT).expect("the shoot");
    assert_eq!(shoot["files"].as_u64(), Some(went.len() as u64), "{shoot}");
    assert_eq!(shoot["bytes"].as_u64(), Some(bytes(&went)), "{shoot}");
    for clause in ["copies", "media", "offsite"] {
        assert_eq!(shoot["rule"][clause]["met"], true, "{shoot}");
    }
    let peer = cluster.address("friend");
    cluster.burn("studio");
    fs::remove_dir_all(cluster.place("card")).expect("the card is gone, too");

    let recovered = recover(&cluster, "studio-2", &peer).done();
    assert_eq!(recovered["files"].as_u64(), Some(went.len() as u64), "{recovered}");
    assert_eq!(recovered["bytes"].as_u64(), Some(bytes(&went)), "{recovered}");
    assert!(no_failures(&recovered), "{recovered}");
    let silent = recovered["silent"].as_array().expect("who did not answer");
    assert!(silent.iter().any(|node| node["name"] == "studio"), "{recovered}");
    assert_same(&went, &only_folder(&cluster.place("back")));

    // The new node is a studio: it reads, and it can let others in.
    cluster.start("studio-2");
    let files = cluster.ask("studio-2", &words!["files", SHOOT]).done();
    assert_eq!(files["files"].as_array().map(Vec::len), Some(went.len()));
    cluster.ask("studio-2", &words!["invite"]).done();
}

#[test]
fn a_loss_is_declared_and_the_verdict_says_what_it_means() {
    let (mut cluster, went) = a_safe_wedding(2);
    let peer = cluster.address("cloud");
    cluster.burn("studio");
    recover(&cluster, "studio-2", &peer).done();
    cluster.start("studio-2");
    cluster.until_online("studio-2", 3);
    let lost = cluster.ask("studio-2", &words!["lost", "--site", "studio"]).done();
    assert_eq!(lost["lost"][0]["name"], "studio", "{lost}");
    assert_ne!(lost["verdict"], "safe", "half of the shards burnt: {lost}");
    let status = cluster.status("studio-2");
    let burnt = status["nodes"].as_array().expect("nodes").iter().find(|node| node["name"] == "studio");
    assert_eq!(burnt.expect("it is not forgotten")["state"], "lost", "{status:#}");
    let shoot = shoot_of(&status, SHOOT).expect("the shoot");
    assert!(shoot["reason"].is_string(), "{shoot:#}");
    // Those who are left make up for it, without being told.
    cluster.until_safe("studio-2", SHOOT);
    let back = cluster.restore_all("studio-2", "again", &[]);
    assert_same(&went, &only_folder(&back));
    // What is taken in from now on is protected by them, too.
    let card = cluster.place("next card");
    photos::handful(&card, 22);
    cluster.ingest("studio-2", &card, "The next day");
    cluster.until("studio-2", "the next shoot survives any site", |status| {
        let sites = shoot_of(status, "The next day").and_then(|shoot| shoot["sites"].as_array());
        sites.is_some_and(|sites| sites.iter().all(|site| site["survives"] == true))
    });
}

#[test]
fn either_vault_is_lost_and_the_studio_restores_everything() {
    let (mut cluster, went) = a_safe_wedding(3);
    for site in ["friend", "cloud"] {
        let to = format!("without {site}");
        let back = cluster.restore_all("studio", &to, &["--without", site]);
        assert_same(&went, &only_folder(&back));
    }
    cluster.burn("friend");
    let back = cluster.restore_all("studio", "friend is gone", &[]);
    assert_same(&went, &only_folder(&back));
}

#[test]
fn a_restore_without_the_studio_takes_nothing_from_its_own_disks() {
    let (cluster, went) = a_safe_wedding(4);
    let to = cluster.place("back");
    let back = cluster.ask("studio", &words!["restore", SHOOT, "--to", to, "--without", "studio"]).done();
    assert_eq!(back["files"].as_u64(), Some(went.len() as u64), "{back}");
    let sites = sites_of(&back);
    assert!(!sites.contains(&"studio") && !sites.is_empty(), "{back}");
    assert_same(&went, &to);

    // Without any site no byte can come, and that is said for each file.
    let nowhere = cluster.place("nowhere");
    let without = words!["--without", "studio", "--without", "friend", "--without", "cloud"];
    let args = [&words!["restore", SHOOT, "--to", nowhere][..], &without[..]].concat();
    let back = cluster.ask("studio", &args).exit(3);
    let full = went.values().filter(|(bytes, _)| *bytes > 0).count();
    assert_eq!(failures(&back).len(), full, "{back}");
    assert_eq!(bytes(&tree(&nowhere)), 0);
}

#[test]
fn parts_of_a_shoot_come_back_by_pattern() {
    let (cluster, went) = a_safe_wedding(5);
    let to = cluster.place("raws");
    let args = words![
        "restore",
        SHOOT,
        "--to",
        to,
        "--include",
        "**/*.CR3",
        "--include",
        "**/*.xmp",
        "--exclude",
        "MISC/**"
    ];
    cluster.ask("studio", &args).done();
    let wanted = |path: &PathBuf| {
        let name = path.to_string_lossy();
        (name.ends_with(".CR3") || name.ends_with(".xmp")) && !name.starts_with("MISC/")
    };
    let part: Tree = went.into_iter().filter(|(path, _)| wanted(path)).collect();
    assert!(part.len() >= 10);
    assert_same(&part, &to);
}

#[test]
fn a_site_is_lost_while_its_shards_are_on_the_way_and_nothing_acknowledged_is_lost() {
    let mut cluster = Cluster::three_sites();
    let first = cluster.place("first");
    let went = wedding(&first, 6);
    let mut second = Tree::new();
    for number in 0..8 {
        second.extend(photos::one(&cluster.place("second"), &format!("big {number}.CR3"), number, 1_500_000));
    }
    cluster.ask("studio", &words!["config", "limit.up", "1MB"]).done();
    cluster.ingest("studio", &first, "first");
    cluster.ingest("studio", &cluster.place("second"), "second");
    // Transfers are under way, slowly; the friend's house burns down in the middle of them.
    cluster.burn("friend");
    cluster.ask("studio", &words!["lost", "friend"]).done();

    let status = cluster.status("studio");
    assert_ne!(status["verdict"], "safe", "{status:#}");
    for name in ["first", "second"] {
        let shoot = shoot_of(&status, name).expect("the shoot");
        assert_ne!(shoot["verdict"], "safe", "{shoot:#}");
        assert_ne!(shoot["verdict"], "lost", "{shoot:#}");
        assert!(shoot["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{shoot:#}");
    }
    let back = cluster.restore_all("studio", "back", &[]);
    assert_same(&went, &back.join("first"));
    assert_same(&second, &back.join("second"));
}
