//! Restores of rolls that lie on real volumes of a real node.

use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use safelight_core::event::{Event, Shard};
use safelight_core::ingest::{CodingPlan, NewRoll, RollEncoder};
use safelight_core::seal::{FreshKey, RecoveryPhrase, seal_text};
use safelight_proto::catalog::{Catalog, Entry, Extent};
use safelight_proto::id::{CodingId, Hash, RollId, ShootId, VolumeId};
use safelight_proto::limit::UNIT_MIN;
use safelight_proto::record::{Body, Coding, Layout, Roll};
use tempfile::TempDir;

use super::*;
use crate::admin::doc::RestoreDoc;
use crate::entrance::{NodePlan, found};
use crate::home::Home;
use crate::startup::Running;
use crate::view::SHOOT_NAME;

pub(crate) fn phrase() -> RecoveryPhrase {
    RecoveryPhrase::from_entropy([7; 32])
}

/// Bytes that do not repeat.
pub(crate) fn photo(seed: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

/// A studio node with three volumes.
pub(crate) struct Studio {
    pub dir: TempDir,
    pub running: Running,
    volumes: Vec<VolumeId>,
}

/// A roll to be made: pieces of data, and the files that point to them.
pub(crate) struct NewFiles<'a> {
    pub roll: u8,
    pub shoot: &'a str,
    pub ingested_ms: u64,
    /// Shards that rebuild; two more are made.
    pub k: u8,
    pub data: Vec<Vec<u8>>,
    /// Entries, from where the data came to lie.
    pub entries: &'a dyn Fn(&[Extent]) -> Vec<Entry>,
}

pub(crate) fn entry(path: &str, content: &[u8], extents: Vec<Extent>) -> Entry {
    Entry {
        path: path.into(),
        raw_path: None,
        bytes: content.len() as u64,
        hash: Hash::of(content),
        modified_ns: Some(1_400_000_000_000_000_000),
        head: [0; 16],
        extents,
    }
}

