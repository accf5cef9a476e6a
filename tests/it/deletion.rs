//! Deleting is slow on purpose: nothing goes before every holder's own time is up, all of it can be taken back until
//! then, and in the end the room is really free.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::cluster::{DEADLINE, shoot_of};
use crate::support::photos::{handful, wedding};
use crate::support::{Cluster, Seeded, Tree, assert_same, disk};
use crate::words;

const NODES: [&str; 3] = ["studio", "friend", "cloud"];
const VOLUMES: [(&str, &str); 4] =
    [("studio", "ssd"), ("studio", "hdd"), ("friend", "nas"), ("cloud", "cloud")];

fn configure(cluster: &Cluster, key: &str, value: &str) {
    for node in NODES {
        cluster.ask(node, &words!["config", key, value]).done();
    }
}

/// Names of the shard files on the volumes of `nodes`.
fn shards(cluster: &Cluster, nodes: &[&str]) -> BTreeSet<OsString> {
    let volumes = VOLUMES.iter().filter(|(node, _)| nodes.contains(node));
    let files = volumes.flat_map(|(node, media)| disk::shards(&cluster.volume(node, media)));
    files.filter_map(|file| file.file_name().map(ToOwned::to_owned)).collect()
}

#[track_caller]
fn until_gone(cluster: &Cluster, nodes: &[&str], what: &BTreeSet<OsString>) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let left = shards(cluster, nodes).intersection(what).count();
        if left == 0 {
            return;
        }
        assert!(Instant::now() < deadline, "{left} shards are still there");
        thread::sleep(Duration::from_millis(200));
    }
}

#[track_caller]
fn ingested(cluster: &Cluster, shoot: &str, make: impl Fn(&Path) -> Tree) -> (Tree, BTreeSet<OsString>) {
    let before = shards(cluster, &NODES);
    let card = cluster.place(&format!("card of {shoot}"));
    let went = make(&card);
    cluster.ingest("studio", &card, shoot);
    cluster.until_safe("studio", shoot);
    let mine = shards(cluster, &NODES).difference(&before).cloned().collect();
    (went, mine)
}

#[track_caller]
fn restored(cluster: &Cluster, shoot: &str, to: &str, went: &Tree) {
    let target = cluster.place(to);
    cluster.ask("studio", &words!["restore", shoot, "--to", target]).done();
    assert_same(went, &target);
}

#[track_caller]
fn paths(cluster: &Cluster, shoot: &str) -> Vec<String> {
    let files = cluster.ask("studio", &words!["files", shoot]).done();
    let files = files["files"].as_array().expect("files").clone();
    files.iter().map(|file| file["path"].as_str().expect("a path").to_owned()).collect()
}

#[track_caller]
fn trash(cluster: &Cluster, node: &str) -> Vec<Value> {
    let trash = cluster.ask(node, &words!["trash"]).done();
    trash["trash"].as_array().expect("a list").clone()
}

