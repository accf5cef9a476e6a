//! Whole ingests on a real node with real volumes; what was stored is decoded again from its shards.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ed25519_dalek::SigningKey;
use safelight_core::event::{Event, Token};
use safelight_core::restore::RollReader;
use safelight_core::seal::{Opener, RecoveryPhrase, WrappedKey};
use safelight_proto::catalog::{Catalog, Entry};
use safelight_proto::id::{Hash, NodeId, RollId, VolumeId};
use safelight_proto::record::{Admit, Body, Hlc, Holding, Layout, Record, Roll, VolumeInfo};
use safelight_proto::shard::{Geometry, StreamShape, unit_offset};
use safelight_proto::vocabulary::{Media, Role, Site};

use super::*;
use crate::admin::operator::{Exit, Reports};
use crate::driver::wall_millis;
use crate::entrance::{NodePlan, found};
use crate::home::Home;
use crate::startup::Running;
use crate::workers::housekeeping;

const MIB: usize = 1024 * 1024;

/// A founded node that runs, and a card.
struct Lab {
    dir: tempfile::TempDir,
    node: Running,
    phrase: RecoveryPhrase,
}

impl Lab {
    /// A node with volumes such as `ssd` or `hdd,capacity=3MB`.
    async fn with(volumes: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let site = Site::new("studio").expect("a name");
        let typed: Vec<String> = (0..)
            .zip(volumes)
            .map(|(at, volume): (u32, _)| format!("{}/volume{at},media={volume}", dir.path().display()))
            .collect();
        let plan = NodePlan::parse("mac", &site, &typed).expect("a plan");
        let phrase = RecoveryPhrase::from_entropy([7; 32]);
        let home = dir.path().join("home");
        found(&home, &plan, &phrase).await.expect("founded");
        let home = Home::open(&home).expect("made");
        let node = Running::start(&home, vec![([127, 0, 0, 1], 0).into()]).await.expect("starts");
        housekeeping::round(&node.shell, true).await.expect("tells its volumes");
        fs::create_dir(dir.path().join("card")).expect("a card");
        Self { dir, node, phrase }
    }

    fn shell(&self) -> &Arc<Shell> {
        &self.node.shell
    }

    fn card(&self) -> PathBuf {
        self.dir.path().join("card")
    }

    /// Puts a file on the card.
    fn put(&self, name: impl AsRef<Path>, bytes: &[u8]) -> PathBuf {
        let path = self.card().join(name);
        fs::create_dir_all(path.parent().expect("below the card")).expect("a folder");
        fs::write(&path, bytes).expect("written");
        path
    }

    async fn run(&self, shoot: &str, settings: Settings) -> (Exit, IngestDoc) {
        let (reporter, _reports) = Reporter::new(Duration::from_secs(5));
        self.run_as(shoot, settings, &reporter).await.expect("an outcome")
    }

    async fn run_as(
        &self,
        shoot: &str,
        settings: Settings,
        reporter: &Reporter,
    ) -> Result<(Exit, IngestDoc), Failure> {
        let request = Ingest { paths: vec![self.card()], shoot: shoot.into(), wait: Wait::Stored };
        let outcome = ingest_with(self.shell(), request, reporter, settings).await?;
        Ok((outcome.exit, serde_json::from_value(outcome.document).expect("its own document")))
    }

    async fn rolls(&self) -> Vec<Roll> {
        let all =
            |node: &safelight_core::node::Node| node.manifest().rolls().map(|(r, _)| r.clone()).collect();
        self.shell().core.ask(all).await.expect("runs")
    }

    fn catalog(&self, roll: &Roll) -> Catalog {
        let shell = self.shell();
        shell
            .catalogs
            .catalog(shell.library, roll, shell.reading_key.as_ref().expect("a studio"))
            .expect("opens")
    }