impl Studio {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let volumes: Vec<String> = (0..3)
            .map(|n| {
                let path = dir.path().join(format!("volume{n}"));
                fs::create_dir(&path).unwrap();
                format!("{},media=ssd", path.display())
            })
            .collect();
        let plan = NodePlan::parse("studio", &Site::new("Studio").unwrap(), &volumes).unwrap();
        let home = dir.path().join("home");
        found(&home, &plan, &phrase()).await.unwrap();
        let running =
            Running::start(&Home::open(&home).unwrap(), vec![([127, 0, 0, 1], 0).into()]).await.unwrap();
        let mut open = running.shell.volumes.open();
        open.sort_by_key(|volume| volume.dir().to_owned());
        let volumes = open.iter().map(|volume| volume.id()).collect();
        Self { dir, running, volumes }
    }

    fn shell(&self) -> &Arc<Shell> {
        &self.running.shell
    }

    /// Files of these contents, in one roll, named `card/0.NEF` and so on.
    pub(crate) async fn files(&self, roll: u8, shoot: &str, k: u8, files: &[Vec<u8>]) -> Coding {
        let entries = |extents: &[Extent]| {
            let named = files.iter().zip(extents).enumerate();
            named.map(|(n, (file, extent))| entry(&format!("card/{n}.NEF"), file, vec![*extent])).collect()
        };
        let data = files.to_vec();
        self.store(NewFiles { roll, shoot, ingested_ms: roll.into(), k, data, entries: &entries }).await
    }

    /// Makes a roll and puts its shards on the volumes in turn.
    pub(crate) async fn store(&self, new: NewFiles<'_>) -> Coding {
        let (shell, library, key) = (self.shell(), phrase().library(), phrase().reading_key());
        let id = RollId([new.roll; 32]);
        let fresh = FreshKey::from_random([new.roll; 32]);
        let mut random = ChaCha20Rng::from_seed([new.roll; 32]);
        let roll = NewRoll::new(library, id, fresh, &key.public(), &mut random).unwrap();
        let indices: Vec<u8> = (0..new.k + 2).collect();
        let plan = CodingPlan {
            library,
            roll: id,
            wrapped_key: roll.wrapped_key(),
            coding: CodingId([new.roll; 16]),
            k: new.k,
            unit: UNIT_MIN,
            indices: indices.clone(),
        };
        let mut encoder = RollEncoder::new(roll, &plan).unwrap();
        let mut shards: Vec<Vec<u8>> = encoder.headers().map(|(_, header)| header).collect();
        let mut write = |index: u8, unit: &[u8]| {
            shards[usize::from(index)].extend_from_slice(unit);
            Ok::<(), Infallible>(())
        };
        let mut extents = Vec::new();
        for data in &new.data {
            extents.push(Extent { roll: None, offset: encoder.position(), len: data.len() as u64 });
            let mut rest = data.as_slice();
            while !rest.is_empty() {
                let take = encoder.buffer().len().min(rest.len());
                encoder.buffer()[..take].copy_from_slice(&rest[..take]);
                rest = &rest[take..];
                let Ok(()) = encoder.advance(take, &mut write);
            }
        }
        let shoot = ShootId(*Hash::of(new.shoot.as_bytes()).0.first_chunk().unwrap());
        let entries = (new.entries)(&extents);
        let catalog = Catalog { shoot, shoot_name: new.shoot.into(), ingested_ms: new.ingested_ms, entries };
        let summary = encoder.finish(&catalog, &mut write).unwrap();
        for (shard, finished) in shards.iter_mut().zip(&summary.shards) {
            shard.extend_from_slice(&finished.trailer);
        }
        let hashes: Vec<Hash> = shards.iter().map(|shard| Hash::of(shard)).collect();
        let sealed = summary.sealed;
        let catalog_hash = Hash::of(&sealed.catalog_blob);
        shell.catalogs.keep(&catalog_hash, &sealed.catalog_blob).unwrap();
        let coding = Coding {
            roll: id,
            coding: plan.coding,
            k: new.k,
            unit: UNIT_MIN,
            shard_bytes: shards[0].len() as u64,
            shards: hashes.clone(),
        };
        let places: Vec<VolumeId> =
            indices.iter().map(|index| self.volumes[usize::from(*index) % self.volumes.len()]).collect();
        let bodies = vec![
            Body::Roll(Roll {
                roll: id,
                shoot,
                shoot_name: seal_text(&key.public(), library, SHOOT_NAME, new.shoot, &mut random).unwrap(),
                references: catalog.references().into_iter().collect(),
                data_bytes: sealed.shape.data_bytes,
                catalog_bytes: sealed.shape.catalog_bytes,
                sealed_hash: sealed.sealed_hash,
                wrapped_key: summary.wrapped_key.0,
                catalog_hash,
                files: catalog.entries.len() as u64,
                bytes: catalog.entries.iter().map(|entry| entry.bytes).sum(),
            }),
            Body::Coding(coding.clone()),
            Body::Layout(Layout { roll: id, coding: plan.coding, volumes: places.clone() }),
        ];
        let mut stored = Vec::new();
        for ((place, index), shard) in places.iter().zip(indices).zip(&shards) {
            let volume = shell.volumes.get(place).unwrap();
            let mut draft = volume.draft(shard.len() as u64).unwrap();
            draft.write_all(shard).unwrap();
            let hash = hashes[usize::from(index)];
            volume.finish(vec![(draft, hash)]).await.pop().unwrap().unwrap();
            let bytes = shard.len() as u64;
            stored.push((*place, Shard { hash, bytes, roll: id, coding: plan.coding, index, staged: false }));
        }
        shell.core.settle(Event::Stored { bodies, shards: stored, catalog: catalog_hash }).await.unwrap();
        coding
    }

    /// Where a shard's file is.
    pub(crate) fn shard(&self, coding: &Coding, index: usize) -> PathBuf {
        let volume = self.dir.path().join(format!("volume{}", index % self.volumes.len()));
        volume.join(format!("safelight/shards/{}.shard", coding.shards[index]))
    }

    fn to(&self) -> PathBuf {
        self.dir.path().join("back")
    }

    async fn restore(&self, what: Selection) -> RestoreDoc {
        self.restore_with(Restore { what, to: self.to(), include: vec![], exclude: vec![], without: vec![] })
            .await
            .unwrap()
    }

    async fn restore_with(&self, request: Restore) -> Result<RestoreDoc, Failure> {
        let (reporter, _reports) = Reporter::new(Duration::from_millis(100));
        restore_files(self.shell(), request, &reporter).await
    }
}