#[track_caller]
fn until_trash(cluster: &Cluster, node: &str, empty: bool) {
    let deadline = Instant::now() + DEADLINE;
    while trash(cluster, node).is_empty() != empty {
        assert!(Instant::now() < deadline, "the trash of {node} does not become empty, or full");
        thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_deleted_shoot_can_be_taken_back_and_then_goes_from_every_drive() {
    let cluster = Cluster::three_sites();
    configure(&cluster, "brake", "0%");
    let (jones, _) = ingested(&cluster, "Jones", |card| handful(card, 201));
    let (smith, on_disk) = ingested(&cluster, "Smith", |card| wedding(card, 200));
    assert!(!on_disk.is_empty());

    let told = cluster.ask("studio", &words!["delete", "Smith"]).done();
    assert_eq!(told["files"].as_u64(), Some(smith.len() as u64), "{told}");
    assert_eq!(told["quarantine_seconds"], 30 * 86_400, "{told}");
    let status = cluster.status("studio");
    assert!(shoot_of(&status, "Smith").is_none() && status["verdict"] == "safe", "{status}");
    cluster.ask("studio", &words!["files", "Smith"]).refused(&["no shoot", "Smith"]);
    cluster.ask("studio", &words!["restore", "Smith", "--to", cluster.place("none")]).refused(&["no shoot"]);
    let line = &trash(&cluster, "studio")[0];
    assert!(line["shoot"] == "Smith" && line["files"].as_u64() == Some(smith.len() as u64), "{line}");
    assert!(line["running_seconds_left"].as_u64() > Some(29 * 86_400), "{line}");
    assert!(line["stored_bytes"].as_u64() > line["bytes"].as_u64(), "{line}");
    let used = |status: &Value| {
        let volumes = status["volumes"].as_array().expect("volumes").clone();
        volumes.iter().filter_map(|volume| volume["used_bytes"].as_u64()).sum::<u64>()
    };
    assert!(used(&status) > line["stored_bytes"].as_u64().expect("a number"), "trash counts as used");
    until_trash(&cluster, "friend", false);
    assert!(trash(&cluster, "friend")[0]["shoot"].is_null());
    cluster.ask("friend", &words!["delete", "Jones"]).refused(&["vault", "studio"]);

    let back = cluster.ask("studio", &words!["undelete", "Smith"]).done();
    assert_eq!(back["files"].as_u64(), Some(smith.len() as u64), "{back}");
    cluster.until_safe("studio", "Smith");
    restored(&cluster, "Smith", "taken back", &smith);
    assert!(trash(&cluster, "studio").is_empty());
    cluster.ask("studio", &words!["undelete", "Smith"]).refused(&["nothing", "trash"]);

    configure(&cluster, "quarantine", "2s");
    cluster.ask("studio", &words!["delete", "Smith"]).done();
    until_gone(&cluster, &NODES, &on_disk);
    until_trash(&cluster, "studio", true);
    assert_eq!(cluster.status("studio")["verdict"], "safe");
    cluster.ask("studio", &words!["undelete", "Smith"]).refused(&["gone for good"]);
    restored(&cluster, "Jones", "jones", &jones);

    // The same card once more: stored anew, every file of it.
    let again = cluster.ingest("studio", &cluster.place("card of Smith"), "Smith");
    let known = again["files_known"].as_u64().expect("a number");
    assert!(known <= 1, "only the copy that is on the card itself is known: {again}");
    cluster.until_safe("studio", "Smith");
    restored(&cluster, "Smith", "anew", &smith);
    // What was freed long ago is no matter to what is in the trash now.
    configure(&cluster, "quarantine", "30d");
    cluster.ask("studio", &words!["delete", "Smith"]).done();
    let back = cluster.ask("studio", &words!["undelete", "Smith"]).done();
    assert_eq!(
        (back["files"].as_u64(), &back["gone_files"]),
        (Some(smith.len() as u64), &0.into()),
        "{back}"
    );
    cluster.until_safe("studio", "Smith");
    for site in NODES {
        let all = cluster.restore_all("studio", &format!("without {site}"), &["--without", site]);
        assert_same(&jones, &all.join("Jones"));
        assert_same(&smith, &all.join("Smith"));
    }
}

#[test]
fn single_files_are_hidden_and_come_back() {
    let cluster = Cluster::three_sites();
    configure(&cluster, "brake", "0%");
    let (smith, on_disk) = ingested(&cluster, "Smith", |card| wedding(card, 210));
    let before = paths(&cluster, "Smith");
    let refused = cluster
        .ask("studio", &words!["delete", "Smith", "DCIM/100CANON/IMG_0001.xmp", "DCIM/none.CR3"])
        .refused(&["'DCIM/none.CR3'", "nothing was changed"]);
    assert_eq!(paths(&cluster, "Smith"), before, "{refused}");

    let told = cluster.ask("studio", &words!["delete", "Smith", "*.CR3", "MISC/empty too.xmp"]).done();
    let left: Vec<String> =
        before.iter().filter(|p| !p.ends_with(".CR3") && *p != "MISC/empty too.xmp").cloned().collect();
    assert_eq!(told["files"].as_u64(), Some((before.len() - left.len()) as u64), "{told}");
    assert_eq!(paths(&cluster, "Smith"), left);
    let status = cluster.status("studio");
    let shoot = shoot_of(&status, "Smith").expect("the rest is there");
    let kept: Tree = smith
        .iter()
        .filter(|(p, _)| left.iter().any(|l| Path::new(l) == *p))
        .map(|(p, f)| (p.clone(), *f))
        .collect();
    let bytes: u64 = kept.values().map(|(bytes, _)| bytes).sum();
    assert_eq!(
        (shoot["files"].as_u64(), shoot["bytes"].as_u64()),
        (Some(left.len() as u64), Some(bytes)),
        "{shoot}"
    );
    restored(&cluster, "Smith", "the rest", &kept);
    let lines = trash(&cluster, "studio");
    assert!(lines.iter().any(|line| line["path"] == "DCIM/100CANON/IMG_0002.CR3"), "{lines:#?}");
    assert_eq!(lines.len(), before.len() - left.len());

    cluster.ask("studio", &words!["undelete", "Smith", "DCIM/100CANON/IMG_0002.CR3"]).done();
    assert!(paths(&cluster, "Smith").contains(&"DCIM/100CANON/IMG_0002.CR3".to_owned()));
    cluster.ask("studio", &words!["undelete", "Smith"]).done();
    assert_eq!(paths(&cluster, "Smith"), before);
    restored(&cluster, "Smith", "all", &smith);

    // What is hidden is no reason not to store it again.
    cluster.ask("studio", &words!["delete", "Smith", "DCIM/101CANON/*"]).done();
    let again = cluster.ingest("studio", &cluster.place("card of Smith"), "Smith");
    assert_eq!(again["files_new"], 14, "{again}");
    cluster.until_safe("studio", "Smith");
    restored(&cluster, "Smith", "again", &smith);

    // With its last file a roll goes.
    configure(&cluster, "quarantine", "1s");
    cluster.ask("studio", &words!["delete", "Smith", "**"]).done();
    until_gone(&cluster, &NODES, &on_disk);
    assert!(shoot_of(&cluster.status("studio"), "Smith").is_none());
}

#[test]
fn who_was_off_and_who_was_cut_off_by_power_ends_it_too() {
    let mut cluster = Cluster::three_sites();
    configure(&cluster, "brake", "0%");
    configure(&cluster, "quarantine", "2s");
    let (jones, _) = ingested(&cluster, "Jones", |card| handful(card, 221));
    let (_, smith) = ingested(&cluster, "Smith", |card| wedding(card, 220));
    cluster.stop("cloud");
    cluster.ask("studio", &words!["delete", "Smith"]).done();
    until_gone(&cluster, &["studio", "friend"], &smith);
    assert_ne!(shards(&cluster, &["cloud"]).intersection(&smith).count(), 0, "it knows of nothing yet");
    cluster.start("cloud");
    until_gone(&cluster, &NODES, &smith);

    for seed in 0..3 {
        let shoot = format!("Brown {seed}");
        let (_, brown) = ingested(&cluster, &shoot, |card| wedding(card, 230 + seed));
        cluster.ask("studio", &words!["delete", shoot]).done();
        let mut chance = Seeded::new(220 + seed);
        for node in NODES {
            // Between the quarantine's end and the last file.
            thread::sleep(Duration::from_millis(1_200 + chance.below(900)));
            cluster.kill(node);
            cluster.start(node);
        }
        cluster.until_online("studio", 3);
        until_gone(&cluster, &NODES, &brown);
    }
    cluster.until_safe("studio", "Jones");
    restored(&cluster, "Jones", "jones", &jones);
}

#[test]
fn the_brake_of_every_holder_stops_a_mass_and_each_owner_releases_his_own() {
    let cluster = Cluster::three_sites();
    configure(&cluster, "quarantine", "1s");
    let (smith, on_disk) = ingested(&cluster, "Smith", |card| wedding(card, 240));
    cluster.ask("studio", &words!["delete", "Smith"]).done();
    for node in NODES {
        let status = cluster.until(node, "the brake holds", |status| {
            let warnings = status["warnings"].as_array().cloned().unwrap_or_default();
            warnings.iter().any(|w| {
                w.as_str().is_some_and(|w| w.contains("BRAKE") && w.contains("config brake release"))
            })
        });
        assert!(!status.is_null());
    }
    thread::sleep(Duration::from_secs(3));
    assert_eq!(shards(&cluster, &NODES).intersection(&on_disk).count(), on_disk.len(), "all of it is there");
    assert_eq!(trash(&cluster, "studio")[0]["stays"], "the brake holds on this node");

    cluster.ask("studio", &words!["undelete", "Smith"]).done();
    cluster.until_safe("studio", "Smith");
    restored(&cluster, "Smith", "back", &smith);
    NODES.iter().for_each(|node| until_trash(&cluster, node, true));

    cluster.ask("studio", &words!["delete", "Smith"]).done();
    NODES.iter().for_each(|node| until_trash(&cluster, node, false));
    cluster.ask("cloud", &words!["config", "brake", "release"]).done();
    until_gone(&cluster, &["cloud"], &on_disk);
    let left = shards(&cluster, &["studio", "friend"]).intersection(&on_disk).count();
    assert_eq!(left, 3, "the others hold on to theirs");
    cluster.ask("friend", &words!["config", "brake", "5%"]).done();
    cluster.ask("studio", &words!["config", "brake", "5%"]).done();
    until_gone(&cluster, &NODES, &on_disk);
    let config = cluster.ask("cloud", &words!["config", "brake"]).done();
    assert_eq!(config["settings"][0]["value"], "5%", "a release is no setting: {config}");
}
