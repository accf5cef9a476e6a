use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use safelight_proto::id::CodingId;
use safelight_proto::id::{RollId, VolumeId};
use safelight_proto::record::{
    Admit, Audit, Delegate, Drill, Founding, Head, Holding, Layout, NodeInfo, RuleInfo, Trash,
};
use safelight_proto::vocabulary::{Role, Rule, Site};

use super::*;

fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

fn id(n: u8) -> NodeId {
    NodeId(key(n).verifying_key().to_bytes())
}

const AUTHORITY: u8 = 100;

fn library() -> LibraryId {
    LibraryId(*blake3::hash(&id(AUTHORITY).0).as_bytes())
}

fn say(author: u8, at: u64, body: Body) -> Record {
    Record::sign(library(), Hlc::at(at), body, &key(author))
}

fn site(name: &str) -> Site {
    Site::new(name).expect("a fine name")
}

/// Studio 1 (delegate), vault 2 admitted by it, studio 3 by the authority; 4 is a stranger.
fn membership() -> Vec<Record> {
    let admit = |node, role, place: &str| Body::Admit(Admit { node: id(node), role, site: site(place) });
    vec![
        say(AUTHORITY, 1, Body::Founding(Founding { reading_public: [1; 32] })),
        say(AUTHORITY, 1, admit(1, Role::Studio, "studio")),
        say(AUTHORITY, 1, Body::Delegate(Delegate { node: id(1) })),
        say(1, 2, admit(2, Role::Vault, "friend")),
        say(AUTHORITY, 3, admit(3, Role::Studio, "home")),
        say(2, 4, admit(4, Role::Vault, "nowhere")),
    ]
}

fn merged(records: impl IntoIterator<Item = Record>) -> Manifest {
    let mut manifest = Manifest::new(library());
    for record in records {
        manifest.merge(record, &mut Change::default());
    }
    manifest
}

type State = (BTreeSet<(Hlc, RecordId)>, Vec<(NodeId, Role)>);

fn state(manifest: &Manifest) -> State {
    (manifest.ids().clone(), manifest.members().iter().map(|(n, m)| (*n, m.role)).collect())
}

#[test]
fn only_the_admitted_belong() {
    let manifest = merged(membership());
    let members: Vec<_> = manifest.members().iter().map(|(node, _)| *node).collect();
    let mut expected = vec![id(1), id(2), id(3)];
    expected.sort();
    assert_eq!(members, expected, "a vault's admission of a stranger has no effect");
}

#[test]
fn a_vault_cannot_change_the_rule_nor_admit() {
    let mut manifest = merged(membership());
    let rule = Body::Rule(RuleInfo { shoot: None, rule: Rule::default() });
    assert_eq!(manifest.merge(say(2, 9, rule.clone()), &mut Change::default()), Merged::Waiting);
    assert_eq!(manifest.merge(say(1, 9, rule), &mut Change::default()), Merged::New);
    let founding = Body::Founding(Founding { reading_public: [9; 32] });
    assert!(matches!(manifest.merge(say(1, 9, founding), &mut Change::default()), Merged::Refused(_)));
    assert_eq!(manifest.members().reading_public(), Some(&[1; 32]));
}

