//! What a GiB costs on its way in and out, in CPU seconds of this process. `cargo bench -p safelight-core`

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::mpsc::{SendError, sync_channel};
use std::time::Instant;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use safelight_core::code::{Coder, RollEnd, TreeHasher};
use safelight_core::ingest::{
    CodingPlan, NewRoll, RollCoder, RollEncoder, RollSealer, RollSummary, SealedBatch,
};
use safelight_core::restore::RollReader;
use safelight_core::seal::{FreshKey, Opener, ReadingKey};
use safelight_proto::catalog::Catalog;
use safelight_proto::id::{CodingId, LibraryId, RollId, ShootId};
use safelight_proto::limit::UNIT_DEFAULT;
use safelight_proto::shard::Geometry;

const GIB: usize = 1 << 30;
const LIBRARY: LibraryId = LibraryId([1; 32]);
const ROLL: RollId = RollId([2; 32]);

fn main() {
    let mut photo = vec![0; 64 << 20];
    ChaCha8Rng::seed_from_u64(1).fill_bytes(&mut photo);

    parts(&photo);
    for (k, n) in [(1, 3), (2, 4), (3, 5), (4, 6), (8, 12)] {
        let seconds = timed(|| drop(black_box(ingest(&photo, k, n, true, |_, _| ()))));
        let without = timed(|| drop(black_box(ingest(&photo, k, n, false, |_, _| ()))));
        println!("ingest {k} of {n}: {seconds:.2} CPU-s/GiB with the files' BLAKE3, {without:.2} without");
    }
    let best = (0..3).map(|_| ingest_on_two_threads(&photo)).fold(f64::INFINITY, f64::min);
    println!("ingest 4 of 6 on two threads: {best:.2} s/GiB by the wall clock");
    restore(&photo, &[0, 1, 2, 3]);
    restore(&photo, &[2, 3, 4, 5]);
}

/// Each step by itself.
fn parts(photo: &[u8]) {
    let rounds = GIB / photo.len();
    let report = |what: &str, seconds: f64| println!("{what}: {seconds:.2} CPU-s/GiB");
    report(
        "BLAKE3",
        timed(|| {
            for _ in 0..rounds {
                let mut hasher = blake3::Hasher::new();
                for piece in photo.chunks(1 << 20) {
                    hasher.update(piece);
                }
                black_box(hasher.finalize());
            }
        }),
    );
    report(
        "BLAKE3 with its tree",
        timed(|| {
            for _ in 0..rounds {
                let mut hasher = TreeHasher::new();
                photo.chunks(UNIT_DEFAULT as usize).for_each(|piece| hasher.update(piece));
                black_box(hasher.finish());
            }
        }),
    );
    let coder = Coder::new(4).expect("k in bounds");
    let mut parity = vec![Vec::new(); 2];
    report(
        "Reed-Solomon 4 of 6",
        timed(|| {
            for _ in 0..rounds {
                photo
                    .chunks(4 * UNIT_DEFAULT as usize)
                    .for_each(|stripe| coder.encode(stripe, &[4, 5], &mut parity));
            }
        }),
    );
}

/// Brings in a GiB; units go to `write`.
fn ingest(photo: &[u8], k: u8, n: u8, hash: bool, mut write: impl FnMut(u8, &[u8])) -> RollSummary {
    let key = FreshKey::from_random([9; 32]);
    let reading = ReadingKey::from_secret(&[3; 32]);
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let roll = NewRoll::new(LIBRARY, ROLL, key, &reading.public(), &mut random).expect("a good key");
    let plan = CodingPlan {
        library: LIBRARY,
        roll: ROLL,
        wrapped_key: roll.wrapped_key(),
        coding: CodingId([4; 16]),
        k,
        unit: UNIT_DEFAULT,
        indices: (0..n).collect(),
    };
    let mut encoder = RollEncoder::new(roll, &plan).expect("good numbers");
    let mut write = |index: u8, unit: &[u8]| {
        write(index, unit);
        Ok::<(), Infallible>(())
    };
    for _ in 0..GIB / photo.len() {
        let mut hasher = blake3::Hasher::new();
        let mut rest = photo;
        while !rest.is_empty() {
            let buffer = encoder.buffer();
            let take = buffer.len().min(rest.len());
            // Stands for the read from the card.
            buffer[..take].copy_from_slice(&rest[..take]);
            if hash {
                hasher.update(&buffer[..take]);
            }
            rest = &rest[take..];
            let Ok(()) = encoder.advance(take, &mut write);
        }
        black_box(hasher.finalize());
    }
    encoder.finish(&catalog(), &mut write).expect("in bounds")
}