fn one(name: &str) -> Selection {
    Selection::Shoot(name.into())
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn photos() -> Vec<Vec<u8>> {
    vec![photo(1, 2_500_000), photo(2, 10), photo(3, 700_000), photo(4, 1_200_000)]
}

fn all_there(folder: &Path, photos: &[Vec<u8>]) {
    for (number, photo) in photos.iter().enumerate() {
        let back = fs::read(folder.join(format!("card/{number}.NEF"))).unwrap();
        assert!(back == *photo, "file {number} differs");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_come_back_as_they_were_and_a_second_time_are_kept() {
    let studio = Studio::new().await;
    studio.files(1, "Smith wedding", 2, &photos()).await;
    studio.files(2, "Smith: party", 1, &photos()[..2]).await;

    let doc = studio.restore(one(" Smith wedding ")).await;
    all_there(&studio.to(), &photos());
    assert_eq!((doc.files, doc.bytes, doc.files_kept), (4, 4_400_010, 0));
    assert_eq!((doc.files_failed.len(), doc.renamed.len()), (0, 0));
    assert_eq!(doc.sources[0].site, "Studio");
    assert!(doc.sources[0].bytes >= 4_400_010 && doc.sources[0].bytes < 5_000_000, "{:?}", doc.sources);

    fs::write(studio.to().join("card/1.NEF"), b"another").unwrap();
    let again = studio.restore(one("Smith wedding")).await;
    assert_eq!((again.files, again.files_kept, again.renamed.len()), (4, 3, 1));
    assert_eq!(again.renamed[0].written_as, "card/1 (restored).NEF");
    assert_eq!(fs::read(studio.to().join("card/1.NEF")).unwrap(), b"another");
    // Only what the one file needs was read.
    assert!(again.sources[0].bytes < 1_200_000, "{:?}", again.sources);

    let all = Restore {
        what: Selection::All,
        to: studio.dir.path().join("all"),
        include: vec!["*/1.nef".into(), "*/3.*".into()],
        exclude: vec!["card/3*".into()],
        without: vec![],
    };
    let doc = studio.restore_with(all).await.unwrap();
    assert_eq!(doc.files, 2);
    for folder in ["Smith wedding", "Smith_ party"] {
        assert_eq!(
            fs::read(studio.dir.path().join("all").join(folder).join("card/1.NEF")).unwrap(),
            photo(2, 10)
        );
    }
    assert_eq!(
        studio
            .restore_with(Restore {
                what: one("Nobody"),
                to: studio.to(),
                include: vec![],
                exclude: vec![],
                without: vec![]
            })
            .await
            .unwrap_err()
            .exit,
        crate::admin::operator::Exit::Failed
    );
    studio.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_shard_is_moved_aside_and_another_takes_over() {
    let studio = Studio::new().await;
    let coding = studio.files(1, "Smith", 2, &photos()).await;
    flip(&studio.shard(&coding, 0), 1_000_000);
    let doc = studio.restore(one("Smith")).await;
    all_there(&studio.to(), &photos());
    assert_eq!((doc.files, doc.files_failed.len()), (4, 0));
    let bad = coding.shards[0];
    let known =
        studio.shell().core.ask(move |node| node.ledger().values().any(|shards| shards.contains_key(&bad)));
    assert!(!known.await.unwrap(), "the core still counts on the damaged shard");
    assert!(!studio.shard(&coding, 0).exists());

    // A damaged catalog is no loss either: it is in the roll too.
    let catalogs = studio.dir.path().join("home");
    let blobs = walkdir::WalkDir::new(catalogs).into_iter().flatten();
    for blob in
        blobs.filter(|e| e.path().parent().is_some_and(|p| p.ends_with("catalogs")) && e.path().is_file())
    {
        flip(blob.path(), 5);
    }
    let doc = studio.restore(one("Smith")).await;
    assert_eq!((doc.files, doc.files_kept, doc.files_failed.len()), (4, 4, 0));
    studio.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_rebuilt_is_listed_and_the_rest_comes_back() {
    let studio = Studio::new().await;
    let lost = studio.files(1, "Smith", 2, &photos()).await;
    let entries = |extents: &[Extent]| vec![entry("other.NEF", &photo(9, 100_000), vec![extents[0]])];
    let data = vec![photo(9, 100_000)];
    studio.store(NewFiles { roll: 2, shoot: "Smith", ingested_ms: 9, k: 1, data, entries: &entries }).await;
    for index in 0..3 {
        fs::remove_file(studio.shard(&lost, index)).unwrap();
    }
    let (reporter, _reports) = Reporter::new(Duration::from_millis(100));
    let request =
        Restore { what: one("Smith"), to: studio.to(), include: vec![], exclude: vec![], without: vec![] };
    let outcome = restore(studio.shell(), request, &reporter).await.unwrap();
    assert_eq!(outcome.exit, crate::admin::operator::Exit::Attention);
    let doc: RestoreDoc = serde_json::from_value(outcome.document).unwrap();
    assert_eq!((doc.files, doc.files_failed.len()), (1, 4));
    assert!(doc.files_failed[0].error.contains("1 of the 2 shards"), "{}", doc.files_failed[0].error);
    assert_eq!(fs::read(studio.to().join("other.NEF")).unwrap(), photo(9, 100_000));
    studio.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sites_left_out_are_not_touched() {
    let studio = Studio::new().await;
    studio.files(1, "Smith", 2, &photos()).await;
    let request = |without: &str| Restore {
        what: one("Smith"),
        to: studio.to(),
        include: vec![],
        exclude: vec![],
        without: vec![Site::new(without).unwrap()],
    };
    let doc = studio.restore_with(request("STUDIO")).await.unwrap();
    assert_eq!((doc.files, doc.files_failed.len(), doc.sources.len()), (0, 4, 0));
    assert!(doc.files_failed[0].error.contains("left out by --without: Studio"), "{:?}", doc.files_failed);
    let unknown = studio.restore_with(request("moon")).await.unwrap_err();
    assert_eq!(unknown.exit, crate::admin::operator::Exit::Usage);
    assert!(unknown.message.contains("Studio"));
    studio.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_span_rolls_repeat_and_bear_hostile_names() {
    let studio = Studio::new().await;
    let whole = photo(1, 3_000_000);
    let (head, tail) = whole.split_at(1_700_000);
    let none = |_: &[Extent]| vec![];
    let data = vec![photo(5, 50_000), head.to_vec()];
    studio.store(NewFiles { roll: 1, shoot: "Smith", ingested_ms: 1, k: 2, data, entries: &none }).await;
    let far = |offset, len| Extent { roll: Some(RollId([1; 32])), offset, len };
    let entries = |extents: &[Extent]| {
        vec![
            entry("movie.mov", &whole, vec![far(50_000, 1_700_000), extents[0]]),
            entry("again.NEF", &photo(5, 50_000), vec![far(0, 50_000)]),
            entry("../../up.NEF", &photo(5, 50_000), vec![far(0, 50_000)]),
            entry("/etc/passwd", &photo(6, 99), vec![extents[1]]),
            entry("version.NEF", &photo(6, 99), vec![extents[1]]),
            entry("empty.txt", b"", vec![]),
            entry("beyond.NEF", &photo(5, 10), vec![far(1 << 33, 10)]),
        ]
    };
    let data = vec![tail.to_vec(), photo(6, 99)];
    studio.store(NewFiles { roll: 2, shoot: "Smith", ingested_ms: 2, k: 1, data, entries: &entries }).await;
    let entries = |extents: &[Extent]| vec![entry("version.NEF", &photo(7, 77), vec![extents[0]])];
    let data = vec![photo(7, 77)];
    studio.store(NewFiles { roll: 3, shoot: "Smith", ingested_ms: 3, k: 1, data, entries: &entries }).await;

    let doc = studio.restore(one("Smith")).await;
    assert_eq!((doc.files, doc.files_failed.len()), (7, 1), "{:?}", doc.files_failed);
    assert!(doc.files_failed[0].error.contains("beyond the end"), "{:?}", doc.files_failed);
    let read = |path: &str| fs::read(studio.to().join(path)).unwrap();
    assert!(read("movie.mov") == whole);
    assert_eq!(read("again.NEF"), photo(5, 50_000));
    assert_eq!(read("(up)/(up)/up.NEF"), photo(5, 50_000));
    assert_eq!(read("etc/passwd"), photo(6, 99));
    assert_eq!(read("version.NEF"), photo(7, 77));
    assert_eq!(read("version (restored).NEF"), photo(6, 99));
    assert_eq!(read("empty.txt"), b"");
    assert_eq!(doc.renamed.len(), 3, "{:?}", doc.renamed);
    studio.running.stop().await;
}
