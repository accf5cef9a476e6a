//! Taking photos in: everything once, under its own name, on any node, connected or not.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::cluster::{failures, no_failures, shoot_of};
use crate::support::photos::{self, handful, odd, wedding, write};
use crate::support::{Cluster, Tree, assert_same, tree};
use crate::words;

/// One node with one volume.
fn alone() -> Cluster {
    let mut cluster = Cluster::new();
    cluster.found("studio", &["hdd"]);
    cluster
}

#[test]
fn what_is_stored_once_is_known_ever_after() {
    let cluster = alone();
    let card = cluster.place("card");
    let went = wedding(&card, 10);
    let taken = cluster.ingest("studio", &card, "Smith");
    let new = taken["files_new"].as_u64().expect("a count");
    let known = taken["files_known"].as_u64().expect("a count");
    assert_eq!(new + known, went.len() as u64, "{taken}");
    assert!(!taken["rolls"].as_array().expect("rolls").is_empty(), "{taken}");
    let stored = stored_bytes(&cluster, "Smith");

    // The same card once more: nothing is stored again, and the shoot does not grow.
    let again = cluster.ingest("studio", &card, "Smith");
    assert_eq!(again["files_new"], 0, "{again}");
    assert_eq!(again["files_known"].as_u64(), Some(went.len() as u64), "{again}");
    assert_eq!(again["bytes"], 0, "{again}");
    assert_eq!(files(&cluster, "studio", "Smith"), names(&went));

    // The same files into another shoot: it has them all, for next to no room.
    let album = cluster.ingest("studio", &card, "Smith album");
    assert_eq!(album["files_new"], 0, "{album}");
    assert_eq!(files(&cluster, "studio", "Smith album"), names(&went));
    assert!(stored_bytes(&cluster, "Smith album") < stored / 2);
    let to = cluster.place("album");
    cluster.ask("studio", &words!["restore", "Smith album", "--to", to]).done();
    assert_same(&went, &to);
}

#[test]
fn a_card_that_has_grown_adds_only_what_is_new() {
    let cluster = alone();
    let card = cluster.place("card");
    let before = handful(&card, 11);
    cluster.ingest("studio", &card, "Reception");
    photos::raw(&card, 11, 77, 90_000);
    let after = tree(&card);
    let taken = cluster.ingest("studio", &card, "Reception");
    assert_eq!(taken["files_new"], 2, "{taken}");
    assert_eq!(taken["files_known"].as_u64(), Some(before.len() as u64), "{taken}");
    let to = cluster.place("back");
    cluster.ask("studio", &words!["restore", "Reception", "--to", to]).done();
    assert_same(&after, &to);
}

#[test]
fn odd_names_empty_files_and_single_files_come_back_as_they_were() {
    let cluster = alone();
    let card = cluster.place("card");
    odd(&card, 12);
    write(&card, "empty.jpg", b"");
    let went = tree(&card);
    cluster.ingest("studio", &card, "Łukasz & Zoë: the \"big\" day / part 1");
    let back = cluster.restore_all("studio", "back", &[]);
    let folders: Vec<_> = fs::read_dir(&back).expect("a folder").flatten().collect();
    assert_eq!(folders.len(), 1, "one folder, though the shoot's name has a slash: {folders:?}");
    assert_same(&went, &folders[0].path());

    let one = photos::one(&cluster.place("single"), "IMG_9.jpg", 13, 3_000);
    cluster.ingest("studio", &cluster.place("single").join("IMG_9.jpg"), "single");
    let to = cluster.place("one");
    cluster.ask("studio", &words!["restore", "single", "--to", to]).done();
    assert_same(&one, &to);
}

#[test]
fn a_path_that_is_not_there_is_listed_and_the_rest_is_stored() {
    let cluster = alone();
    let card = cluster.place("card");
    let went = handful(&card, 14);
    let missing = cluster.place("no such card");
    let taken = cluster.ask("studio", &words!["ingest", card, missing, "--shoot", "half"]).exit(3);
    assert_eq!(taken["files_new"].as_u64(), Some(went.len() as u64), "{taken}");
    assert_eq!(failures(&taken).len(), 1, "{taken}");
    assert_eq!(taken["safe_to_format"], false, "{taken}");
    let to = cluster.place("back");
    cluster.ask("studio", &words!["restore", "half", "--to", to]).done();
    assert_same(&went, &to);
}

#[test]
fn an_unreadable_file_is_listed_and_the_rest_is_stored() {
    let cluster = alone();
    let card = cluster.place("card");
    let mut went = handful(&card, 15);
    let locked = card.join("DCIM/100NIKON/DSC_0002.JPG");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).expect("ours");
    let mut args = words!["ingest", card, "--shoot", "locked"].to_vec();
    let mut unreadable = "DSC_0002.JPG";
    if fs::File::open(&locked).is_ok() {
        // Root may open everything, except what the kernel itself refuses: a file that can only be written.
        args.push("/sys/bus/platform/drivers_probe".into());
        unreadable = "drivers_probe";
    } else {
        went.remove(locked.strip_prefix(&card).expect("on the card"));
    }
    let taken = cluster.ask("studio", &args).exit(3);
    let failed = failures(&taken);
    assert!(failed.len() == 1 && failed[0].0.ends_with(unreadable), "{taken}");
    assert!(!failed[0].1.is_empty(), "{taken}");
    assert_eq!(taken["safe_to_format"], false, "{taken}");
    let to = cluster.place("back");
    cluster.ask("studio", &words!["restore", "locked", "--to", to]).done();
    assert_same(&went, &to);
}

