//! Who can read: another studio comes in only when people on both sides saw the same short code, where there are people.

use std::ffi::OsString;

use crate::support::Cluster;
use crate::support::terminal::Terminal;
use crate::words;

/// The studio, running, whose owner invites another at a terminal; and the code on that screen.
fn inviting(cluster: &mut Cluster) -> (Terminal, String) {
    cluster.found("studio", &["hdd"]);
    let args = words!["invite", "--role", "studio", "--phrase-file", cluster.phrase()];
    let inviter = Terminal::start(&cluster.home("studio"), &args);
    let page = inviter.until("safelight join ");
    inviter.until("Ctrl-C ends the invite");
    let code = page.split_whitespace().next().expect("a code").to_owned();
    assert!(code.starts_with("SAFELIGHT-"), "{code}");
    (inviter, code)
}

/// The words by which the machine "attic" joins.
fn joining(cluster: &Cluster, code: &str) -> Vec<OsString> {
    let mut args = words!["join", code, "--name", "attic", "--site", "attic"].to_vec();
    args.extend(cluster.volume_words("attic", &["ssd"]));
    args
}

/// Waits for the question and gives the short code in it.
#[track_caller]
fn asked(terminal: &Terminal, question: &str) -> String {
    let code = terminal.until(question).split('?').next().expect("a question").trim().to_owned();
    assert!(code.len() == 7 && code.chars().all(|c| c.is_ascii_digit() || c == ' '), "{code}");
    code
}

/// The roles of the nodes that the studio knows of.
fn roles(cluster: &Cluster) -> Vec<String> {
    let nodes = cluster.ask("studio", &words!["nodes"]).done();
    let nodes = nodes["nodes"].as_array().expect("a list").clone();
    nodes.iter().map(|node| node["role"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn two_people_compare_a_code_before_a_studio_comes_in() {
    let mut cluster = Cluster::new();
    let (mut inviter, code) = inviting(&mut cluster);
    let mut newcomer = Terminal::start(&cluster.home("attic"), &joining(&cluster, &code));
    let there = asked(&newcomer, "Does the inviting screen show ");
    inviter.until("attic at attic asks to become a studio");
    assert_eq!(asked(&inviter, "Does it show "), there, "both work out the same code");

    // Somebody else has the code: no use, and the owner is told.
    cluster.join_with("thief", &code, &["hdd"]).refused(&["another node came with this invite"]);
    inviter.until("Careful: thief at thief came with the same code");

    newcomer.enter("y");
    newcomer.until("waiting for the people at studio");
    assert_eq!(roles(&cluster), ["studio"], "one side's word is not enough");
    assert!(!newcomer.has_ended() && !cluster.home("attic").join("node.redb").exists());
    inviter.enter("y");
    let (exit, screen) = inviter.finish();
    assert!(exit == Some(0) && screen.contains("attic at attic is a studio of this library now"), "{screen}");
    let (exit, screen) = newcomer.finish();
    assert!(exit == Some(0) && screen.contains("This machine is a node of library"), "{screen}");

    // It has the reading key.
    cluster.start("attic");
    cluster.until_online("attic", 2);
    assert_eq!(roles(&cluster), ["studio", "studio"]);
    let card = cluster.place("card");
    crate::support::photos::handful(&card, 90);
    cluster.ingest("studio", &card, "Smith");
    cluster.until("attic", "it reads the name of a shoot", |status| status["shoots"][0]["name"] == "Smith");
}

#[test]
fn no_on_the_inviting_screen_ends_the_invite() {
    let mut cluster = Cluster::new();
    let (mut inviter, code) = inviting(&mut cluster);
    let newcomer = cluster.begin("attic", &joining(&cluster, &code));
    asked(&inviter, "Does it show ");
    inviter.enter("");
    let (exit, screen) = inviter.finish();
    assert!(exit == Some(1) && screen.contains("attic at attic was not let in"), "{screen}");
    let reply = newcomer.finish();
    reply.refused(&["refused there; ask for a new one"]);
    assert!(reply.err.contains("The short code of this joining is "), "{reply:#?}");
    cluster.join_with("attic", &code, &["ssd"]).refused(&["refused there"]);
    assert!(!cluster.home("attic").join("node.redb").exists());
    assert_eq!(roles(&cluster), ["studio"]);
}

#[test]
fn no_on_the_joining_screen_makes_nothing_and_is_told() {
    let mut cluster = Cluster::new();
    let (mut inviter, code) = inviting(&mut cluster);
    let mut newcomer = Terminal::start(&cluster.home("attic"), &joining(&cluster, &code));
    asked(&newcomer, "Does the inviting screen show ");
    asked(&inviter, "Does it show ");
    newcomer.enter("n");
    let (exit, screen) = newcomer.finish();
    assert!(exit == Some(1) && screen.contains("nothing was made here"), "{screen}");
    assert!(!cluster.home("attic").exists() && !cluster.volume("attic", "ssd").exists());
    inviter.until("the short code was not confirmed");
    inviter.enter("y");
    let (exit, screen) = inviter.finish();
    assert_eq!(exit, Some(1), "too late for a yes: {screen}");
    assert_eq!(roles(&cluster), ["studio"]);
}

#[test]
fn an_invite_that_nobody_waits_for_any_more_is_over() {
    let mut cluster = Cluster::new();
    let (inviter, code) = inviting(&mut cluster);
    inviter.interrupt();
    cluster.join_with("attic", &code, &["ssd"]).refused(&["nobody waits for this invite"]);
    assert_eq!(roles(&cluster), ["studio"]);
}

#[test]
fn scripts_are_not_asked() {
    let mut cluster = Cluster::new();
    cluster.found("studio", &["hdd"]);
    let args = words!["invite", "--role", "studio", "--phrase-file", cluster.phrase()];
    let invite = cluster.ask("studio", &args).done();
    let joined = cluster.join_with("attic", invite["code"].as_str().expect("a code"), &["ssd"]);
    joined.done();
    let code = joined.err.split("The short code of this joining is ").nth(1).expect("it is said").to_owned();
    let code = code.split('.').next().expect("digits");
    assert!(cluster.said("studio").contains(code), "the inviting node's log has {code}, too");
    cluster.start("attic");
    cluster.until_online("studio", 2);
    assert_eq!(roles(&cluster), ["studio", "studio"]);
}
