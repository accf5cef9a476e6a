//! What moves and repairs left over: it goes when its quarantine is over, and nothing that is needed goes with it.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::cluster::DEADLINE;
use crate::support::photos::wedding;
use crate::support::{Cluster, assert_same, disk};
use crate::words;

#[test]
fn who_was_given_up_and_comes_back_frees_what_was_made_up_for() {
    let mut cluster = Cluster::three_sites();
    cluster.join("office", &["usb"]);
    cluster.until_online("studio", 4);
    let card = cluster.place("card");
    let went = wedding(&card, 91);
    cluster.ingest("studio", &card, "Wedding");
    cluster.until_safe("studio", "Wedding");
    let drive = cluster.volume("friend", "nas");
    assert!(!disk::shards(&drive).is_empty(), "the friend holds its part");
    cluster.stop("friend");
    cluster.until("studio", "the friend is silent", |status| {
        status["nodes"].as_array().is_some_and(|nodes| nodes.iter().any(|node| node["state"] == "away"))
    });
    cluster.ask("studio", &words!["lost", "friend"]).done();
    cluster.until_safe("studio", "Wedding");
    let wanted_by_the_friend = |status: &serde_json::Value| {
        let pending =
            status["shoots"].as_array().into_iter().flatten().map(|shoot| shoot["pending_bytes"].as_u64());
        pending.sum::<Option<u64>>() == Some(0)
    };
    cluster.until("studio", "all is where it is wanted", wanted_by_the_friend);
    cluster.start("friend");
    cluster.until_online("studio", 4);
    let told = cluster.ask("friend", &words!["volumes"]).done();
    let own = told["volumes"].as_array().into_iter().flatten().find(|volume| !volume["path"].is_null());
    assert!(own.expect("its own drive")["surplus_bytes"].as_u64() > Some(0), "{told}");
    cluster.ask("friend", &words!["config", "quarantine", "1s"]).done();
    let deadline = Instant::now() + DEADLINE;
    while !disk::shards(&drive).is_empty() {
        assert!(Instant::now() < deadline, "what the office took over is still at the friend's");
        thread::sleep(Duration::from_millis(200));
    }
    cluster.until_safe("studio", "Wedding");
    for (number, site) in ["studio", "cloud", "office"].iter().enumerate() {
        let back = cluster.place(&format!("back {number}"));
        cluster.ask("studio", &words!["restore", "Wedding", "--to", back, "--without", site]).done();
        assert_same(&went, &back);
    }
}