#[test]
fn holdings_count_only_from_the_volumes_own_node() {
    let (roll, coding, volume) = (RollId([1; 32]), CodingId([2; 16]), VolumeId([3; 16]));
    let holding = |n: u8| Body::Holding(Holding { roll, volume, held: [(coding, [n].into())].into() });
    let info = safelight_proto::record::VolumeInfo {
        volume,
        media: safelight_proto::vocabulary::Media::Hdd,
        capacity: 1,
        free: 1,
        site: None,
        device: String::new(),
        host: String::new(),
        trust_declared: false,
        since: 0,
        absent: 0,
    };
    let mut records = membership();
    records.extend([say(2, 5, Body::Volume(info)), say(2, 6, holding(0)), say(1, 7, holding(1))]);
    let manifest = merged(records);
    assert_eq!(manifest.holdings(&roll)[&coding][&volume], BTreeSet::from([0]));
    assert!(!manifest.believed(&roll, &volume), "a vault is not believed before an audit");

    let claim = manifest.claim(&roll, &volume).expect("it was said");
    let audit = |passed| Body::Audit(Audit { roll, volume, holding: claim, passed });
    let mut own = manifest.clone();
    own.merge(say(2, 8, audit(true)), &mut Change::default());
    assert!(!own.believed(&roll, &volume), "a vault's audit of itself is worth nothing");
    let mut audited = manifest;
    audited.merge(say(1, 8, audit(true)), &mut Change::default());
    assert!(audited.believed(&roll, &volume));
    let mut more = audited.clone();
    more.merge(say(2, 9, holding(7)), &mut Change::default());
    assert!(!more.believed(&roll, &volume), "a new claim asks for a new proof");
    audited.merge(say(3, 9, audit(false)), &mut Change::default());
    assert!(!audited.believed(&roll, &volume));
}

fn drill(without: &str, all: bool, standing: &Standing) -> Body {
    Body::Drill(Drill {
        without: site(without),
        passed: true,
        all,
        files: standing.files,
        of_files: standing.files,
        bytes: 1,
        failed: 0,
        rolls: standing.rolls,
        newest: standing.newest,
    })
}

#[test]
fn the_latest_drill_of_any_studio_counts_and_a_vaults_never() {
    let mut manifest = merged(membership());
    let none = Standing::default();
    assert_eq!(
        manifest.merge(say(2, 20, drill("studio", true, &none)), &mut Change::default()),
        Merged::Waiting
    );
    assert_eq!(manifest.drill(&site("studio")), None);
    for (author, at) in [(1, 9), (3, 12), (1, 10)] {
        manifest.merge(say(author, at, drill("Studio", author == 3, &none)), &mut Change::default());
    }
    let last = manifest.drill(&site("STUDIO")).expect("held");
    assert_eq!((last.at, last.author, last.drill.all), (Hlc::at(12), id(3), true));
    assert_eq!(manifest.drills(&site("studio")).count(), 2, "one of each author");
    assert_eq!(manifest.drill(&site("friend")), None);
}

#[test]
fn a_drill_covers_what_stood_then_and_nothing_later() {
    let roll = |n: u8, files: u64| {
        Body::Roll(safelight_proto::record::Roll {
            roll: RollId([n; 32]),
            shoot: safelight_proto::id::ShootId([1; 16]),
            shoot_name: vec![],
            references: BTreeSet::new(),
            data_bytes: 4096,
            catalog_bytes: 4096,
            sealed_hash: safelight_proto::id::Hash([n; 32]),
            wrapped_key: [0; 80],
            catalog_hash: safelight_proto::id::Hash([n; 32]),
            files,
            bytes: 10,
        })
    };
    let mut manifest = merged(membership());
    assert_eq!(manifest.standing(), Standing::default());
    manifest.merge(say(1, 10, roll(1, 7)), &mut Change::default());
    manifest.merge(say(1, 12, roll(2, 3)), &mut Change::default());
    let standing = manifest.standing();
    let expected = Standing { rolls: 2, files: 10, oldest: Hlc::at(10), newest: Hlc::at(12) };
    assert_eq!(standing, expected);
    manifest.merge(say(1, 13, drill("studio", true, &standing)), &mut Change::default());
    manifest.merge(say(1, 13, drill("friend", false, &standing)), &mut Change::default());
    let covers = |manifest: &Manifest, name: &str| {
        manifest.drill(&site(name)).expect("held").covers(&manifest.standing())
    };
    assert!(covers(&manifest, "studio"));
    assert!(!covers(&manifest, "friend"), "a sample never covers all");
    let mut later = manifest.clone();
    later.merge(say(1, 14, roll(3, 0)), &mut Change::default());
    assert!(!covers(&later, "studio"));
    // One that was said before and came only now was not rebuilt either.
    manifest.merge(say(3, 11, roll(4, 1)), &mut Change::default());
    assert!(!covers(&manifest, "studio"));
    let gone = Trash { roll: RollId([4; 32]), all: true, hidden: BTreeSet::new() };
    manifest.merge(say(1, 15, Body::Trash(gone)), &mut Change::default());
    assert!(covers(&manifest, "studio"), "what is deleted need not be covered");
}

