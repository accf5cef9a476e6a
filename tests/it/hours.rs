//! Hours of the day: outside of them photos travel only when a person waits for them.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::support::cluster::shoot_of;
use crate::support::photos::handful;
use crate::support::process::{Job, command};
use crate::support::{Cluster, assert_same};
use crate::words;

/// An hour of the day, twelve hours from now. The nodes of tests live by UTC.
fn another_hour() -> String {
    let minutes = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() / 60;
    let clock = |minutes: u64| format!("{:02}:{:02}", minutes / 60 % 24, minutes % 60);
    format!("{}-{}", clock(minutes + 720), clock(minutes + 780))
}

fn used(status: &Value, node: &str) -> u64 {
    let list = |key: &str| status[key].as_array().cloned().unwrap_or_default();
    let id = list("nodes").iter().find(|n| n["name"] == node).expect("known")["id"].clone();
    list("volumes").iter().filter(|v| v["node"] == id).filter_map(|v| v["used_bytes"].as_u64()).sum()
}

#[test]
fn a_node_takes_nothing_outside_of_its_hours() {
    let cluster = Cluster::three_sites();
    let hours = another_hour();
    let set = cluster.ask("friend", &words!["config", "limit.hours", hours]).done();
    assert_eq!(set["settings"][0]["value"], *hours, "{set}");
    let card = cluster.place("card");
    handful(&card, 150);
    cluster.ingest("studio", &card, "Portraits");
    let status = cluster.until("studio", "the cloud has its share", |status| used(status, "cloud") > 0);
    assert_eq!(used(&status, "friend"), 0, "{status:#}");
    let waits = cluster.until("friend", "the friend has heard of it", |status| {
        status["work"].as_array().is_some_and(|work| !work.is_empty())
    });
    assert_eq!(waits["hours"]["within"], false, "{waits:#}");
    let shown =
        Job::spawn(&cluster.place("logs"), command(Some(&cluster.home("friend")), &["status"])).finish();
    assert!(shown.out.contains("waits for its hours"), "{}", shown.out);
    let asked = cluster.status("studio");
    let shoot = shoot_of(&asked, "Portraits").expect("the shoot");
    assert_eq!((&shoot["verdict"], used(&asked, "friend")), (&"catching-up".into(), 0), "{asked:#}");
    cluster.ask("friend", &words!["config", "limit.hours", "none"]).done();
    cluster.until_safe("studio", "Portraits");
    cluster.ask("friend", &words!["config", "limit.hours", "at night"]).failed(2);
}

#[test]
fn a_node_gives_nothing_outside_of_its_hours_but_what_a_person_waits_for() {
    let cluster = Cluster::three_sites();
    let card = cluster.place("card");
    let went = handful(&card, 151);
    let hours = another_hour();
    cluster.ask("studio", &words!["config", "limit.hours", hours]).done();
    cluster.ingest("studio", &card, "Portraits");
    let known = cluster.until("cloud", "the cloud has heard of it", |status| {
        status["work"].as_array().is_some_and(|work| !work.is_empty())
    });
    assert_eq!(used(&known, "cloud") + used(&known, "friend"), 0, "{known:#}");
    cluster.ask("studio", &words!["config", "limit.hours", ""]).done();
    cluster.until_safe("studio", "Portraits");
    for node in ["studio", "friend", "cloud"] {
        cluster.ask(node, &words!["config", "limit.hours", hours]).done();
    }
    let back = cluster.place("back");
    cluster.ask("studio", &words!["restore", "Portraits", "--to", back, "--without", "studio"]).done();
    assert_same(&went, &back);
}
