use proptest::prelude::*;

use super::*;
use crate::id::{CodingId, Hash, RollId, ShootId, VolumeId};
use crate::vocabulary::{Media, Role, Rule, Site};

const LIBRARY: LibraryId = LibraryId([7; 32]);

fn key() -> SigningKey {
    SigningKey::from_bytes(&[9; 32])
}

/// One body of each kind, every field filled.
fn bodies() -> Vec<Body> {
    let (roll, coding) = (RollId([1; 32]), CodingId([2; 16]));
    let (volume, node) = (VolumeId([3; 16]), NodeId([4; 32]));
    let site = Site::new("Tom's house").expect("a fine name");
    let drive = VolumeInfo {
        volume,
        media: Media::Nas,
        capacity: 4_000_000_000_000,
        free: 1,
        site: Some(site.clone()),
        device: "8:16".into(),
        host: "h".into(),
        trust_declared: true,
        since: 0,
        absent: 0,
    };
    vec![
        Body::Founding(Founding { reading_public: [5; 32] }),
        Body::Admit(Admit { node, role: Role::Vault, site }),
        Body::Delegate(Delegate { node }),
        Body::Node(NodeInfo { name: "tom-nas".into(), addresses: vec!["/ip4/192.0.2.1/tcp/3210".into()] }),
        Body::Volume(drive.clone()),
        Body::Roll(Roll {
            roll,
            shoot: ShootId([6; 16]),
            shoot_name: vec![1, 2, 3],
            references: [RollId([8; 32])].into(),
            data_bytes: 1 << 32,
            catalog_bytes: 4096,
            sealed_hash: Hash([10; 32]),
            wrapped_key: [11; 80],
            catalog_hash: Hash([12; 32]),
            files: 2412,
            bytes: 61_200_000_000,
        }),
        Body::Coding(Coding {
            roll,
            coding,
            k: 2,
            unit: 262_144,
            shard_bytes: 99,
            shards: vec![Hash([13; 32]); 4],
        }),
        Body::Layout(Layout { roll, coding, volumes: vec![volume; 4] }),
        Body::Holding(Holding { roll, volume, held: [(coding, [0, 3].into())].into() }),
        Body::Audit(Audit { roll, volume, holding: RecordId([15; 32]), passed: true }),
        Body::Rule(RuleInfo {
            shoot: Some(ShootId([6; 16])),
            rule: Rule { spend: Some(200), ..Rule::default() },
        }),
        Body::Lost(Lost { node, lost: true }),
        Body::Head(Head { records: 12, fingerprint: [14; 32] }),
        Body::Trash(Trash { roll, all: false, hidden: [0, 9, 4711].into() }),
        Body::Scrubbed(Scrubbed { volume, shards: 812, bad: 1 }),
        Body::Retired(Retired { what: Leaver::Node(node), retired: true }),
        Body::Retired(Retired { what: Leaver::Volume(volume), retired: true }),
        Body::Seeding(Seeding { node, at: Site::new("studio") }),
        Body::Volume(VolumeInfo { since: 1_700_000_000_000, absent: 1_800_000_000_000, ..drive }),
        Body::Drill(Drill {
            without: Site::new("Tom's house").expect("a fine name"),
            passed: false,
            all: true,
            files: 2412,
            of_files: 2413,
            bytes: 61_200_000_000,
            failed: 2,
            rolls: 16,
            newest: Hlc::at(1_700_000_000_000),
        }),
        Body::Remove(Remove { node }),
        Body::Adopt(Adopt {
            records: vec![
                Record::sign(
                    LIBRARY,
                    Hlc(3),
                    Body::Layout(Layout { roll, coding, volumes: vec![volume; 4] }),
                    &key(),
                ),
                Record::sign(LIBRARY, Hlc(4), Body::Remove(Remove { node }), &key()),
            ],
        }),
    ]
}

#[test]
fn every_kind_there_and_back() {
    for body in bodies() {
        let record = Record::sign(LIBRARY, Hlc::at(1_000), body, &key());
        assert_eq!(Record::parse(LIBRARY, &record.bytes), Ok(record.clone()));
        assert_eq!(Record::trusted(&record.bytes), Ok(record));
    }
}

/// The bytes of each kind, frozen: whoever changes them changes the format.
#[test]
fn golden() {
    let frozen = include_str!("../../golden/records.txt");
    let found: String = bodies()
        .into_iter()
        .map(|body| {
            data_encoding::HEXLOWER.encode(&Record::sign(LIBRARY, Hlc(77), body, &key()).bytes) + "\n"
        })
        .collect();
    assert_eq!(found, frozen);
}

