//! The contract, key by key. A test that fails here means that somebody's script breaks.

use serde::Serialize;
use serde_json::{Value, json};

use super::*;

fn same(document: impl Serialize, contract: Value) {
    assert_eq!(serde_json::to_value(document).expect("plain"), contract);
}

fn shoot() -> ShootDoc {
    ShootDoc {
        id: "5a".into(),
        name: None,
        files: 3,
        bytes: 10,
        stored_bytes: 20,
        verdict: Verdict::AtRisk,
        rule: ClausesDoc {
            copies: CopiesDoc { met: false, survives_volumes: 1 },
            media: ClauseDoc { met: true },
            offsite: ClauseDoc { met: false },
        },
        sites: vec![SurvivalDoc { site: "studio".into(), survives: false }],
        pending_bytes: 4,
        reason: Some("r".into()),
        remedy: None,
    }
}

fn node() -> NodeDoc {
    NodeDoc {
        id: "0a".into(),
        name: "tom".into(),
        site: "friend".into(),
        role: "vault".into(),
        state: NodeState::Online,
        addresses: vec!["/ip4/127.0.0.1/tcp/1/p2p/x".into()],
    }
}

fn volume() -> VolumeDoc {
    VolumeDoc {
        id: "0b".into(),
        node: "0a".into(),
        site: "friend".into(),
        media: "nas".into(),
        capacity_bytes: 9,
        used_bytes: 8,
        state: VolumeState::Ok,
        scrubbed: None,
        scrubbed_bad: 0,
        surplus_bytes: None,
        since: Some("2026-11-22T10:00:00Z".into()),
        age_days: Some(3),
        replace: false,
        path: None,
    }
}

fn shoot_json() -> Value {
    json!({
        "id": "5a", "name": null, "files": 3, "bytes": 10, "stored_bytes": 20, "verdict": "at-risk",
        "rule": {"copies": {"met": false, "survives_volumes": 1}, "media": {"met": true}, "offsite": {"met": false}},
        "sites": [{"site": "studio", "survives": false}],
        "pending_bytes": 4, "reason": "r", "remedy": null,
    })
}

fn node_json() -> Value {
    json!({"id": "0a", "name": "tom", "site": "friend", "role": "vault", "state": "online",
           "addresses": ["/ip4/127.0.0.1/tcp/1/p2p/x"]})
}

fn volume_json() -> Value {
    json!({"id": "0b", "node": "0a", "site": "friend", "media": "nas", "capacity_bytes": 9, "used_bytes": 8, "state": "ok",
           "scrubbed": null, "scrubbed_bad": 0, "since": "2026-11-22T10:00:00Z", "age_days": 3, "replace": false})
}

#[test]
fn status() {
    let document = StatusDoc {
        library: "11".into(),
        rule: "3-2-1".into(),
        verdict: Verdict::CatchingUp,
        shoots: vec![shoot()],
        nodes: vec![node()],
        volumes: vec![volume()],
        transfers: vec![TransferDoc {
            peer: "tom".into(),
            bytes_done: 1,
            bytes_total: 2,
            eta_seconds: Some(3),
        }],
        work: vec![link()],
        hours: Some(HoursDoc { limit: "22:00-07:00".into(), within: false }),
        drills: vec![CertificateDoc {
            without: "studio".into(),
            passed: true,
            at: "2026-11-22T10:00:00Z".into(),
            age_seconds: 7,
            files_tested: 1,
            files: 3,
            bytes: 10,
            failed: 0,
            covers_all: false,
            outdated: false,
            by: "tom".into(),
        }],
        warnings: vec![],
        trust_declared: true,
    };
    same(
        document,
        json!({
            "library": "11", "rule": "3-2-1", "verdict": "catching-up",
            "shoots": [shoot_json()], "nodes": [node_json()], "volumes": [volume_json()],
            "transfers": [{"peer": "tom", "bytes_done": 1, "bytes_total": 2, "eta_seconds": 3}],
            "work": [link_json()],
            "hours": {"limit": "22:00-07:00", "within": false},
            "drills": [{"without": "studio", "passed": true, "at": "2026-11-22T10:00:00Z", "age_seconds": 7,
                        "files_tested": 1, "files": 3, "bytes": 10, "failed": 0, "covers_all": false, "outdated": false,
                        "by": "tom"}],
            "warnings": [], "trust_declared": true,
        }),
    );
}

