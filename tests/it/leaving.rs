//! Drives and nodes that come and go in order: added, filled, emptied, moved, lost and found.

use std::fs;

use serde_json::Value;

use crate::support::Cluster;
use crate::support::assert_same;
use crate::support::cluster::shoot_of;
use crate::support::photos::{handful, wedding};
use crate::words;

fn volume_state<'a>(status: &'a Value, path_or_node: &str) -> Option<&'a str> {
    let volumes = status["volumes"].as_array()?;
    let of = |v: &&Value| {
        v["path"].as_str().is_some_and(|path| path.ends_with(path_or_node)) || v["node"] == *path_or_node
    };
    volumes.iter().find(of)?["state"].as_str()
}

fn node_id(status: &Value, name: &str) -> String {
    let nodes = status["nodes"].as_array().expect("nodes");
    let found = nodes.iter().find(|node| node["name"] == name).expect("the node");
    found["id"].as_str().expect("an id").to_owned()
}

#[test]
fn a_drive_is_added_and_an_old_one_leaves() {
    let mut cluster = Cluster::three_sites();
    let card = cluster.place("card");
    let went = wedding(&card, 60);
    cluster.ingest("studio", &card, "Wedding");
    cluster.until_safe("studio", "Wedding");
    let new = cluster.place("volume-studio-new");
    let typed = format!("{},media=hdd", new.display());
    let added = cluster.ask("studio", &words!["volume", "add", typed]).done();
    assert_eq!(added["volumes"][0]["state"], "ok", "{added}");
    let old = cluster.volume("studio", "hdd");
    let leaving = cluster.ask("studio", &words!["volume", "retire", old]).done();
    assert!(["leaving", "retired"].contains(&leaving["volumes"][0]["state"].as_str().unwrap_or_default()));
    cluster.until("studio", "the old drive is emptied", |status| {
        assert_eq!(status["verdict"], "safe", "never below the rule on the way: {status:#}");
        volume_state(status, "volume-studio-hdd") == Some("retired")
    });
    cluster.stop("studio");
    fs::remove_dir_all(&old).expect("it goes into the drawer");
    cluster.start("studio");
    cluster.until_safe("studio", "Wedding");
    let back = cluster.place("back");
    cluster.ask("studio", &words!["restore", "Wedding", "--to", back]).done();
    assert_same(&went, &back);
    cluster.ask("studio", &words!["volume", "retire", "no such drive"]).failed(1);
}

#[test]
fn a_node_leaves_in_order() {
    let mut cluster = Cluster::three_sites();
    cluster.join("office", &["usb"]);
    cluster.until_online("studio", 4);
    let card = cluster.place("card");
    handful(&card, 61);
    cluster.ingest("studio", &card, "Portraits");
    cluster.until_safe("studio", "Portraits");
    cluster.ask("friend", &words!["retire", "office"]).failed(1);
    cluster.ask("studio", &words!["retire", "friend"]).done();
    let friend = node_id(&cluster.status("studio"), "friend");
    let status = cluster.until("studio", "the friend's drive is emptied", |status| {
        volume_state(status, &friend) == Some("retired")
    });
    let state = status["nodes"].as_array().expect("nodes").iter().find(|node| node["name"] == "friend");
    assert_eq!(state.expect("it is not forgotten")["state"], "retired", "{status:#}");
    cluster.burn("friend");
    cluster.ask("studio", &words!["lost", "friend"]).done();
    cluster.until_safe("studio", "Portraits");
}

#[test]
fn what_was_filled_in_the_studio_is_off_site_once_it_has_moved() {
    let mut cluster = Cluster::new();
    cluster.found("studio", &["ssd", "hdd"]);
    let code = cluster.invite("studio");
    let typed = cluster.volume_words("friend", &["nas"]);
    let mut args = words!["join", code, "--name", "friend", "--site", "friend", "--seeding"].to_vec();
    args.extend(typed);
    cluster.ask("friend", &args).done();
    cluster.start("friend");
    cluster.until_online("studio", 2);
    cluster.until("studio", "its volume is known", |status| {
        status["volumes"].as_array().is_some_and(|volumes| volumes.len() == 3)
    });
    let card = cluster.place("card");
    handful(&card, 62);
    let taken = cluster.ask("studio", &words!["ingest", card, "--shoot", "Seeds", "--wait", "safe"]).exit(3);
    assert_ne!(taken["verdict"], "safe", "it is not off-site yet: {taken}");
    let moved = cluster.ask("studio", &words!["moved", "friend"]).done();
    assert_eq!(moved["nodes"][0]["name"], "friend", "{moved}");
    cluster.until_safe("studio", "Seeds");
    cluster.ask("studio", &words!["moved", "friend"]).failed(1);
}

