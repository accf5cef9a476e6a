//! Drills: recoveries that are rehearsed really rebuild, find what is bad, and say so to everyone.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use safelight_proto::shard::{BLOCK, ShardId};
use serde_json::{Value, json};

use crate::support::photos::{handful, wedding};
use crate::support::{Cluster, Tree, disk};
use crate::words;

const SHOOT: &str = "Smith wedding";
/// The drives of three sites.
const DRIVES: [(&str, &str); 4] =
    [("studio", "ssd"), ("studio", "hdd"), ("friend", "nas"), ("cloud", "cloud")];

/// A shoot that is safe, and of which nothing is staged any more: each drive has its own shards only.
fn a_spread_wedding(seed: u64) -> (Cluster, Tree) {
    let cluster = Cluster::three_sites();
    let card = cluster.place("card");
    let went = wedding(&card, seed);
    cluster.ingest("studio", &card, SHOOT);
    cluster.until_safe("studio", SHOOT);
    cluster.until("studio", "what was staged for the others is freed", |_| {
        DRIVES.iter().all(|(node, media)| held(&cluster.volume(node, media)).len() == 1)
    });
    (cluster, went)
}

/// The finished shards of a volume, without those moved aside.
fn held(volume: &Path) -> Vec<PathBuf> {
    disk::shards(&volume.join("safelight/shards"))
}

fn name_of(shard: &Path) -> ShardId {
    let bytes = fs::read(shard).expect("readable");
    ShardId::from_block(bytes.first_chunk::<BLOCK>().expect("a header")).expect("a shard")
}

fn list<'a>(document: &'a Value, key: &str) -> &'a [Value] {
    document[key].as_array().unwrap_or_else(|| panic!("no list {key} in {document}"))
}

/// The entry of a site among the drills of a `status`.
fn certificate<'a>(status: &'a Value, site: &str) -> Option<&'a Value> {
    list(status, "drills").iter().find(|drill| drill["without"] == site)
}

/// Every file below the homes and volumes.
fn paths(cluster: &Cluster) -> BTreeSet<PathBuf> {
    let mut roots: Vec<PathBuf> = ["studio", "friend", "cloud"].map(|node| cluster.home(node)).into();
    roots.extend(DRIVES.map(|(node, media)| cluster.volume(node, media)));
    roots.iter().flat_map(|root| disk::files(root)).collect()
}

#[test]
fn a_drill_rebuilds_from_the_other_sites_and_everybody_knows() {
    let (cluster, went) = a_spread_wedding(500);
    assert!(list(&cluster.status("studio"), "drills").is_empty());
    let before = paths(&cluster);
    let files = went.len() as u64;
    for (number, site) in ["studio", "friend", "cloud"].into_iter().enumerate() {
        let said = cluster.ask("studio", &words!["drill", "--without", site.to_uppercase()]).done();
        assert_eq!((&said["without"], &said["passed"]), (&json!(site), &json!(true)), "{said}");
        assert_eq!((&said["files_tested"], &said["files"]), (&json!(files), &json!(files)), "{said}");
        assert!(list(&said, "failed").is_empty(), "{said}");
        assert!(said["bytes"].as_u64().is_some_and(|bytes| bytes > 1_000_000), "{said}");
        let sources: Vec<&Value> = list(&said, "sources").iter().map(|source| &source["site"]).collect();
        assert!(!sources.is_empty() && !sources.contains(&&json!(site)), "{said}");
        let status = cluster.status("studio");
        assert_eq!(status["verdict"], "safe", "{status:#}");
        assert_eq!(list(&status, "drills").len(), number + 1, "{status:#}");
        let drill = certificate(&status, site).expect("its certificate");
        assert_eq!((&drill["passed"], &drill["covers_all"]), (&json!(true), &json!(true)), "{drill}");
        assert_eq!((&drill["files_tested"], &drill["failed"]), (&json!(files), &json!(0)), "{drill}");
        assert!(drill["age_seconds"].as_u64().is_some_and(|age| age < 3_600), "{drill}");
    }
    assert_eq!(paths(&cluster), before, "a drill writes no file");
    for vault in ["friend", "cloud"] {
        cluster.until(vault, "the vault knows of the drills", |status| list(status, "drills").len() == 3);
    }

    let few = cluster.ask("studio", &words!["drill", "--without", "studio", "--sample", "2"]).done();
    assert_eq!((&few["files_tested"], &few["passed"]), (&json!(2), &json!(true)), "{few}");
    let status = cluster.status("studio");
    let drill = certificate(&status, "studio").expect("its certificate");
    assert_eq!((&drill["files_tested"], &drill["covers_all"]), (&json!(2), &json!(false)), "{drill}");
    let all = cluster.ask("studio", &words!["drill", "--without", "studio", "--all"]).done();
    assert_eq!((&all["files_tested"], &all["all"]), (&json!(files), &json!(true)), "{all}");
    let status = cluster.status("studio");
    let drill = certificate(&status, "studio").expect("its certificate");
    assert_eq!((&drill["covers_all"], &drill["outdated"]), (&json!(true), &json!(false)), "{drill}");
    // What comes later is not covered.
    let card = cluster.place("another card");
    handful(&card, 501);
    cluster.ingest("studio", &card, "Portraits");
    let status = cluster.status("studio");
    let drill = certificate(&status, "studio").expect("its certificate");
    assert_eq!((&drill["covers_all"], &drill["outdated"]), (&json!(false), &json!(true)), "{drill}");
    assert_eq!(drill["passed"], true, "{drill}");
}

