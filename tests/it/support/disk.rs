//! A look at what really lies on the disks, and damage done to it.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

/// Bytes of a needle that are looked up first.
const HEAD: usize = 8;

/// The finished shard files of a volume, sorted.
pub fn shards(volume: &Path) -> Vec<PathBuf> {
    let mut shards: Vec<_> = files(volume).into_iter().filter(|file| is_shard(file)).collect();
    shards.sort();
    shards
}

/// Whether a file is a finished shard, by its name alone.
pub fn is_shard(file: &Path) -> bool {
    file.extension().is_some_and(|ending| ending == "shard")
}

/// All files under a folder.
pub fn files(root: &Path) -> Vec<PathBuf> {
    let entries = WalkDir::new(root).into_iter();
    // A running node renames and deletes under our eyes.
    let files = entries.flatten().filter(|entry| entry.file_type().is_file());
    files.map(|entry| entry.path().to_owned()).collect()
}

/// Flips one bit in the middle of a file, whatever its permissions.
pub fn flip(file: &Path) {
    let mut bytes = fs::read(file).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    overwrite(file, &bytes);
}

/// Cuts a file in half.
pub fn truncate(file: &Path) {
    let bytes = fs::read(file).expect("readable");
    overwrite(file, &bytes[..bytes.len() / 2]);
}

fn overwrite(file: &Path, bytes: &[u8]) {
    let mut permissions = fs::metadata(file).expect("there").permissions();
    #[expect(
        clippy::permissions_set_readonly_false,
        reason = "a file of this test's own, about to be damaged"
    )]
    permissions.set_readonly(false);
    fs::set_permissions(file, permissions).expect("ours");
    fs::write(file, bytes).expect("writable");
}

/// Which of the needles (name, bytes) occur in the content or the name of a file under `roots`, and where.
///
/// Needles have at least eight bytes.
pub fn find(roots: &[PathBuf], needles: &[(String, Vec<u8>)]) -> Vec<String> {
    let mut heads: HashMap<u64, Vec<usize>> = HashMap::new();
    for (at, (name, needle)) in needles.iter().enumerate() {
        let head = needle.first_chunk::<HEAD>().unwrap_or_else(|| panic!("{name} is too short to look for"));
        heads.entry(u64::from_le_bytes(*head)).or_default().push(at);
    }
    let firsts: HashSet<u8> = needles.iter().map(|(_, needle)| needle[0]).collect();
    let mut found = Vec::new();
    for file in roots.iter().flat_map(|root| files(root)) {
        let mut content = fs::read(&file).unwrap_or_default();
        content.extend(file.as_os_str().as_encoded_bytes());
        for (offset, window) in content.windows(HEAD).enumerate() {
            if !firsts.contains(&window[0]) {
                continue;
            }
            let head = u64::from_le_bytes(window.try_into().expect("eight bytes"));
            for at in heads.get(&head).into_iter().flatten() {
                let (name, needle) = &needles[*at];
                if content[offset..].starts_with(needle) {
                    found.push(format!("{name} in {} at {offset}", file.display()));
                }
            }
        }
    }
    found
}

#[test]
fn what_is_there_is_found() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("a"), b"....the plain text....").expect("a file");
    let roots = [folder.path().to_owned()];
    let needle = |text: &str| vec![(text.to_owned(), text.as_bytes().to_vec())];
    assert_eq!(find(&roots, &needle("the plain")).len(), 1);
    assert!(find(&roots, &needle("the plane")).is_empty());
}