#[test]
fn a_lost_node_that_comes_back_counts_again() {
    let mut cluster = Cluster::three_sites();
    let card = cluster.place("card");
    handful(&card, 63);
    cluster.ingest("studio", &card, "Found again");
    cluster.until_safe("studio", "Found again");
    cluster.kill("friend");
    cluster.until("studio", "the friend is silent", |status| {
        status["nodes"].as_array().is_some_and(|nodes| nodes.iter().any(|node| node["state"] == "away"))
    });
    cluster.ask("studio", &words!["lost", "friend"]).done();
    cluster.start("friend");
    cluster.until_online("studio", 3);
    cluster.until_safe("studio", "Found again");
}

#[test]
fn a_drive_in_a_bank_box_is_off_site_while_it_is_there() {
    let mut cluster = Cluster::new();
    cluster.found("studio", &["ssd", "hdd"]);
    let drive = cluster.place("stick");
    cluster
        .ask("studio", &words!["volume", "add", format!("{},media=usb,site=Bank", drive.display())])
        .done();
    let card = cluster.place("card");
    let went = handful(&card, 66);
    let taken = cluster.ask("studio", &words!["ingest", card, "--shoot", "Box", "--wait", "safe"]).exit(3);
    assert_eq!(taken["verdict"], "at-risk", "plugged in it burns with the studio: {taken}");
    cluster.until("studio", "the drive has its part", |status| {
        let volumes = status["volumes"].as_array().cloned().unwrap_or_default();
        volumes
            .iter()
            .any(|v| v["media"] == "usb" && v["site"] == "studio" && v["used_bytes"].as_u64() > Some(0))
    });
    let away = cluster.place("in the box");
    fs::rename(&drive, &away).expect("unplugged");
    cluster.until_safe("studio", "Box");
    let status = cluster.status("studio");
    let volumes = status["volumes"].as_array().cloned().unwrap_or_default();
    assert!(volumes.iter().any(|v| v["media"] == "usb" && v["site"] == "Bank"), "{status:#}");
    fs::rename(&away, &drive).expect("plugged in");
    cluster.until("studio", "it is at the studio again, and no longer off-site", |status| {
        shoot_of(status, "Box").is_some_and(|shoot| shoot["verdict"] == "at-risk")
    });
    let back = cluster.place("back");
    cluster.ask("studio", &words!["restore", "Box", "--to", back]).done();
    assert_same(&went, &back);
}

#[test]
fn a_drive_that_travels_brings_its_shards_along() {
    let mut cluster = Cluster::three_sites();
    cluster.join("office", &["usb"]);
    cluster.until_online("studio", 4);
    let card = cluster.place("card");
    let went = handful(&card, 64);
    cluster.ask("studio", &words!["rule", "set", "4-2-1"]).done();
    cluster.ingest("studio", &card, "Travels");
    cluster.until_safe("studio", "Travels");
    cluster.stop("office");
    let drive = cluster.volume("office", "usb");
    let added = cluster.ask("cloud", &words!["volume", "add", drive]).done();
    assert_eq!(added["volumes"][0]["state"], "ok", "{added}");
    let cloud = node_id(&cluster.status("studio"), "cloud");
    cluster.until("studio", "the drive hangs on the cloud now, with what it holds", |status| {
        let volumes = status["volumes"].as_array().cloned().unwrap_or_default();
        volumes
            .iter()
            .any(|v| v["node"] == *cloud && v["media"] == "usb" && v["used_bytes"].as_u64() > Some(0))
    });
    let back = cluster.place("back");
    cluster.ask("studio", &words!["restore", "Travels", "--to", back, "--without", "studio"]).done();
    assert_same(&went, &back);
    let foreign = cluster.place("not a drive");
    fs::write(&foreign, b"a file").expect("written");
    cluster.ask("cloud", &words!["volume", "add", foreign]).failed(1);
}