fn link() -> LinkDoc {
    let end = |id: Option<&str>, name: &str| EndDoc {
        id: id.map(str::to_owned),
        name: name.into(),
        site: "friend".into(),
    };
    LinkDoc {
        from: end(Some("0a"), "tom"),
        to: end(None, "a new node"),
        why: "moved".into(),
        rolls: 1,
        shards: 2,
        bytes: 3,
        bytes_per_second: None,
        days: None,
    }
}

fn link_json() -> Value {
    json!({
        "from": {"id": "0a", "name": "tom", "site": "friend"},
        "to": {"id": null, "name": "a new node", "site": "friend"},
        "why": "moved", "rolls": 1, "shards": 2, "bytes": 3, "bytes_per_second": null, "days": null,
    })
}

#[test]
fn plan() {
    let document = PlanDoc {
        event: "lose".into(),
        volumes: vec![PlanVolumeDoc {
            id: Some("0b".into()),
            node: Some("tom".into()),
            site: "friend".into(),
            media: "nas".into(),
            capacity_bytes: 9,
        }],
        before: Verdict::Safe,
        after: Verdict::AtRisk,
        shoots: vec![PlanShootDoc {
            id: "5a".into(),
            name: None,
            files: 3,
            before: Verdict::Safe,
            after: Verdict::AtRisk,
            reason: Some("r".into()),
            remedy: Some("m".into()),
        }],
        rolls: 1,
        bytes: 3,
        links: vec![link()],
        days: Some(1.5),
        lowest: Some(LowestDoc {
            readable: true,
            survives_volumes: 1,
            survives_any_site: false,
            fatal_sites: vec!["studio".into()],
            files_lost: 0,
        }),
        heals: false,
        unhealable: vec![UnhealableDoc {
            site: "studio".into(),
            volume: None,
            name: "studio".into(),
            last_studio: true,
        }],
    };
    same(
        document,
        json!({
            "event": "lose", "before": "safe", "after": "at-risk", "rolls": 1, "bytes": 3, "days": 1.5,
            "volumes": [{"id": "0b", "node": "tom", "site": "friend", "media": "nas", "capacity_bytes": 9}],
            "shoots": [{"id": "5a", "name": null, "files": 3, "before": "safe", "after": "at-risk",
                        "reason": "r", "remedy": "m"}],
            "links": [link_json()],
            "lowest": {"readable": true, "survives_volumes": 1, "survives_any_site": false,
                       "fatal_sites": ["studio"], "files_lost": 0},
            "heals": false,
            "unhealable": [{"site": "studio", "volume": null, "name": "studio", "last_studio": true}],
        }),
    );
}

#[test]
fn drill() {
    let file = DrillFailureDoc { path: Some("a".into()), error: "e".into(), ..DrillFailureDoc::default() };
    let document = DrillDoc {
        without: "studio".into(),
        files_tested: 2,
        files_passed: 1,
        files: 3,
        bytes: 10,
        failed: vec![file],
        passed: false,
        all: true,
        sources: vec![],
        verdict: Verdict::Safe,
        seconds: 1.5,
    };
    same(
        document,
        json!({
            "without": "studio", "files_tested": 2, "files_passed": 1, "files": 3, "bytes": 10, "passed": false, "all": true, "sources": [],
            "failed": [{"path": "a", "error": "e", "roll": null, "index": null, "volume": null, "node": null, "site": null}],
            "verdict": "safe", "seconds": 1.5,
        }),
    );
}

#[test]
fn lists() {
    same(ShootsDoc { shoots: vec![shoot()] }, json!({"shoots": [shoot_json()]}));
    same(NodesDoc { nodes: vec![node()] }, json!({"nodes": [node_json()]}));
    same(VolumesDoc { volumes: vec![volume()] }, json!({"volumes": [volume_json()]}));
    let file = FileDoc { path: "a/b.CR3".into(), bytes: 1, hash: "ff".into() };
    same(FilesDoc { files: vec![file] }, json!({"files": [{"path": "a/b.CR3", "bytes": 1, "hash": "ff"}]}));
}

#[test]
fn ingest() {
    let document = IngestDoc {
        shoot: "Smith wedding".into(),
        files_new: 1,
        files_known: 2,
        files_failed: vec![FailedFileDoc { path: "p".into(), error: "e".into() }],
        bytes: 3,
        rolls: vec![RollDoc { id: "77".into(), k: 2, n: 4 }],
        stored: true,
        verdict: Verdict::Safe,
        safe_to_format: false,
    };
    same(
        document,
        json!({
            "shoot": "Smith wedding", "files_new": 1, "files_known": 2,
            "files_failed": [{"path": "p", "error": "e"}], "bytes": 3,
            "rolls": [{"id": "77", "k": 2, "n": 4}], "stored": true, "verdict": "safe", "safe_to_format": false,
        }),
    );
}

