//! The files under an ingested path, sorted, each with the name it is kept under.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

/// Deepest folder that is entered; deeper ones are listed as failed.
pub const MAX_DEPTH: usize = 200;

/// One thing found under an ingested path.
#[derive(Debug)]
pub struct Entry {
    /// Where it lies, to be opened.
    pub path: PathBuf,
    /// Its name in the shoot: relative to the ingested path, or the file name where that path is one file.
    /// Bytes as the file system has them; not always UTF-8.
    pub name: PathBuf,
    /// What it is.
    pub kind: Kind,
}

/// What was found.
#[derive(Debug)]
pub enum Kind {
    /// A file to take in.
    File {
        /// Bytes, as of now.
        len: u64,
    },
    /// Left out on purpose.
    Skipped(Skip),
    /// Could not be looked at; it counts as a failed file.
    Failed(String),
}

/// Why something was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Skip {
    /// Following it could leave the path or go round in circles.
    #[error("a symbolic link; links are not followed")]
    Link,
    /// A pipe, socket or device.
    #[error("not a regular file")]
    Special,
    /// Safelight's own shards.
    #[error("a Safelight volume; its shards are not photographs")]
    Volume,
}

/// Walks `paths` in the given order, each sorted by name, folders in place.
///
/// A path that is itself a symbolic link is followed, because somebody typed it; links inside are not.
/// Nothing ends the walk: what cannot be read comes as [`Kind::Failed`].
pub fn walk(paths: &[PathBuf]) -> impl Iterator<Item = Entry> {
    paths.iter().cloned().flat_map(walk_one)
}

fn walk_one(root: PathBuf) -> impl Iterator<Item = Entry> {
    let mut tree =
        WalkDir::new(&root).follow_links(false).max_depth(MAX_DEPTH).sort_by_file_name().into_iter();
    std::iter::from_fn(move || {
        loop {
            let entry = match tree.next()? {
                Ok(entry) => entry,
                Err(error) => return Some(failed(&root, &error)),
            };
            if entry.file_type().is_dir() {
                if is_volume(entry.path()) {
                    tree.skip_current_dir();
                    return Some(found(&root, entry.path(), Kind::Skipped(Skip::Volume)));
                }
                if entry.depth() == MAX_DEPTH {
                    let deep = Kind::Failed(format!("folders are nested deeper than {MAX_DEPTH}"));
                    return Some(found(&root, entry.path(), deep));
                }
                continue;
            }
            return Some(classify(&root, &entry));
        }
    })
}

fn classify(root: &Path, entry: &DirEntry) -> Entry {
    // A root that is a link was typed by a person: look at what it points to.
    let metadata = if entry.depth() == 0 {
        std::fs::metadata(entry.path()).map_err(|e| e.to_string())
    } else {
        entry.metadata().map_err(|e| e.to_string())
    };
    let kind = match metadata {
        Err(error) => Kind::Failed(error),
        Ok(meta) if meta.is_file() => file(&meta),
        Ok(meta) if meta.is_symlink() => Kind::Skipped(Skip::Link),
        Ok(_) => Kind::Skipped(Skip::Special),
    };
    found(root, entry.path(), kind)
}

fn file(meta: &Metadata) -> Kind {
    Kind::File { len: meta.len() }
}

fn failed(root: &Path, error: &walkdir::Error) -> Entry {
    let path = error.path().unwrap_or(root).to_owned();
    let text = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
    found(root, &path, Kind::Failed(text))
}

fn found(root: &Path, path: &Path, kind: Kind) -> Entry {
    let below = path.strip_prefix(root).unwrap_or(path);
    let name = if below.as_os_str().is_empty() {
        PathBuf::from(root.file_name().unwrap_or(root.as_os_str()))
    } else {
        below.to_owned()
    };
    Entry { path: path.to_owned(), name, kind }
}

/// A folder that holds a volume's marker.
fn is_volume(dir: &Path) -> bool {
    dir.file_name().is_some_and(|name| name == "safelight") && dir.join("volume.json").is_file()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(entries: &[Entry]) -> Vec<String> {
        entries.iter().map(|e| e.name.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn sorted_with_links_pipes_and_volumes_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("card");
        fs::create_dir_all(root.join("DCIM/100")).unwrap();
        fs::create_dir_all(root.join("disk/safelight/shards")).unwrap();
        fs::write(root.join("disk/safelight/volume.json"), "{}").unwrap();
        fs::write(root.join("disk/safelight/shards/x.shard"), "x").unwrap();
        fs::write(root.join("DCIM/100/b.NEF"), "bb").unwrap();
        fs::write(root.join("DCIM/100/a.NEF"), "a").unwrap();
        fs::write(root.join("z.txt"), "").unwrap();
        symlink("/etc", root.join("DCIM/etc")).unwrap();
        symlink(&root, root.join("loop")).unwrap();
        let odd = OsStr::from_bytes(b"caf\xe9.jpg");
        fs::write(root.join(odd), "odd").unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            root.join("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();

        let found: Vec<Entry> = walk(std::slice::from_ref(&root)).collect();
        let want = [
            "DCIM/100/a.NEF",
            "DCIM/100/b.NEF",
            "DCIM/etc",
            "caf\u{fffd}.jpg",
            "disk/safelight",
            "loop",
            "pipe",
            "z.txt",
        ];
        assert_eq!(names(&found), want);
        assert_eq!(found[3].name.as_os_str(), odd);
        assert!(matches!(found[1].kind, Kind::File { len: 2 }));
        assert!(matches!(found[2].kind, Kind::Skipped(Skip::Link)));
        assert!(matches!(found[4].kind, Kind::Skipped(Skip::Volume)));
        assert!(matches!(found[5].kind, Kind::Skipped(Skip::Link)));
        assert!(matches!(found[6].kind, Kind::Skipped(Skip::Special)));
    }

    #[test]
    fn a_single_file_keeps_its_name_and_a_typed_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("IMG_1.CR3");
        fs::write(&file, "raw").unwrap();
        let link = dir.path().join("today");
        symlink(&file, &link).unwrap();
        let found: Vec<Entry> = walk(&[file, link, dir.path().join("gone")]).collect();
        assert_eq!(names(&found), ["IMG_1.CR3", "today", "gone"]);
        assert!(matches!(found[0].kind, Kind::File { len: 3 }));
        assert!(matches!(found[1].kind, Kind::File { len: 3 }));
        assert!(matches!(found[2].kind, Kind::Failed(_)));
    }

    #[test]
    fn an_unreadable_folder_is_listed_and_the_rest_goes_on() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a-closed")).unwrap();
        fs::write(dir.path().join("b.jpg"), "b").unwrap();
        let closed = fs::Permissions::from_mode(0o000);
        fs::set_permissions(dir.path().join("a-closed"), closed).unwrap();
        let found: Vec<Entry> = walk(&[dir.path().to_owned()]).collect();
        fs::set_permissions(dir.path().join("a-closed"), fs::Permissions::from_mode(0o700)).unwrap();
        if rustix::process::geteuid().is_root() {
            eprintln!("skipped: root may read every folder");
            return;
        }
        assert!(matches!(found[0].kind, Kind::Failed(_)));
        assert_eq!(names(&found), ["a-closed", "b.jpg"]);
    }
}
