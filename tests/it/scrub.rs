//! Scrub and audits: decay is found before anybody asks for the photos, said, and made good.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use safelight_proto::shard::{BLOCK, ShardId};
use serde_json::{Value, json};

use crate::support::cluster::DEADLINE;
use crate::support::photos::wedding;
use crate::support::{Cluster, Seeded, Tree, assert_same, disk};
use crate::words;

const SHOOT: &str = "Smith wedding";
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);

fn a_safe_wedding(seed: u64) -> (Cluster, Tree) {
    let cluster = Cluster::three_sites();
    let card = cluster.place("card");
    let went = wedding(&card, seed);
    cluster.ingest("studio", &card, SHOOT);
    cluster.until_safe("studio", SHOOT);
    (cluster, went)
}

/// The finished shards of a volume, without those moved aside.
fn held(volume: &Path) -> Vec<PathBuf> {
    disk::shards(&volume.join("safelight/shards"))
}

/// The files that were moved aside on a volume.
fn aside(volume: &Path) -> Vec<PathBuf> {
    disk::shards(&volume.join("safelight/bad"))
}

/// Roll and index of a shard file, as `verify` names them.
fn name_of(shard: &Path) -> (Value, Value) {
    let bytes = fs::read(shard).expect("readable");
    let id = ShardId::from_block(bytes.first_chunk::<BLOCK>().expect("a header")).expect("a shard");
    (json!(id.roll.to_string()), json!(id.index))
}

/// The volume's entry in `volumes` of its own node.
fn entry(cluster: &Cluster, node: &str, volume: &Path) -> Value {
    let volumes = cluster.ask(node, &words!["volumes"]).done();
    let path = json!(volume.to_str().expect("plain"));
    let all = volumes["volumes"].as_array().expect("a list");
    all.iter().find(|entry| entry["path"] == path).expect("its own volume").clone()
}

fn bad(document: &Value) -> Vec<(Value, Value, Value)> {
    let bad = document["bad"].as_array().expect("a list");
    bad.iter().map(|bad| (bad["volume"].clone(), bad["roll"].clone(), bad["index"].clone())).collect()
}

#[track_caller]
fn until(what: &str, mut wanted: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !wanted() {
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        thread::sleep(PAUSE);
    }
}

#[test]
fn everything_is_read_and_said_to_be_right() {
    let (cluster, _) = a_safe_wedding(300);
    for (node, media) in [("studio", vec!["ssd", "hdd"]), ("friend", vec!["nas"])] {
        let volumes: Vec<PathBuf> = media.iter().map(|media| cluster.volume(node, media)).collect();
        let files: Vec<PathBuf> = volumes.iter().flat_map(|volume| held(volume)).collect();
        let bytes: u64 = files.iter().map(|file| fs::metadata(file).expect("there").len()).sum();
        assert!(entry(&cluster, node, &volumes[0])["scrubbed"].is_null());
        let said = cluster.ask(node, &words!["verify"]).done();
        assert_eq!(said["shards"].as_u64(), Some(files.len() as u64), "{said}");
        assert_eq!(said["bytes"].as_u64(), Some(bytes), "{said}");
        assert_eq!((bad(&said).len(), &said["repaired"]), (0, &json!(0)), "{said}");
        for volume in &volumes {
            let entry = entry(&cluster, node, volume);
            assert!(entry["scrubbed"].as_str().is_some_and(|at| at.ends_with('Z')), "{entry}");
        }
    }
}

#[test]
fn a_flipped_byte_is_found_on_a_studio_and_on_a_vault_and_repaired() {
    let (cluster, went) = a_safe_wedding(301);
    for (node, media) in [("studio", "hdd"), ("friend", "nas")] {
        let volume = cluster.volume(node, media);
        let shard = held(&volume).swap_remove(0);
        let (roll, index) = name_of(&shard);
        disk::flip(&shard);
        let found = cluster.ask(node, &words!["verify"]).exit(3);
        let id = entry(&cluster, node, &volume)["id"].clone();
        assert_eq!(bad(&found), [(id, roll, index)], "{found}");
        assert_eq!(found["repaired"], 1, "{found}");
        assert_eq!(aside(&volume).len(), 1, "moved aside, not deleted");
        let again = cluster.ask(node, &words!["verify"]).done();
        assert!(bad(&again).is_empty(), "{again}");
        cluster.until_safe("studio", SHOOT);
    }
    for site in ["studio", "friend", "cloud"] {
        let back = cluster.restore_all("studio", &format!("without {site}"), &["--without", site]);
        assert_same(&went, &back.join(SHOOT));
    }
}

