//! Photographs: seeded, incompressible, named as cameras and people name them; and trees of files compared.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

/// A tree of files: relative paths with their bytes' BLAKE3 and length.
pub type Tree = BTreeMap<PathBuf, (u64, [u8; 32])>;

/// Names that people and their cameras really use, and that break naive programs.
pub const ODD_NAMES: [&str; 12] = [
    "DCIM/Zürich – bride & groom (final) [v2].jpg",
    "DCIM/ leading and trailing space .jpg",
    "DCIM/-rf.jpg",
    "DCIM/--to.xmp",
    "DCIM/it's \"quoted\" `here` $HOME.jpg",
    "DCIM/emoji 💍🎉.heic",
    "DCIM/e\u{301}tude.jpg",
    "DCIM/étude.jpg",
    "DCIM/日本/披露宴.NEF",
    "DCIM/IMG_0001.JPG",
    "DCIM/img_0001.jpg",
    "DCIM/.hidden/..almost..up/%2e%2e.jpg",
];

/// A small wedding: some 3 MB of RAW, JPEG and sidecars, two empty files, and one picture twice.
pub fn wedding(root: &Path, seed: u64) -> Tree {
    for number in 1..=5 {
        raw(root, seed, number, 300_000 + 7 * number as usize);
    }
    for number in 1..=14 {
        write(root, &format!("DCIM/101CANON/IMG_{number:04}.JPG"), &noise(seed, 500 + number, 40_000));
    }
    write(root, "DCIM/100CANON/IMG_0001 (copy).CR3", &noise(seed, 1, 300_007));
    write(root, "DCIM/MISC/AUTPRINT.MRK", b"");
    write(root, "MISC/empty too.xmp", b"");
    tree(root)
}

/// A handful of pictures, some 200 KB.
pub fn handful(root: &Path, seed: u64) -> Tree {
    for number in 1..=4 {
        write(root, &format!("DCIM/100NIKON/DSC_{number:04}.JPG"), &noise(seed, 900 + number, 50_000));
    }
    tree(root)
}

/// One RAW with its sidecar.
pub fn raw(root: &Path, seed: u64, number: u64, bytes: usize) {
    let stem = format!("DCIM/100CANON/IMG_{number:04}");
    write(root, &format!("{stem}.CR3"), &noise(seed, number, bytes));
    let sidecar = format!("<x:xmpmeta xmp:Rating='{}' xmp:Label='{seed}-{number}'/>\n", number % 6);
    write(root, &format!("{stem}.xmp"), sidecar.as_bytes());
}

/// One file of incompressible bytes, and nothing else.
pub fn one(root: &Path, name: &str, seed: u64, bytes: usize) -> Tree {
    write(root, name, &noise(seed, 0, bytes));
    tree(root)
}

/// One file of each odd name.
pub fn odd(root: &Path, seed: u64) -> Tree {
    for (number, name) in ODD_NAMES.into_iter().enumerate() {
        write(root, name, &noise(seed, 5_000 + number as u64, 2_000 + number));
    }
    tree(root)
}

/// Bytes that no compressor and no guess can do anything with, the same every time.
pub fn noise(seed: u64, number: u64, bytes: usize) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new_derive_key("safelight integration test photographs");
    hasher.update(&seed.to_le_bytes()).update(&number.to_le_bytes());
    let mut noise = vec![0; bytes];
    hasher.finalize_xof().fill(&mut noise);
    noise
}

/// Writes a file and the folders above it.
pub fn write(root: &Path, name: &str, bytes: &[u8]) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().expect("below the root")).expect("a folder");
    fs::write(path, bytes).expect("a file");
}

/// The files under a folder.
pub fn tree(root: &Path) -> Tree {
    let mut tree = Tree::new();
    for entry in WalkDir::new(root) {
        let entry = entry.unwrap_or_else(|error| panic!("{} can be read: {error}", root.display()));
        if entry.file_type().is_file() {
            let bytes = fs::read(entry.path()).expect("readable");
            let path = entry.path().strip_prefix(root).expect("below the root").to_owned();
            tree.insert(path, (bytes.len() as u64, *blake3::hash(&bytes).as_bytes()));
        }
    }
    tree
}

/// Bytes of all files.
pub fn bytes(tree: &Tree) -> u64 {
    tree.values().map(|(bytes, _)| bytes).sum()
}

/// Fails unless the files under `came` are those of `went`: every path, every byte, and nothing besides.
#[track_caller]
pub fn assert_same(went: &Tree, came: &Path) {
    let differences = differences(went, came);
    assert!(differences.is_empty(), "not what went in:\n{}", differences.join("\n"));
}

/// How the files under `came` differ from `went`, in sentences.
pub fn differences(went: &Tree, came: &Path) -> Vec<String> {
    let mut back = tree(came);
    let mut differences = Vec::new();
    for (path, (bytes, hash)) in went {
        match back.remove(path) {
            None => differences.push(format!("{} did not come back", path.display())),
            Some((other, _)) if other != *bytes => {
                differences.push(format!("{} has {other} bytes, not {bytes}", path.display()));
            }
            Some((_, other)) if other != *hash => {
                differences.push(format!("{} has other bytes", path.display()));
            }
            Some(_) => {}
        }
    }
    differences.extend(back.keys().map(|path| format!("{} was never there", path.display())));
    differences
}