    /// Every entry of every roll of a shoot, with the bytes that its extents give.
    async fn stored(&self, shoot: &str) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut files = BTreeMap::new();
        for roll in self.rolls().await {
            let catalog = self.catalog(&roll);
            assert_eq!(roll.files, catalog.entries.len() as u64);
            assert_eq!(roll.references, catalog.references().into_iter().collect());
            for entry in catalog.entries.iter().filter(|_| catalog.shoot_name == shoot) {
                let bytes = self.bytes_of(roll.roll, entry).await;
                assert_eq!(
                    (bytes.len() as u64, Hash::of(&bytes)),
                    (entry.bytes, entry.hash),
                    "{}",
                    entry.path
                );
                assert_eq!(entry.head, Entry::head_of(&bytes));
                let name = entry.raw_path.clone().unwrap_or_else(|| entry.path.clone().into_bytes());
                assert!(files.insert(name, bytes).is_none(), "{} is there once", entry.path);
            }
        }
        files
    }

    async fn bytes_of(&self, roll: RollId, entry: &Entry) -> Vec<u8> {
        let mut bytes = Vec::new();
        for extent in &entry.extents {
            let range = extent.offset..extent.offset + extent.len;
            bytes.extend(self.decode(extent.roll.unwrap_or(roll), range).await);
        }
        bytes
    }

    /// Plaintext of a roll, from the last k of its shards.
    async fn decode(&self, id: RollId, range: std::ops::Range<u64>) -> Vec<u8> {
        let shell = self.shell();
        let (roll, coding) = shell
            .core
            .ask(move |node| {
                let roll = node.manifest().roll(&id).map(|(roll, _)| roll.clone());
                (roll, node.manifest().codings(&id).next().cloned())
            })
            .await
            .expect("runs");
        let (roll, coding) = (roll.expect("recorded"), coding.expect("coded"));
        let key = WrappedKey(roll.wrapped_key)
            .open(shell.reading_key.as_ref().expect("a studio"), shell.library, id)
            .expect("ours");
        let shape = StreamShape { data_bytes: roll.data_bytes, catalog_bytes: roll.catalog_bytes };
        let geometry = Geometry { shape, k: coding.k, unit: coding.unit };
        let reader = RollReader::new(geometry, Opener::new(&key, shell.library, id)).expect("good numbers");
        let mut shards: Vec<(u8, Vec<u8>)> = Vec::new();
        for (index, hash) in (0u8..).zip(&coding.shards).skip(coding.shards.len() - usize::from(coding.k)) {
            let mut shard = Vec::new();
            for volume in shell.volumes.open() {
                let mut at = 0;
                while let Ok(bytes) = volume.read(*hash, at..coding.shard_bytes.min(at + MIB as u64)).await {
                    at += bytes.len() as u64;
                    shard.extend(bytes);
                    if at >= coding.shard_bytes {
                        break;
                    }
                }
            }
            assert_eq!(shard.len() as u64, coding.shard_bytes, "shard {index} is on one volume");
            shards.push((index, shard));
        }
        let mut plain = Vec::new();
        let mut decoder = reader.read(reader.plan_data(range));
        while let Some(stripe) = decoder.wants() {
            let at = unit_offset(stripe, coding.unit) as usize;
            let units: Vec<(u8, &[u8])> =
                shards.iter().map(|(index, shard)| (*index, &shard[at..at + coding.unit as usize])).collect();
            decoder.stripe(&units, |_, bytes| plain.extend_from_slice(bytes)).expect("decodes");
        }
        plain
    }

    /// A member elsewhere with one volume, as far as records go.
    async fn other(&self, seed: u8, site: &str, media: Media) -> (SigningKey, VolumeId) {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let node = NodeId(key.verifying_key().to_bytes());
        let admit = Admit { node, role: Role::Studio, site: Site::new(site).expect("a name") };
        let authority = Box::new(self.phrase.authority());
        self.shell().core.settle(Event::SayAs(authority, vec![Body::Admit(admit)])).await.expect("runs");
        let volume = VolumeId([seed; 16]);
        let info = VolumeInfo {
            volume,
            media,
            capacity: 1_000_000_000_000,
            free: 1_000_000_000_000,
            site: None,
            device: format!("device {seed}"),
            host: format!("host {seed}"),
            trust_declared: true,
            since: 0,
            absent: 0,
        };
        self.hear(&key, Body::Volume(info)).await;
        (key, volume)
    }

    async fn hear(&self, key: &SigningKey, body: Body) {
        let record = Record::sign(self.shell().library, Hlc::at(wall_millis()), body, key);
        self.shell()
            .core
            .settle(Event::Gossip { bytes: record.bytes, token: Token(u64::MAX) })
            .await
            .expect("runs");
    }

    async fn layouts(&self) -> Vec<Layout> {
        let rolls = self.rolls().await;
        let all = move |node: &safelight_core::node::Node| {
            rolls.iter().filter_map(|roll| node.manifest().layout(&roll.roll).cloned()).collect()
        };
        self.shell().core.ask(all).await.expect("runs")
    }

    /// Shard files on all volumes, drafts included.
    fn files_on_volumes(&self) -> usize {
        let folders = self.shell().volumes.open().into_iter().flat_map(|volume| {
            ["shards", "drafts"].map(|folder| volume.dir().join("safelight").join(folder))
        });
        folders.map(|folder| fs::read_dir(folder).map_or(0, Iterator::count)).sum()
    }
}

