//! What would happen is foreseen, and then happens so; asking changes nothing.

use std::fs;

use serde_json::Value;

use crate::support::Cluster;
use crate::support::photos::{handful, one};
use crate::support::process::{Job, command};
use crate::words;

fn list<'a>(document: &'a Value, key: &str) -> &'a [Value] {
    document[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// What must not change by asking.
fn picture(cluster: &Cluster, node: &str) -> Value {
    let mut status = cluster.status(node);
    status["transfers"] = Value::Null;
    status
}

#[test]
fn a_retirement_goes_as_planned_and_asking_changes_nothing() {
    let mut cluster = Cluster::three_sites();
    cluster.join("office", &["usb"]);
    cluster.until_online("studio", 4);
    let card = cluster.place("card");
    handful(&card, 130);
    cluster.ingest("studio", &card, "Portraits");
    cluster.until_safe("studio", "Portraits");
    cluster.until("studio", "all work is done", |status| list(status, "work").is_empty());
    let before = picture(&cluster, "studio");

    let plan = cluster.ask("studio", &words!["plan", "retire", "friend"]).done();
    assert_eq!(
        (&plan["event"], &plan["before"], &plan["after"]),
        (&"retire".into(), &"safe".into(), &"safe".into())
    );
    assert_eq!(plan["shoots"][0]["name"], "Portraits", "{plan:#}");
    let links = list(&plan, "links");
    let moved = links.iter().find(|link| link["why"] == "moved").expect("something leaves");
    assert_eq!(moved["from"]["name"], "friend", "{plan:#}");
    assert!(
        moved["bytes"].as_u64() > Some(0) && moved["days"].is_null(),
        "not measured between others: {moved:#}"
    );
    let sum: u64 = links.iter().filter_map(|link| link["bytes"].as_u64()).sum();
    assert_eq!(plan["bytes"], sum, "{plan:#}");
    assert_eq!(plan["lowest"]["survives_volumes"], 2, "no step below the rule: {plan:#}");
    assert_eq!(plan["lowest"]["survives_any_site"], true, "{plan:#}");

    // A vault that sees the same nodes foresees the same, and reads no names.
    cluster.until_online("cloud", 4);
    let blind = cluster.ask("cloud", &words!["plan", "retire", "friend"]).done();
    assert_eq!((&blind["links"], &blind["shoots"][0]["name"]), (&plan["links"], &Value::Null), "{blind:#}");
    assert_eq!(picture(&cluster, "studio"), before, "nothing has changed");

    // What is read to make shards is not kept; the studio makes them.
    let read = |link: &&Value| {
        link["to"]["name"] == "studio" && link["from"]["name"] != "studio" && link["why"] != "moved"
    };
    let bytes = |link: &Value| link["bytes"].as_u64().expect("bytes");
    let kept = plan["bytes"].as_u64().expect("bytes")
        - list(&plan, "links").iter().filter(read).map(bytes).sum::<u64>();
    let friend = moved["from"]["id"].clone();
    let used = |status: &Value| {
        let others = list(status, "volumes").iter().filter(|volume| volume["node"] != friend);
        others.filter_map(|volume| volume["used_bytes"].as_u64()).sum::<u64>()
    };
    cluster.ask("studio", &words!["retire", "friend"]).done();
    cluster.until("studio", "the friend's drive is emptied, by the bytes that were planned", |status| {
        let emptied = list(status, "volumes").iter().any(|volume| volume["state"] == "retired");
        emptied && list(status, "work").is_empty() && used(status) - used(&before) == kept
    });
}

#[test]
fn losses_and_newcomers_are_foreseen() {
    let cluster = Cluster::three_sites();
    let card = cluster.place("card");
    one(&card, "DCIM/a.CR3", 131, 8_000_000);
    cluster.ask("studio", &words!["config", "limit.up", "4MB"]).done();
    cluster.ingest("studio", &card, "Portraits");
    cluster.until_safe("studio", "Portraits");

    let lost = cluster.ask("studio", &words!["plan", "lose", "--site", "friend"]).done();
    assert_eq!(lost["after"], "safe", "{lost:#}");
    assert!(
        list(&lost, "links").iter().any(|link| link["why"] == "re-made" || link["why"] == "better"),
        "{lost:#}"
    );
    assert_eq!(lost["lowest"]["survives_volumes"], 1, "{lost:#}");
    let measured =
        |link: &&Value| link["bytes_per_second"].as_u64() > Some(0) && link["days"].as_f64() > Some(0.0);
    let sent = list(&lost, "links")
        .iter()
        .find(|link| link["from"]["name"] == "studio" && link["to"]["name"] == "cloud");
    assert!(sent.as_ref().is_some_and(measured), "the studio has just sent to the cloud: {lost:#}");

    let lost = cluster.ask("studio", &words!["plan", "lose", "studio"]).done();
    assert_eq!((&lost["after"], list(&lost, "volumes").len()), (&"at-risk".into(), 2), "{lost:#}");
    let shoot = &lost["shoots"][0];
    assert!(shoot["reason"].as_str().is_some_and(|reason| reason.contains("Portraits")), "{shoot:#}");
    assert!(shoot["remedy"].is_string(), "{shoot:#}");
    assert_eq!(lost["heals"], false, "what falls short has nothing to spare: {lost:#}");
    assert!(list(&lost, "unhealable").iter().all(|loss| loss["site"].is_string()), "{lost:#}");
    let shown = cluster.ask("studio", &words!["volumes"]).done();
    let ids: Vec<String> = list(&shown, "volumes")
        .iter()
        .map(|volume| volume["id"].as_str().unwrap_or_default().to_owned())
        .collect();
    let drive = cluster.ask("cloud", &words!["plan", "lose", ids[0]]).done();
    assert_eq!(list(&drive, "volumes")[0]["id"], *ids[0], "{drive:#}");

    // A drive that is not bought yet, at a site that is not there yet; and a folder that is.
    let typed = "/media/not-bought-yet,media=hdd,capacity=4TB";
    let added = cluster.ask("studio", &words!["plan", "add", typed, "--site", "bank"]).done();
    assert_eq!(
        (&added["after"], &added["volumes"][0]["site"]),
        (&"safe".into(), &"bank".into()),
        "{added:#}"
    );
    assert!(added["volumes"][0]["id"].is_null() && list(&added, "links").is_empty(), "{added:#}");
    let folder = cluster.place("new drive");
    fs::create_dir(&folder).expect("made");
    let added = cluster.ask("studio", &words!["plan", "add", folder]).done();
    assert!(added["volumes"][0]["capacity_bytes"].as_u64() > Some(0), "{added:#}");
    assert!(fs::read_dir(&folder).expect("there").next().is_none(), "nothing was put on it");
    assert_eq!(list(&cluster.status("studio"), "volumes").len(), 4, "no volume more");

    cluster
        .ask("studio", &words!["plan", "add", "/media/not-bought-yet"])
        .refused(&["no folder", "capacity"]);
    let known = cluster.volume("studio", "hdd");
    cluster.ask("studio", &words!["plan", "add", known]).refused(&["volume already"]);
    cluster.ask("studio", &words!["plan", "lose", "nobody"]).refused(&["nobody", "safelight nodes"]);
    cluster.ask("studio", &words!["plan", "lose", "--site", "moon"]).refused(&["moon"]);
    cluster.ask("friend", &words!["plan", "retire", "nobody"]).refused(&["nobody"]);
}

#[test]
fn a_newcomer_would_make_old_shoots_safe() {
    let mut cluster = Cluster::new();
    cluster.found("studio", &["ssd", "hdd"]);
    let card = cluster.place("card");
    handful(&card, 132);
    cluster.ingest("studio", &card, "Portraits");
    let args = words!["plan", "add", "/media/x,media=nas,capacity=4TB", "--site", "friend"];
    let plan = cluster.ask("studio", &args).done();
    assert_eq!((&plan["before"], &plan["after"]), (&"at-risk".into(), &"safe".into()), "{plan:#}");
    let links = list(&plan, "links");
    assert!(
        links.iter().any(|link| link["to"]["site"] == "friend" && link["to"]["id"].is_null()),
        "{plan:#}"
    );
    let tiny = words!["plan", "add", "/media/x,media=nas,capacity=1KB", "--site", "friend"];
    let plan = cluster.ask("studio", &tiny).done();
    assert_eq!(plan["after"], "at-risk", "there is no room on it: {plan:#}");
}

#[test]
fn an_old_drive_is_to_be_replaced() {
    let mut cluster = Cluster::new();
    cluster.found("studio", &["ssd"]);
    let volume = cluster.ask("studio", &words!["volumes"]).done()["volumes"][0].clone();
    assert_eq!((&volume["age_days"], &volume["replace"]), (&0.into(), &false.into()), "{volume:#}");
    assert!(volume["since"].is_string(), "{volume:#}");
    let says = |status: &Value| {
        list(status, "warnings")
            .iter()
            .any(|line| line.as_str().is_some_and(|line| line.contains("replacement")))
    };
    assert!(!says(&cluster.status("studio")));
    cluster.ask("studio", &words!["config", "volume.age", "1ms"]).done();
    let volume = cluster.ask("studio", &words!["volumes"]).done()["volumes"][0].clone();
    assert_eq!(volume["replace"], true, "{volume:#}");
    assert!(says(&cluster.status("studio")));
    let shown =
        Job::spawn(&cluster.place("logs"), command(Some(&cluster.home("studio")), &["volumes"])).finish();
    assert!(shown.out.contains("plan retire") && shown.out.contains("0 days"), "{}", shown.out);
    cluster.ask("studio", &words!["config", "volume.age", "4y"]).done();
    assert!(!says(&cluster.status("studio")));
}
