//! The command line as a contract: help for everything, exit codes, and one JSON document for scripts.

use std::fs;

use crate::support::process::{Job, command};
use crate::support::{Cluster, Reply};
use crate::words;

/// A command as it is typed, without `--json`.
fn plain(cluster: &Cluster, args: &[&str]) -> Reply {
    Job::spawn(&cluster.place("logs"), command(None, args)).finish()
}

/// The commands that `--help` lists.
fn verbs(cluster: &Cluster) -> Vec<String> {
    let help = plain(cluster, &["--help"]);
    let list = help.out.split("Commands:").nth(1).and_then(|rest| rest.split("\n\n").next());
    let verbs = list.expect("a list of commands").lines().filter_map(|line| {
        let indented = line.strip_prefix("  ").filter(|line| !line.starts_with(' '))?;
        indented.split_whitespace().next().map(str::to_owned)
    });
    verbs.filter(|verb| verb != "help").collect()
}

#[test]
fn every_command_explains_itself() {
    let cluster = Cluster::new();
    let verbs = verbs(&cluster);
    for promised in [
        "demo",
        "init",
        "run",
        "invite",
        "join",
        "ingest",
        "status",
        "shoots",
        "files",
        "nodes",
        "volumes",
        "restore",
        "recover",
        "lost",
        "retire",
        "remove",
        "moved",
        "plan",
        "volume",
        "verify",
        "delete",
        "trash",
        "undelete",
        "salvage",
        "rule",
        "kit",
        "config",
        "completions",
        "man",
    ] {
        assert!(verbs.iter().any(|verb| verb == promised), "no {promised} in {verbs:?}");
    }
    for verb in &verbs {
        let help = plain(&cluster, &[verb, "--help"]);
        assert_eq!(help.code, Some(0), "{help:#?}");
        assert!(help.out.contains("Usage: safelight") && help.out.contains("--home"), "{help:#?}");
        assert!(help.err.is_empty(), "{help:#?}");
    }
    let version = plain(&cluster, &["--version"]);
    assert!(version.code == Some(0) && version.out.starts_with("safelight "), "{version:#?}");
}

#[test]
fn misuse_is_exit_code_2_and_json_when_asked_for() {
    let cluster = Cluster::new();
    for args in [
        &["frobnicate"][..],
        &["ingest"],
        &["ingest", "x"],
        &["restore", "x"],
        &["restore", "--to", "x"],
        &["restore", "x", "--all", "--to", "y"],
        &["restore", "x", "--to", "y", "--include", "["],
        &["init", "--name", "a"],
        &["init", "--name", "a", "--site", "s"],
        &["join", "--name", "a"],
        &[
            "recover",
            "--peer",
            "not an address",
            "--phrase-file",
            "p",
            "--name",
            "a",
            "--site",
            "s",
            "--volume",
            "v",
        ],
        &["recover", "--name", "a", "--site", "s", "--volume", "v", "--phrase-file", "p"],
        &["invite", "--role", "owner"],
        &["invite", "--role", "studio"],
        &["invite", "--expires", "48h"],
        &["invite", "--expires", "soon"],
        &["rule", "set", "3-2"],
        &["rule", "set", "0-0-0"],
        &["rule", "set", "lots"],
        &["rule", "set", "3-2-1", "half"],
        &["rule", "set", "3-2-1", "--spend", "0.5x"],
        &["run", "--listen", "nowhere"],
        &["lost"],
        &["lost", "a", "--site", "s"],
        &["remove"],
        &["files"],
        &["files", ""],
        &["completions", "cobol"],
        &["status", "--timeout", "soon"],
    ] {
        let bare = plain(&cluster, args);
        assert_eq!(bare.code, Some(2), "{bare:#?}");
        assert!(bare.out.is_empty() && !bare.err.is_empty(), "{bare:#?}");
        let json =
            Job::start(&cluster.place("logs"), None, &args.iter().map(|a| a.into()).collect::<Vec<_>>());
        let (message, next) = json.finish().failed(2);
        assert!(!message.contains('\n') && !next.is_empty(), "{message} | {next}");
    }
}

#[test]
fn failures_are_json_with_the_next_step() {
    let cluster = Cluster::new();
    let reply = cluster.ask("none", &words!["status"]);
    let document = reply.exit(1);
    let keys: Vec<_> = document.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["error"], "{document}");
    assert!(document["error"]["message"].is_string() && document["error"]["next"].is_string(), "{document}");
    let bare = plain(&cluster, &["--home", "/nonexistent", "status"]);
    assert_eq!(bare.code, Some(1));
    assert!(bare.out.is_empty() && bare.err.contains("Next:"), "{bare:#?}");
}

#[test]
fn completions_and_the_manual_are_printed() {
    let cluster = Cluster::new();
    let verbs = verbs(&cluster);
    for shell in ["bash", "zsh", "fish"] {
        let script = plain(&cluster, &["completions", shell]);
        assert_eq!(script.code, Some(0), "{script:#?}");
        assert!(verbs.iter().all(|verb| script.out.contains(verb.as_str())), "{shell}");
    }
    let page = plain(&cluster, &["man"]);
    assert!(page.code == Some(0) && page.out.contains(".TH"), "{page:#?}");
    assert!(verbs.iter().all(|verb| page.out.contains(verb.as_str())));
}

