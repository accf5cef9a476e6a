//! A library that cannot meet its rule still takes photos in, and says exactly what is missing.

use std::cell::Cell;
use std::time::Instant;

use crate::support::cluster::{DEADLINE, shoot_of};
use crate::support::photos::{self, handful, wedding};
use crate::support::{Cluster, assert_same};
use crate::words;

#[test]
fn one_volume_takes_photos_in_and_says_that_it_is_not_enough() {
    let mut cluster = Cluster::new();
    cluster.found("studio", &["hdd"]);
    let empty = cluster.ask("studio", &words!["status"]).exit(0);
    assert_eq!(empty["verdict"], "safe", "an empty library has nothing to lose: {empty}");

    let card = cluster.place("card");
    let went = wedding(&card, 30);
    let taken = cluster.ingest("studio", &card, "Smith wedding");
    assert_eq!(taken["verdict"], "at-risk", "{taken}");
    assert_eq!(taken["safe_to_format"], false, "{taken}");

    let status = cluster.ask("studio", &words!["status"]).exit(3);
    assert_eq!(status["verdict"], "at-risk", "{status}");
    let shoot = shoot_of(&status, "Smith wedding").expect("the shoot");
    for clause in ["copies", "media", "offsite"] {
        assert_eq!(shoot["rule"][clause]["met"], false, "{shoot}");
    }
    assert_eq!(shoot["rule"]["copies"]["survives_volumes"], 0, "{shoot}");
    assert_eq!(shoot["sites"][0]["site"], "studio", "{shoot}");
    assert_eq!(shoot["sites"][0]["survives"], false, "{shoot}");
    let reason = shoot["reason"].as_str().expect("a counterexample");
    let count = went.len().to_string();
    assert!(
        reason.contains("Lose") && reason.contains(&count) && reason.contains("Smith wedding"),
        "{reason}"
    );
    let remedy = shoot["remedy"].as_str().expect("a remedy");
    assert!(remedy.contains("add") && remedy.contains("volume") && remedy.contains("GB"), "{remedy}");

    // Not safe is not lost: everything is there.
    let to = cluster.place("back");
    cluster.ask("studio", &words!["restore", "Smith wedding", "--to", to]).done();
    assert_same(&went, &to);
    let one = cluster.ask("studio", &words!["status", "Smith wedding"]).exit(3);
    assert_eq!(one["shoots"].as_array().map(Vec::len), Some(1), "{one}");
    cluster.ask("studio", &words!["status", "no such shoot"]).refused(&["no such shoot"]);
}

#[test]
fn waiting_for_safe_ends_at_once_where_no_layout_can_be() {
    let mut cluster = Cluster::new();
    cluster.found("studio", &["ssd", "hdd"]);
    let card = cluster.place("card");
    handful(&card, 31);
    let begun = Instant::now();
    let taken = cluster.ask("studio", &words!["ingest", card, "--shoot", "x", "--wait", "safe"]).exit(3);
    assert!(begun.elapsed() < DEADLINE / 2, "at once is not {:?}", begun.elapsed());
    assert_eq!(taken["stored"], true, "{taken}");
    assert_eq!(taken["verdict"], "at-risk", "{taken}");
    assert_eq!(taken["safe_to_format"], false, "{taken}");
}

#[test]
fn the_verdict_follows_the_topology() {
    let mut cluster = Cluster::new();
    cluster.found("studio", &["ssd", "hdd"]);
    let card = cluster.place("card");
    handful(&card, 32);
    let taken = cluster.ingest("studio", &card, "Christening");
    assert_eq!(taken["verdict"], "at-risk", "{taken}");
    // What the remedy asks for is brought; the rest is done without being told.
    cluster.join("friend", &["nas"]);
    cluster.join("cloud", &["cloud"]);
    cluster.until_online("studio", 3);
    let safe = cluster.until_safe("studio", "Christening");
    assert!(safe["rule"]["copies"]["survives_volumes"].as_u64() >= Some(2), "{safe}");
}

#[test]
fn a_looser_rule_makes_it_safe_and_a_full_one_asks_for_more() {
    let mut cluster = Cluster::new();
    cluster.found("studio", &["ssd", "hdd"]);
    let card = cluster.place("card");
    handful(&card, 33);
    cluster.ingest("studio", &card, "Portraits");
    let shown = cluster.ask("studio", &words!["rule", "show"]).done();
    assert_eq!(shown["rule"], "3-2-1", "{shown}");

    let set = cluster.ask("studio", &words!["rule", "set", "1-1-0"]).done();
    assert_eq!(set["rule"], "1-1-0", "{set}");
    cluster.until("studio", "one copy is enough now", |status| status["verdict"] == "safe");

    cluster.ask("studio", &words!["rule", "set", "3-2-1", "full", "--spend", "4x"]).done();
    let shown = cluster.ask("studio", &words!["rule", "show"]).done();
    assert_eq!(shown["rule"], "3-2-1 full", "{shown}");
    assert_eq!(shown["spend_percent"], 400, "{shown}");
    let status = cluster.until("studio", "it is not enough any more", |status| status["verdict"] != "safe");
    assert_eq!(status["rule"], "3-2-1 full", "{status}");

    // The rule of one shoot, apart from the library's.
    cluster.ask("studio", &words!["rule", "set", "1-1-0", "--shoot", "Portraits"]).done();
    let shown = cluster.ask("studio", &words!["rule", "show", "--shoot", "Portraits"]).done();
    assert_eq!(shown["rule"], "1-1-0", "{shown}");
    cluster.until("studio", "this shoot asks for less", |status| status["verdict"] == "safe");
    cluster.ask("studio", &words!["rule", "set", "3-2-1", "--shoot", "no such shoot"]).failed(1);
}

#[test]
fn full_copies_are_counted_as_such() {
    let mut cluster = Cluster::three_sites();
    cluster.ask("studio", &words!["rule", "set", "3-2-1", "full"]).done();
    let card = cluster.place("card");
    let went = handful(&card, 34);
    cluster.ingest("studio", &card, "Full");
    let shoot = cluster.until_safe("studio", "Full");
    let bytes: u64 = went.values().map(|(bytes, _)| bytes).sum();
    assert!(shoot["stored_bytes"].as_u64() >= Some(3 * bytes), "three copies take thrice the room: {shoot}");
    // Each vault alone now has everything.
    cluster.burn("friend");
    let back = cluster.place("back");
    let args = words!["restore", "Full", "--to", back, "--without", "studio"];
    cluster.ask("studio", &args).done();
    assert_same(&went, &back);
}

#[test]
fn what_is_on_its_way_is_told_as_it_goes() {
    let cluster = Cluster::three_sites();
    cluster.ask("studio", &words!["config", "limit.up", "400KB"]).done();
    let card = cluster.place("card");
    // Two shards travel, of some 1.5 MB each: a few seconds, during which neither is there.
    photos::one(&card, "large.NEF", 35, 3_000_000);
    cluster.ingest("studio", &card, "Large");
    let half_way = Cell::new(false);
    cluster.until("studio", "all of it has arrived", |status| {
        for transfer in status["transfers"].as_array().expect("a list") {
            let bytes = |key: &str| transfer[key].as_u64().expect("a number");
            let (done, total) = (bytes("bytes_done"), bytes("bytes_total"));
            assert!(total < 2_000_000, "the same bytes are counted twice: {transfer}");
            let under_way = 0 < done && done < total && transfer["eta_seconds"].is_number();
            half_way.set(half_way.get() || under_way);
        }
        status["verdict"] == "safe"
    });
    assert!(half_way.get(), "nothing was told of a shard on its way");
}