#[test]
fn files_that_vanish_while_they_are_taken_in_do_not_stop_the_rest() {
    let cluster = alone();
    let card = cluster.place("card");
    for number in 0..40 {
        photos::one(&card, &format!("a/{number:03}.jpg"), 1_600 + number, 60_000);
    }
    let job = cluster.begin("studio", &words!["ingest", card, "--shoot", "pulled"]);
    // The card is pulled at a moment that differs from run to run; every outcome has to be honest.
    for number in (20..40).rev() {
        drop(fs::remove_file(card.join(format!("a/{number:03}.jpg"))));
    }
    let reply = job.finish();
    let taken = reply.json();
    let failed = failures(&taken);
    assert_eq!(reply.code, Some(if failed.is_empty() { 0 } else { 3 }), "{taken}");
    let there = taken["files_new"].as_u64().expect("a count");
    assert!(there >= 20, "{taken}");
    let back = cluster.place("back");
    cluster.ask("studio", &words!["restore", "pulled", "--to", back]).done();
    let came = tree(&back);
    assert_eq!(came.len() as u64, there, "{taken}");
    for (path, (_, hash)) in &came {
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok()).expect("our name");
        assert_eq!(*hash, *blake3::hash(&photos::noise(1_600 + number, 0, 60_000)).as_bytes());
    }
}

#[test]
fn a_vault_takes_photos_in_that_only_the_studio_can_read() {
    let cluster = Cluster::three_sites();
    let card = cluster.place("card");
    let went = wedding(&card, 17);
    cluster.ingest("friend", &card, "Taken in at Tom's");
    let shoots = cluster.ask("friend", &words!["shoots"]).done();
    assert_eq!(shoots["shoots"].as_array().map(Vec::len), Some(1), "{shoots}");
    assert!(shoots["shoots"][0]["name"].is_null(), "{shoots}");
    let to = cluster.place("not to be");
    for args in
        [words!["files", "Taken in at Tom's"].to_vec(), words!["restore", "--all", "--to", to].to_vec()]
    {
        let (message, _) = cluster.ask("friend", &args).failed(1);
        assert!(message.to_lowercase().contains("vault"), "{message}");
    }

    let seen = cluster.until("studio", "the studio knows the shoot", |status| {
        shoot_of(status, "Taken in at Tom's").is_some_and(|s| s["files"].as_u64() == Some(went.len() as u64))
    });
    assert_eq!(seen["shoots"].as_array().map(Vec::len), Some(1));
    cluster.until_safe("studio", "Taken in at Tom's");
    assert_eq!(files(&cluster, "studio", "Taken in at Tom's"), names(&went));
    let back = cluster.place("back");
    let args = words!["restore", "Taken in at Tom's", "--to", back, "--without", "friend"];
    cluster.ask("studio", &args).done();
    assert_same(&went, &back);
}

#[test]
fn two_nodes_that_are_cut_off_take_photos_into_one_shoot() {
    let mut cluster = Cluster::three_sites();
    let (one, two) = (cluster.place("one"), cluster.place("two"));
    let mut both = photos::one(&one, "first camera/A.NEF", 18, 200_000);
    both.extend(photos::one(&two, "second camera/B.NEF", 19, 200_000));
    // A picture that both have, under the same name.
    write(&one, "shared.jpg", &photos::noise(20, 0, 50_000));
    both.extend(photos::one(&two, "shared.jpg", 20, 50_000));

    cluster.kill("studio");
    cluster.ingest("friend", &two, "Two cameras");
    cluster.kill("friend");
    cluster.start("studio");
    cluster.ingest("studio", &one, "Two cameras");
    cluster.start("friend");

    let wanted = names(&both);
    cluster.until("studio", "both sets are in one shoot", |status| {
        let files = shoot_of(status, "Two cameras").and_then(|shoot| shoot["files"].as_u64());
        files.is_some_and(|files| files >= wanted.len() as u64)
    });
    cluster.until_safe("studio", "Two cameras");
    let mut listed = files(&cluster, "studio", "Two cameras");
    listed.dedup();
    assert_eq!(listed, wanted);
    let to = cluster.place("back");
    let back = cluster.ask("studio", &words!["restore", "Two cameras", "--to", to]).done();
    assert!(no_failures(&back), "{back}");
    assert_same(&both, &to);
}

fn stored_bytes(cluster: &Cluster, shoot: &str) -> u64 {
    let shoots = cluster.ask("studio", &words!["shoots"]).done();
    let shoot = shoot_of(&shoots, shoot).expect("the shoot").clone();
    shoot["stored_bytes"].as_u64().expect("a number")
}

fn files(cluster: &Cluster, node: &str, shoot: &str) -> Vec<String> {
    let files = cluster.ask(node, &words!["files", shoot]).done();
    let files = files["files"].as_array().expect("files").clone();
    let mut files: Vec<_> = files.iter().map(|f| f["path"].as_str().expect("a path").to_owned()).collect();
    files.sort();
    files
}

fn names(tree: &Tree) -> Vec<String> {
    tree.keys().map(|path| path.to_str().expect("UTF-8").to_owned()).collect()
}
