//! What people, files and strangers do wrong: one clear sentence each, and nothing is harmed.

use std::fs;
use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use safelight_proto::invite::Invite;

use crate::support::cluster::no_failures;
use crate::support::photos::{handful, noise, write};
use crate::support::{Cluster, assert_same, tree};
use crate::words;

/// One node with one volume.
fn alone() -> Cluster {
    let mut cluster = Cluster::new();
    cluster.found("studio", &["hdd"]);
    cluster
}

#[test]
fn a_wrong_phrase_is_told_word_by_word_before_anything_is_written() {
    let cluster = alone();
    let text = fs::read_to_string(cluster.phrase()).expect("written by init");
    let words: Vec<_> = text.split_whitespace().collect();
    let mut misspelt = words.clone();
    misspelt[6] = "phtograph";
    let mut swapped = words.clone();
    // Two different words that change places; only one in 256 such phrases adds up by chance.
    let other = (1..24).find(|at| words[*at] != words[0]).expect("different words");
    swapped.swap(0, other);
    let cases: [(Vec<&str>, &[&str]); 3] = [
        (misspelt, &["word 7", "phtograph"]),
        (words[..23].to_vec(), &["24 words", "23"]),
        (swapped, &["checksum"]),
    ];
    let peer = cluster.address("studio");
    for (case, (words, said)) in cases.iter().enumerate() {
        let file = cluster.place(&format!("wrong {case}"));
        fs::write(&file, words.join(" ")).expect("a file");
        let (node, to) = ("new", cluster.place("back"));
        let mut recover =
            words!["recover", "--phrase-file", file, "--peer", peer, "--name", node, "--site", node].to_vec();
        recover.extend(cluster.volume_words(node, &["ssd"]));
        cluster.ask(node, &recover).refused(said);
        assert!(!cluster.home(node).exists() && !cluster.volume(node, "ssd").exists());
        let salvage = words!["salvage", cluster.volume("studio", "hdd"), "--phrase-file", file, "--to", to];
        cluster.homeless(&salvage).refused(said);
        cluster.homeless(&words!["kit", "--phrase-file", file]).refused(said);
        assert!(!to.exists());
    }
    let none = cluster.place("no such file");
    cluster.homeless(&words!["kit", "--phrase-file", none]).refused(&["phrase", "no such file"]);
}

#[test]
fn the_phrase_of_another_library_lets_nobody_in() {
    let cluster = alone();
    let other = cluster.place("other phrase");
    let mut args = words!["init", "--name", "b", "--site", "b", "--phrase-out", other].to_vec();
    args.extend(cluster.volume_words("b", &["hdd"]));
    cluster.ask("b", &args).done();
    let peer = cluster.address("studio");
    let mut recover = words![
        "recover",
        "--phrase-file",
        other,
        "--peer",
        peer,
        "--name",
        "c",
        "--site",
        "c",
        "--timeout",
        "15s"
    ]
    .to_vec();
    recover.extend(cluster.volume_words("c", &["ssd"]));
    cluster.ask("c", &recover).failed(1);
    let nodes = cluster.ask("studio", &words!["nodes"]).done();
    assert_eq!(nodes["nodes"].as_array().map(Vec::len), Some(1), "{nodes}");
}

#[test]
fn bad_invites_are_told_apart() {
    let mut cluster = alone();
    let good = cluster.invite("studio");
    cluster.join_with("v1", "please let me in", &["nas"]).refused(&["no Safelight invite"]);

    let mut mangled = good.clone().into_bytes();
    let middle = mangled.len() / 2;
    mangled[middle] = if mangled[middle] == b'A' { b'B' } else { b'A' };
    let mangled = String::from_utf8(mangled).expect("letters");
    cluster.join_with("v1", &mangled, &["nas"]).refused(&["mangled"]);
    cluster.join_with("v1", &good[..good.len() - 3], &["nas"]).refused(&["mangled"]);

    let brief = cluster.ask("studio", &words!["invite", "--expires", "1s"]).done();
    let brief = brief["code"].as_str().expect("a code").to_owned();
    // The code's own life, and a little.
    thread::sleep(Duration::from_millis(2_100));
    cluster.join_with("v1", &brief, &["nas"]).refused(&["expired"]);

    // An invite that its alleged inviter never made.
    let mut forged: Invite = good.parse().expect("an invite");
    forged.secret = [7; 16];
    let (message, _) = cluster.join_with("v1", &forged.to_string(), &["nas"]).failed(1);
    assert!(message.contains("invite") || message.contains("code"), "{message}");

    // An invite to one library that leads to another's node.
    let mut foreign: Invite = good.parse().expect("an invite");
    foreign.library.0[0] ^= 1;
    cluster.join_with("v1", &foreign.to_string(), &["nas"]).refused(&["library"]);
    assert!(!cluster.home("v1").join("node.redb").exists(), "nothing was joined");

    // After all of that the true one works, spaces and small letters notwithstanding, and only once.
    let typed = format!(" {} \n{}", good[..20].to_lowercase(), &good[20..]);
    cluster.join_with("v1", &typed, &["nas"]).done();
    cluster.start("v1");
    cluster.join_with("v2", &good, &["nas"]).refused(&["used"]);
    cluster.until_online("studio", 2);
}