#[test]
fn truncated_and_missing_shards_are_found_too() {
    let (cluster, went) = a_safe_wedding(302);
    let (ssd, hdd) = (cluster.volume("studio", "ssd"), cluster.volume("studio", "hdd"));
    let (cut, gone) = (held(&ssd).swap_remove(0), held(&hdd).swap_remove(0));
    let names = [name_of(&cut), name_of(&gone)];
    disk::truncate(&cut);
    fs::remove_file(&gone).expect("deleted");
    let found = cluster.ask("studio", &words!["verify"]).exit(3);
    let mut said: Vec<(Value, Value)> =
        bad(&found).into_iter().map(|(_, roll, index)| (roll, index)).collect();
    said.sort_by_key(|name| *name != names[0]);
    assert_eq!(said, names, "{found}");
    assert_eq!(found["repaired"], 2, "{found}");
    cluster.until_safe("studio", SHOOT);
    cluster.ask("studio", &words!["verify"]).done();
    let back = cluster.restore_all("studio", "back", &["--without", "friend", "--without", "cloud"]);
    assert_same(&went, &back.join(SHOOT));
}

#[test]
fn one_volume_is_named_by_its_folder_or_by_its_id() {
    let (cluster, _) = a_safe_wedding(303);
    let (ssd, nas) = (cluster.volume("studio", "ssd"), cluster.volume("friend", "nas"));
    let shards = held(&ssd).len() as u64;
    let id = entry(&cluster, "studio", &ssd)["id"].as_str().expect("an id").to_owned();
    for name in [ssd.to_str().expect("plain"), &format!("{}/.", ssd.display()), &id, &id[..8]] {
        let said = cluster.ask("studio", &words!["verify", "--volume", name]).done();
        assert_eq!(said["shards"].as_u64(), Some(shards), "{name}: {said}");
    }
    let foreign = entry(&cluster, "friend", &nas)["id"].as_str().expect("an id").to_owned();
    cluster.ask("studio", &words!["verify", "--volume", foreign]).refused(&["friend", "safelight verify"]);
    cluster
        .ask("studio", &words!["verify", "--volume", "/nowhere"])
        .refused(&["no volume", "safelight volumes"]);
}

#[test]
fn a_drive_that_is_not_there_is_not_damaged() {
    let (cluster, went) = a_safe_wedding(304);
    let (hdd, drawer) = (cluster.volume("studio", "hdd"), cluster.place("a drawer"));
    fs::rename(&hdd, &drawer).expect("unplugged");
    let said = cluster.ask("studio", &words!["verify", "--timeout", "1s"]).exit(3);
    assert!(bad(&said).is_empty(), "{said}");
    assert_eq!(said["unverified"].as_array().map(Vec::len), Some(1), "{said}");
    until("the node knows", || {
        let reply = cluster.ask("studio", &words!["verify", "--volume", hdd, "--timeout", "1s"]);
        reply.code == Some(1)
            && reply.json()["error"]["message"].as_str().is_some_and(|m| m.contains("not available"))
    });
    fs::rename(&drawer, &hdd).expect("plugged in");
    until("it is back", || cluster.ask("studio", &words!["verify"]).code == Some(0));
    assert!(aside(&hdd).is_empty());
    let back = cluster.restore_all("studio", "back", &["--without", "friend", "--without", "cloud"]);
    assert_same(&went, &back.join(SHOOT));
}

