//! Files written back below a target folder: never outside it, never over a file that is already there.
//!
//! Every folder is opened from its parent's handle without following links, so that a link planted in the
//! target, before or during the restore, leads nowhere. A file is written under a temporary name, checked
//! against its hash, fsynced, given its time, and only then renamed to a name that nobody has.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use safelight_proto::id::Hash;

use super::check::Check;
pub use super::check::Wanted;
use super::device::Device;
use super::names::{SafePath, beside, tame_name};

/// Folders kept open at a time; beyond it they are opened again.
const MAX_OPEN_FOLDERS: usize = 64;
/// Names tried beside files that are in the way before giving up.
const MAX_ATTEMPTS: u32 = 1000;
/// How the temporary names of files on their way back begin and end.
const PART_START: &str = ".safelight-";
const PART_END: &str = ".part";
/// Bytes read at a time when an existing file is compared.
const BUFFER: usize = 1 << 20;

/// Why a file was not written back.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The target's disk is full.
    #[error("the disk of the target folder is full (writing {0:?})")]
    Full(PathBuf),
    /// The bytes that came are not the file's.
    #[error("what came for {path:?} is not the file that was kept: {why}")]
    NotTheFile {
        /// Path below the target.
        path: PathBuf,
        /// Length or hash.
        why: &'static str,
    },
    /// Every name beside it is taken.
    #[error("{0:?} and {MAX_ATTEMPTS} names beside it are taken by other files")]
    NoName(PathBuf),
    /// The file system refused.
    #[error("{path:?}: {source}")]
    Io {
        /// Path below the target.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl RestoreError {
    fn io(path: &Path, error: impl Into<io::Error>) -> Self {
        let source = error.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(path.to_owned()),
            _ => Self::Io { path: path.to_owned(), source },
        }
    }
}

/// Where a file ended up, relative to the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restored {
    /// Written under its own name.
    Written(PathBuf),
    /// Written, under another name than asked for: the name was unsafe, or another file has it.
    Renamed(PathBuf),
    /// An equal file was there already and stays.
    Kept(PathBuf),
}

/// A folder that files are restored into. Many files can be under way at once.
#[derive(Debug)]
pub struct RestoreTarget {
    root: Arc<OwnedFd>,
    windows: bool,
    folders: Mutex<HashMap<PathBuf, Folder>>,
}

/// An open folder and its path below the target as it really is.
#[derive(Debug, Clone)]
struct Folder {
    handle: Arc<OwnedFd>,
    path: PathBuf,
    /// What killed restores left in it was removed.
    swept: bool,
}

impl RestoreTarget {
    /// Opens the folder, creating it if it is not there.
    pub fn new(dir: &Path) -> Result<Self, RestoreError> {
        let fail = |error: io::Error| RestoreError::io(dir, error);
        std::fs::create_dir_all(dir).map_err(fail)?;
        let root = rustix::fs::open(dir, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| fail(e.into()))?;
        let windows = Device::of(dir).map_err(fail)?.windows_names;
        Ok(Self { root: Arc::new(root), windows, folders: Mutex::default() })
    }

    /// Where an equal file already stands at `path` or beside it, so that its bytes need not be fetched at
    /// all.
    pub fn already_there(&self, path: &[u8], wanted: &Wanted) -> Option<Restored> {
        let safe = SafePath::new(path, self.windows);
        let folder = self.folder(&safe.folders, false).ok()?;
        for attempt in 0..MAX_ATTEMPTS {
            let name = beside(&safe.name, attempt);
            match equal(&folder.handle, &name, wanted) {
                Some(true) => return Some(Restored::Kept(folder.path.join(name))),
                Some(false) => {}
                None => return None,
            }
        }
        None
    }