#[test]
fn an_inviter_that_does_not_answer_is_named() {
    let mut cluster = alone();
    let code = cluster.invite("studio");
    cluster.kill("studio");
    let mut args = words!["join", code, "--name", "v", "--site", "v", "--timeout", "2s"].to_vec();
    args.extend(cluster.volume_words("v", &["nas"]));
    let said = cluster.ask("v", &args).refused(&["reached"]);
    assert!(!said.contains("Error"), "{said}");
    // The code was not used up by that.
    cluster.start("studio");
    assert!(!cluster.home("v").join("node.redb").exists());
}

#[test]
fn what_stands_in_the_target_of_a_restore_is_never_overwritten() {
    let cluster = alone();
    let card = cluster.place("card");
    let went = handful(&card, 60);
    cluster.ingest("studio", &card, "Smith");
    let to = cluster.place("back");
    let (equal, other) = ("DCIM/100NIKON/DSC_0001.JPG", "DCIM/100NIKON/DSC_0002.JPG");
    write(&to, equal, &fs::read(card.join(equal)).expect("readable"));
    write(&to, other, b"edited since");
    write(&to, "notes.txt", b"mine");
    let back = cluster.ask("studio", &words!["restore", "Smith", "--to", to]).done();
    assert_eq!(back["files"].as_u64(), Some(went.len() as u64), "{back}");
    assert_eq!(back["files_kept"], 1, "{back}");
    let renamed = back["renamed"].as_array().expect("a list");
    assert!(renamed.len() == 1 && renamed[0]["path"] == other, "{back}");
    let beside = renamed[0]["written_as"].as_str().expect("a path");
    assert_eq!(fs::read(to.join(beside)).expect("there"), fs::read(card.join(other)).expect("there"));
    assert_eq!(fs::read(to.join(other)).expect("there"), b"edited since");
    assert_eq!(fs::read(to.join("notes.txt")).expect("there"), b"mine");
    // Once more: everything is there already, and nothing new appears.
    let before = tree(&to);
    let again = cluster.ask("studio", &words!["restore", "Smith", "--to", to]).done();
    assert!(no_failures(&again), "{again}");
    assert_same(&before, &to);
}

#[test]
fn strangers_and_garbage_do_not_bother_a_node() {
    let mut cluster = alone();
    let card = cluster.place("card");
    let went = handful(&card, 67);
    cluster.ingest("studio", &card, "Smith");
    let nodes = cluster.ask("studio", &words!["nodes"]).done();
    let addresses = nodes["nodes"][0]["addresses"].as_array().expect("a list").clone();
    let addresses: Vec<_> = addresses.iter().filter_map(|address| address.as_str()).collect();
    let port = |protocol: &str| -> Option<u16> {
        let parts: Vec<_> = addresses.iter().flat_map(|address| address.split('/')).collect();
        parts.windows(2).find(|two| two[0] == protocol).and_then(|two| two[1].parse().ok())
    };
    let tcp = port("tcp").or_else(|| port("udp")).expect("a port");
    let mut open = Vec::new();
    for seed in 0..40 {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", tcp)) else { continue };
        stream.set_write_timeout(Some(Duration::from_secs(2))).expect("set");
        let text: &[u8] = match seed % 4 {
            0 => b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            1 => b"\x13/multistream/1.0.0\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            2 => b"\x13/multistream/1.0.0\n\x07/noise\n\xff\xff",
            _ => b"",
        };
        // A node that hangs up on this is right to do so.
        drop(stream.write_all(text).and_then(|()| stream.write_all(&noise(seed, 0, 200_000))));
        open.push(stream);
    }
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    for seed in 0..200 {
        let garbage = noise(seed, 1, 1 + (seed as usize * 37) % 1_400);
        drop(socket.send_to(&garbage, ("127.0.0.1", port("udp").unwrap_or(tcp))));
    }
    assert!(cluster.process("studio").ended().is_none(), "the node lives on");
    let back = cluster.restore_all("studio", "back", &[]);
    assert_same(&went, &back.join("Smith"));
    drop(open);
    // And members still get in.
    cluster.join("friend", &["nas"]);
    cluster.until_online("studio", 2);
}