#[test]
fn the_rounds_find_it_by_themselves() {
    let (cluster, went) = a_safe_wedding(305);
    for (node, media) in [("studio", "ssd"), ("cloud", "cloud")] {
        let volume = cluster.volume(node, media);
        disk::flip(&held(&volume)[0]);
        cluster.ask(node, &words!["config", "scrub.period", "1s"]).done();
        until("the bad shard is moved aside", || aside(&volume).len() == 1);
        until("the round is told", || entry(&cluster, node, &volume)["scrubbed"].is_string());
        until("it is repaired", || cluster.ask(node, &words!["verify"]).json()["missing"] == 0);
    }
    cluster.until_safe("studio", SHOOT);
    let back = cluster.restore_all("studio", "back", &["--without", "friend"]);
    assert_same(&went, &back.join(SHOOT));
}

#[test]
fn while_the_other_copies_are_away_that_is_said_and_mended_when_they_are_back() {
    let (mut cluster, went) = a_safe_wedding(306);
    for away in ["friend", "cloud"] {
        cluster.stop(away);
    }
    disk::flip(&held(&cluster.volume("studio", "ssd"))[0]);
    let found = cluster.ask("studio", &words!["verify", "--timeout", "3s"]).exit(3);
    assert_eq!(
        (bad(&found).len(), &found["repaired"], &found["missing"]),
        (1, &json!(0), &json!(1)),
        "{found}"
    );
    assert_eq!(found["awaited"].as_array().map(Vec::len), Some(2), "{found}");
    assert_ne!(found["verdict"], "safe", "{found}");
    let status = cluster.status("studio");
    let warnings = status["warnings"].to_string();
    assert!(warnings.contains("cannot be repaired") && warnings.contains("friend"), "{warnings}");
    // This run finds nothing new, and says that the old is not mended.
    let again = cluster.ask("studio", &words!["verify", "--timeout", "1s"]).done();
    assert_eq!((bad(&again).len(), &again["missing"]), (0, &json!(1)), "{again}");
    for back in ["friend", "cloud"] {
        cluster.start(back);
    }
    until("it is repaired", || cluster.ask("studio", &words!["verify"]).done()["missing"] == 0);
    cluster.until_safe("studio", SHOOT);
    let back = cluster.restore_all("studio", "back", &["--without", "friend", "--without", "cloud"]);
    assert_same(&went, &back.join(SHOOT));
}

#[test]
fn power_cuts_during_a_verification_do_no_harm() {
    let (mut cluster, went) = a_safe_wedding(307);
    let volume = cluster.volume("studio", "ssd");
    let shard = held(&volume).swap_remove(0);
    disk::flip(&shard);
    let mut chance = Seeded::new(307);
    for _ in 0..4 {
        let job = cluster.begin("studio", &words!["verify", "--timeout", "1s"]);
        thread::sleep(Duration::from_millis(chance.below(400)));
        cluster.kill("studio");
        job.finish();
        cluster.start("studio");
        cluster.until_online("studio", 3);
    }
    let reply = cluster.ask("studio", &words!["verify"]);
    assert!(matches!(reply.code, Some(0 | 3)), "{reply:#?}");
    assert_eq!(aside(&volume).len(), 1, "found once, by whichever run came so far");
    until("it is repaired", || cluster.ask("studio", &words!["verify"]).done()["missing"] == 0);
    cluster.until_safe("studio", SHOOT);
    let back = cluster.restore_all("studio", "back", &["--without", "friend", "--without", "cloud"]);
    assert_same(&went, &back.join(SHOOT));
}

#[test]
fn a_vault_that_lost_its_shards_stops_counting() {
    let (cluster, went) = a_safe_wedding(308);
    for shard in held(&cluster.volume("friend", "nas")) {
        fs::remove_file(shard).expect("deleted");
    }
    cluster.ask("studio", &words!["config", "audit.period", "1s"]).done();
    let status = cluster.until("studio", "it is found out", |status| status["verdict"] != "safe");
    assert_ne!(status["verdict"], "lost", "{status:#}");
    let back = cluster.restore_all("studio", "back", &["--without", "friend"]);
    assert_same(&went, &back.join(SHOOT));
}
