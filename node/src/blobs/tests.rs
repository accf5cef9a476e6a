//! Volumes against damage: what a kill, a power cut, a bad disk and a wrong mount leave behind.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use safelight_proto::id::{Hash, LibraryId, VolumeId};
use safelight_proto::vocabulary::Media;
use tempfile::TempDir;

use super::condition::Reconciled;
use super::durable::Durable;
use super::stream::stream_len;
use super::*;

const LIBRARY: LibraryId = LibraryId([7; 32]);
const BIG: usize = 3_000_000;

struct Bench {
    dir: TempDir,
    volume: FsVolume,
}

impl Bench {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let volume = FsVolume::create(dir.path(), spec(None)).await.unwrap();
        Self { dir, volume }
    }

    /// Closes the volume, lets `between` do its worst, and opens it again with the given rows.
    async fn reopen(self, rows: &[LedgerRow], between: impl FnOnce(&Path)) -> (Self, Reconciled) {
        let Self { dir, volume } = self;
        let id = volume.id();
        volume.shutdown().await;
        drop(volume);
        between(&dir.path().join("safelight"));
        let (volume, found) = FsVolume::open(dir.path(), id, LIBRARY, rows).await.unwrap();
        (Self { dir, volume }, found)
    }

    fn shard(&self, hash: Hash) -> PathBuf {
        self.dir.path().join(format!("safelight/shards/{hash}.shard"))
    }

    fn outboard(&self, hash: Hash) -> PathBuf {
        self.dir.path().join(format!("safelight/store/data/{hash}.obao4"))
    }
}

fn spec(capacity: Option<u64>) -> VolumeSpec {
    VolumeSpec { library: LIBRARY, media: Some(Media::Ssd), capacity, site: None }
}

