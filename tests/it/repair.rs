//! Losses made up for: what a burnt site or a dead drive takes is made again on what is left, by whoever is there.

use std::thread;
use std::time::Duration;

use crate::support::photos::{handful, wedding};
use crate::support::{Cluster, Seeded, assert_same};
use crate::words;

#[test]
fn a_lost_friend_is_made_up_for_by_another() {
    let mut cluster = Cluster::three_sites();
    cluster.join("office", &["usb"]);
    cluster.until_online("studio", 4);
    let card = cluster.place("card");
    let went = wedding(&card, 70);
    cluster.ingest("studio", &card, "Wedding");
    cluster.until_safe("studio", "Wedding");
    cluster.burn("friend");
    cluster.until("studio", "the friend is silent", |status| {
        status["nodes"].as_array().is_some_and(|nodes| nodes.iter().any(|node| node["state"] == "away"))
    });
    let lost = cluster.ask("studio", &words!["lost", "friend"]).done();
    assert_eq!(lost["lost"][0]["state"], "lost", "{lost}");
    cluster.until_safe("studio", "Wedding");
    // Nothing of it hangs on the studio.
    for (number, site) in ["studio", "cloud", "office"].iter().enumerate() {
        let back = cluster.place(&format!("back {number}"));
        let args = words!["restore", "Wedding", "--to", back, "--without", site];
        cluster.ask("studio", &args).done();
        assert_same(&went, &back);
    }
}

#[test]
fn with_two_sites_left_the_rule_is_met_on_three_drives() {
    let mut cluster = Cluster::three_sites();
    let card = cluster.place("card");
    let went = handful(&card, 71);
    cluster.ingest("friend", &card, "Taken in by a vault");
    cluster.until_safe("studio", "Taken in by a vault");
    cluster.burn("friend");
    cluster.ask("studio", &words!["lost", "--site", "friend"]).done();
    cluster.until_safe("studio", "Taken in by a vault");
    let back = cluster.place("back");
    cluster.ask("studio", &words!["restore", "--all", "--to", back, "--without", "studio"]).done();
    assert_same(&went, &back.join("Taken in by a vault"));
}

#[test]
fn vaults_repair_what_they_cannot_read() {
    let mut cluster = Cluster::three_sites();
    let card = cluster.place("card");
    let went = handful(&card, 72);
    cluster.ingest("studio", &card, "Portraits");
    cluster.until_safe("studio", "Portraits");
    for vault in ["friend", "cloud"] {
        cluster.ask(vault, &words!["config", "grace.site", "1s"]).done();
        cluster.ask(vault, &words!["config", "grace.node", "1s"]).done();
    }
    cluster.burn("studio");
    // Each of the two holds one of two shards that are needed; each is to hold enough by itself.
    cluster.until("cloud", "the other vault can be missed", |status| {
        let sites = status["shoots"][0]["sites"].as_array().cloned().unwrap_or_default();
        sites.len() == 2 && sites.iter().all(|site| site["survives"] == true)
    });
    cluster.burn("friend");
    let peer = cluster.address("cloud");
    let back = cluster.place("back");
    let args = words![
        "recover",
        "--phrase-file",
        cluster.phrase(),
        "--peer",
        peer,
        "--name",
        "rescue",
        "--site",
        "new studio",
        "--volume",
        cluster.place("volume-rescue-ssd"),
        "--to",
        back
    ];
    cluster.ask("rescue", &args).done();
    assert_same(&went, &back.join("Portraits"));
}

#[test]
fn a_power_cut_during_repair_only_costs_time() {
    let mut cluster = Cluster::three_sites();
    cluster.join("office", &["usb"]);
    cluster.until_online("studio", 4);
    let card = cluster.place("card");
    let went = wedding(&card, 73);
    cluster.ingest("studio", &card, "Wedding");
    cluster.until_safe("studio", "Wedding");
    cluster.burn("cloud");
    cluster.ask("studio", &words!["lost", "cloud"]).done();
    for seed in 0..4 {
        let mut chance = Seeded::new(seed);
        thread::sleep(Duration::from_millis(chance.below(600)));
        let victim = ["studio", "office"][seed as usize % 2];
        cluster.kill(victim);
        cluster.start(victim);
    }
    cluster.until_safe("studio", "Wedding");
    let back = cluster.place("back");
    cluster.ask("studio", &words!["restore", "Wedding", "--to", back, "--without", "studio"]).done();
    assert_same(&went, &back);
}