#[test]
fn commands_without_a_node_say_what_to_do() {
    let mut cluster = alone();
    cluster.stop("studio");
    let to = cluster.place("to");
    let commands = [
        words!["status"].to_vec(),
        words!["shoots"].to_vec(),
        words!["nodes"].to_vec(),
        words!["volumes"].to_vec(),
        words!["invite"].to_vec(),
        words!["files", "x"].to_vec(),
        words!["restore", "--all", "--to", to].to_vec(),
        words!["ingest", to, "--shoot", "x"].to_vec(),
        words!["lost", "x"].to_vec(),
        words!["rule", "show"].to_vec(),
        words!["config"].to_vec(),
    ];
    for args in commands {
        let said = cluster.ask("studio", &args).refused(&["no node is running", "run"]);
        assert!(said.contains(&*cluster.home("studio").to_string_lossy()), "{said}");
        cluster.ask("nowhere", &args).refused(&["no safelight home", "init", "join"]);
    }
    cluster.ask("nowhere", &words!["run"]).refused(&["no safelight home", "init", "join"]);
    let foreign = cluster.home("foreign");
    write(&foreign, "IMG_1.CR3", b"a photograph");
    cluster.ask("foreign", &words!["status"]).refused(&["not a safelight home"]);
    cluster.init("foreign", &["nas"]).refused(&["not a safelight home"]);
    assert_eq!(fs::read(foreign.join("IMG_1.CR3")).expect("untouched"), b"a photograph");

    // A node that was killed has left its address behind; nobody is misled by it.
    cluster.start("studio");
    cluster.kill("studio");
    cluster.ask("studio", &words!["status"]).refused(&["no node is running"]);
}

#[test]
fn names_that_mean_nothing_are_refused() {
    let cluster = alone();
    let to = cluster.place("to");
    for args in [
        words!["files", "no such shoot"].to_vec(),
        words!["status", "no such shoot"].to_vec(),
        words!["restore", "no such shoot", "--to", to].to_vec(),
    ] {
        cluster.ask("studio", &args).refused(&["no such shoot"]);
    }
    cluster.ask("studio", &words!["lost", "nobody"]).refused(&["nobody"]);
    cluster.ask("studio", &words!["lost", "--site", "nowhere"]).refused(&["nowhere"]);
    cluster.ask("studio", &words!["config", "no.such.key", "1"]).failed(1);
    assert!(!to.exists(), "nothing is made for a shoot that is not there");
}

#[test]
fn names_that_collide_or_climb_stay_inside_the_target() {
    let cluster = alone();
    let card = cluster.place("card");
    // Names that Linux allows, and that mean something else elsewhere.
    let names = [
        "a/CON.jpg",
        "a/trailing dot./x.jpg",
        "a/back\\slash.jpg",
        "a/co:lon.jpg",
        "a/..x/y.jpg",
        "a/*?.jpg",
    ];
    for (number, name) in names.into_iter().enumerate() {
        write(&card, name, &noise(68, number as u64, 1_000));
    }
    std::os::unix::fs::symlink("/etc", card.join("a/link")).expect("a link");
    let went = tree(&card);
    cluster.ingest("studio", &card, "../../climbing");
    let outer = cluster.place("outer");
    let to = outer.join("inner");
    fs::create_dir_all(&to).expect("made");
    // A link planted in the target leads nowhere.
    let trap = cluster.place("trap");
    fs::create_dir(&trap).expect("made");
    let back = cluster.ask("studio", &words!["restore", "--all", "--to", to]).done();
    assert!(no_failures(&back), "{back}");
    let folders: Vec<_> = fs::read_dir(&outer).expect("there").flatten().map(|e| e.file_name()).collect();
    assert_eq!(folders, ["inner"], "nothing climbed out");
    let shoot: Vec<_> = fs::read_dir(&to).expect("there").flatten().map(|e| e.path()).collect();
    assert_eq!(shoot.len(), 1, "{shoot:?}");
    assert_same(&went, &shoot[0]);

    let planted = cluster.place("planted");
    fs::create_dir(&planted).expect("made");
    std::os::unix::fs::symlink(&trap, planted.join("a")).expect("a link");
    let reply = cluster.ask("studio", &words!["restore", "../../climbing", "--to", planted]);
    assert!(matches!(reply.code, Some(0 | 3)), "{reply:#?}");
    assert!(tree(&trap).is_empty(), "a file went through the planted link");
}