fn content(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn draft(volume: &FsVolume, bytes: &[u8]) -> ShardDraft {
    let mut draft = volume.draft(bytes.len() as u64).unwrap();
    bytes.chunks(100_000).for_each(|chunk| draft.write_all(chunk).unwrap());
    draft
}

async fn put(volume: &FsVolume, bytes: &[u8]) -> Durable {
    put_all(volume, &[bytes]).await.pop().unwrap()
}

async fn put_all(volume: &FsVolume, shards: &[&[u8]]) -> Vec<Durable> {
    let drafts = shards.iter().map(|bytes| (draft(volume, bytes), Hash::of(bytes))).collect();
    volume.finish(drafts).await.into_iter().map(|done| done.unwrap()).collect()
}

fn flip(path: &Path, at: u64) {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

fn groups(error: &StoreError) -> Groups {
    match error {
        StoreError::Damaged(damage) => damage.bad.clone(),
        other => panic!("not damage: {other}"),
    }
}

#[tokio::test]
async fn shards_of_every_size_are_durable_and_read_back() {
    let bench = Bench::new().await;
    let shards: Vec<Vec<u8>> = [1, 1024, 16_384, 16_385, 32_768, 100_000, BIG]
        .iter()
        .map(|len| content(*len, *len as u64))
        .collect();
    let done = put_all(&bench.volume, &shards.iter().map(Vec::as_slice).collect::<Vec<_>>()).await;
    let mut rows = Vec::new();
    for (bytes, durable) in shards.iter().zip(&done) {
        let (hash, len) = (durable.hash(), durable.len());
        assert_eq!((hash, len), (Hash::of(bytes), bytes.len() as u64));
        assert_eq!(bench.volume.read(hash, 0..len).await.unwrap(), *bytes);
        let (from, to) = (len / 3, len - len / 4);
        assert_eq!(bench.volume.read(hash, from..to).await.unwrap(), bytes[from as usize..to as usize]);
        assert_eq!(bench.volume.verify(hash).await.unwrap().hash(), hash);
        assert!(bench.volume.read(hash, 0..len + 1).await.is_err());
        rows.push(durable.row());
    }
    let usage = bench.volume.usage().unwrap();
    assert_eq!((usage.shards, usage.reserved), (shards.iter().map(|s| s.len() as u64).sum(), 0));
    let (bench, found) = bench.reopen(&rows, |_| {}).await;
    assert_eq!(found, Reconciled::default());
    assert!(done.iter().all(|durable| bench.volume.holds(&durable.hash())));
}

#[tokio::test]
async fn a_draft_that_is_dropped_leaves_nothing_and_one_that_lies_is_moved_aside() {
    let bench = Bench::new().await;
    let drafts = bench.dir.path().join("safelight/drafts");
    drop(draft(&bench.volume, b"given up"));
    assert_eq!(fs::read_dir(&drafts).unwrap().count(), 0);
    let mut longer = bench.volume.draft(3).unwrap();
    assert!(matches!(longer.write_all(b"four"), Err(StoreError::Refused(_))));
    drop(longer);
    assert_eq!(bench.volume.usage().unwrap().reserved, 0);
    // One lie in a batch does not touch the others.
    let good = content(50_000, 1);
    let batch = vec![
        (draft(&bench.volume, b"not what it says"), Hash::of(b"other")),
        (draft(&bench.volume, &good), Hash::of(&good)),
    ];
    let done = bench.volume.finish(batch).await;
    assert!(matches!(done[0], Err(StoreError::ReadBack { .. })));
    assert_eq!(done[1].as_ref().unwrap().hash(), Hash::of(&good));
    assert!(!bench.shard(Hash::of(b"other")).exists());
    assert_eq!(bench.volume.usage().unwrap().bad, 16);
}

#[tokio::test]
async fn writing_a_shard_again_keeps_a_good_file_and_replaces_a_bad_one() {
    let bench = Bench::new().await;
    let bytes = content(BIG, 2);
    let hash = put(&bench.volume, &bytes).await.hash();
    put(&bench.volume, &bytes).await;
    assert_eq!(bench.volume.usage().unwrap().bad, 0);
    flip(&bench.shard(hash), 12_345);
    put(&bench.volume, &bytes).await;
    assert_eq!(bench.volume.usage().unwrap().bad, BIG as u64);
    assert_eq!(bench.volume.read(hash, 0..BIG as u64).await.unwrap(), bytes);
    bench.volume.verify(hash).await.unwrap();
}

#[tokio::test]
async fn damage_is_found_named_and_never_handed_out() {
    let bench = Bench::new().await;
    let bytes = content(BIG, 3);
    let hash = put(&bench.volume, &bytes).await.hash();
    flip(&bench.shard(hash), 5 * GROUP + 7);
    flip(&bench.shard(hash), BIG as u64 - 1);
    let last = BIG as u64 / GROUP;
    let bad = Groups::from_indexes([5, last]);
    assert_eq!(groups(&bench.volume.verify(hash).await.unwrap_err()), bad);
    // What is good can still be read; what is bad never.
    let good = bench.volume.read(hash, 6 * GROUP..8 * GROUP).await.unwrap();
    assert_eq!(good, bytes[6 * GROUP as usize..8 * GROUP as usize]);
    let one = bench.volume.read(hash, 5 * GROUP..5 * GROUP + 1).await.unwrap_err();
    assert_eq!(groups(&one), Groups::from_indexes([5]));
    let mut out = Vec::new();
    let sent = bench.volume.send(hash, &Groups::all(BIG as u64), &mut out).await.unwrap_err();
    assert_eq!(groups(&sent), bad);
    assert!(bench.volume.prove(hash, &Groups::from_indexes([5])).await.is_err());
    bench.volume.prove(hash, &Groups::from_indexes([6])).await.unwrap();

    bench.volume.quarantine(hash).await.unwrap();
    assert!(matches!(bench.volume.read(hash, 0..1).await, Err(StoreError::NotHere(_))));
    assert!(!bench.shard(hash).exists());
    // It comes back only by bytes that are really written.
    assert_eq!(bench.volume.missing(hash, BIG as u64).await.unwrap(), Groups::all(BIG as u64));
    put(&bench.volume, &bytes).await;
    assert_eq!(bench.volume.read(hash, 0..BIG as u64).await.unwrap(), bytes);
}

#[tokio::test]
async fn truncated_missing_and_removed_files() {
    let bench = Bench::new().await;
    let (a, b, c) = (content(BIG, 4), content(BIG, 5), content(BIG, 6));
    let rows: Vec<LedgerRow> = put_all(&bench.volume, &[&a, &b, &c]).await.iter().map(Durable::row).collect();
    let (a, b, c) = (rows[0].hash, rows[1].hash, rows[2].hash);
    fs::File::options().write(true).open(bench.shard(a)).unwrap().set_len(100_000).unwrap();
    fs::remove_file(bench.shard(b)).unwrap();
    bench.volume.remove(c).await.unwrap();
    assert!(matches!(bench.volume.remove(c).await, Err(StoreError::NotHere(_))));
    assert!(groups(&bench.volume.verify(a).await.unwrap_err()).touches(&(150..151)));
    assert_eq!(groups(&bench.volume.read(b, 0..1).await.unwrap_err()), Groups::all(BIG as u64));
    let (bench, found) = bench.reopen(&rows[..2], |_| {}).await;
    assert_eq!((found.missing, found.damaged), (vec![b], vec![a]));
    assert_eq!(found.unrecorded, []);
    assert!(bench.volume.verify(a).await.is_err());
}

#[tokio::test]
async fn a_good_shard_with_a_bad_outboard_is_mended() {
    let bench = Bench::new().await;
    let bytes = content(BIG, 8);
    let hash = put(&bench.volume, &bytes).await.hash();
    flip(&bench.outboard(hash), 70);
    bench.volume.verify(hash).await.unwrap();
    bench.volume.prove(hash, &Groups::from_indexes([0, 100])).await.unwrap();
    flip(&bench.outboard(hash), 0);
    let mut out = Vec::new();
    let all = Groups::all(BIG as u64);
    assert!(matches!(bench.volume.send(hash, &all, &mut out).await, Err(StoreError::Cut { .. })));
    out.clear();
    bench.volume.send(hash, &all, &mut out).await.unwrap();
    fs::remove_file(bench.outboard(hash)).unwrap();
    assert_eq!(bench.volume.read(hash, 0..BIG as u64).await.unwrap(), bytes);
    assert!(bench.outboard(hash).exists());
}

#[tokio::test]
async fn the_index_may_be_lost_garbled_or_cut_at_any_time() {
    let mut bench = Bench::new().await;
    let bytes = content(200_000, 9);
    let row = put(&bench.volume, &bytes).await.row();
    type Spoil = fn(&Path);
    let spoil: [(&str, Spoil); 6] = [
        ("deleted", |db| fs::remove_file(db).unwrap()),
        ("garbled", |db| fs::write(db, b"not a database").unwrap()),
        ("empty", |db| fs::write(db, b"").unwrap()),
        ("cut", |db| fs::File::options().write(true).open(db).unwrap().set_len(4096).unwrap()),
        ("zeroed", |db| fs::write(db, vec![0; 100_000]).unwrap()),
        ("store gone", |db| fs::remove_dir_all(db.parent().unwrap()).unwrap()),
    ];
    for (what, spoil) in spoil {
        let (next, found) =
            bench.reopen(std::slice::from_ref(&row), |base| spoil(&base.join("store/blobs.db"))).await;
        assert_eq!((found.missing.len(), found.damaged.len()), (0, 0), "{what}");
        assert_eq!(next.volume.read(row.hash, 0..row.len).await.unwrap(), bytes, "{what}");
        let proof = next.volume.prove(row.hash, &Groups::from_indexes([3])).await.unwrap();
        assert!(check_proof(row.hash, row.len, &Groups::from_indexes([3]), &proof), "{what}");
        put(&next.volume, &content(40_000, what.len() as u64)).await;
        bench = next;
    }
}

#[tokio::test]
async fn leftovers_of_a_kill_are_cleared_or_listed() {
    let bench = Bench::new().await;
    let (known, unknown) = (content(70_000, 10), content(80_000, 11));
    let rows = [put(&bench.volume, &known).await.row()];
    let (good, bad) = (Hash::of(&unknown), Hash::of(b"something else"));
    let (bench, found) = bench
        .reopen(&rows, |base| {
            fs::write(base.join("drafts/0.draft"), "half a shard").unwrap();
            fs::write(base.join("store/temp/x.temp"), "half an outboard").unwrap();
            fs::write(base.join("store/blobs.new"), "half a database").unwrap();
            fs::write(base.join(format!("shards/{good}.shard")), &unknown).unwrap();
            fs::write(base.join(format!("shards/{bad}.shard")), "rot").unwrap();
            fs::write(base.join("shards/README"), "from the owner").unwrap();
        })
        .await;
    let mut want = vec![good, bad];
    want.sort();
    assert_eq!(found.unrecorded, want);
    assert!(bench.volume.read(good, 0..1).await.is_err(), "nothing unverified is read");
    assert_eq!(bench.volume.adopt(good).await.unwrap().len(), 80_000);
    assert_eq!(bench.volume.read(good, 0..80_000).await.unwrap(), unknown);
    assert!(matches!(bench.volume.adopt(bad).await, Err(StoreError::ReadBack { .. })));
    assert!(matches!(bench.volume.adopt(bad).await, Err(StoreError::NotHere(_))));
    let base = bench.dir.path().join("safelight");
    assert_eq!(fs::read_dir(base.join("drafts")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(base.join("store/temp")).unwrap().count(), 0);
    assert!(base.join("shards/README").exists());
}

#[tokio::test]
async fn a_shard_travels_in_parts_and_resumes_after_a_restart() {
    let (from, to) = (Bench::new().await, Bench::new().await);
    let bytes = content(BIG, 12);
    let (hash, len) = (put(&from.volume, &bytes).await.hash(), BIG as u64);
    let first = Groups::from_ranges([0..40, 100..120]);
    assert_eq!(to.volume.missing(hash, len).await.unwrap(), Groups::all(len));
    let got = transfer(&from.volume, &to.volume, hash, len, &first, |_| {}).await.unwrap();
    assert_eq!(got, Received::Partial(Groups::all(len).minus(&first)));
    assert!(to.volume.usage().unwrap().reserved >= len);

    // A power cut takes one group and half an outboard pair; a restart verifies what is left.
    let (to, found) = to
        .reopen(&[], |base| {
            flip(&base.join(format!("drafts/{hash}.part")), 105 * GROUP);
        })
        .await;
    assert_eq!(found.partial, [hash]);
    let missing = to.volume.missing(hash, len).await.unwrap();
    assert_eq!(missing, Groups::all(len).minus(&first).union(&Groups::from_indexes([105])));

    // A cut in the middle keeps what came.
    let cut = transfer(&from.volume, &to.volume, hash, len, &missing, |s| s.truncate(s.len() / 2)).await;
    assert!(matches!(cut, Err(StoreError::Cut { .. })));
    let rest = to.volume.missing(hash, len).await.unwrap();
    assert!(rest.count() < missing.count() * 2 / 3 && !rest.is_empty());

    let Received::Complete(durable) =
        transfer(&from.volume, &to.volume, hash, len, &rest, |_| {}).await.unwrap()
    else {
        panic!("not complete")
    };
    assert_eq!(durable.hash(), hash);
    assert_eq!(to.volume.read(hash, 0..len).await.unwrap(), bytes);
    assert_eq!(to.volume.missing(hash, len).await.unwrap(), Groups::none());
    assert_eq!(fs::read_dir(to.dir.path().join("safelight/drafts")).unwrap().count(), 0);
    let again = transfer(&from.volume, &to.volume, hash, len, &rest, |_| {}).await;
    assert!(matches!(again, Err(StoreError::AlreadyHere(_))));
}

#[tokio::test]
async fn what_had_come_whole_before_a_kill_takes_its_place() {
    let (from, to) = (Bench::new().await, Bench::new().await);
    let bytes = content(BIG, 14);
    let (hash, len) = (put(&from.volume, &bytes).await.hash(), BIG as u64);
    let last = Groups::from_indexes([7]);
    let got = transfer(&from.volume, &to.volume, hash, len, &Groups::all(len).minus(&last), |_| {}).await;
    assert_eq!(got.unwrap(), Received::Partial(last));
    // The last group was written, and the shard did not get its name any more.
    let group = 7 * GROUP as usize..8 * GROUP as usize;
    let (to, found) = to
        .reopen(&[], |base| {
            let part = base.join(format!("drafts/{hash}.part"));
            let part = fs::OpenOptions::new().write(true).open(part).unwrap();
            part.write_all_at(&bytes[group.clone()], group.start as u64).unwrap();
        })
        .await;
    assert_eq!(found.partial, [hash]);
    assert_eq!(to.volume.missing(hash, len).await.unwrap(), Groups::none());
    assert_eq!(to.volume.read(hash, 0..len).await.unwrap(), bytes);
    assert_eq!(fs::read_dir(to.dir.path().join("safelight/drafts")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_lying_peer_changes_nothing() {
    let (from, to) = (Bench::new().await, Bench::new().await);
    let bytes = content(BIG, 13);
    let (hash, len) = (put(&from.volume, &bytes).await.hash(), BIG as u64);
    let all = Groups::all(len);
    for at in [0, 9, 100, 500_000] {
        let lied = transfer(&from.volume, &to.volume, hash, len, &all, |s| s[at] ^= 1).await;
        assert!(matches!(lied, Err(StoreError::BadStream { .. })), "{at}: {lied:?}");
    }
    assert!(to.volume.missing(hash, len).await.unwrap().count() > all.count() - 40);
    assert!(matches!(
        to.volume.receive(hash, len, &Groups::none(), &mut &[][..]).await,
        Err(StoreError::Refused(_))
    ));
    assert!(matches!(
        to.volume.receive(hash, MAX_SHARD + 1, &all, &mut &[][..]).await,
        Err(StoreError::Refused(_))
    ));
    // Bytes behind the stream belong to whoever comes next.
    let mut stream = Vec::new();
    let sent = from.volume.send(hash, &all, &mut stream).await.unwrap();
    assert_eq!((sent, stream.len() as u64), (stream_len(len, &all), stream_len(len, &all)));
    stream.extend_from_slice(b"next message");
    let mut reader = stream.as_slice();
    assert!(matches!(to.volume.receive(hash, len, &all, &mut reader).await, Ok(Received::Complete(_))));
    assert_eq!(reader, b"next message");
}

async fn transfer(
    from: &FsVolume,
    to: &FsVolume,
    hash: Hash,
    len: u64,
    groups: &Groups,
    spoil: impl FnOnce(&mut Vec<u8>),
) -> Result<Received> {
    let mut stream = Vec::new();
    from.send(hash, groups, &mut stream).await.unwrap();
    spoil(&mut stream);
    to.receive(hash, len, groups, &mut stream.as_slice()).await
}

#[tokio::test]
async fn one_receiver_at_a_time_and_a_dropped_one_lets_go() {
    let to = Bench::new().await;
    let (hash, len) = (Hash::of(b"slow"), 100_000);
    let all = Groups::all(len);
    let (_writer, mut silent) = tokio::io::duplex(64);
    {
        let slow = to.volume.receive(hash, len, &all, &mut silent);
        tokio::pin!(slow);
        let waited = tokio::time::timeout(std::time::Duration::from_millis(200), &mut slow).await;
        assert!(waited.is_err());
        let other = to.volume.receive(hash, len, &all, &mut &[][..]).await;
        assert!(matches!(other, Err(StoreError::Busy(_))));
    }
    for _ in 0..100 {
        if to.volume.missing(hash, len).await.is_ok() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the shard stayed busy");
}

#[tokio::test]
async fn proofs_prove_and_only_here() {
    let bench = Bench::new().await;
    let bytes = content(BIG, 14);
    let (hash, len) = (put(&bench.volume, &bytes).await.hash(), BIG as u64);
    let asked = Groups::from_indexes([0, 17, 99, len / GROUP]);
    let proof = bench.volume.prove(hash, &asked).await.unwrap();
    assert!(check_proof(hash, len, &asked, &proof));
    assert!(!check_proof(hash, len + 1, &asked, &proof));
    assert!(!check_proof(hash, len, &Groups::from_indexes([1, 17, 99, len / GROUP]), &proof));
    assert!(bench.volume.prove(hash, &Groups::all(len)).await.is_err());
    assert!(bench.volume.prove(Hash::of(b"unknown"), &asked).await.is_err());
}

fn unavailable<T: std::fmt::Debug>(result: Result<T>) -> Unavailable {
    match result {
        Err(StoreError::Unavailable(why)) => why,
        other => panic!("available: {other:?}"),
    }
}

#[tokio::test]
async fn every_wrong_place_has_its_own_sentence() {
    let bench = Bench::new().await;
    let (dir, id) = (bench.dir.path().to_owned(), bench.volume.id());
    let open = |dir: PathBuf, id| async move { FsVolume::open(&dir, id, LIBRARY, &[]).await };
    assert!(matches!(unavailable(open(dir.clone(), id).await), Unavailable::InUse(_)));
    assert!(
        matches!(unavailable(FsVolume::create(&dir, spec(None)).await), Unavailable::Taken { found, .. } if found == id)
    );
    let foreign = VolumeSpec { library: LibraryId([8; 32]), ..spec(None) };
    assert!(matches!(unavailable(FsVolume::create(&dir, foreign).await), Unavailable::OtherLibrary { .. }));
    let other = FsVolume::open(&dir, id, LibraryId([8; 32]), &[]).await;
    assert!(matches!(unavailable(other), Unavailable::OtherLibrary { .. }));
    let other = VolumeId([1; 16]);
    assert!(
        matches!(unavailable(open(dir.clone(), other).await), Unavailable::OtherVolume { found, .. } if found == id)
    );

    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(unavailable(open(empty.path().to_owned(), id).await), Unavailable::NotMounted(_)));
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0, "nothing is made where nothing was");
    assert!(matches!(unavailable(open(empty.path().join("x"), id).await), Unavailable::Missing(_)));
    assert!(matches!(
        unavailable(FsVolume::create(&empty.path().join("x/y"), spec(None)).await),
        Unavailable::Missing(_)
    ));
    fs::write(empty.path().join("file"), "").unwrap();
    assert!(matches!(unavailable(open(empty.path().join("file"), id).await), Unavailable::NotADirectory(_)));

    let marker = dir.join("safelight/volume.json");
    let text = fs::read_to_string(&marker).unwrap();
    for (bad, newer) in [("{", false), ("", false), (&*text.replace("\"format\": 1", "\"format\": 2"), true)]
    {
        fs::write(&marker, bad).unwrap();
        let why = unavailable(open(dir.clone(), id).await);
        assert_eq!(matches!(why, Unavailable::Newer { .. }), newer, "{why}");
        assert!(newer || matches!(why, Unavailable::Marker { .. }), "{why}");
    }
}

#[tokio::test]
async fn a_drive_that_goes_away_is_unavailable_and_nothing_is_damaged() {
    let bench = Bench::new().await;
    let bytes = content(BIG, 15);
    let hash = put(&bench.volume, &bytes).await.hash();
    let (here, away) = (bench.dir.path().join("safelight"), bench.dir.path().join("away"));
    fs::rename(&here, &away).unwrap();
    unavailable(bench.volume.check());
    unavailable(bench.volume.read(hash, 0..1).await);
    unavailable(bench.volume.verify(hash).await);
    unavailable(bench.volume.quarantine(hash).await);
    unavailable(bench.volume.remove(hash).await);
    unavailable(bench.volume.draft(5));
    fs::rename(&away, &here).unwrap();
    assert_eq!(bench.volume.read(hash, 0..BIG as u64).await.unwrap(), bytes);
}

#[tokio::test]
async fn what_is_taken_on_anew_is_not_removed_by_an_older_wish() {
    let bench = Bench::new().await;
    let bytes = content(BIG, 17);
    let hash = put(&bench.volume, &bytes).await.hash();
    bench.volume.release(hash);
    bench.volume.adopt(hash).await.unwrap();
    bench.volume.remove_released(hash).await.unwrap();
    assert_eq!(bench.volume.read(hash, 0..BIG as u64).await.unwrap(), bytes);
    bench.volume.release(hash);
    bench.volume.remove_released(hash).await.unwrap();
    assert!(matches!(bench.volume.adopt(hash).await, Err(StoreError::NotHere(_))));
}

#[tokio::test]
async fn a_volume_moves_with_its_drive() {
    let bench = Bench::new().await;
    let bytes = content(BIG, 16);
    let row = put(&bench.volume, &bytes).await.row();
    let Bench { dir, volume } = bench;
    let id = volume.id();
    volume.shutdown().await;
    drop(volume);
    let elsewhere = tempfile::tempdir().unwrap();
    fs::rename(dir.path().join("safelight"), elsewhere.path().join("safelight")).unwrap();
    let (volume, _) =
        FsVolume::open(elsewhere.path(), id, LIBRARY, std::slice::from_ref(&row)).await.unwrap();
    assert_eq!(volume.read(row.hash, 0..row.len).await.unwrap(), bytes);
    volume.prove(row.hash, &Groups::from_indexes([7])).await.unwrap();
    fs::remove_file(elsewhere.path().join(format!("safelight/store/data/{}.obao4", row.hash))).unwrap();
    volume.prove(row.hash, &Groups::from_indexes([7])).await.unwrap();
}

#[tokio::test]
async fn capacity_is_never_overrun() {
    let dir = tempfile::tempdir().unwrap();
    let volume = FsVolume::create(&dir.path().join("new"), spec(Some(100_000))).await.unwrap();
    let first = draft(&volume, &content(60_000, 17));
    let Err(StoreError::Full { needed: 50_000, room: 40_000, .. }) = volume.draft(50_000) else {
        panic!("promised twice")
    };
    let all = Groups::all(50_000);
    let refused = volume.receive(Hash::of(b"x"), 50_000, &all, &mut &[][..]).await;
    assert!(matches!(refused, Err(StoreError::Full { .. })));
    assert_eq!(fs::read_dir(dir.path().join("new/safelight/drafts")).unwrap().count(), 1);
    volume.finish(vec![(first, Hash::of(&content(60_000, 17)))]).await.pop().unwrap().unwrap();
    assert_eq!(volume.usage().unwrap().room.min(100_000), 40_000);
    volume.quarantine(Hash::of(&content(60_000, 17))).await.unwrap();
    assert_eq!(volume.usage().unwrap().room, 40_000, "what was moved aside still takes its room");
    assert!(volume.draft(40_000).is_ok() && volume.draft(0).is_err());
}

#[tokio::test]
async fn a_full_disk_is_said_and_nothing_half_stored_counts() {
    // A file-size limit of the kernel would do as well, but would hit every test of the process.
    let dir = tempfile::tempdir().unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"])
        .arg(dir.path())
        .output()
        .is_ok_and(|out| out.status.success());
    if !mounted {
        eprintln!("SKIPPED: a full disk needs the right to mount a small tmpfs");
        return;
    }
    let _mounted = Mounted(dir.path().to_owned());
    let volume = FsVolume::create(dir.path(), spec(None)).await.unwrap();
    assert!(volume.device().volatile);
    let kept = content(1_000_000, 18);
    let row = put(&volume, &kept).await.row();
    // The room is promised, and then somebody else takes it.
    let mut draft = volume.draft(4_000_000).unwrap();
    let filler = fs::write(dir.path().join("filler"), vec![0; 16_000_000]);
    assert_eq!(filler.map_err(|e| e.kind()), Err(io::ErrorKind::StorageFull));
    let bytes = content(4_000_000, 19);
    let full = draft.write_all(&bytes);
    assert!(matches!(full, Err(StoreError::Full { .. })), "{full:?}");
    drop(draft);
    assert!(matches!(volume.draft(4_000_000), Err(StoreError::Full { .. })));
    assert_eq!(volume.read(row.hash, 0..row.len).await.unwrap(), kept);
    fs::remove_file(dir.path().join("filler")).unwrap();
    put(&volume, &bytes).await;
    volume.shutdown().await;
    let id = volume.id();
    drop(volume);
    let rows = [row, LedgerRow { hash: Hash::of(&bytes), len: 4_000_000 }];
    let (volume, found) = FsVolume::open(dir.path(), id, LIBRARY, &rows).await.unwrap();
    assert_eq!(found, Reconciled::default());
    volume.shutdown().await;
    drop(volume);
    let remount = ["-o", "remount,ro"];
    assert!(std::process::Command::new("mount").args(remount).arg(dir.path()).status().unwrap().success());
    let read_only = FsVolume::open(dir.path(), id, LIBRARY, &rows).await;
    assert!(matches!(unavailable(read_only), Unavailable::ReadOnly(_)));
}

#[tokio::test]
async fn a_volume_dropped_without_a_close_opens_again() {
    let Bench { dir, volume } = Bench::new().await;
    let bytes = content(BIG, 22);
    let (id, row) = (volume.id(), put(&volume, &bytes).await.row());
    drop(volume);
    let (volume, found) = FsVolume::open(dir.path(), id, LIBRARY, std::slice::from_ref(&row)).await.unwrap();
    assert_eq!(found, Reconciled::default());
    assert_eq!(volume.read(row.hash, 0..row.len).await.unwrap(), bytes);
}

/// Unmounts, also when the test fails; lazily, because the store's threads may still hold a file.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]
    #[test]
    fn any_order_of_parts_makes_the_same_shard(
        len in 1usize..400_000,
        cuts in prop::collection::vec((0u64..25, 1u64..9), 1..6),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let (from, to) = (Bench::new().await, Bench::new().await);
            let bytes = content(len, 20);
            let (hash, len) = (put(&from.volume, &bytes).await.hash(), len as u64);
            let parts = cuts.iter().map(|(start, n)| Groups::from_ranges(std::iter::once(*start..start + n)).within(len));
            for part in parts.chain([Groups::all(len)]).filter(|p| !p.is_empty()) {
                if to.volume.missing(hash, len).await.unwrap().is_empty() {
                    break;
                }
                transfer(&from.volume, &to.volume, hash, len, &part, |_| {}).await.unwrap();
            }
            assert_eq!(to.volume.read(hash, 0..len).await.unwrap(), bytes);
        });
    }
}
