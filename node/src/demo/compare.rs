//! Whether what came back is what went in: every file, every byte, and nothing besides.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

/// Differences that are told one by one.
const MOST_TOLD: usize = 10;

/// Bytes read at once.
const CHUNK: usize = 1 << 20;

/// The regular files under `root` by their relative path, with their sizes.
pub fn files(root: &Path) -> io::Result<BTreeMap<PathBuf, u64>> {
    let mut files = BTreeMap::new();
    for entry in WalkDir::new(root) {
        let entry = entry?;
        if entry.file_type().is_file() {
            let path = entry.path().strip_prefix(root).map_err(io::Error::other)?.to_owned();
            files.insert(path, entry.metadata()?.len());
        }
    }
    Ok(files)
}

/// Compares the files under `came` with those under `went`; `renamed` says where a file came back under another
/// name. Answers with the differences as sentences, none when all is identical.
pub fn differences(
    went: &Path,
    came: &Path,
    renamed: &BTreeMap<PathBuf, PathBuf>,
    mut go_on: impl FnMut() -> io::Result<()>,
) -> io::Result<Vec<String>> {
    let mut back = files(came)?;
    let mut differences = Vec::new();
    for (path, size) in files(went)? {
        go_on()?;
        let name = renamed.get(&path).unwrap_or(&path);
        let difference = match back.remove(name) {
            None => "did not come back",
            Some(other) if other != size => "came back with another size",
            Some(_) if same_bytes(&went.join(&path), &came.join(name))? => continue,
            Some(_) => "came back with other bytes",
        };
        differences.push(format!("{} {difference}", path.display()));
    }
    differences.extend(back.keys().map(|path| format!("{} was never there", path.display())));
    if differences.len() > MOST_TOLD {
        let more = differences.len() - MOST_TOLD;
        differences.truncate(MOST_TOLD);
        differences.push(format!("and {more} more"));
    }
    Ok(differences)
}

/// Whether two files hold the same bytes.
pub fn same_bytes(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let (mut left, mut right) = (Vec::with_capacity(CHUNK), Vec::with_capacity(CHUNK));
    loop {
        left.clear();
        right.clear();
        one.by_ref().take(CHUNK as u64).read_to_end(&mut left)?;
        other.by_ref().take(CHUNK as u64).read_to_end(&mut right)?;
        if left != right {
            return Ok(false);
        }
        if left.is_empty() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn tree(root: &Path, files: &[(&str, &[u8])]) {
        for (name, bytes) in files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().expect("under the root")).expect("writable");
            fs::write(path, bytes).expect("writable");
        }
    }

    #[test]
    fn every_kind_of_difference_is_seen() {
        let temp = tempfile::tempdir().expect("temp");
        let (went, came) = (temp.path().join("went"), temp.path().join("came"));
        let large = vec![7; 3 * CHUNK / 2];
        let mut flipped = large.clone();
        flipped[CHUNK + 5] ^= 1;
        tree(
            &went,
            &[
                ("a/same", &large),
                ("a/flipped", &large),
                ("short", b"abc"),
                ("gone", b""),
                ("odd:name", b"x"),
            ],
        );
        tree(
            &came,
            &[
                ("a/same", &large),
                ("a/flipped", &flipped),
                ("short", b"ab"),
                ("extra", b""),
                ("odd_name", b"x"),
            ],
        );
        let renamed = BTreeMap::from([("odd:name".into(), "odd_name".into())]);
        let found = differences(&went, &came, &renamed, || Ok(())).expect("readable");
        assert_eq!(
            found,
            [
                "a/flipped came back with other bytes",
                "gone did not come back",
                "short came back with another size",
                "extra was never there"
            ]
        );
        assert_eq!(differences(&went, &went, &BTreeMap::new(), || Ok(())).expect("readable"), [""; 0]);
    }
}
