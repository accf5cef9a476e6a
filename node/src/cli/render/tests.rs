use serde_json::json;

use super::*;

fn status(shoots: Value) -> String {
    let document = json!({
        "library": "11", "rule": "3-2-1", "verdict": "safe", "shoots": shoots,
        "nodes": [
            {"id": "aaaaaaaa11", "name": "lena", "site": "studio", "role": "studio", "state": "online"},
            {"id": "bbbbbbbb22", "name": "tom", "site": "friend", "role": "vault", "state": "away"},
        ],
        "volumes": [{"id": "cccccccc33", "node": "aaaaaaaa11", "site": "studio", "media": "ssd",
                     "capacity_bytes": 4_000_000_000_000u64, "used_bytes": 1_000, "state": "ok"}],
        "transfers": [{"peer": "tom", "bytes_done": 5_000_000, "bytes_total": 9_000_000, "eta_seconds": 2460}],
    });
    render(View::Status, &document).expect("a status")
}

fn shoot(name: Option<&str>, verdict: &str, survives: bool) -> Value {
    json!({
        "id": "5a", "name": name, "files": 2412, "bytes": 61_200_000_000u64, "stored_bytes": 122_400_000_000u64,
        "verdict": verdict,
        "rule": {"copies": {"met": true, "survives_volumes": 2}, "media": {"met": true}, "offsite": {"met": survives}},
        "sites": [{"site": "studio", "survives": survives}], "pending_bytes": 0,
        "reason": (!survives).then_some("Lose studio and 214 files are gone."),
        "remedy": (!survives).then_some("Add one volume of 180 GB at another site."),
    })
}

#[test]
fn all_is_well_in_one_sentence() {
    let text = status(json!([shoot(Some("Smith wedding"), "safe", true), shoot(None, "safe", true)]));
    assert!(text.starts_with("All 2 shoots are safe by the rule 3-2-1 (4,824 files, 122 GB).\n"), "{text}");
    assert!(!text.contains("Smith wedding"), "what is safe needs no attention\n{text}");
    assert!(text.contains("everything survives its loss") && text.contains("about 41 min"), "{text}");
    assert!(text.contains("4.0 TB") && text.contains("lena"), "{text}");
}

#[test]
fn what_is_not_well_comes_first_with_its_remedy() {
    let text = status(json!([
        shoot(Some("Safe one"), "safe", true),
        shoot(Some("Smith wedding"), "at-risk", false)
    ]));
    assert!(text.starts_with("AT RISK: 1 of 2 shoots; 1 safe."), "{text}");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[1], "  Smith wedding: AT RISK");
    assert_eq!(lines[2], "      Lose studio and 214 files are gone.");
    assert_eq!(lines[3], "      Add one volume of 180 GB at another site.");
    assert!(text.contains("its loss takes photos of 1 shoot"), "{text}");
    let text = status(json!([shoot(None, "lost", false), shoot(Some("b"), "at-risk", false)]));
    assert!(text.starts_with("LOST: 1 of 2 shoots") && text.contains("(sealed): LOST"), "{text}");
    let text = status(json!([shoot(Some("b"), "catching-up", false)]));
    assert!(text.contains("being protected. Keep the cards"), "{text}");
    assert!(status(json!([])).starts_with("There are no photos here yet."));
}