    /// Starts a file. `path` is any bytes with `/` between names, as a catalog has them.
    pub fn create(&self, path: &[u8], wanted: Wanted) -> Result<RestoreFile, RestoreError> {
        let safe = SafePath::new(path, self.windows);
        let folder = self.folder(&safe.folders, true)?;
        let moved = safe.changed || folder.path != safe.folders.iter().collect::<PathBuf>();
        let temporary = OsString::from(format!("{PART_START}{}{PART_END}", random_name()));
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&*folder.handle, &temporary, flags, Mode::from_raw_mode(0o644))
            .map_err(|e| RestoreError::io(&safe.to_path(), e))?;
        let file = File::from(file);
        // For others to see that it is being written; where there are no locks, it is never swept away either.
        let _ = file.try_lock();
        Ok(RestoreFile {
            file,
            check: Check::new(wanted),
            name: safe.name,
            temporary: Temporary { folder, name: temporary },
            moved,
            wanted,
        })
    }

    /// Makes all names durable; call it once, when the last file is finished.
    pub fn finish(&self) -> io::Result<()> {
        rustix::fs::syncfs(&*self.root).map_err(io::Error::from)
    }

    /// The folder below the target, made on the way if `make`. Where something else has a folder's name, a
    /// folder beside it is used.
    fn folder(&self, names: &[OsString], make: bool) -> Result<Folder, RestoreError> {
        let asked: PathBuf = names.iter().collect();
        let mut open = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = open.get(&asked).filter(|folder| folder.swept || !make) {
            return Ok(folder.clone());
        }
        let mut here = Folder { handle: self.root.clone(), path: PathBuf::new(), swept: false };
        for name in names {
            here = step(&here, name, make)?;
        }
        if make {
            sweep(&here.handle);
            here.swept = true;
        }
        if open.len() >= MAX_OPEN_FOLDERS {
            open.clear();
        }
        open.insert(asked, here.clone());
        Ok(here)
    }
}

/// A file on its way back. Dropped before [`RestoreFile::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct RestoreFile {
    file: File,
    check: Check,
    name: OsString,
    temporary: Temporary,
    moved: bool,
    wanted: Wanted,
}

impl RestoreFile {
    /// Adds the next bytes. More than the file has is refused.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), RestoreError> {
        self.check.take(bytes).map_err(|why| self.not_the_file(why))?;
        self.file.write_all(bytes).map_err(|e| RestoreError::io(&self.path(), e))
    }

    /// Checks length and hash, makes the bytes durable and gives the file its name.
    pub fn finish(self) -> Result<Restored, RestoreError> {
        self.check.finish().map_err(|why| self.not_the_file(why))?;
        if let Some(time) = self.wanted.modified {
            // A time the file system cannot hold is not worth a photograph.
            if let Err(error) = self.file.set_modified(time) {
                tracing::debug!(%error, "the time of a restored file was not set");
            }
        }
        self.file.sync_all().map_err(|e| RestoreError::io(&self.path(), e))?;
        self.name_it()
    }

    fn name_it(self) -> Result<Restored, RestoreError> {
        let Folder { handle, path, .. } = &self.temporary.folder;
        let (mut base, mut moved) = (self.name.clone(), self.moved);
        let mut attempt = 0;
        while attempt < MAX_ATTEMPTS {
            let name = beside(&base, attempt);
            match rename_new(handle, &self.temporary.name, &name) {
                Ok(()) if attempt == 0 && !moved => return Ok(Restored::Written(path.join(name))),
                Ok(()) => return Ok(Restored::Renamed(path.join(name))),
                Err(Errno::EXIST) if equal(handle, &name, &self.wanted) == Some(true) => {
                    return Ok(Restored::Kept(path.join(name)));
                }
                Err(Errno::EXIST) => attempt += 1,
                // The file system refuses this name: try the one that every file system takes.
                Err(Errno::INVAL | Errno::ILSEQ | Errno::NAMETOOLONG) if tame_name(&base) != base => {
                    base = tame_name(&base);
                    moved = true;
                }
                Err(error) => return Err(RestoreError::io(&self.path(), error)),
            }
        }
        Err(RestoreError::NoName(self.path()))
    }

    fn path(&self) -> PathBuf {
        self.temporary.folder.path.join(&self.name)
    }

    fn not_the_file(&self, why: &'static str) -> RestoreError {
        RestoreError::NotTheFile { path: self.path(), why }
    }
}

/// A temporary name, removed on drop. After the rename there is nothing of that name left to remove.
#[derive(Debug)]
struct Temporary {
    folder: Folder,
    name: OsString,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = rustix::fs::unlinkat(&*self.folder.handle, &self.name, AtFlags::empty());
    }
}