#[test]
fn a_drill_did_not_pass_when_something_failed() {
    let drills = bodies()
        .into_iter()
        .filter_map(|body| if let Body::Drill(drill) = body { Some(drill) } else { None });
    for drill in drills {
        let both = Body::Drill(Drill { passed: true, ..drill });
        let record = Record::sign(LIBRARY, Hlc(1), both, &key());
        assert_eq!(Record::parse(LIBRARY, &record.bytes), Err(RecordError::Bounds("drill")));
    }
}

#[test]
fn records_of_another_library_are_foreign() {
    let record = Record::sign(LIBRARY, Hlc(1), bodies().remove(2), &key());
    assert_eq!(Record::parse(LibraryId([8; 32]), &record.bytes), Err(RecordError::Foreign));
}

#[test]
fn the_largest_record_fits() {
    let references =
        (0..limit::REFERENCES as u32).map(|n| RollId(*blake3::hash(&n.to_be_bytes()).as_bytes())).collect();
    let Body::Roll(roll) = bodies().remove(5) else { unreachable!("the sixth is a roll") };
    Record::sign(LIBRARY, Hlc(1), Body::Roll(Roll { references, ..roll }), &key());
}

#[test]
fn the_largest_record_can_be_adopted() {
    let references =
        (0..limit::REFERENCES as u32).map(|n| RollId(*blake3::hash(&n.to_be_bytes()).as_bytes())).collect();
    let Body::Roll(roll) = bodies().remove(5) else { unreachable!("the sixth is a roll") };
    let roll = Record::sign(LIBRARY, Hlc(1), Body::Roll(Roll { references, ..roll }), &key());
    let small = Record::sign(LIBRARY, Hlc(2), bodies().remove(7), &key());
    let all = [vec![small.clone(); 900], vec![roll; 3]].concat();
    let adoptions = Adopt::of(all.clone());
    assert!(adoptions.len() < 10, "they are packed");
    let adopted = adoptions.into_iter().flat_map(|adopt| {
        let record = Record::sign(LIBRARY, Hlc(5), Body::Adopt(adopt), &key());
        let Body::Adopt(adopt) = Record::parse(LIBRARY, &record.bytes).expect("within every bound").body
        else {
            unreachable!("it is an adoption")
        };
        adopt.records
    });
    assert_eq!(adopted.collect::<Vec<_>>(), all);
}

#[test]
fn what_a_node_holds_cannot_be_adopted() {
    for body in bodies().into_iter().filter(|body| !body.is_adoptable()) {
        let records = vec![Record::sign(LIBRARY, Hlc(1), body, &key())];
        let record = Record::sign(LIBRARY, Hlc(2), Body::Adopt(Adopt { records }), &key());
        assert_eq!(Record::parse(LIBRARY, &record.bytes), Err(RecordError::Bounds("adopted record")));
    }
}

#[test]
fn forged_and_foreign_records_are_not_adopted() {
    let adopt = |adopted: Record| {
        Record::sign(LIBRARY, Hlc(2), Body::Adopt(Adopt { records: vec![adopted] }), &key())
    };
    let foreign = Record::sign(LibraryId([8; 32]), Hlc(1), bodies().remove(7), &key());
    assert_eq!(Record::parse(LIBRARY, &adopt(foreign).bytes), Err(RecordError::Foreign));
    let mut forged = Record::sign(LIBRARY, Hlc(1), bodies().remove(7), &key());
    *forged.bytes.last_mut().expect("it has a signature") ^= 1;
    assert_eq!(Record::parse(LIBRARY, &adopt(forged).bytes), Err(RecordError::Forged));
}

proptest! {
    /// No byte of a record can be changed without notice.
    #[test]
    fn forgeries_are_refused(kind in 0usize..bodies().len(), at: prop::sample::Index, flip in 1u8..) {
        let record = Record::sign(LIBRARY, Hlc(5), bodies().remove(kind), &key());
        let mut bytes = record.bytes.clone();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        // A changed byte may still parse when it falls into framing that decodes to the same claim; never to another.
        if let Ok(other) = Record::parse(LIBRARY, &bytes) {
            prop_assert_eq!((other.id, other.body), (record.id, record.body));
        }
    }

    #[test]
    fn noise_is_no_record(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Record::parse(LIBRARY, &bytes).is_err());
    }
}
