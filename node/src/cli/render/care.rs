//! What care of the library came to.

use std::time::Duration;

use crate::admin::doc::{Verdict, VerifyDoc};
use crate::cli::units::{about, bytes, counted, number, plain};

/// Bad shards that are told one by one; all of them are in the JSON.
const MOST_TOLD: usize = 50;

/// `verify`: what was found, whether the photos are safe, and what to do.
pub fn verify(document: &VerifyDoc) -> String {
    let shards = |count: u64| counted(count, "shard", "shards");
    let time = about(Duration::from_secs_f64(document.seconds.clamp(0.0, 1e9)));
    let read = format!("{} ({})", shards(document.shards), bytes(document.bytes));
    let bad = document.bad.len() as u64;
    let mut text = match (document.shards, bad) {
        (0, _) => "There were no shards to read here.\n".to_owned(),
        (_, 0) => format!("{read} were read in {time}, and every byte is right.\n"),
        _ => format!("{read} were read in {time}: {} BAD or missing, moved aside.\n", number(bad)),
    };
    for shard in document.bad.iter().take(MOST_TOLD) {
        let roll: String = shard.roll.chars().take(8).collect();
        text.push_str(&format!("  {}: shard {} of roll {roll}\n", plain(&shard.path), shard.index));
    }
    if document.bad.len() > MOST_TOLD {
        text.push_str(&format!("  and {} more; --json lists them all\n", document.bad.len() - MOST_TOLD));
    }
    for left in &document.unverified {
        text.push_str(&format!("  NOT verified: {}: {}\n", plain(&left.path), plain(&left.reason)));
    }
    match (bad, document.repaired) {
        (0, _) => {}
        (bad, repaired) if repaired >= bad => text.push_str("All of them are repaired already.\n"),
        (_, repaired) => text.push_str(&format!("{} of them are repaired already.\n", number(repaired))),
    }
    if document.missing > 0 {
        text.push_str(&format!("{} still to be repaired or brought here", shards(document.missing)));
        let awaited: Vec<String> = document.awaited.iter().map(|name| plain(name)).collect();
        match awaited.is_empty() {
            true => text.push_str(".\n"),
            false => text.push_str(&format!("; for some, {} must come back first.\n", awaited.join(" or "))),
        }
    }
    text.push_str(safety(document.verdict));
    if bad > 0 {
        text.push_str("A drive on which this happens again and again is about to fail: replace it.\n");
    }
    text
}

pub(super) fn safety(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Safe => "The photos are safe: every shoot meets its rule.\n",
        Verdict::CatchingUp => {
            "The photos can all be read; repairs go on by themselves. Next: `safelight status` shows how far they are.\n"
        }
        Verdict::AtRisk => "The photos are AT RISK. Next: `safelight status` says why, and what helps.\n",
        Verdict::Lost => {
            "Some photos are LOST as things are. Next: `safelight status` says which, and what to look for.\n"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::doc::{BadShardDoc, UnverifiedDoc};

    fn document() -> VerifyDoc {
        VerifyDoc {
            shards: 42,
            bytes: 1_200_000_000,
            bad: vec![],
            repaired: 0,
            missing: 0,
            awaited: vec![],
            unverified: vec![],
            verdict: Verdict::Safe,
            seconds: 3.0,
        }
    }

    #[test]
    fn it_says_whether_the_photos_are_safe() {
        let text = verify(&document());
        assert!(text.contains("42 shards") && text.contains("every byte is right"), "{text}");
        assert!(text.contains("photos are safe"), "{text}");
        let bad =
            BadShardDoc { volume: "0a".into(), roll: "5b".repeat(32), index: 2, path: "/a\u{1b}".into() };
        let left = UnverifiedDoc { volume: "0b".into(), path: "/b".into(), reason: "unplugged".into() };
        let found = VerifyDoc {
            bad: vec![bad; 60],
            repaired: 59,
            missing: 1,
            awaited: vec!["nas".into()],
            unverified: vec![left],
            verdict: Verdict::AtRisk,
            ..document()
        };
        let text = verify(&found);
        for words in [
            "60 BAD",
            "shard 2 of roll 5b5b5b5b",
            "and 10 more",
            "/b: unplugged",
            "59 of them",
            "nas",
            "AT RISK",
            "status",
        ] {
            assert!(text.contains(words), "no '{words}' in: {text}");
        }
        assert!(!text.contains('\u{1b}'));
    }
}
