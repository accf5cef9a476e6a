use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use safelight_proto::id::CodingId;
use safelight_proto::id::{RollId, VolumeId};
use safelight_proto::record::{
    Admit, Adopt, Audit, Coding, Delegate, Drill, Founding, Head, Holding, Layout, Leaver, Lost, NodeInfo,
    Remove, Retired, RuleInfo, Trash,
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
    let roll = |n: u8, files: u64| match roll(n) {
        Body::Roll(roll) => Body::Roll(safelight_proto::record::Roll { files, ..roll }),
        other => other,
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

fn roll(n: u8) -> Body {
    Body::Roll(safelight_proto::record::Roll {
        roll: RollId([n; 32]),
        shoot: safelight_proto::id::ShootId([0; 16]),
        shoot_name: vec![],
        references: BTreeSet::new(),
        data_bytes: 1,
        catalog_bytes: 4096,
        sealed_hash: Hash([n; 32]),
        wrapped_key: [0; 80],
        catalog_hash: Hash([n; 32]),
        files: 1,
        bytes: 1,
    })
}

fn remove(n: u8) -> Body {
    Body::Remove(Remove { node: id(n) })
}

fn adopt(record: &Record) -> Body {
    Body::Adopt(Adopt { records: vec![record.clone()] })
}

fn merge(manifest: &mut Manifest, record: Record) -> Merged {
    manifest.merge(record, &mut Change::default())
}

#[test]
fn nothing_of_a_removed_author_stands_but_what_was_adopted() {
    let (kept, lost) = (say(3, 5, roll(1)), say(3, 6, roll(2)));
    let mut manifest = merged(membership());
    merge(&mut manifest, kept.clone());
    merge(&mut manifest, lost);
    merge(&mut manifest, say(1, 7, adopt(&kept)));
    let mut change = Change::default();
    assert_eq!(manifest.merge(say(AUTHORITY, 8, remove(3)), &mut change), Merged::New);
    assert!(
        manifest.roll(&RollId([1; 32])).is_some_and(|(_, author)| author == id(3)),
        "it is still its author's"
    );
    assert!(manifest.roll(&RollId([2; 32])).is_none());
    assert_eq!(change.fallen.len(), 1, "a studio could adopt it now");
    assert!(manifest.members().get(&id(3)).is_none() && manifest.members().is_removed(&id(3)));

    let back_dated = say(3, 1, roll(3));
    assert_eq!(merge(&mut manifest, back_dated.clone()), Merged::Void);
    assert_eq!(
        merge(&mut manifest, say(2, 9, adopt(&back_dated))),
        Merged::Waiting,
        "a vault adopts nothing"
    );
    assert!(manifest.roll(&RollId([3; 32])).is_none());
    assert_eq!(merge(&mut manifest, say(AUTHORITY, 9, membership_of(3))), Merged::New);
    assert!(manifest.members().get(&id(3)).is_none(), "the key never returns");
}

fn membership_of(n: u8) -> Body {
    Body::Admit(Admit { node: id(n), role: Role::Studio, site: site("again") })
}

#[test]
fn a_delegate_removes_vaults_and_the_authority_alone_studios() {
    let mut manifest = merged(membership());
    merge(&mut manifest, say(1, 9, remove(3)));
    assert!(manifest.members().get(&id(3)).is_some(), "a delegate's removal of a studio has no effect");
    merge(&mut manifest, say(2, 9, remove(1)));
    merge(&mut manifest, say(3, 9, remove(2)));
    assert!(
        manifest.members().get(&id(1)).is_some() && manifest.members().get(&id(2)).is_some(),
        "no delegates"
    );
    merge(&mut manifest, say(1, 9, remove(2)));
    assert!(manifest.members().get(&id(2)).is_none());
    merge(&mut manifest, say(AUTHORITY, 9, remove(3)));
    assert!(manifest.members().get(&id(3)).is_none());
}

#[test]
fn two_studios_can_remove_each_other() {
    let mut manifest = merged(membership());
    merge(&mut manifest, say(AUTHORITY, 9, remove(1)));
    merge(&mut manifest, say(AUTHORITY, 9, remove(3)));
    assert_eq!(manifest.members().iter().count(), 0, "the vault was let in by one of them");
}

#[test]
fn members_that_a_removed_studio_let_in_stay_by_adoption_whatever_comes_first() {
    let admitted = membership().remove(3);
    let [adopted, removal] = [say(3, 8, adopt(&admitted)), say(AUTHORITY, 9, remove(1))];
    for late in [[adopted.clone(), removal.clone()], [removal, adopted]] {
        let mut manifest = merged(membership());
        merge(&mut manifest, say(2, 5, roll(1)));
        let before = manifest.ids().len();
        for record in late {
            merge(&mut manifest, record);
        }
        assert!(manifest.members().get(&id(2)).is_some());
        assert!(manifest.roll(&RollId([1; 32])).is_some(), "what it said stands with it");
        assert_eq!(manifest.ids().len(), before + 2, "all that stood, an adoption and a removal");
    }
}

#[test]
fn what_only_a_removed_studio_adopted_is_left_for_another() {
    let kept = say(2, 5, roll(1));
    let mut manifest = merged(membership());
    for record in [kept.clone(), say(1, 6, adopt(&kept)), say(1, 7, remove(2))] {
        merge(&mut manifest, record);
    }
    assert!(manifest.roll(&RollId([1; 32])).is_some());
    assert!(manifest.legacy(&id(1)).contains(&kept));
    let adopted: Vec<Record> =
        Adopt::of(manifest.legacy(&id(1))).into_iter().map(|a| say(3, 8, Body::Adopt(a))).collect();
    for record in adopted.into_iter().chain([say(AUTHORITY, 9, remove(1))]) {
        merge(&mut manifest, record);
    }
    assert!(manifest.roll(&RollId([1; 32])).is_some());
    assert!(manifest.members().is_removed(&id(2)), "its removals stand, too");
}

#[test]
fn a_studios_word_counts_again_when_a_later_one_goes_with_its_author() {
    let rule = |c| Body::Rule(RuleInfo { shoot: None, rule: Rule { copies: c, ..Rule::default() } });
    let mut manifest = merged(membership());
    merge(&mut manifest, say(1, 5, rule(2)));
    merge(&mut manifest, say(3, 6, rule(1)));
    assert_eq!(manifest.rule(None).copies, 1);
    merge(&mut manifest, say(AUTHORITY, 9, remove(3)));
    assert_eq!(manifest.rule(None).copies, 2);
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
        (0u8..3).prop_map(roll),
        (0u8..2, 1usize..3).prop_map(|(r, n)| Body::Coding(Coding {
            roll: RollId([r; 32]),
            coding: CodingId([0; 16]),
            k: 1,
            unit: 4096,
            shard_bytes: 1,
            shards: vec![Hash([r; 32]); n],
        })),
        (0u8..2, 0u8..2).prop_map(|(r, v)| Body::Holding(Holding {
            roll: RollId([r; 32]),
            volume: VolumeId([v; 16]),
            held: [(CodingId([0; 16]), [v].into())].into()
        })),
        (0u8..2, any::<bool>()).prop_map(|(r, all)| Body::Trash(Trash {
            roll: RollId([r; 32]),
            all,
            hidden: BTreeSet::new()
        })),
        (1u8..6, any::<bool>()).prop_map(|(n, lost)| Body::Lost(Lost { node: id(n), lost })),
        (1u8..6, any::<bool>())
            .prop_map(|(n, retired)| Body::Retired(Retired { what: Leaver::Node(id(n)), retired })),
        (1u8..6).prop_map(remove),
        (1u8..6).prop_map(remove),
    ];
    (prop_oneof![Just(AUTHORITY), 1u8..6], 1u64..6, body).prop_map(|(author, at, body)| say(author, at, body))
}

/// Records, and adoptions of some of them and of others.
fn any_records(most: usize) -> impl Strategy<Value = Vec<Record>> {
    let adoptions = prop::collection::vec((1u8..6, 1u64..6, any::<[prop::sample::Index; 2]>()), 0..8);
    (prop::collection::vec(any_record(), 0..most), prop::collection::vec(any_record(), 0..4), adoptions)
        .prop_map(|(mut records, more, adoptions)| {
            let all: Vec<Record> = membership()
                .into_iter()
                .chain(records.clone())
                .chain(more)
                .filter(|r| r.body.is_adoptable())
                .collect();
            for (author, at, which) in adoptions {
                let adopted = which.map(|index| index.get(&all).clone());
                records.push(say(author, at, Body::Adopt(Adopt { records: adopted.to_vec() })));
            }
            records
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    /// Commutative and idempotent: any order, with repeats, comes to the same set.
    #[test]
    fn order_does_not_matter(
        mut records in any_records(24),
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
        left in any_records(16),
        right in any_records(16),
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
    fn changes_tell_the_truth(records in any_records(30)) {
        let mut manifest = Manifest::new(library());
        let mut kept = BTreeSet::new();
        for record in membership().into_iter().chain(records) {
            let mut change = Change::default();
            manifest.merge(record, &mut change);
            for id in &change.superseded { kept.remove(id); }
            kept.extend(change.added.iter().map(|record| record.id));
        }
        let resting = manifest.resting.values().map(|entry| entry.id);
        prop_assert_eq!(kept, manifest.ids().iter().map(|(_, id)| *id).chain(resting).collect::<BTreeSet<_>>());
    }

    /// Any order at all, not only turned and reversed ones.
    #[test]
    fn no_order_matters(records in any_records(24), seed in any::<u64>()) {
        let mut records: Vec<Record> = membership().into_iter().chain(records).collect();
        let forward = merged(records.clone());
        records.sort_by_cached_key(|record| *blake3::hash(&[&seed.to_le_bytes()[..], &record.id.0].concat()).as_bytes());
        prop_assert_eq!(state(&merged(records)), state(&forward));
    }

    /// A node that starts again from its store comes to the same set.
    #[test]
    fn a_restart_does_not_matter(records in any_records(24)) {
        let (mut manifest, mut store) = (Manifest::new(library()), BTreeMap::new());
        for record in membership().into_iter().chain(records) {
            let mut change = Change::default();
            manifest.merge(record, &mut change);
            for id in &change.superseded { store.remove(id); }
            store.extend(change.added.into_iter().map(|record| (record.id, record)));
        }
        let mut again = Manifest::new(library());
        again.load(store.into_values());
        prop_assert_eq!(state(&again), state(&manifest));
    }

    /// Nothing of a node that the authority removed stands but what a studio that still belongs has adopted.
    #[test]
    fn the_removed_have_no_say(records in any_records(24), n in 1u8..6) {
        let manifest = merged(membership().into_iter().chain(records).chain([say(AUTHORITY, 9, remove(n))]));
        for (_, entry) in manifest.entries().filter(|(_, entry)| entry.author == id(n)) {
            prop_assert!(entry.body.is_adoptable());
            let members = manifest.members();
            let studio = |n: &NodeId| members.get(n).is_some_and(|member| member.role == Role::Studio);
            prop_assert!(members.adopters(&entry.id).any(studio));
        }
    }
}

#[test]
fn a_coding_is_only_completed_and_never_contradicted() {
    let coding = |shards: &[u8]| {
        Body::Coding(Coding {
            roll: RollId([1; 32]),
            coding: CodingId([1; 16]),
            k: 2,
            unit: 4096,
            shard_bytes: 10,
            shards: shards.iter().map(|n| Hash([*n; 32])).collect(),
        })
    };
    let mut manifest = merged(membership());
    merge(&mut manifest, say(1, 5, roll(1)));
    merge(&mut manifest, say(1, 6, coding(&[1, 2, 3])));
    let list = |manifest: &Manifest| {
        let coding = manifest.coding(&RollId([1; 32]), &CodingId([1; 16])).expect("known");
        coding.shards.iter().map(|hash| hash.0[0]).collect::<Vec<_>>()
    };
    merge(&mut manifest, say(3, 7, coding(&[1, 2, 3, 4])));
    assert_eq!(list(&manifest), [1, 2, 3, 4], "another studio made one more");
    merge(&mut manifest, say(3, 8, coding(&[9, 9, 9, 9, 9])));
    assert_eq!(list(&manifest), [1, 2, 3], "the author's list stands against another one");
}

#[test]
fn a_forged_roll_loses_its_place_with_its_author() {
    let mut manifest = merged(membership());
    let (forged, honest) = (say(3, 1, roll(1)), say(1, 5, roll(1)));
    merge(&mut manifest, honest);
    merge(&mut manifest, forged.clone());
    merge(&mut manifest, say(1, 7, adopt(&forged)));
    merge(&mut manifest, say(AUTHORITY, 8, remove(3)));
    assert_eq!(manifest.roll(&RollId([1; 32])).map(|(_, author)| author), Some(id(1)));
}