/// Bytes that do not repeat.
fn photo(seed: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new_derive_key("test photo").update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

fn small_rolls() -> Settings {
    Settings { roll_bytes: 2 * MIB as u64, least_bytes: 256 * 1024, ..Settings::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_stored_and_come_back() {
    let lab = Lab::with(&["ssd", "hdd", "usb"]).await;
    let odd = OsStr::from_bytes(b"caf\xe9.jpg");
    let files: [(&OsStr, Vec<u8>); 5] = [
        (OsStr::new("DCIM/a.NEF"), photo(1, 3 * MIB + 17)),
        (OsStr::new("DCIM/b.NEF"), photo(2, MIB)),
        (OsStr::new("empty.xmp"), vec![]),
        (odd, photo(3, 100)),
        (OsStr::new("z/żółć.CR2"), photo(4, 70_000)),
    ];
    for (name, bytes) in &files {
        lab.put(name, bytes);
    }
    let (exit, done) = lab.run(" Smith wedding ", Settings::default()).await;
    assert_eq!((exit, done.shoot.as_str()), (Exit::Done, "Smith wedding"));
    assert_eq!((done.files_new, done.files_known, done.failed()), (5, 0, 0));
    assert_eq!(done.bytes, files.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>());
    assert!(done.stored && !done.safe_to_format, "one site keeps no rule: {done:?}");
    assert_eq!((done.verdict, done.rolls.len()), (Verdict::AtRisk, 1));
    assert!(done.rolls[0].n > 1, "three volumes hold more than one copy");
    let expected: BTreeMap<Vec<u8>, Vec<u8>> =
        files.into_iter().map(|(name, bytes)| (name.as_bytes().to_vec(), bytes)).collect();
    assert!(lab.stored("Smith wedding").await == expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn known_files_are_not_stored_again() {
    let lab = Lab::with(&["ssd"]).await;
    lab.put("a.NEF", &photo(1, 2 * MIB));
    lab.put("b.NEF", &photo(2, 10));
    lab.put("copy of a.NEF", &photo(1, 2 * MIB));
    lab.put("empty", b"");
    let (_, first) = lab.run("one", Settings::default()).await;
    assert_eq!((first.files_new, first.files_known), (3, 1), "a copy beside its original is known");
    assert_eq!(lab.stored("one").await.len(), 4);
    let shards = lab.files_on_volumes();

    let (exit, again) = lab.run("one", Settings::default()).await;
    assert_eq!((exit, again.files_new, again.files_known, again.rolls.len()), (Exit::Done, 0, 4, 0));
    assert_eq!((lab.files_on_volumes(), lab.rolls().await.len()), (shards, 1));

    // Another shoot: a roll that is only a catalog.
    lab.put("new.NEF", &photo(3, 5));
    fs::remove_file(lab.card().join("empty")).expect("removed");
    let (exit, other) = lab.run("two", Settings::default()).await;
    assert_eq!((exit, other.files_new, other.files_known), (Exit::Done, 1, 3));
    fs::remove_file(lab.card().join("new.NEF")).expect("removed");
    let (_, third) = lab.run("three", Settings::default()).await;
    assert_eq!((third.files_new, third.files_known, third.rolls.len()), (0, 3, 1));
    let rolls = lab.rolls().await;
    let catalog_only =
        rolls.iter().find(|roll| roll.roll.to_string() == third.rolls[0].id).expect("recorded");
    let origin: RollId = first.rolls[0].id.parse().expect("an id");
    assert_eq!((catalog_only.data_bytes, &catalog_only.references), (0, &[origin].into()));
    assert!(lab.stored("three").await[b"a.NEF".as_slice()] == photo(1, 2 * MIB));

    // Equal head, other end.
    let mut like = photo(1, 2 * MIB);
    like[2 * MIB - 1] ^= 1;
    lab.put("a.NEF", &like);
    let (_, done) = lab.run("three", Settings::default()).await;
    assert_eq!((done.files_new, done.files_known), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_longer_readable_is_stored_again() {
    let lab = Lab::with(&["ssd"]).await;
    lab.put("a.NEF", &photo(1, 50_000));
    lab.run("one", Settings::default()).await;
    let volume = lab.shell().volumes.open().remove(0).id();
    let shard = lab.shell().store.shards(&volume).expect("a ledger").remove(0);
    lab.shell().core.settle(Event::ShardBad { volume, hash: shard.hash }).await.expect("runs");
    let (_, again) = lab.run("one", Settings::default()).await;
    assert_eq!((again.files_new, again.files_known), (1, 0));
}

/// Calls `change` once, when the file called `name` was read up to the second MiB.
fn once(name: &'static str, change: impl Fn(&Path) + Send + Sync + 'static) -> Settings {
    let calls = AtomicU64::new(0);
    let between = move |path: &Path, at: u64| {
        if path.ends_with(name) && at >= MIB as u64 && calls.fetch_add(1, Ordering::Relaxed) == 0 {
            change(path);
        }
    };
    Settings { between: Some(Arc::new(between)), ..Settings::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_is_read_again() {
    let lab = Lab::with(&["ssd"]).await;
    lab.put("a.NEF", &photo(1, 3 * MIB));
    lab.put("b.NEF", &photo(2, 2 * MIB));
    let (exit, done) =
        lab.run("one", once("a.NEF", |path| drop(fs::write(path, photo(9, 3 * MIB + 5))))).await;
    assert_eq!((exit, done.files_new, done.bytes), (Exit::Done, 2, 5 * MIB as u64 + 5));
    let stored = lab.stored("one").await;
    assert!(stored[b"a.NEF".as_slice()] == photo(9, 3 * MIB + 5));
    assert!(stored[b"b.NEF".as_slice()] == photo(2, 2 * MIB));

    // One that is cut off while it is read.
    let cut = |path: &Path| drop(fs::File::options().write(true).open(path).and_then(|f| f.set_len(7)));
    lab.put("b.NEF", &photo(5, 2 * MIB));
    let (_, done) = lab.run("two", once("b.NEF", cut)).await;
    assert_eq!((done.files_new, done.files_known), (1, 1));
    assert!(lab.stored("two").await[b"b.NEF".as_slice()] == photo(5, 2 * MIB)[..7]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_listed_and_the_rest_goes_on() {
    let lab = Lab::with(&["ssd"]).await;
    lab.put("a.NEF", &photo(1, 2 * MIB));
    let restless = lab.put("b.NEF", &photo(2, 2 * MIB));
    let gone = lab.put("c.NEF", &photo(3, 2 * MIB));
    lab.put("d.NEF", &photo(4, 10));
    std::os::unix::fs::symlink("/etc/hostname", lab.card().join("link.NEF")).expect("a link");
    let (growing, taken) = (restless.clone(), gone.clone());
    let between = move |path: &Path, at: u64| {
        if path == growing && at >= MIB as u64 {
            let grow = |mut file: fs::File| std::io::Write::write_all(&mut file, b"more");
            fs::File::options().append(true).open(path).and_then(grow).expect("grows");
            drop(fs::remove_file(&taken));
        }
    };
    let settings = Settings { between: Some(Arc::new(between)), ..Settings::default() };
    let (exit, done) = lab.run("one", settings).await;
    assert_eq!((exit, done.files_new, done.failed()), (Exit::Attention, 2, 3));
    assert!(done.stored && !done.safe_to_format);
    for (path, why) in
        [(&restless, "changed"), (&gone, "No such file"), (&lab.card().join("link.NEF"), "link")]
    {
        let failed = done.files_failed.iter().find(|failed| Path::new(&failed.path) == path);
        assert!(failed.is_some_and(|failed| failed.error.contains(why)), "{path:?}: {:?}", done.files_failed);
    }
    let stored = lab.stored("one").await;
    assert_eq!(stored.keys().collect::<Vec<_>>(), [b"a.NEF", b"d.NEF"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rolls_are_cut_and_large_files_span_them() {
    let lab = Lab::with(&["ssd", "hdd"]).await;
    lab.put("a.NEF", &photo(1, 900_000));
    lab.put("b.NEF", &photo(2, 900_000));
    lab.put("c.NEF", &photo(3, 900_000));
    lab.put("film.MOV", &photo(4, 5 * MIB + 3));
    lab.put("y.NEF", &photo(5, 10));
    lab.put("z.NEF", &photo(6, 10));
    let (exit, done) = lab.run("one", Settings { roll_files: 2, ..small_rolls() }).await;
    assert_eq!((exit, done.files_new), (Exit::Done, 6));
    // Two and one photos, three pieces of the film, two photos.
    assert_eq!(done.rolls.len(), 6);
    assert_eq!(lab.stored("one").await[b"film.MOV".as_slice()].len(), 5 * MIB + 3);
    let spanning: Vec<usize> = lab.rolls().await.iter().map(|roll| roll.references.len()).collect();
    assert_eq!(spanning.iter().sum::<usize>(), 2, "the film's last roll refers to the other two");

    let (_, again) = lab.run("one", small_rolls()).await;
    assert_eq!((again.files_known, again.rolls.len()), (6, 0));
    let (_, other) = lab.run("two", small_rolls()).await;
    assert_eq!((other.files_known, other.rolls.len()), (6, 1));
    assert!(lab.stored("two").await[b"film.MOV".as_slice()] == photo(4, 5 * MIB + 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_that_never_gets_whole_leaves_nothing() {
    let lab = Lab::with(&["ssd"]).await;
    let film = lab.put("film.MOV", &photo(4, 5 * MIB));
    let between = move |path: &Path, at: u64| {
        if path == film && at >= 4 * MIB as u64 {
            fs::write(path, photo(at as u8, 5 * MIB + (wall_millis() % 1000) as usize)).expect("changes");
        }
    };
    let settings = Settings { between: Some(Arc::new(between)), ..small_rolls() };
    let (exit, done) = lab.run("one", settings).await;
    assert_eq!((exit, done.failed(), done.stored), (Exit::Attention, 1, false));
    assert_eq!((lab.rolls().await.len(), lab.files_on_volumes()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_volume_takes_what_it_can() {
    let lab = Lab::with(&["ssd,capacity=4MB"]).await;
    for number in 0..8 {
        lab.put(format!("{number}.NEF"), &photo(number, 700_000));
    }
    let (exit, done) = lab.run("one", Settings { roll_bytes: 8 * MIB as u64, ..small_rolls() }).await;
    assert_eq!(exit, Exit::Attention);
    assert_eq!(done.files_new + done.failed() as u64, 8, "{done:?}");
    assert!(done.files_new >= 3, "{done:?}");
    assert!(done.files_failed.iter().all(|failed| failed.error.contains("no room")), "{done:?}");
    assert_eq!(lab.stored("one").await.len() as u64, done.files_new);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_fails_is_done_without() {
    let lab = Lab::with(&["ssd", "hdd"]).await;
    for number in 0..4 {
        lab.put(format!("{number}.NEF"), &photo(number, MIB + 5));
    }
    let victim = lab.dir.path().join("volume1/safelight");
    let broken = victim.clone();
    let settings = once("2.NEF", move |_| {
        // What is finished there finds no folder for it.
        fs::rename(broken.join("shards"), broken.join("elsewhere")).expect("moved");
    });
    let (exit, done) = lab.run("one", settings).await;
    fs::rename(victim.join("elsewhere"), victim.join("shards")).expect("moved back");
    assert_eq!((exit, done.files_new, done.failed(), done.rolls.len()), (Exit::Done, 4, 0, 1), "{done:?}");
    assert_eq!(lab.stored("one").await.len(), 4);
    assert_eq!(lab.rolls().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_cancels_and_keeps_what_was_recorded() {
    let lab = Lab::with(&["ssd"]).await;
    for number in 0..4 {
        lab.put(format!("{number}.NEF"), &photo(number, MIB + 5));
    }
    let (reporter, reports) = Reporter::new(Duration::from_secs(5));
    let client: std::sync::Mutex<Option<Reports>> = Some(reports).into();
    let settings = once("3.NEF", move |_| drop(client.lock().expect("sound").take()));
    let settings = Settings { roll_files: 2, ..settings };
    let failure = lab.run_as("one", settings, &reporter).await.expect_err("nobody waits");
    assert!(failure.message.contains("broken off"), "{failure}");
    assert_eq!(lab.stored("one").await.len(), 2, "the first roll was recorded");
    let drafts = lab.shell().volumes.open()[0].dir().join("safelight/drafts");
    assert_eq!(fs::read_dir(drafts).expect("there").count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once() {
    let lab = Lab::with(&["ssd"]).await;
    for number in 0..6 {
        lab.put(format!("{number}.NEF"), &photo(number, MIB));
    }
    let (one, two) = tokio::join!(lab.run("one", small_rolls()), lab.run("two", small_rolls()));
    assert_eq!((one.0, two.0), (Exit::Done, Exit::Done));
    assert_eq!((lab.stored("one").await.len(), lab.stored("two").await.len()), (6, 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_ends_when_the_shoot_is_safe_or_cannot_be() {
    let lab = Lab::with(&["ssd"]).await;
    lab.put("a.NEF", &photo(1, 100_000));
    let (reporter, _reports) = Reporter::new(Duration::from_secs(5));
    let request = Ingest { paths: vec![lab.card()], shoot: "one".into(), wait: Wait::Safe };
    let alone = ingest(lab.shell(), request, &reporter).await.expect("an outcome");
    assert_eq!(alone.exit, Exit::Attention, "one volume keeps no rule");

    let others = [lab.other(11, "friend", Media::Nas).await, lab.other(12, "cloud", Media::Cloud).await];
    let request = Ingest { paths: vec![lab.card()], shoot: "two".into(), wait: Wait::Safe };
    // A file of its own, so that the shoot does not hang on a roll that was laid out before.
    lab.put("a.NEF", &photo(2, 100_000));
    let shell = Arc::clone(lab.shell());
    let waiting = tokio::spawn(async move { ingest(&shell, request, &reporter).await });
    let layout = loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if let Some(layout) = lab.layouts().await.into_iter().find(|layout| layout.volumes.len() > 1) {
            break layout;
        }
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!waiting.is_finished(), "wishes are not holdings");
    for (key, volume) in others {
        let held = (0u8..).zip(&layout.volumes).filter(|(_, wanted)| **wanted == volume);
        let held = [(layout.coding, held.map(|(index, _)| index).collect())].into();
        lab.hear(&key, Body::Holding(Holding { roll: layout.roll, volume, held })).await;
    }
    let outcome = waiting.await.expect("no panic").expect("an outcome");
    let done: IngestDoc = serde_json::from_value(outcome.document).expect("its own document");
    assert_eq!(
        (outcome.exit, done.verdict, done.safe_to_format),
        (Exit::Done, Verdict::Safe, true),
        "{done:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shoot_needs_a_name() {
    let lab = Lab::with(&["ssd"]).await;
    let (reporter, _reports) = Reporter::new(Duration::from_secs(5));
    for name in ["  ".to_owned(), "x".repeat(SHOOT_NAME_MAX + 1)] {
        let failure = lab.run_as(&name, Settings::default(), &reporter).await.expect_err("no name");
        assert_eq!(failure.exit, Exit::Usage);
    }
}

trait Failed {
    fn failed(&self) -> usize;
}

impl Failed for IngestDoc {
    fn failed(&self) -> usize {
        self.files_failed.len()
    }
}