/// One folder down, links refused.
fn step(here: &Folder, name: &OsStr, make: bool) -> Result<Folder, RestoreError> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fail = |error: Errno| RestoreError::io(&here.path.join(name), error);
    let (mut base, mut attempt) = (name.to_owned(), 0);
    while attempt < MAX_ATTEMPTS {
        let name = beside(&base, attempt);
        if make {
            match rustix::fs::mkdirat(&*here.handle, &name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(Errno::INVAL | Errno::ILSEQ | Errno::NAMETOOLONG) if tame_name(&base) != base => {
                    base = tame_name(&base);
                    continue;
                }
                Err(error) => return Err(fail(error)),
            }
        }
        match rustix::fs::openat(&*here.handle, &name, flags, Mode::empty()) {
            Ok(handle) => {
                return Ok(Folder { handle: Arc::new(handle), path: here.path.join(name), swept: false });
            }
            Err(Errno::NOTDIR | Errno::LOOP) => attempt += 1,
            Err(error) => return Err(fail(error)),
        }
    }
    Err(RestoreError::NoName(here.path.join(name)))
}

/// Removes what restores that were killed have left in a folder. A file that one still writes is locked.
fn sweep(folder: &OwnedFd) {
    let Ok(entries) = rustix::fs::Dir::read_from(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let between = name.to_bytes().strip_prefix(PART_START.as_bytes());
        if between.and_then(|rest| rest.strip_suffix(PART_END.as_bytes())).is_none_or(|id| id.len() != 16) {
            continue;
        }
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let abandoned = rustix::fs::openat(folder, name, flags, Mode::empty())
            .is_ok_and(|file| File::from(file).try_lock().is_ok());
        if abandoned {
            let _ = rustix::fs::unlinkat(folder, name, AtFlags::empty());
        }
    }
}

/// Renames within a folder, never over anything.
fn rename_new(folder: &OwnedFd, from: &OsStr, to: &OsStr) -> Result<(), Errno> {
    match rustix::fs::renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE) {
        // Some network and FUSE file systems lack the flag, and say so with the words of a bad name.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
        other => return other,
    }
    match rustix::fs::linkat(folder, from, folder, to, AtFlags::empty()) {
        Ok(()) => rustix::fs::unlinkat(folder, from, AtFlags::empty()),
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => {
            // No hard links either. Nobody else names files like ours here, so looking first is what is left.
            match rustix::fs::statat(folder, to, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(_) => Err(Errno::EXIST),
                Err(Errno::NOENT) => rustix::fs::renameat(folder, from, folder, to),
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

/// Whether the file of that name has the wanted content; `None` where there is no such name.
fn equal(folder: &OwnedFd, name: &OsStr, wanted: &Wanted) -> Option<bool> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = match rustix::fs::openat(folder, name, flags, Mode::empty()) {
        Ok(handle) => File::from(handle),
        Err(Errno::NOENT) => return None,
        Err(_) => return Some(false),
    };
    let same_size = file.metadata().is_ok_and(|meta| meta.is_file() && meta.len() == wanted.len);
    Some(same_size && content_hash(&mut file).is_ok_and(|hash| hash == wanted.hash))
}

fn content_hash(file: &mut File) -> io::Result<Hash> {
    let (mut hasher, mut buffer) = (blake3::Hasher::new(), vec![0; BUFFER]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().into()),
            n => hasher.update(&buffer[..n]),
        };
    }
}

