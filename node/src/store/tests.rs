use ed25519_dalek::SigningKey;
use safelight_core::event::{Brake, Event, Memory};
use safelight_core::node::{Identity as CoreIdentity, Node};
use safelight_core::time::Now;
use safelight_proto::id::{NodeId, RollId, ShootId};
use safelight_proto::record::{Admit, Body, Hlc, NodeInfo, Roll, Trash};
use safelight_proto::vocabulary::Role;

use super::files::KnownFile;
use super::*;

fn authority() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

fn identity() -> Identity {
    Identity {
        secret: [2; 32],
        library: LibraryId(*blake3::hash(authority().verifying_key().as_bytes()).as_bytes()),
        reading_key: Some([3; 32]),
        name: "studio".into(),
        site: Site::new("Studio").expect("a fine name"),
        hints: vec!["/ip4/192.0.2.1/tcp/3210".into(), "/ip4/192.0.2.2/tcp/3210".into()],
    }
}

fn admission() -> Record {
    let node = NodeId(SigningKey::from_bytes(&[2; 32]).verifying_key().to_bytes());
    let admit = Admit { node, role: Role::Studio, site: identity().site };
    Record::sign(identity().library, Hlc(1), Body::Admit(admit), &authority())
}

#[test]
fn a_home_remembers_who_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("node.redb");
    let volumes = [(VolumeId([7; 16]), PathBuf::from("/mnt/ssd"))];
    Store::create(&path, &identity(), &[admission()], &volumes).expect("made");
    let store = Store::open(&path).expect("opens");
    assert!(store.identity().expect("there") == identity());
    assert_eq!(store.records().expect("there"), vec![admission()]);
    assert_eq!(store.volumes().expect("there"), volumes.into());
    store.set("quarantine", "30d").expect("set");
    assert_eq!(store.setting("quarantine").expect("there").as_deref(), Some("30d"));
}

#[test]
fn a_home_that_was_half_made_is_made_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("node.redb");
    std::fs::write(path.with_extension("new"), b"torn").expect("written");
    assert!(Store::open(&path).is_err());
    Store::create(&path, &identity(), &[], &[]).expect("made");
    assert!(Store::open(&path).is_ok());
}

#[test]
fn what_a_step_writes_is_there_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("node.redb");
    Store::create(&path, &identity(), &[admission()], &[]).expect("made");
    let shard = Shard {
        hash: Hash([4; 32]),
        bytes: 99,
        roll: RollId([5; 32]),
        coding: safelight_proto::id::CodingId([6; 16]),
        index: 3,
        staged: true,
    };
    let volume = VolumeId([7; 16]);
    let said;
    {
        let store = Store::open(&path).expect("opens");
        let core = CoreIdentity {
            key: SigningKey::from_bytes(&[2; 32]),
            library: identity().library,
            reading_key: None,
        };
        let records = store.records().expect("there");
        let (mut node, _) = Node::new(core, records, BTreeMap::new(), Default::default(), [0; 32]);
        let now = Now { wall: 5, steady: 5 };
        let steps = [
            node.handle(Event::VolumeOpened { volume, shards: vec![] }, now),
            node.handle(
                Event::Stored { bodies: vec![], shards: vec![(volume, shard)], catalog: Hash([0; 32]) },
                now,
            ),
            node.handle(Event::Say(vec![Body::Node(NodeInfo { name: "a".into(), addresses: vec![] })]), now),
            node.handle(Event::Say(vec![Body::Node(NodeInfo { name: "b".into(), addresses: vec![] })]), now),
        ];
        assert_eq!(store.commit(&steps).expect("durable").len(), steps.len());
        said = node.manifest().ids().iter().map(|(_, id)| *id).collect::<Vec<_>>();
    }
    let store = Store::open(&path).expect("opens");
    let mut kept: Vec<_> = store.records().expect("there").iter().map(|r| (r.hlc, r.id)).collect();
    kept.sort();
    assert_eq!(kept.into_iter().map(|(_, id)| id).collect::<Vec<_>>(), said, "superseded records are gone");
    assert_eq!(store.shards(&volume).expect("there"), vec![shard]);
    assert_eq!(store.record_bytes(&said, 1).expect("there").len(), 1, "at least one, whatever the bound");
}

