//! The bare pipeline over real files: read, hash, seal, code, hash, write, fsync; no network, no database, no read-back.
//! What a whole ingest costs beyond this is overhead of ours.
//!
//! `cargo bench -p safelight-core --bench pipeline -- SOURCE TARGET [K] [N]`; `tests/bench/run` measures it.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use safelight_core::ingest::{CodingPlan, NewRoll, RollEncoder};
use safelight_core::seal::{FreshKey, ReadingKey};
use safelight_proto::catalog::Catalog;
use safelight_proto::id::{CodingId, LibraryId, RollId, ShootId};
use safelight_proto::limit::UNIT_DEFAULT;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let (Some(source), Some(target)) = (args.next(), args.next()) else {
        // `cargo bench` and `cargo test --benches` run it without arguments.
        println!("pipeline: nothing to do; name a source and a target folder");
        return Ok(());
    };
    let k = args.next().map_or(Ok(2), |k| k.parse())?;
    let n = args.next().map_or(Ok(4), |n| n.parse())?;
    let bytes = pipeline(Path::new(&source), Path::new(&target), k, n)?;
    println!("{bytes}");
    Ok(())
}

/// Makes one roll of every file under `source`, its shards as files in `target`. Gives the bytes read.
fn pipeline(source: &Path, target: &Path, k: u8, n: u8) -> Result<u64, Box<dyn std::error::Error>> {
    let (library, roll) = (LibraryId([1; 32]), RollId([2; 32]));
    let reading = ReadingKey::from_secret(&[3; 32]);
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let key = FreshKey::from_random([9; 32]);
    let new = NewRoll::new(library, roll, key, &reading.public(), &mut random)?;
    let plan = CodingPlan {
        library,
        roll,
        wrapped_key: new.wrapped_key(),
        coding: CodingId([4; 16]),
        k,
        unit: UNIT_DEFAULT,
        indices: (0..n).collect(),
    };
    let mut encoder = RollEncoder::new(new, &plan)?;
    let shard = |index: u8| File::create(target.join(format!("{index}.shard"))).map(BufWriter::new);
    let mut shards = (0..n).map(shard).collect::<io::Result<Vec<_>>>()?;
    for (index, header) in encoder.headers() {
        shards[usize::from(index)].write_all(&header)?;
    }
    let mut write = |index: u8, unit: &[u8]| shards[usize::from(index)].write_all(unit);
    let mut bytes = 0;
    for path in files(source)? {
        let mut file = File::open(path)?;
        let mut hasher = blake3::Hasher::new();
        loop {
            let buffer = encoder.buffer();
            let read = file.read(buffer)?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            bytes += read as u64;
            encoder.advance(read, &mut write)?;
        }
        black_box(hasher.finalize());
    }
    let catalog =
        Catalog { shoot: ShootId([6; 16]), shoot_name: "bench".into(), ingested_ms: 0, entries: vec![] };
    let summary = encoder.finish(&catalog, &mut write)?;
    for shard in &summary.shards {
        shards[usize::from(shard.id.index)].write_all(&shard.trailer)?;
    }
    for shard in shards {
        shard.into_inner()?.sync_all()?;
    }
    File::open(target)?.sync_all()?;
    Ok(bytes)
}

/// The regular files under `root`.
fn files(root: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut folders, mut files) = (vec![root.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}