#[test]
fn a_flipped_byte_at_a_friends_fails_the_drill_and_is_repaired() {
    let (cluster, went) = a_spread_wedding(502);
    let volume = cluster.volume("friend", "nas");
    let shard = held(&volume).swap_remove(0);
    let index = name_of(&shard).index;
    disk::flip(&shard);
    let said = cluster.ask("studio", &words!["drill", "--without", "studio", "--all"]).exit(3);
    assert_eq!(said["passed"], false, "{said}");
    let found = |failed: &Value| failed["node"] == "friend" && failed["index"] == json!(index);
    assert!(list(&said, "failed").iter().any(found), "{said}");
    let status = cluster.status("studio");
    let drill = certificate(&status, "studio").expect("its certificate");
    assert_eq!(drill["passed"], false, "{drill}");
    assert!(drill["failed"].as_u64().is_some_and(|failed| failed > 0), "{drill}");
    // It was moved aside, and made again.
    cluster.until("friend", "the shard is there again", |_| held(&volume).len() == 1);
    cluster.until_safe("studio", SHOOT);
    let again = cluster.ask("studio", &words!["drill", "--without", "studio", "--all"]).done();
    assert_eq!(again["files_tested"].as_u64(), Some(went.len() as u64), "{again}");
    let status = cluster.status("studio");
    assert_eq!(certificate(&status, "studio").expect("its certificate")["passed"], true, "{status:#}");
}

#[test]
fn a_bad_parity_shard_is_found_though_nobody_would_need_it() {
    let (cluster, _) = a_spread_wedding(503);
    let shards: Vec<(&str, PathBuf, ShardId)> = DRIVES
        .into_iter()
        .map(|(node, media)| {
            let path = held(&cluster.volume(node, media)).swap_remove(0);
            (node, path.clone(), name_of(&path))
        })
        .collect();
    assert!(shards.iter().all(|(.., id)| id.k == 2), "two of four");
    // Left out is a site without data, if there is one: so both data shards can be had, and the parity is not needed.
    let data_at = |site: &str| shards.iter().filter(|(node, _, id)| *node == site && id.index < 2).count();
    let parity_elsewhere = |site: &str| shards.iter().any(|(node, _, id)| *node != site && id.index >= 2);
    let sites = ["friend", "cloud", "studio"].into_iter().filter(|site| parity_elsewhere(site));
    let without = sites.min_by_key(|site| data_at(site)).expect("some site");
    let (node, path, id) =
        shards.iter().find(|(node, _, id)| *node != without && id.index >= 2).expect("parity elsewhere");
    disk::flip(path);
    let said = cluster.ask("studio", &words!["drill", "--without", without, "--all"]).exit(3);
    let found = |failed: &Value| failed["node"] == *node && failed["index"] == json!(id.index);
    assert!(list(&said, "failed").iter().any(found), "{said}");
    if data_at(without) == 0 {
        assert_eq!(list(&said, "failed").len(), 1, "every file came back all the same: {said}");
    }
    cluster.until("studio", "it is made again", |_| {
        DRIVES.iter().all(|(node, media)| held(&cluster.volume(node, media)).len() == 1)
    });
    cluster.until_safe("studio", SHOOT);
    cluster.ask("studio", &words!["drill", "--without", without, "--all"]).done();
}

#[test]
fn a_loss_that_is_not_survived_fails_and_says_why() {
    let mut cluster = Cluster::new();
    cluster.found("studio", &["ssd", "hdd"]);
    let none = cluster.ask("studio", &words!["drill", "--without", "studio"]);
    none.refused(&["no photos", "ingest"]);
    let card = cluster.place("card");
    let went = handful(&card, 504);
    cluster.ingest("studio", &card, "Portraits");
    let said = cluster.ask("studio", &words!["drill", "--without", "studio", "--timeout", "1s"]).exit(3);
    assert_eq!((&said["passed"], &said["bytes"]), (&json!(false), &json!(0)), "{said}");
    assert_eq!(said["files_tested"].as_u64(), Some(went.len() as u64), "{said}");
    let lost = list(&said, "failed").iter().filter(|failed| failed["path"].is_string()).count();
    assert_eq!(lost, went.len(), "{said}");
    let status = cluster.status("studio");
    assert_eq!(certificate(&status, "studio").expect("its certificate")["passed"], false, "{status:#}");
}

