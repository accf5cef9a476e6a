//! A stolen machine is shut out: what it took in stays, its shards stop counting, and nothing it says has any effect.

use std::fs;

use serde_json::Value;

use crate::support::Cluster;
use crate::support::assert_same;
use crate::support::photos::handful;
use crate::support::terminal::Terminal;
use crate::words;

fn names(document: &Value) -> Vec<&str> {
    let nodes = document["nodes"].as_array().expect("nodes");
    nodes.iter().filter_map(|node| node["name"].as_str()).collect()
}

fn knows_that_it_was_removed(status: &Value) -> bool {
    let warnings = status["warnings"].as_array().expect("warnings");
    warnings.iter().any(|warning| warning.as_str().is_some_and(|text| text.contains("THIS NODE WAS REMOVED")))
}

/// Neither the removed node nor any volume of its is known at `node`.
#[track_caller]
fn shut_out(cluster: &Cluster, node: &str, removed: &str, id: &Value) {
    let status = cluster.status(node);
    assert!(!names(&status).contains(&removed), "{status:#}");
    let volumes = status["volumes"].as_array().expect("volumes");
    assert!(volumes.iter().all(|volume| volume["node"] != *id), "{status:#}");
}

#[test]
fn a_removed_vault_is_made_up_for_and_cannot_come_back() {
    let mut cluster = Cluster::three_sites();
    cluster.join("attic", &["usb"]);
    cluster.until_online("studio", 4);
    cluster.until_online("cloud", 4);
    let card = cluster.place("card");
    let went = handful(&card, 11);
    cluster.ingest("studio", &card, "Smith");
    cluster.until_safe("studio", "Smith");
    let theirs = cluster.place("their card");
    let theirs_went = handful(&theirs, 12);
    cluster.ingest("friend", &theirs, "Their day");
    cluster.until_safe("studio", "Their day");

    // It is off, so that it does not hear of it.
    cluster.stop("friend");
    cluster.ask("cloud", &words!["remove", "friend"]).refused(&["a vault may not remove", "studio"]);
    let removed = cluster.ask("studio", &words!["remove", "friend"]).done();
    let id = removed["removed"]["id"].clone();
    assert_eq!(removed["removed"]["state"], "removed", "{removed:#}");
    assert!(removed["shards"].as_u64().is_some_and(|shards| shards > 0), "{removed:#}");
    assert!(
        removed["adopted"].as_u64().is_some_and(|adopted| adopted >= 3),
        "its own roll stays: {removed:#}"
    );
    assert!(removed["can"][0].as_str().is_some_and(|what| what.contains("cannot read")), "{removed:#}");
    assert!(removed["cannot"].as_array().is_some_and(|what| what.len() >= 2), "{removed:#}");
    shut_out(&cluster, "studio", "friend", &id);
    let digits: String = id.as_str().expect("an id").chars().take(12).collect();
    cluster.ask("studio", &words!["remove", digits]).refused(&["removed before"]);
    cluster.ask("studio", &words!["remove", "studio"]).refused(&["does not remove itself"]);
    for shoot in ["Smith", "Their day"] {
        cluster.until_safe("studio", shoot);
    }

    // It starts again, takes itself for a member, and is told.
    cluster.start("friend");
    cluster.until("friend", "it knows that it was removed", knows_that_it_was_removed);
    let more = cluster.place("more");
    handful(&more, 13);
    cluster.ask("friend", &words!["ingest", more, "--shoot", "Too late"]).refused(&["was removed"]);
    for node in ["studio", "cloud", "friend"] {
        cluster.stop(node);
    }
    for node in ["friend", "studio", "cloud"] {
        cluster.start(node);
    }
    cluster.until_online("studio", 3);
    for node in ["studio", "cloud", "attic"] {
        shut_out(&cluster, node, "friend", &id);
    }
    assert!(knows_that_it_was_removed(&cluster.status("friend")));
    for shoot in ["Smith", "Their day"] {
        cluster.until_safe("studio", shoot);
    }
    let back = cluster.restore_all("studio", "back", &[]);
    assert_same(&went, &back.join("Smith"));
    assert_same(&theirs_went, &back.join("Their day"));
}