#[test]
fn columns_line_up_in_any_script() {
    let document = json!({"nodes": [
        {"id": "aaaaaaaa11", "name": "żółć", "site": "studio", "role": "studio", "state": "online"},
        {"id": "bbbbbbbb22", "name": "写真館", "site": "friend", "role": "vault", "state": "away"},
        {"id": "cccccccc33", "name": "a\u{1b}[31mb", "site": "x", "role": "vault", "state": "lost"},
    ]});
    let text = render(View::Nodes, &document).expect("nodes");
    let place = |line: &str, word: &str| {
        use unicode_width::UnicodeWidthStr;
        line.find(word).map(|at| line[..at].width())
    };
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(place(lines[1], "aaaaaaaa"), place(lines[2], "bbbbbbbb"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn an_ingest_never_says_format_too_early() {
    let document = |stored, verdict, safe, failed: Value| {
        let document = json!({"shoot": "a", "files_new": 2, "files_known": 1, "files_failed": failed, "bytes": 10,
            "rolls": [], "stored": stored, "verdict": verdict, "safe_to_format": safe});
        render(View::Ingest, &document).expect("an ingest")
    };
    assert!(document(true, "safe", true, json!([])).contains("SAFE TO FORMAT"));
    let failed = json!([{"path": "DCIM/a.JPG", "error": "bad sector"}]);
    for text in [
        document(true, "catching-up", false, json!([])),
        document(true, "at-risk", false, json!([])),
        document(true, "safe", false, failed.clone()),
        document(false, "safe", true, json!([])),
    ] {
        assert!(!text.contains("SAFE TO FORMAT"), "{text}");
    }
    assert!(document(true, "safe", false, failed).contains("DCIM/a.JPG: bad sector"));
}

#[test]
fn a_restore_says_what_did_not_come_back() {
    let document = json!({"files": 3, "bytes": 10, "files_failed": [{"path": "x", "error": "too few shards"}],
        "sources": [{"site": "cloud", "bytes": 20}], "seconds": 1.25, "library": "11", "node": "0a",
        "silent": [{"id": "bb", "name": "tom's nas", "site": "friend", "role": "vault", "state": "away"}]});
    let text = render(View::Restore, &document).expect("a restore");
    assert!(
        !text.contains("All 3") && text.contains("x: too few shards") && text.contains("20 B from cloud"),
        "{text}"
    );
    let text = render(View::Recover, &document).expect("a recovery");
    assert!(text.contains(r"safelight lost 'tom'\''s nas'"), "{text}");
}

#[test]
fn an_invite_says_what_to_type() {
    let document = json!({"code": "SAFELIGHT-X", "role": "vault", "expires": "2026-11-22T10:00:00Z"});
    let text = render(View::Invite, &document).expect("an invite");
    assert!(text.contains("safelight join SAFELIGHT-X") && text.contains("cannot see"), "{text}");
}

#[test]
fn a_document_of_another_kind_is_an_error() {
    for view in [View::Status, View::Ingest, View::Nodes, View::Invite, View::Recover, View::Demo] {
        assert!(render(view, &json!({"other": 1})).is_err(), "{view:?}");
    }
}

#[test]
fn deleting_says_how_to_take_it_back_and_when_room_is_freed() {
    let mut document = json!({"shoot": "tom's", "files": 3, "bytes": 10, "frees_bytes": 20_000,
        "quarantine_seconds": 30 * 86_400, "braked": false});
    let text = render(View::Deleted, &document).expect("a deletion");
    for words in
        ["3 files", r"safelight undelete 'tom'\''s'", "about 30 days", "20 kB", "Nothing is gone yet"]
    {
        assert!(text.contains(words), "no {words} in {text}");
    }
    assert!(!text.contains("brake"), "{text}");
    document["braked"] = true.into();
    document["frees_bytes"] = 0.into();
    let text = render(View::Deleted, &document).expect("a deletion");
    assert!(text.contains("config brake release") && text.contains("its bytes stay"), "{text}");
    let line = json!({"shoot": null, "id": "5a", "files": 2, "bytes": 5, "stored_bytes": 10,
        "deleted": "2026-11-22T10:00:00Z", "running_seconds_left": 3_600, "stays": null});
    let document = json!({"trash": [line], "quarantine_seconds": 5, "braked": false});
    let text = render(View::Trash, &document).expect("a trash");
    assert!(text.contains("(sealed)") && text.contains("in about 60 min of running"), "{text}");
    let document = json!({"shoot": "a", "files": 1, "bytes": 10, "gone_files": 2});
    assert!(render(View::Undeleted, &document).expect("back").contains("2 more are gone for good"));
}

#[test]
fn a_plan_says_what_it_takes_and_what_is_weaker() {
    let end = |name: &str| json!({"id": "0a", "name": name, "site": name});
    let link = json!({"from": end("tom"), "to": end("office"), "why": "moved", "rolls": 12, "shards": 12,
        "bytes": 3_000_000_000u64, "bytes_per_second": 10_000, "days": 3.5});
    let mut document = json!({
        "event": "retire", "before": "safe", "after": "safe", "rolls": 12, "bytes": 3_000_000_000u64, "days": 3.5,
        "volumes": [{"id": "0b", "node": "tom", "site": "friend", "media": "nas", "capacity_bytes": 4_000_000_000_000u64}],
        "shoots": [{"id": "5a", "name": "Smith", "files": 3, "before": "safe", "after": "safe", "reason": null, "remedy": null}],
        "links": [link], "heals": true, "unhealable": [],
        "lowest": {"readable": true, "survives_volumes": 2, "survives_any_site": true, "fatal_sites": [], "files_lost": 0},
    });
    let text = render(View::Plan, &document).expect("a plan");
    assert!(
        text.starts_with("If you retire tom's nas volume of 4.0 TB at friend, the one shoot ends up safe."),
        "{text}"
    );
    for words in [
        "Nothing was changed",
        "3.0 GB of 12 rolls",
        "about 4 days",
        "moved off what leaves",
        "any 2 drives may fail",
        "any one site may be lost",
        "room to make up for the loss of any one",
    ] {
        assert!(text.contains(words), "no {words} in {text}");
    }
    document["event"] = "lose".into();
    document["days"] = Value::Null;
    document["links"][0]["days"] = Value::Null;
    document["shoots"][0]["after"] = "at-risk".into();
    document["shoots"][0]["reason"] = "Lose studio and all are gone.".into();
    document["shoots"][0]["remedy"] = "add one volume".into();
    document["lowest"]["survives_volumes"] = 0.into();
    document["lowest"]["fatal_sites"] = json!(["studio"]);
    document["unhealable"] =
        json!([{"site": "studio", "volume": null, "name": "studio", "last_studio": true}]);
    let text = render(View::Plan, &document).expect("a plan");
    for words in [
        "0 of 1 shoot end",
        "Smith: safe now, then AT RISK",
        "Lose studio and all",
        "Remedy: add one volume",
        "not measured yet",
        "no further drive may fail",
        "the loss of studio would be fatal",
        "all of studio",
        "safelight recover",
    ] {
        assert!(text.contains(words), "no {words} in {text}");
    }
    document["unhealable"] = json!([]);
    document["after"] = "at-risk".into();
    let text = render(View::Plan, &document).expect("a plan");
    assert!(text.contains("nothing to spare") && !text.contains("there is room"), "{text}");
    document["lowest"]["files_lost"] = 7.into();
    assert!(render(View::Plan, &document).expect("a plan").contains("LOST FOR GOOD: 7 files"));
}