#[test]
fn since_when_a_roll_may_go_outlives_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("node.redb");
    Store::create(&path, &identity(), &[admission()], &[]).expect("made");
    let store = Store::open(&path).expect("opens");
    assert_eq!(store.memory().expect("read"), Memory::default());
    let secret = SigningKey::from_bytes(&[2; 32]);
    let core = CoreIdentity { key: secret, library: identity().library, reading_key: None };
    let (mut node, _) =
        Node::new(core, store.records().expect("there"), BTreeMap::new(), Default::default(), [0; 32]);
    let roll = RollId([5; 32]);
    let body = Body::Roll(Roll {
        roll,
        shoot: ShootId([6; 16]),
        shoot_name: vec![],
        references: Default::default(),
        data_bytes: 1,
        catalog_bytes: 1,
        sealed_hash: Hash([0; 32]),
        wrapped_key: [0; 80],
        catalog_hash: Hash([1; 32]),
        files: 1,
        bytes: 1,
    });
    let trash = |all| Event::Say(vec![Body::Trash(Trash { roll, all, hidden: Default::default() })]);
    let mut at = |event, steady| node.handle(event, Now { wall: 5 + steady, steady });
    let steps =
        [at(Event::Tick, 0), at(Event::Say(vec![body]), 100), at(Event::Tick, 500), at(trash(true), 700)];
    assert_eq!(store.commit(&steps).expect("durable").len(), steps.len());
    let memory = store.memory().expect("read");
    assert_eq!((memory.running, memory.dead), (700, [(roll, 700)].into()));
    assert_eq!(memory.brake, Brake::default());
    assert_eq!(memory.met.len(), 1, "the one member is known from now on");
    assert_eq!(store.commit(&[at(trash(false), 900)]).expect("durable").len(), 1);
    assert_eq!(store.memory().expect("read").dead, BTreeMap::new());
}

#[test]
fn surplus_and_promises_outlive_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("node.redb");
    Store::create(&path, &identity(), &[], &[]).expect("made");
    let (volume, hash) = (VolumeId([3; 16]), Hash([4; 32]));
    for (since, until) in [(Some(5), Some(6)), (None, None)] {
        {
            let store = Store::open(&path).expect("opens");
            let write = store.db.begin_write().expect("begun");
            trash::keep(&write, &Write::Surplus(volume, hash, since)).expect("kept");
            trash::keep(&write, &Write::Promise(volume, hash, until)).expect("kept");
            write.commit().expect("durable");
        }
        let memory = Store::open(&path).expect("opens").memory().expect("read");
        assert_eq!(memory.surplus.get(&(volume, hash)).copied(), since);
        assert_eq!(memory.promised.get(&(volume, hash)).copied(), until);
    }
}

#[test]
fn files_are_found_by_length_and_head() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("node.redb");
    Store::create(&path, &identity(), &[], &[]).expect("made");
    let store = Store::open(&path).expect("opens");
    let file = |bytes, head, hash, place| KnownFile {
        bytes,
        head: [head; 16],
        hash: Hash([hash; 32]),
        roll: RollId([9; 32]),
        place,
    };
    let files = [file(10, 1, 1, 0), file(10, 1, 2, 1), file(10, 2, 3, 2), file(11, 1, 4, 3)];
    store.index_files(Hash([8; 32]), &files).expect("durable");
    assert_eq!(store.files_like(10, [1; 16]).expect("read"), files[..2]);
    assert_eq!(store.files_like(12, [1; 16]).expect("read"), []);
    assert_eq!(store.indexed_catalogs().expect("read"), [Hash([8; 32])].into());
    assert!(store.is_indexed(&Hash([8; 32])).expect("read"));
    assert!(!store.is_indexed(&Hash([9; 32])).expect("read"));
}
