//! Kill -9 at any moment: what was acknowledged is there, what was not is whole or absent, and everything goes on.
//!
//! The pauses below are where the power cut falls, never what a test waits for.

use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::support::cluster::no_failures;
use crate::support::photos::{self, wedding};
use crate::support::{Cluster, Seeded, Tree, assert_same, tree};
use crate::words;

fn power_cut_within(chance: &mut Seeded, millis: u64) {
    thread::sleep(Duration::from_millis(chance.below(millis)));
}

/// Every file under `came` is one of `went`, byte for byte.
#[track_caller]
fn assert_whole(went: &Tree, came: &Path) {
    for (path, file) in tree(came) {
        assert_eq!(went.get(&path), Some(&file), "{} is half of something", path.display());
    }
}

#[test]
fn a_power_cut_during_an_ingest_loses_nothing_acknowledged() {
    let mut cluster = Cluster::new();
    cluster.found("studio", &["ssd", "hdd"]);
    let mut stored: Vec<(String, Tree)> = Vec::new();
    for seed in 0..6 {
        let mut chance = Seeded::new(seed);
        let (shoot, card) = (format!("shoot {seed}"), cluster.place(&format!("card {seed}")));
        let went = wedding(&card, 100 + seed);
        let mut job = cluster.begin("studio", &words!["ingest", card, "--shoot", shoot]);
        power_cut_within(&mut chance, 700);
        let acknowledged = job.has_ended();
        cluster.kill("studio");
        let reply = job.finish();
        if acknowledged {
            assert_eq!(reply.code, Some(0), "{reply:#?}");
        } else if reply.code != Some(0) {
            reply.failed(1);
        }
        cluster.start("studio");

        // Whatever is listed now is whole, and what was acknowledged is complete.
        let all = cluster.restore_all("studio", &format!("back {seed}"), &[]);
        for (name, went) in &stored {
            assert_same(went, &all.join(name));
        }
        if reply.code == Some(0) {
            assert_same(&went, &all.join(&shoot));
        } else if all.join(&shoot).exists() {
            assert_whole(&went, &all.join(&shoot));
        }
        cluster.ingest("studio", &card, &shoot);
        stored.push((shoot, went));
    }
    let all = cluster.restore_all("studio", "in the end", &[]);
    for (name, went) in &stored {
        assert_same(went, &all.join(name));
    }
}

#[test]
fn power_cuts_during_transfers_only_delay_them() {
    let mut cluster = Cluster::three_sites();
    cluster.ask("studio", &words!["config", "limit.up", "2MB"]).done();
    let card = cluster.place("card");
    let went = wedding(&card, 110);
    cluster.ingest("studio", &card, "Smith");
    let mut chance = Seeded::new(110);
    for node in ["friend", "studio", "cloud", "studio"] {
        power_cut_within(&mut chance, 900);
        cluster.kill(node);
        cluster.start(node);
    }
    cluster.ask("studio", &words!["config", "limit.up", "1GB"]).done();
    cluster.until_online("studio", 3);
    cluster.until_safe("studio", "Smith");
    for site in ["studio", "friend", "cloud"] {
        let back = cluster.restore_all("studio", &format!("without {site}"), &["--without", site]);
        assert_same(&went, &back.join("Smith"));
    }
}

#[test]
fn a_power_cut_during_a_restore_leaves_only_whole_files_and_the_next_one_ends_it() {
    let mut cluster = Cluster::new();
    cluster.found("studio", &["hdd"]);
    let card = cluster.place("card");
    let mut went = wedding(&card, 120);
    for number in 0..10 {
        went.extend(photos::one(&card, &format!("large/{number}.NEF"), 1_200 + number, 1_000_000));
    }
    cluster.ingest("studio", &card, "Smith");
    for seed in 0..4 {
        let mut chance = Seeded::new(120 + seed);
        let to = cluster.place(&format!("back {seed}"));
        let job = cluster.begin("studio", &words!["restore", "Smith", "--to", to]);
        power_cut_within(&mut chance, 400);
        cluster.kill("studio");
        job.finish();
        cluster.start("studio");
        if to.exists() {
            let named = tree(&to).into_iter().filter(|(path, _)| went.contains_key(path));
            for (path, file) in named {
                assert_eq!(went[&path], file, "{} is half of something", path.display());
            }
        }
        let back = cluster.ask("studio", &words!["restore", "Smith", "--to", to]).done();
        assert!(no_failures(&back), "{back}");
        assert_eq!(back["files"].as_u64(), Some(went.len() as u64), "{back}");
        assert_same(&went, &to);
    }
}

#[test]
fn a_join_that_breaks_off_can_simply_be_done_again() {
    let mut cluster = Cluster::new();
    cluster.found("studio", &["hdd"]);
    for seed in 0..3 {
        let mut chance = Seeded::new(130 + seed);
        let node = format!("vault {seed}");
        let code = cluster.invite("studio");
        let mut args = words!["join", code, "--name", node, "--site", node].to_vec();
        args.extend(cluster.volume_words(&node, &["nas"]));
        let job = cluster.begin(&node, &args);
        power_cut_within(&mut chance, 400);
        let cut = job.kill();
        let again = cluster.ask(&node, &args);
        if again.code != Some(0) {
            let (message, _) = again.failed(1);
            // Either the first one had ended already, or it had used its code up.
            if !message.contains("already is the home") {
                assert!(message.contains("used"), "{message} after {cut:#?}");
                cluster.join_with(&node, &cluster.invite("studio"), &["nas"]).done();
            }
        }
        cluster.start(&node);
        cluster.until_online("studio", 2 + seed as usize);
    }
}

#[test]
fn an_init_that_breaks_off_can_simply_be_done_again() {
    for seed in 0..4 {
        let mut chance = Seeded::new(140 + seed);
        let mut cluster = Cluster::new();
        let volumes = cluster.volume_words("studio", &["hdd"]);
        let args = |file: &Path| {
            let words = words!["init", "--name", "studio", "--site", "studio", "--phrase-out", file];
            [&words[..], &volumes[..]].concat()
        };
        let job = cluster.begin("studio", &args(&cluster.phrase()));
        power_cut_within(&mut chance, 250);
        job.kill();
        let again = cluster.ask("studio", &args(&cluster.place("other phrase.txt")));
        if again.code != Some(0) {
            again.refused(&["already is the home"]);
        }
        cluster.start("studio");
    }
}

#[test]
fn power_cuts_while_a_node_starts_do_it_no_harm() {
    let mut cluster = Cluster::new();
    cluster.found("studio", &["ssd", "hdd"]);
    let card = cluster.place("card");
    let went = photos::handful(&card, 150);
    cluster.ingest("studio", &card, "Smith");
    cluster.kill("studio");
    let mut chance = Seeded::new(150);
    for _ in 0..6 {
        let log = cluster.place("logs").join("run-studio.log");
        let process = crate::support::process::NodeProcess::start(&cluster.home("studio"), &log, &[]);
        power_cut_within(&mut chance, 500);
        process.kill();
    }
    cluster.start("studio");
    let back = cluster.restore_all("studio", "back", &[]);
    assert_same(&went, &back.join("Smith"));
    cluster.stop("studio");
    cluster.start("studio");
    assert_same(&went, &cluster.restore_all("studio", "back again", &[]).join("Smith"));
}
