//! Verdicts, reasons and remedies as people read them.

use super::*;
use crate::place::{Culprit, Verdict, evaluate, judge, library_verdict};

fn rates() -> LossRates {
    LossRates::default()
}

/// A roll with shard i of k on the i-th volume named.
fn roll(n: u8, k: u8, on: &[u8], files: u64) -> RollView {
    let holdings: Vec<Holding> =
        on.iter().enumerate().map(|(index, v)| Holding { index: index as u16, volume: id(*v) }).collect();
    let known_anywhere = holdings.len() as u16;
    RollView {
        roll: RollId([n; RollId::LEN]),
        sealed_len: 4 * GB,
        files,
        codings: vec![CodingView { k, holdings, known_anywhere }],
    }
}

fn three() -> Topology {
    topology(&[("studio", "ssd"), ("friend", "nas"), ("cloud", "cloud")])
}

#[test]
fn met_is_safe_and_an_empty_library_too() {
    let judgement =
        judge(&three(), &rule("3-2-1"), &rates(), Some("Smith wedding"), &[roll(1, 1, &[1, 2, 3], 2412)]);
    assert_eq!((judgement.verdict, judgement.remedy), (Verdict::Safe, None));
    assert_eq!(
        judgement.reason,
        "2,412 files of Smith wedding meet 3-2-1: lose any 2 volumes or any medium or any site and all come back."
    );
    assert_eq!(judgement.standing.copies.survives_volumes, 2);
    assert_eq!(judge(&three(), &rule("3-2-1"), &rates(), None, &[]).verdict, Verdict::Safe);
    assert_eq!(library_verdict([]), Verdict::Safe);
    assert_eq!(library_verdict([Verdict::Safe, Verdict::AtRisk, Verdict::CatchingUp]), Verdict::AtRisk);
}

#[test]
fn what_can_be_met_catches_up() {
    let rolls = [roll(1, 1, &[1, 2, 3], 86), roll(2, 1, &[1], 214)];
    let judgement = judge(&three(), &rule("3-2-1"), &rates(), Some("Smith wedding"), &rolls);
    assert_eq!((judgement.verdict, judgement.remedy), (Verdict::CatchingUp, None));
    assert_eq!(
        judgement.reason,
        "Until its shards have arrived: Lose studio and 214 files of Smith wedding are gone."
    );
    let sites = judgement.standing.sites.iter().map(|(site, stands)| (site.name(), *stands));
    assert_eq!(sites.collect::<Vec<_>>(), [("cloud", true), ("friend", true), ("studio", false)]);
}

#[test]
fn one_site_is_at_risk_and_told_to_add_another() {
    let studio = topology(&[("studio", "ssd"), ("studio", "hdd"), ("studio", "usb")]);
    let rolls = [roll(1, 1, &[1, 2, 3], 214)];
    let judgement = judge(&studio, &rule("3-2-1"), &rates(), Some("Smith wedding"), &rolls);
    assert_eq!(judgement.verdict, Verdict::AtRisk);
    assert_eq!(judgement.reason, "Lose studio and 214 files of Smith wedding are gone.");
    let remedy = judgement.remedy.expect("a remedy");
    assert_eq!(remedy, "add one volume of 4.3 GB at another site");
}

#[test]
fn a_missing_medium_is_named() {
    let disks = topology(&[("studio", "hdd"), ("friend", "hdd"), ("home", "hdd")]);
    let judgement =
        judge(&disks, &rule("3-2-1"), &rates(), Some("Smith wedding"), &[roll(1, 1, &[1, 2, 3], 1)]);
    assert_eq!(judgement.reason, "Lose every hdd volume and 1 file of Smith wedding is gone.");
    assert!(judgement.remedy.expect("a remedy").ends_with("of another medium than hdd"));
}

#[test]
fn too_little_room_is_freed_where_it_can_be() {
    let mut volumes = three().volumes().to_vec();
    volumes[2].free = GB;
    volumes[2].used = 900 * GB;
    let topology = Topology::new(volumes);
    let rolls = [roll(1, 1, &[1, 2], 7)];
    let judgement = judge(&topology, &rule("3-2-1"), &rates(), None, &rolls);
    assert_eq!(judgement.verdict, Verdict::AtRisk);
    assert_eq!(judgement.remedy.as_deref(), Some("free 3.3 GB on cloud-3"));
}