#[test]
fn the_kit_has_the_phrase_the_library_and_the_addresses() {
    let mut cluster = Cluster::new();
    cluster.found("studio", &["hdd"]);
    let status = cluster.ask("studio", &words!["status"]).done();
    let library = status["library"].as_str().expect("an id");
    let kit = cluster.ask("studio", &words!["kit", "--phrase-file", cluster.phrase()]).done();
    assert_eq!(kit["library"], library, "{kit}");
    let page = kit["text"].as_str().expect("the page");
    let phrase = fs::read_to_string(cluster.phrase()).expect("written by init");
    assert!(phrase.split_whitespace().all(|word| page.contains(word)), "{page}");
    assert!(page.contains("127.0.0.1") && page.contains("recover") && page.contains("salvage"), "{page}");

    // Without any node it is still worth having; a file is never overwritten.
    let out = cluster.place("kit.txt");
    cluster.homeless(&words!["kit", "--phrase-file", cluster.phrase(), "--out", out]).done();
    assert!(fs::read_to_string(&out).expect("written").contains(library));
    cluster
        .homeless(&words!["kit", "--phrase-file", cluster.phrase(), "--out", out])
        .refused(&["overwritten"]);
}

#[test]
fn settings_take_effect_and_stay() {
    let mut cluster = Cluster::new();
    cluster.found("studio", &["hdd"]);
    let all = cluster.ask("studio", &words!["config"]).done();
    let keys: Vec<_> = all["settings"].as_array().expect("a list").iter().map(|s| s["key"].clone()).collect();
    for key in ["limit.up", "limit.down"] {
        assert!(keys.iter().any(|k| k == key), "no {key} in {keys:?}");
    }
    cluster.ask("studio", &words!["config", "limit.up", "5MB"]).done();
    cluster.kill("studio");
    cluster.start("studio");
    let one = cluster.ask("studio", &words!["config", "limit.up"]).done();
    assert_eq!(one["settings"][0]["default"], false, "{one}");
    assert!(one["settings"][0]["value"].as_str().is_some_and(|v| v.contains('5')), "{one}");
    cluster.ask("studio", &words!["config", "limit.up", "fast"]).failed(2);
    cluster.ask("studio", &words!["config", "no.such.key", "1"]).failed(2);
}

#[test]
fn the_lists_have_the_keys_that_scripts_rely_on() {
    let mut cluster = Cluster::new();
    cluster.found("studio", &["ssd", "hdd,capacity=2GB"]);
    let card = cluster.place("card");
    crate::support::photos::handful(&card, 80);
    let taken = cluster.ingest("studio", &card, "Smith");
    let status = cluster.status("studio");
    let files = cluster.ask("studio", &words!["files", "Smith"]).done();
    let volumes = cluster.ask("studio", &words!["volumes"]).done();
    let nodes = cluster.ask("studio", &words!["nodes"]).done();
    let shoots = cluster.ask("studio", &words!["shoots"]).done();
    let keys = |value: &serde_json::Value, keys: &[&str]| {
        for key in keys {
            assert!(value.get(key).is_some(), "no {key} in {value:#}");
        }
    };
    keys(&status, &["library", "rule", "verdict", "shoots", "nodes", "volumes", "transfers"]);
    keys(
        &taken,
        &[
            "shoot",
            "files_new",
            "files_known",
            "files_failed",
            "bytes",
            "rolls",
            "stored",
            "verdict",
            "safe_to_format",
        ],
    );
    keys(&taken["rolls"][0], &["id", "k", "n"]);
    let shoot = [
        "id",
        "name",
        "files",
        "bytes",
        "stored_bytes",
        "verdict",
        "rule",
        "sites",
        "pending_bytes",
        "reason",
        "remedy",
    ];
    keys(&shoots["shoots"][0], &shoot);
    keys(&files["files"][0], &["path", "bytes", "hash"]);
    keys(&volumes["volumes"][0], &["id", "node", "site", "media", "capacity_bytes", "used_bytes", "state"]);
    keys(&nodes["nodes"][0], &["id", "name", "site", "role", "state", "addresses"]);
    let path = card.join(files["files"][0]["path"].as_str().expect("a path"));
    let hash = blake3::hash(&fs::read(path).expect("readable")).to_hex().to_string();
    assert_eq!(files["files"][0]["hash"], hash);
    let hdd = volumes["volumes"].as_array().expect("a list").iter().find(|v| v["media"] == "hdd");
    let hdd = hdd.expect("the hard disk");
    assert_eq!(hdd["state"], "ok", "{volumes}");
    assert!(hdd["capacity_bytes"].as_u64() <= Some(2_000_000_000), "{volumes}");
    let peer = nodes["nodes"][0]["addresses"][0].as_str().expect("an address").to_owned();
    assert!(peer.starts_with("/ip4/127.0.0.1/") && peer.contains("/p2p/"), "{peer}");
}
