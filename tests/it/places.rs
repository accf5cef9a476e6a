//! Homes, volumes and ports that are full, gone, taken or broken: said so, and nothing on them is given up.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::photos::{self, handful, noise, write};
use crate::support::process::{Job, NodeProcess, command};
use crate::support::{Cluster, assert_same, tree};
use crate::words;

/// One node with one volume.
fn alone() -> Cluster {
    let mut cluster = Cluster::new();
    cluster.found("studio", &["hdd"]);
    cluster
}

#[test]
fn a_full_volume_stops_an_ingest_cleanly() {
    let mut cluster = Cluster::new();
    cluster.found("studio", &["hdd,capacity=4MB"]);
    let small = cluster.place("small");
    let went = handful(&small, 61);
    cluster.ingest("studio", &small, "fits");
    photos::one(&cluster.place("large"), "large.NEF", 62, 9_000_000);
    let reply = cluster.ask("studio", &words!["ingest", cluster.place("large"), "--shoot", "does not"]);
    assert!(matches!(reply.code, Some(1 | 3)), "{reply:#?}");
    let document = reply.json();
    assert_ne!(document["stored"], true, "{document}");
    let said = document.to_string().to_lowercase();
    assert!(said.contains("full") || said.contains("room"), "{document}");
    // Nothing of it counts, and nothing else is harmed.
    let status = cluster.status("studio");
    let used = status["volumes"][0]["used_bytes"].as_u64().expect("a number");
    assert!(used <= 4_000_000, "{status}");
    let back = cluster.restore_all("studio", "back", &[]);
    assert_same(&went, &back.join("fits"));
    let more = cluster.place("more");
    photos::one(&more, "more.jpg", 63, 100_000);
    cluster.ingest("studio", &more, "fits, too");
}

#[test]
fn a_full_volume_is_passed_over_for_one_with_room() {
    let mut cluster = Cluster::new();
    cluster.found("studio", &["ssd,capacity=1MB", "hdd"]);
    let card = cluster.place("card");
    let went = photos::one(&card, "large.NEF", 64, 6_000_000);
    cluster.ingest("studio", &card, "large");
    let back = cluster.restore_all("studio", "back", &[]);
    assert_same(&went, &back.join("large"));
}

#[test]
fn a_volume_that_is_not_there_is_unavailable_and_never_deleted() {
    let mut cluster = alone();
    let card = cluster.place("card");
    let went = handful(&card, 65);
    cluster.ingest("studio", &card, "Smith");
    let (path, aside) = (cluster.volume("studio", "hdd"), cluster.place("unmounted"));
    let other = cluster.place("other phrase");
    let mut args = words!["init", "--name", "b", "--site", "b", "--phrase-out", other].to_vec();
    args.extend(cluster.volume_words("b", &["hdd"]));
    cluster.ask("b", &args).done();

    let stranger = cluster.volume("b", "hdd");
    let put = |what: &str| match what {
        "an empty folder" => fs::create_dir(&path).expect("made"),
        "another volume" => fs::rename(&stranger, &path).expect("renamed"),
        "a file" => fs::write(&path, b"no folder").expect("a file"),
        _ => {}
    };
    let take = |what: &str| match what {
        "an empty folder" => fs::remove_dir_all(&path).expect("removed"),
        "another volume" => fs::rename(&path, &stranger).expect("renamed"),
        "a file" => fs::remove_file(&path).expect("removed"),
        _ => {}
    };
    for what in ["nothing", "an empty folder", "a file", "another volume"] {
        cluster.stop("studio");
        fs::rename(&path, &aside).expect("unmounted");
        put(what);
        cluster.start("studio");
        let status = cluster.status("studio");
        assert_eq!(status["volumes"][0]["state"], "unavailable", "{what}: {status:#}");
        assert_eq!(status["shoots"][0]["files"].as_u64(), Some(went.len() as u64), "{what}: {status:#}");
        assert_ne!(status["verdict"], "lost", "absence is no loss: {what}: {status:#}");
        let more = cluster.place("more");
        write(&more, "more.jpg", &noise(66, 0, 1_000));
        let reply = cluster.ask("studio", &words!["ingest", more, "--shoot", "more"]);
        assert!(matches!(reply.code, Some(1 | 3)), "{what}: {reply:#?}");
        assert_ne!(reply.json()["stored"], true, "{what}: {reply:#?}");
        cluster.stop("studio");
        take(what);
        fs::rename(&aside, &path).expect("mounted again");
        cluster.start("studio");
        let back = cluster.place(&format!("back after {what}"));
        cluster.ask("studio", &words!["restore", "Smith", "--to", back]).done();
        assert_same(&went, &back);
    }
}