#[test]
fn a_removed_studios_photos_stay_and_so_do_those_it_let_in() {
    let mut cluster = Cluster::new();
    cluster.found("studio", &["hdd"]);
    let args = words!["invite", "--role", "studio", "--phrase-file", cluster.phrase()];
    let code = cluster.ask("studio", &args).done()["code"].as_str().expect("a code").to_owned();
    cluster.join_with("laptop", &code, &["ssd"]).done();
    cluster.start("laptop");
    cluster.join("friend", &["nas"]);
    let code = cluster.invite("laptop");
    cluster.join_with("cloud", &code, &["cloud"]).done();
    cluster.start("cloud");
    for node in ["studio", "laptop", "friend", "cloud"] {
        cluster.until_online(node, 4);
    }
    let card = cluster.place("card");
    let went = handful(&card, 21);
    cluster.ingest("laptop", &card, "Smith");
    cluster.until_safe("studio", "Smith");

    let remove = words!["remove", "laptop"];
    let (message, next) = cluster.ask("studio", &remove).failed(2);
    assert!(message.contains("recovery phrase") && next.contains("--phrase-file"), "{message} {next}");
    let other = cluster.place("other phrase");
    let mut args = words!["init", "--name", "b", "--site", "b", "--phrase-out", other].to_vec();
    args.extend(cluster.volume_words("b", &["hdd"]));
    cluster.ask("b", &args).done();
    let with = |phrase| [&remove[..], &words!["--phrase-file", phrase]].concat();
    cluster.ask("studio", &with(other.clone())).refused(&["another library"]);
    let mut phrase = fs::read_to_string(cluster.phrase()).expect("the phrase");
    phrase = phrase.replacen(' ', "x ", 1);
    fs::write(&other, phrase).expect("written");
    cluster.ask("studio", &with(other)).refused(&["nothing was changed"]);
    cluster.ask("friend", &with(cluster.phrase())).refused(&["a vault may not remove"]);
    assert_eq!(names(&cluster.status("studio")).len(), 4, "nothing came of all that");

    let removed = cluster.ask("studio", &with(cluster.phrase())).done();
    let id = removed["removed"]["id"].clone();
    assert_eq!(removed["let_in"], serde_json::json!(["cloud"]), "{removed:#}");
    assert_eq!(removed["studios"], 1, "{removed:#}");
    assert!(removed["can"][0].as_str().is_some_and(|what| what.contains("reading key")), "{removed:#}");
    cluster.until("laptop", "it knows that it was removed", knows_that_it_was_removed);
    cluster.ask("laptop", &words!["invite"]).refused(&["was removed"]);
    for node in ["studio", "friend", "cloud"] {
        cluster.until_online(node, 3);
        shut_out(&cluster, node, "laptop", &id);
    }
    cluster.until_safe("studio", "Smith");
    let files = cluster.ask("studio", &words!["files", "Smith"]).done();
    assert_eq!(files["files"].as_array().map(Vec::len), Some(went.len()), "{files:#}");

    // One after the other: nobody could be found by anybody if all came back with other ports at once.
    for node in ["laptop", "cloud", "friend", "studio"] {
        cluster.stop(node);
        cluster.start(node);
        cluster.until_online("friend", 3);
    }
    assert!(knows_that_it_was_removed(&cluster.status("laptop")));
    for node in ["studio", "friend", "cloud"] {
        cluster.until_online(node, 3);
        shut_out(&cluster, node, "laptop", &id);
    }
    cluster.until_safe("studio", "Smith");
    let back = cluster.restore_all("studio", "back", &[]);
    assert_same(&went, &back.join("Smith"));
}

#[test]
fn people_are_shown_what_it_means_and_asked() {
    let mut cluster = Cluster::new();
    cluster.found("studio", &["hdd"]);
    cluster.join("friend", &["nas"]);
    cluster.until_online("studio", 2);
    let begin = || Terminal::start(&cluster.home("studio"), &words!["remove", "friend"]);
    let mut terminal = begin();
    terminal.until("To remove friend at friend");
    terminal.until("which it cannot read");
    terminal.until("Remove friend at friend?");
    terminal.enter("n");
    let (exit, screen) = terminal.finish();
    assert!(exit == Some(1) && screen.contains("nothing was changed"), "{screen}");
    assert_eq!(names(&cluster.status("studio")).len(), 2);
    let mut terminal = begin();
    terminal.until("Remove friend at friend?");
    terminal.enter("y");
    let (exit, screen) = terminal.finish();
    assert!(exit == Some(0) && screen.contains("friend at friend is removed"), "{screen}");
    assert_eq!(names(&cluster.status("studio")), ["studio"]);

    // A studio needs the phrase, too, and a person can type it.
    let args = words!["invite", "--role", "studio", "--phrase-file", cluster.phrase()];
    let code = cluster.ask("studio", &args).done()["code"].as_str().expect("a code").to_owned();
    cluster.join_with("laptop", &code, &["ssd"]).done();
    let phrase = fs::read_to_string(cluster.phrase()).expect("the phrase");
    let mut terminal = Terminal::start(&cluster.home("studio"), &words!["remove", laptop(&cluster)]);
    terminal.until("read every photo");
    terminal.until("[y/N]");
    terminal.enter("y");
    terminal.until("Type its 24 words");
    terminal.enter(phrase.trim());
    let (exit, screen) = terminal.finish();
    assert!(exit == Some(0) && screen.contains("is removed"), "{screen}");
    assert_eq!(names(&cluster.status("studio")), ["studio"]);
}

/// The id of the one other node: it never ran, so that it has no name yet.
fn laptop(cluster: &Cluster) -> String {
    let status = cluster.status("studio");
    let nodes = status["nodes"].as_array().expect("nodes");
    let other = nodes.iter().find(|node| node["name"] != "studio").expect("another node");
    other["id"].as_str().expect("an id").to_owned()
}