#[test]
fn who_is_away_is_named_and_what_cannot_be_asked_is_said() {
    let (mut cluster, _) = a_spread_wedding(505);
    let message = cluster
        .ask("studio", &words!["drill", "--without", "the moon"])
        .refused(&["the moon", "studio", "friend", "cloud"]);
    assert!(message.contains("safelight nodes"), "{message}");
    cluster.ask("friend", &words!["drill", "--without", "studio"]).refused(&["vault", "studio node"]);
    cluster.stop("friend");
    let said = cluster
        .ask("studio", &words!["drill", "--without", "studio", "--sample", "3", "--timeout", "2s"])
        .exit(3);
    let why = |failed: &Value| failed["error"].as_str().is_some_and(|error| error.contains("friend"));
    assert!(list(&said, "failed").iter().any(why), "{said}");
    // The friend's shards are not bad by that.
    assert!(list(&said, "failed").iter().all(|failed| failed["index"].is_null()), "{said}");
    // Without the friend itself it is not needed.
    let said = cluster.ask("studio", &words!["drill", "--without", "friend", "--timeout", "2s"]).done();
    assert_eq!(said["passed"], true, "{said}");
    let job = cluster.begin("studio", &words!["drill", "--without", "studio", "--timeout", "60s"]);
    cluster.start("friend");
    let said = job.finish().done();
    assert_eq!(said["passed"], true, "it waited for the friend: {said}");
}

#[test]
fn drills_go_by_the_clock() {
    let (cluster, _) = a_spread_wedding(506);
    cluster.ask("studio", &words!["config", "drill.period", "2s"]).done();
    let status = cluster.until("studio", "every site's loss was rehearsed", |status| {
        ["studio", "friend", "cloud"].iter().all(|site| certificate(status, site).is_some())
    });
    for drill in list(&status, "drills") {
        assert_eq!(drill["passed"], true, "{drill}");
        assert!((1..=20).contains(&drill["files_tested"].as_u64().unwrap_or(0)), "{drill}");
    }
    let first = certificate(&status, "studio").expect("just seen")["at"].clone();
    cluster.until("studio", "and again", |status| {
        certificate(status, "studio").is_some_and(|drill| drill["at"] != first)
    });
    // Damage that the clock's drill meets is told, and repaired.
    let volume = cluster.volume("friend", "nas");
    held(&volume).iter().for_each(|shard| disk::flip(shard));
    cluster.until("studio", "a drill failed", |status| {
        list(status, "drills").iter().any(|drill| drill["passed"] == false)
    });
    cluster.until("friend", "the shard is there again", |_| held(&volume).len() == 1);
    cluster.until("studio", "and they pass again", |status| {
        list(status, "drills").iter().all(|drill| drill["passed"] == true)
    });
}

#[test]
fn of_plain_copies_more_than_one_is_read() {
    let mut cluster = Cluster::new();
    cluster.found("studio", &["ssd"]);
    cluster.join("friend", &["nas"]);
    cluster.join("cloud", &["cloud"]);
    cluster.until_online("studio", 3);
    let card = cluster.place("card");
    handful(&card, 507);
    cluster.ingest("studio", &card, "Portraits");
    cluster.until_safe("studio", "Portraits");
    let drives = [("studio", "ssd"), ("friend", "nas"), ("cloud", "cloud")];
    let volumes = drives.map(|(node, media)| cluster.volume(node, media));
    cluster.until("studio", "what was staged for the others is freed", |_| {
        volumes.iter().all(|volume| held(volume).len() == 1)
    });
    for (bad, without) in [("friend", "studio"), ("cloud", "studio"), ("studio", "cloud")] {
        let at = drives.iter().position(|(node, _)| *node == bad).expect("one of them");
        disk::flip(&held(&volumes[at])[0]);
        let said = cluster.ask("studio", &words!["drill", "--without", without]).exit(3);
        let failed = list(&said, "failed");
        assert_eq!((failed.len(), &failed[0]["node"]), (1, &json!(bad)), "{said}");
        assert_eq!(said["files_passed"], said["files_tested"], "the other copy is there: {said}");
        cluster.until(bad, "the copy is there again", |_| held(&volumes[at]).len() == 1);
        cluster.until_safe("studio", "Portraits");
    }
    cluster.ask("studio", &words!["drill", "--without", "studio"]).done();
}

#[test]
fn a_shard_that_is_missing_here_is_found_and_made_again() {
    let (cluster, _) = a_spread_wedding(508);
    let volume = cluster.volume("studio", "hdd");
    let shard = held(&volume).swap_remove(0);
    let index = name_of(&shard).index;
    fs::remove_file(&shard).expect("deleted");
    let said = cluster.ask("studio", &words!["drill", "--without", "friend"]).exit(3);
    let failed = list(&said, "failed");
    let place = (&failed[0]["node"], &failed[0]["index"]);
    assert_eq!((failed.len(), place), (1, (&json!("studio"), &json!(index))), "{said}");
    cluster.until("studio", "it is made again", |_| held(&volume).len() == 1);
    cluster.until_safe("studio", SHOOT);
    cluster.ask("studio", &words!["drill", "--without", "friend"]).done();
}