#[test]
fn one_home_has_one_node() {
    let mut cluster = alone();
    let pid = cluster.process("studio").id().to_string();
    let second = Job::spawn(
        &cluster.place("logs"),
        command(Some(&cluster.home("studio")), &["run", "--listen", "127.0.0.1:0", "--json"]),
    );
    second.finish().refused(&["already runs", &pid]);
    cluster.ask("studio", &words!["nodes"]).done();

    let before = tree(&cluster.home("studio"));
    fs::remove_file(cluster.phrase()).expect("kept elsewhere");
    cluster.init("studio", &["hdd"]).refused(&["already is the home of a node"]);
    assert!(!cluster.phrase().exists(), "no phrase for a library that was not made");
    assert_eq!(before.len(), tree(&cluster.home("studio")).len());
    let code = cluster.invite("studio");
    cluster.join_with("studio", &code, &["nas"]).refused(&["already is the home of a node"]);
    cluster.kill("studio");
    cluster.init("studio", &["hdd"]).refused(&["already is the home of a node"]);
    cluster.start("studio");
}

#[test]
fn a_volume_belongs_to_one_library() {
    let cluster = alone();
    let stolen = cluster.volume("studio", "hdd");
    let before = tree(&stolen).len();
    let phrase = cluster.place("other phrase");
    let words = words!["init", "--name", "b", "--site", "b", "--phrase-out", phrase, "--volume", stolen];
    cluster.ask("b", &words).refused(&["volume"]);
    assert!(!cluster.home("b").join("node.redb").exists());
    assert_eq!(before, tree(&stolen).len());

    let file = cluster.place("a file");
    fs::write(&file, b"x").expect("a file");
    let phrase = cluster.place("third phrase");
    let words = words!["init", "--name", "c", "--site", "c", "--phrase-out", phrase, "--volume", file];
    cluster.ask("c", &words).failed(1);
    let volume = format!("{},media=papyrus", cluster.place("v").display());
    let phrase = cluster.place("fourth phrase");
    let words = words!["init", "--name", "d", "--site", "d", "--phrase-out", phrase, "--volume", volume];
    let reply = cluster.ask("d", &words);
    assert!(matches!(reply.code, Some(1 | 2)) && reply.out.contains("papyrus"), "{reply:#?}");
}

#[test]
fn a_port_in_use_is_said() {
    let mut cluster = alone();
    cluster.stop("studio");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound");
    let _same = UdpSocket::bind(address);
    let home = cluster.home("studio");
    for (mine, other) in [("--listen", "--dashboard"), ("--dashboard", "--listen")] {
        let address = address.to_string();
        let args = ["run", mine, &address, other, "127.0.0.1:0", "--json"];
        let job = Job::spawn(&cluster.place("logs"), command(Some(&home), &args));
        job.finish().refused(&[&address]);
    }
    cluster.start("studio");
}

#[test]
fn a_node_that_ends_by_itself_is_noticed() {
    // Guards the tests themselves: a node on a broken home ends with a sentence, it does not linger.
    let cluster = Cluster::new();
    let home = cluster.home("broken");
    write(&home, "node.redb", b"this is no database");
    let log = cluster.place("logs").join("run-broken.log");
    let mut process = NodeProcess::start(&home, &log, &[]);
    let deadline = Instant::now() + Duration::from_secs(60);
    while process.ended().is_none() {
        assert!(Instant::now() < deadline, "it lingers");
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(process.ended().and_then(|status| status.code()), Some(1));
    let said = cluster.said("broken");
    assert!(said.contains("safelight:") && !said.contains("panicked"), "{said}");
    assert!(home.join("node.redb").exists(), "what is broken is kept for whoever can mend it");
}