/// Records that compete for few keys, by members and strangers, before and after each other.
fn any_record() -> impl Strategy<Value = Record> {
    let body = prop_oneof![
        "[a-c]".prop_map(|name| Body::Node(NodeInfo { name, addresses: vec![] })),
        (1u8..=3)
            .prop_map(|c| Body::Rule(RuleInfo { shoot: None, rule: Rule { copies: c, ..Rule::default() } })),
        (0u8..2, 0u8..3).prop_map(|(r, v)| Body::Layout(Layout {
            roll: RollId([r; 32]),
            coding: CodingId([0; 16]),
            volumes: vec![VolumeId([v; 16])]
        })),
        (0u8..2, any::<bool>()).prop_map(|(r, passed)| Body::Audit(Audit {
            roll: RollId([r; 32]),
            volume: VolumeId([0; 16]),
            holding: RecordId([0; 32]),
            passed
        })),
        (0u64..5).prop_map(|records| Body::Head(Head { records, fingerprint: [0; 32] })),
        (1u8..6, any::<bool>()).prop_map(|(n, studio)| Body::Admit(Admit {
            node: id(n),
            role: if studio { Role::Studio } else { Role::Vault },
            site: site("x")
        })),
        (0u64..3, any::<bool>()).prop_map(|(n, one)| drill(
            if one { "a" } else { "b" },
            one,
            &Standing { files: n, ..Standing::default() }
        )),
        (1u8..6).prop_map(|n| Body::Delegate(Delegate { node: id(n) })),
    ];
    (prop_oneof![Just(AUTHORITY), 1u8..6], 1u64..6, body).prop_map(|(author, at, body)| say(author, at, body))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Commutative and idempotent: any order, with repeats, comes to the same set.
    #[test]
    fn order_does_not_matter(
        mut records in prop::collection::vec(any_record(), 0..24),
        order in any::<prop::sample::Index>(),
        again in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        records.extend(membership());
        let forward = merged(records.clone());
        let mut other = records.clone();
        other.reverse();
        let turn = order.index(other.len());
        other.rotate_left(turn);
        for index in again {
            other.push(index.get(&records).clone());
        }
        prop_assert_eq!(state(&merged(other)), state(&forward));
    }

    /// Associative: merging what two nodes found out separately comes to the same set.
    #[test]
    fn grouping_does_not_matter(
        left in prop::collection::vec(any_record(), 0..16),
        right in prop::collection::vec(any_record(), 0..16),
    ) {
        let all = merged(membership().into_iter().chain(left.clone()).chain(right.clone()));
        let mut a_then_b = merged(left.into_iter().chain(membership()));
        for record in right {
            a_then_b.merge(record, &mut Change::default());
        }
        prop_assert_eq!(state(&a_then_b), state(&all));
    }

    /// What a change says was added and superseded is exactly what became of the set.
    #[test]
    fn changes_tell_the_truth(records in prop::collection::vec(any_record(), 0..30)) {
        let mut manifest = Manifest::new(library());
        let mut kept = BTreeSet::new();
        for record in membership().into_iter().chain(records) {
            let mut change = Change::default();
            manifest.merge(record, &mut change);
            for id in &change.superseded { kept.remove(id); }
            kept.extend(change.added.iter().map(|record| record.id));
        }
        prop_assert_eq!(kept, manifest.ids().iter().map(|(_, id)| *id).collect::<BTreeSet<_>>());
    }
}