#[test]
fn a_single_volume_needs_two_more() {
    let judgement =
        judge(&topology(&[("studio", "ssd")]), &rule("3-2-1"), &rates(), None, &[roll(1, 1, &[1], 5)]);
    let remedy = judgement.remedy.expect("a remedy");
    assert!(
        remedy.starts_with("add one volume of 4.3 GB at studio, and one volume of 4.3 GB at another site"),
        "{remedy}"
    );
    assert!(remedy.contains("of another medium than ssd"), "{remedy}");
}

#[test]
fn two_holdings_of_one_shard_are_one_shard() {
    let mut doubled = roll(1, 2, &[1, 2], 3);
    for held in &mut doubled.codings[0].holdings {
        held.index = 0;
    }
    doubled.codings[0].known_anywhere = 2;
    let standing = evaluate(&three(), &rule("1-1-0"), &[doubled.clone()]);
    assert!(!standing.readable && standing.known);
    assert_eq!(standing.culprit, Some((Culprit::Unreadable, 3)));
    let judgement = judge(&three(), &rule("1-1-0"), &rates(), None, &[doubled.clone()]);
    assert_eq!(judgement.verdict, Verdict::AtRisk);
    assert!(judgement.remedy.expect("a remedy").starts_with("bring back"));
    doubled.codings[0].known_anywhere = 1;
    assert_eq!(judge(&three(), &rule("1-1-0"), &rates(), None, &[doubled]).verdict, Verdict::Lost);
}

#[test]
fn codings_are_alternatives() {
    let mut two = roll(1, 1, &[1], 3);
    two.codings.extend(roll(1, 2, &[2, 3], 3).codings);
    let standing = evaluate(&three(), &rule("2-2-1"), &[two]);
    assert!(standing.met());
    assert_eq!(standing.copies.survives_volumes, 1);
}

#[test]
fn full_is_not_met_by_coded_shards() {
    let four = topology(&[("studio", "ssd"), ("studio", "hdd"), ("friend", "nas"), ("cloud", "cloud")]);
    let coded = [roll(1, 2, &[1, 2, 3, 4], 10)];
    assert!(evaluate(&four, &rule("3-2-1"), &coded).met());
    let standing = evaluate(&four, &rule("3-2-1 full"), &coded);
    assert!(!standing.met() && !standing.copies.met);
    assert_eq!(standing.full_copies, Some(1));
    let judgement = judge(&four, &rule("3-2-1 full"), &rates(), Some("Smith wedding"), &coded);
    assert_eq!(judgement.verdict, Verdict::CatchingUp);
    assert!(
        judgement.reason.contains("Smith wedding has 1 full copies; 3-2-1 full asks for 3"),
        "{}",
        judgement.reason
    );
}

#[test]
fn a_full_set_is_the_same_for_every_roll() {
    let four = topology(&[("studio", "ssd"), ("friend", "nas"), ("cloud", "cloud"), ("home", "hdd")]);
    let apart = [roll(1, 1, &[1, 2, 3], 10), roll(2, 1, &[1, 2, 4], 10)];
    assert!(evaluate(&four, &rule("3-2-1"), &apart).met());
    assert!(!evaluate(&four, &rule("3-2-1 full"), &apart).met(), "cloud and home are two sites");
    let together = topology(&[("studio", "ssd"), ("friend", "nas"), ("cloud", "cloud"), ("cloud", "hdd")]);
    assert!(evaluate(&together, &rule("3-2-1 full"), &apart).met());
}

#[test]
fn large_shoots_are_judged_quickly() {
    let volumes: Vec<VolumeView> = (0..24u8)
        .map(|n| volume(n + 1, ["studio", "home", "friend"][usize::from(n) % 3], Media::Hdd, 9000 * GB))
        .collect();
    let topology = Topology::new(volumes);
    let rolls: Vec<RollView> = (0..2000u16)
        .map(|n| {
            let mut roll = roll(1, 1, &[(n % 24) as u8 + 1, (n / 24 % 24) as u8 + 1], 10);
            roll.roll.0[..2].copy_from_slice(&n.to_le_bytes());
            roll
        })
        .collect();
    let started = std::time::Instant::now();
    let judgement = judge(&topology, &rule("3-2-1"), &rates(), None, &rolls);
    println!("2000 rolls on 24 volumes: {:?}, {:?}", started.elapsed(), judgement.remedy);
    assert_eq!(judgement.verdict, Verdict::AtRisk);
    assert!(judgement.remedy.is_some_and(|remedy| remedy.contains("of another medium than hdd")));
}