/// Brings in a GiB with sealing and coding on a thread each; seconds by the wall clock.
fn ingest_on_two_threads(photo: &[u8]) -> f64 {
    let reading = ReadingKey::from_secret(&[3; 32]);
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let key = FreshKey::from_random([9; 32]);
    let roll = NewRoll::new(LIBRARY, ROLL, key, &reading.public(), &mut random).expect("a good key");
    let plan = CodingPlan {
        library: LIBRARY,
        roll: ROLL,
        wrapped_key: roll.wrapped_key(),
        coding: CodingId([4; 16]),
        k: 4,
        unit: UNIT_DEFAULT,
        indices: (0..6).collect(),
    };
    let (full, batches) = sync_channel::<SealedBatch>(1);
    let (give_back, buffers) = sync_channel::<Vec<u8>>(3);
    let start = Instant::now();
    std::thread::scope(|scope| {
        let coder = scope.spawn(move || {
            let mut coder = RollCoder::new(&plan).expect("good numbers");
            for batch in batches {
                let Ok(()) = coder.push(&batch, &mut |_, unit| {
                    black_box(unit);
                    Ok::<(), Infallible>(())
                });
                // The sealer may have ended, and then wants no more buffers.
                give_back.try_send(batch.into_buffer()).ok();
            }
            coder
        });
        let mut sealer = RollSealer::new(roll, 4 * UNIT_DEFAULT as usize);
        let mut sink = |batch: SealedBatch| {
            full.send(batch)?;
            Ok::<_, SendError<SealedBatch>>(buffers.try_recv().unwrap_or_default())
        };
        for _ in 0..GIB / photo.len() {
            let mut hasher = blake3::Hasher::new();
            let mut rest = photo;
            while !rest.is_empty() {
                let buffer = sealer.buffer();
                let take = buffer.len().min(rest.len());
                buffer[..take].copy_from_slice(&rest[..take]);
                hasher.update(&buffer[..take]);
                rest = &rest[take..];
                sealer.advance(take, &mut sink).expect("the coder is there");
            }
            black_box(hasher.finalize());
        }
        let sealed = sealer.finish(&catalog(), &mut sink).expect("in bounds");
        drop(full);
        let end = RollEnd { shape: sealed.shape, sealed_hash: sealed.sealed_hash };
        black_box(coder.join().expect("the coder does not panic").finish(&end));
    });
    start.elapsed().as_secs_f64()
}

fn catalog() -> Catalog {
    Catalog { shoot: ShootId([6; 16]), shoot_name: "bench".into(), ingested_ms: 0, entries: vec![] }
}

/// Reads a GiB back from these shards of 4 of 6.
fn restore(photo: &[u8], from: &[u8]) {
    let mut shards = vec![Vec::new(); 6];
    let summary = ingest(photo, 4, 6, false, |index, unit| {
        if from.contains(&index) {
            shards[usize::from(index)].extend_from_slice(unit);
        }
    });
    let reading = ReadingKey::from_secret(&[3; 32]);
    let key = summary.wrapped_key.open(&reading, LIBRARY, ROLL).expect("our own");
    let geometry = Geometry { shape: summary.sealed.shape, k: 4, unit: UNIT_DEFAULT };
    let reader = RollReader::new(geometry, Opener::new(&key, LIBRARY, ROLL)).expect("good numbers");
    let seconds = timed(|| {
        let mut decoder = reader.read(reader.plan_data(0..GIB as u64));
        let mut bytes = 0;
        while let Some(stripe) = decoder.wants() {
            let at = stripe as usize * UNIT_DEFAULT as usize;
            let units: Vec<(u8, &[u8])> = from
                .iter()
                .map(|&index| (index, &shards[usize::from(index)][at..at + UNIT_DEFAULT as usize]))
                .collect();
            decoder.stripe(&units, |_, plain| bytes += plain.len()).expect("whole units");
        }
        assert_eq!(bytes, GIB);
    });
    println!("restore from {from:?}: {seconds:.2} CPU-s/GiB, checking of units and files not counted");
}

/// CPU seconds of this process that `work` took; the best of three.
fn timed(mut work: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let start = cpu_seconds();
        work();
        best = best.min(cpu_seconds() - start);
    }
    best
}

/// User and system time of this process. On Linux from the kernel; elsewhere the wall clock has to do.
fn cpu_seconds() -> f64 {
    let Ok(stat) = std::fs::read_to_string("/proc/self/schedstat") else {
        use std::time::{SystemTime, UNIX_EPOCH};
        return SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    };
    let nanoseconds = stat.split_whitespace().next().and_then(|field| field.parse::<f64>().ok());
    nanoseconds.map_or(0.0, |ns| ns / 1e9)
}