fn random_name() -> String {
    let mut bytes = [0; 8];
    // Uniqueness is enforced by `O_EXCL`; without randomness a collision is an error, not a loss.
    if getrandom::fill(&mut bytes).is_err() {
        bytes = (std::process::id() as u64).to_le_bytes();
    }
    data_encoding::HEXLOWER.encode(&bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::time::{Duration, SystemTime};

    use walkdir::WalkDir;

    use super::*;

    fn wanted(content: &[u8]) -> Wanted {
        Wanted { len: content.len() as u64, hash: Hash::of(content), modified: None }
    }

    fn put(target: &RestoreTarget, path: &[u8], content: &[u8]) -> Result<Restored, RestoreError> {
        let mut file = target.create(path, wanted(content))?;
        for chunk in content.chunks(7) {
            file.write(chunk)?;
        }
        file.finish()
    }

    fn files(dir: &Path) -> Vec<PathBuf> {
        WalkDir::new(dir)
            .sort_by_file_name()
            .into_iter()
            .flatten()
            .filter(|e| !e.file_type().is_dir())
            .map(|e| e.path().strip_prefix(dir).unwrap().to_owned())
            .collect()
    }

    #[test]
    fn content_time_and_names_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let target = RestoreTarget::new(&dir.path().join("new/folder")).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_400_000_000, 5000);
        let mut file =
            target.create(b"DCIM/caf\xe9.jpg", Wanted { modified: Some(time), ..wanted(b"raw") }).unwrap();
        file.write(b"raw").unwrap();
        let Restored::Written(path) = file.finish().unwrap() else { panic!("renamed without need") };
        assert_eq!(path.as_os_str().as_bytes(), b"DCIM/caf\xe9.jpg");
        let there = dir.path().join("new/folder").join(path);
        assert_eq!(fs::read(&there).unwrap(), b"raw");
        assert_eq!(fs::metadata(&there).unwrap().modified().unwrap(), time);
        target.finish().unwrap();
    }

    #[test]
    fn what_a_killed_restore_left_is_swept_away_and_what_is_being_written_stays() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        fs::write(dir.path().join("a/.safelight-0123456789abcdef.part"), "half").unwrap();
        fs::write(dir.path().join("a/.safelight-mine.part"), "a person's own").unwrap();
        let mut under_way = RestoreTarget::new(dir.path()).unwrap().create(b"a/one", wanted(b"one")).unwrap();
        let again = RestoreTarget::new(dir.path()).unwrap();
        assert_eq!(again.already_there(b"a/two", &wanted(b"two")), None);
        put(&again, b"a/two", b"two").unwrap();
        under_way.write(b"one").unwrap();
        under_way.finish().unwrap();
        assert_eq!(files(dir.path()), ["a/.safelight-mine.part", "a/one", "a/two"].map(PathBuf::from));
    }

    #[test]
    fn an_equal_file_is_kept_and_a_different_one_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.NEF"), "edited").unwrap();
        fs::write(dir.path().join("same.NEF"), "same").unwrap();
        let target = RestoreTarget::new(dir.path()).unwrap();
        assert_eq!(put(&target, b"same.NEF", b"same").unwrap(), Restored::Kept("same.NEF".into()));
        assert_eq!(put(&target, b"a.NEF", b"first").unwrap(), Restored::Renamed("a (restored).NEF".into()));
        assert_eq!(
            put(&target, b"a.NEF", b"second").unwrap(),
            Restored::Renamed("a (restored 2).NEF".into())
        );
        // A second restore finds its own files and adds none.
        assert_eq!(put(&target, b"a.NEF", b"first").unwrap(), Restored::Kept("a (restored).NEF".into()));
        let there = target.already_there(b"a.NEF", &wanted(b"second"));
        assert_eq!(there, Some(Restored::Kept("a (restored 2).NEF".into())));
        assert_eq!(target.already_there(b"a.NEF", &wanted(b"third")), None);
        assert_eq!(fs::read(dir.path().join("a.NEF")).unwrap(), b"edited");
        assert_eq!(files(dir.path()).len(), 4);
    }

    #[test]
    fn wrong_bytes_leave_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let target = RestoreTarget::new(dir.path()).unwrap();
        let bad = |content: &[u8]| {
            let mut file = target.create(b"x.jpg", wanted(b"right")).unwrap();
            file.write(content).and_then(|()| file.finish())
        };
        for content in [&b"wrong"[..], b"righ", b"right!", b""] {
            assert!(matches!(bad(content), Err(RestoreError::NotTheFile { .. })));
        }
        assert_eq!(files(dir.path()), Vec::<PathBuf>::new());
    }

    #[test]
    fn links_in_the_target_lead_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("in"), dir.path().join("out"));
        fs::create_dir_all(&inside).unwrap();
        fs::create_dir_all(&outside).unwrap();
        symlink(&outside, inside.join("DCIM")).unwrap();
        symlink(outside.join("planted"), inside.join("a.jpg")).unwrap();
        fs::write(inside.join("file"), "in the way").unwrap();
        let target = RestoreTarget::new(&inside).unwrap();
        assert_eq!(
            put(&target, b"DCIM/b.jpg", b"b").unwrap(),
            Restored::Renamed("DCIM (restored)/b.jpg".into())
        );
        assert_eq!(put(&target, b"a.jpg", b"a").unwrap(), Restored::Renamed("a (restored).jpg".into()));
        assert_eq!(
            put(&target, b"file/c.jpg", b"c").unwrap(),
            Restored::Renamed("file (restored)/c.jpg".into())
        );
        // A link swapped in while the folder is in use changes nothing: the handle is held.
        assert_eq!(put(&target, b"sub/1.jpg", b"1").unwrap(), Restored::Written("sub/1.jpg".into()));
        fs::rename(inside.join("sub"), inside.join("moved")).unwrap();
        symlink(&outside, inside.join("sub")).unwrap();
        put(&target, b"sub/2.jpg", b"2").unwrap();
        assert!(inside.join("moved/2.jpg").exists());
        assert_eq!(files(&outside), Vec::<PathBuf>::new());
    }

    #[test]
    fn hostile_names_stay_inside_and_none_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("deep/in");
        let target = RestoreTarget::new(&inside).unwrap();
        let mut names: Vec<Vec<u8>> = HOSTILE.iter().map(|n| n.as_bytes().to_vec()).collect();
        names.push(b"\xff\xfe/\x80.jpg".to_vec());
        names.push(vec![b'/'; 5000]);
        names.push(vec![b'x'; 70_000]);
        names.push("é".repeat(300).into_bytes());
        names.push(b"../".repeat(400));
        names.push([b"d/".repeat(300).as_slice(), b"f"].concat());
        names.push([vec![b'n'; 300], b"/".to_vec(), vec![b'm'; 300], b".NEF".to_vec()].concat());
        assert!(names.len() >= 50, "{}", names.len());
        for (number, name) in names.iter().enumerate() {
            let content = format!("content {number}");
            put(&target, name, content.as_bytes()).unwrap_or_else(|e| panic!("{name:?}: {e}"));
        }
        target.finish().unwrap();
        let all = files(dir.path());
        assert!(all.iter().all(|path| path.starts_with("deep/in")), "{all:?}");
        let mut contents: Vec<String> =
            all.iter().map(|path| fs::read_to_string(dir.path().join(path)).unwrap()).collect();
        let mut want: Vec<String> = (0..names.len()).map(|n| format!("content {n}")).collect();
        contents.sort();
        want.sort();
        assert_eq!(contents, want);
        assert!(!Path::new("/safelight-hostile").exists());
    }

    const HOSTILE: [&str; 53] = [
        "../escape",
        "../../escape",
        "../../../../../../../../tmp/safelight-hostile",
        "/safelight-hostile",
        "//safelight-hostile",
        "///",
        "/",
        "",
        ".",
        "..",
        "./x",
        "a/../../b",
        "a/..",
        "a/.",
        "a//b",
        "a/",
        "/.",
        "/..",
        "..\\..\\escape",
        "C:\\Windows\\x",
        "C:",
        "\\\\server\\share",
        "~/x",
        "~root",
        "$HOME/x",
        "`id`",
        "%2e%2e/x",
        "..%2fx",
        "\u{2025}/x",
        "\u{ff0e}\u{ff0e}/x",
        "a\0b",
        "\0",
        "../\0",
        "CON",
        "con.txt",
        "NUL",
        "aux.jpg",
        "COM1",
        "LPT9.NEF",
        "trailing.",
        "trailing ",
        "a:stream",
        "new\nline",
        "tab\tname",
        "\u{7}bell",
        "\u{202e}gpj.exe",
        "IMG.JPG",
        "img.jpg",
        "caf\u{e9}",
        "cafe\u{301}",
        "-rf",
        ".safelight-0.part",
        "...",
    ];
}