#[test]
fn trash() {
    let whole = DeletedDoc {
        shoot: Some("Smith wedding".into()),
        id: "5a".into(),
        path: None,
        files: 2,
        bytes: Some(3),
        stored_bytes: 6,
        deleted: "2026-11-22T10:00:00Z".into(),
        running_seconds_left: Some(4),
        stays: None,
    };
    let single = DeletedDoc {
        path: Some("a/b.CR3".into()),
        running_seconds_left: None,
        stays: Some("why".into()),
        ..whole.clone()
    };
    let line = |rest: Value| {
        let mut line = json!({"shoot": "Smith wedding", "id": "5a", "files": 2, "bytes": 3, "stored_bytes": 6,
            "deleted": "2026-11-22T10:00:00Z"});
        line.as_object_mut().expect("an object").extend(rest.as_object().expect("an object").clone());
        line
    };
    let lines = [
        line(json!({"running_seconds_left": 4, "stays": null})),
        line(json!({"path": "a/b.CR3", "running_seconds_left": null, "stays": "why"})),
    ];
    let document = TrashDoc { trash: vec![whole, single], quarantine_seconds: 5, braked: false };
    same(document, json!({"trash": lines, "quarantine_seconds": 5, "braked": false}));
}

#[test]
fn restore_and_recover() {
    let restored = RestoreDoc {
        files: 1,
        bytes: 2,
        files_failed: vec![],
        sources: vec![SourceDoc { site: "cloud".into(), bytes: 3 }],
        seconds: 1.5,
        renamed: vec![],
        files_kept: 0,
    };
    let mut contract = json!({
        "files": 1, "bytes": 2, "files_failed": [], "sources": [{"site": "cloud", "bytes": 3}], "seconds": 1.5,
        "renamed": [], "files_kept": 0,
    });
    same(&restored, contract.clone());
    let recovered =
        RecoverDoc { restored, library: "11".into(), node: "0a".into(), silent: vec![], as_of: None };
    contract["library"] = "11".into();
    contract["node"] = "0a".into();
    contract["silent"] = json!([]);
    contract["as_of"] = Value::Null;
    same(&recovered, contract.clone());
    assert_eq!(serde_json::from_value::<RecoverDoc>(contract).expect("ours"), recovered);
}

#[test]
fn verify() {
    let bad = BadShardDoc { volume: "0b".into(), roll: "5c".into(), index: 2, path: "/v".into() };
    let left = UnverifiedDoc { volume: "0d".into(), path: "/w".into(), reason: "r".into() };
    same(
        VerifyDoc {
            shards: 4,
            bytes: 40,
            bad: vec![bad],
            repaired: 1,
            missing: 0,
            awaited: vec!["tom".into()],
            unverified: vec![left],
            verdict: Verdict::Safe,
            seconds: 0.5,
        },
        json!({
            "shards": 4, "bytes": 40, "bad": [{"volume": "0b", "roll": "5c", "index": 2, "path": "/v"}], "repaired": 1,
            "missing": 0, "awaited": ["tom"], "unverified": [{"volume": "0d", "path": "/w", "reason": "r"}],
            "verdict": "safe", "seconds": 0.5,
        }),
    );
}

#[test]
fn membership_and_demo() {
    let invite = InviteDoc { code: "c".into(), role: "vault".into(), expires: "2026-11-22T10:00:00Z".into() };
    same(invite, json!({"code": "c", "role": "vault", "expires": "2026-11-22T10:00:00Z"}));
    same(MemberDoc { library: "11".into(), node: "0a".into() }, json!({"library": "11", "node": "0a"}));
    let demo = DemoDoc {
        steps: vec![StepDoc { name: "ingest".into(), ok: true, seconds: 0.5 }],
        files: 1,
        bytes: 2,
        identical: true,
        passed: true,
        storage_factor: Some(2.0),
    };
    same(
        demo,
        json!({"steps": [{"name": "ingest", "ok": true, "seconds": 0.5}], "files": 1, "bytes": 2,
               "identical": true, "passed": true, "storage_factor": 2.0}),
    );
}
