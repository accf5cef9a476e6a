//! The home: one node's data folder, the lock that keeps a second node out of it, and the names inside.
//!
//! A home is complete when `node.redb` stands in it; that file is renamed into place last, so a home that
//! broke off while it was made can simply be made again.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

/// The node's database: identity, ledger, records.
const DATABASE: &str = "node.redb";
/// Where a running node says how to reach it.
const API: &str = "api.json";
/// Held by the running node; contains its process id.
const LOCK: &str = "lock";
/// The catalog blobs of every roll.
const CATALOGS: &str = "catalogs";

/// What a home that was begun and never finished may hold.
const LEFTOVERS: [&str; 3] = [API, LOCK, CATALOGS];

/// A command that only looks whether a node runs takes the lock for a moment; a node that starts waits it out.
const LOCK_ATTEMPTS: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Longest process id in a lock file, in bytes.
const MAX_PID: u64 = 20;

/// Why a folder cannot be used as a home.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// There is no such folder.
    #[error("there is no Safelight home at {}", .0.display())]
    Missing(PathBuf),
    /// The folder holds something else.
    #[error("{} is not a Safelight home, and it is not empty", .0.display())]
    NotOurs(PathBuf),
    /// A node was made here before.
    #[error("{} already is the home of a node", .0.display())]
    Taken(PathBuf),
    /// Another process holds the lock.
    #[error("a node ({}) already runs on the home {}", .pid.map_or("process unknown".into(), |pid| format!("pid {pid}")), .dir.display())]
    Running {
        /// The home.
        dir: PathBuf,
        /// The holder, if it wrote its id.
        pid: Option<u32>,
    },
    /// The file system refused.
    #[error("the home {} cannot be used: {source}", .dir.display())]
    Io {
        /// The home.
        dir: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// A node's data folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    dir: PathBuf,
}

impl Home {
    /// Makes a new home: the folder with mode 0700, ready for `init`, `join` or `recover` to fill.
    ///
    /// Fails when a node lives there already, or when the folder holds anything that is not ours.
    pub fn create(dir: &Path) -> Result<Self, HomeError> {
        Self::check_vacant(dir)?;
        let home = Self { dir: dir.to_owned() };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.and_then(|()| fs::set_permissions(dir, fs::Permissions::from_mode(0o700)))
            .map_err(|e| home.io(e))?;
        Ok(home)
    }

    /// Whether [`Home::create`] would be given the place; changes nothing.
    pub fn check_vacant(dir: &Path) -> Result<(), HomeError> {
        match (Self { dir: dir.to_owned() }).is_vacant()? {
            true => Ok(()),
            false => Err(HomeError::Taken(dir.to_owned())),
        }
    }

    /// The home in `dir`, which must be complete.
    pub fn open(dir: &Path) -> Result<Self, HomeError> {
        let home = Self { dir: dir.to_owned() };
        match home.is_vacant()? {
            true => Err(HomeError::Missing(home.dir)),
            false => Ok(home),
        }
    }

    /// Takes the home for this process, until the lock is dropped.
    ///
    /// An `api.json` found at this moment is the leftover of a node that was killed, and is removed.
    pub fn lock(&self) -> Result<HomeLock, HomeError> {
        let mut file = self.lock_file(true).map_err(|e| self.io(e))?;
        for attempt in 1.. {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) if attempt < LOCK_ATTEMPTS => std::thread::sleep(LOCK_PAUSE),
                Err(Errno::WOULDBLOCK) => {
                    return Err(HomeError::Running { dir: self.dir.clone(), pid: read_pid(&mut file) });
                }
                Err(errno) => return Err(self.io(errno.into())),
            }
        }
        self.sign(&mut file).map_err(|e| self.io(e))?;
        Ok(HomeLock { file })
    }

    /// Whether a process holds the lock now: a node that runs, or is just starting or stopping.
    pub fn is_locked(&self) -> Result<bool, HomeError> {
        let file = match self.lock_file(false) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(self.io(e)),
        };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(Errno::WOULDBLOCK) => Ok(true),
            Err(errno) => Err(self.io(errno.into())),
        }
    }

    /// The folder itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The node's database.
    pub fn database(&self) -> PathBuf {
        self.dir.join(DATABASE)
    }

    /// Where a running node says how to reach it.
    pub fn api(&self) -> PathBuf {
        self.dir.join(API)
    }

    /// The folder of catalog blobs.
    pub fn catalogs(&self) -> PathBuf {
        self.dir.join(CATALOGS)
    }

    /// Whether no node lives here yet; an error when something else does.
    fn is_vacant(&self) -> Result<bool, HomeError> {
        match fs::metadata(self.database()) {
            Ok(_) => return Ok(false),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(self.io(e)),
        }
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(e) => return Err(self.io(e)),
        };
        for entry in entries {
            let name = entry.map_err(|e| self.io(e))?.file_name();
            // A database under a temporary name is one whose making broke off.
            let ours = name.to_str().is_some_and(|n| LEFTOVERS.contains(&n) || n.starts_with(DATABASE));
            if !ours {
                return Err(HomeError::NotOurs(self.dir.clone()));
            }
        }
        Ok(true)
    }

    fn lock_file(&self, create: bool) -> io::Result<File> {
        let path = self.dir.join(LOCK);
        OpenOptions::new().read(true).write(true).create(create).mode(0o600).open(path)
    }

    fn sign(&self, file: &mut File) -> io::Result<()> {
        match fs::remove_file(self.api()) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "{}", std::process::id())
    }

    fn io(&self, source: io::Error) -> HomeError {
        HomeError::Io { dir: self.dir.clone(), source }
    }
}

/// The right to run on a home; the kernel takes it back when the process ends, however it ends.
#[derive(Debug)]
pub struct HomeLock {
    file: File,
}

impl Drop for HomeLock {
    fn drop(&mut self) {
        // Closing the file lets go of the lock; the id in it would only mislead a reader after that.
        if let Err(error) = self.file.set_len(0) {
            tracing::debug!(%error, "the lock file keeps an old process id");
        }
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(MAX_PID).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(dir: &Path) -> Home {
        let home = Home::create(dir).expect("an empty place");
        fs::write(home.database(), b"redb").expect("writable");
        home
    }

    #[test]
    fn a_home_is_private_and_made_once() {
        let temp = tempfile::tempdir().expect("temp");
        let dir = temp.path().join("a/b");
        assert!(matches!(Home::open(&dir), Err(HomeError::Missing(_))));
        let home = finished(&dir);
        assert_eq!(fs::metadata(&dir).expect("made").permissions().mode() & 0o777, 0o700);
        assert!(matches!(Home::create(&dir), Err(HomeError::Taken(_))));
        assert_eq!(Home::open(&dir).expect("complete"), home);
    }

    #[test]
    fn a_home_that_broke_off_is_made_again() {
        let temp = tempfile::tempdir().expect("temp");
        let home = Home::create(temp.path()).expect("empty");
        drop(home.lock().expect("free"));
        fs::write(temp.path().join("node.redb.new"), b"half").expect("writable");
        assert!(matches!(Home::open(temp.path()), Err(HomeError::Missing(_))));
        Home::create(temp.path()).expect("leftovers are ours");
    }

    #[test]
    fn a_folder_of_something_else_is_left_alone() {
        let temp = tempfile::tempdir().expect("temp");
        fs::write(temp.path().join("IMG_0001.CR3"), b"raw").expect("writable");
        assert!(matches!(Home::create(temp.path()), Err(HomeError::NotOurs(_))));
        assert!(matches!(Home::open(temp.path()), Err(HomeError::NotOurs(_))));
    }

    #[test]
    fn the_second_node_is_told_of_the_first() {
        let temp = tempfile::tempdir().expect("temp");
        let home = finished(temp.path());
        assert!(!home.is_locked().expect("readable"));
        fs::write(home.api(), b"{}").expect("writable");
        let lock = home.lock().expect("free");
        assert!(!home.api().exists(), "a leftover address misleads commands");
        assert!(home.is_locked().expect("readable"));
        let refused = home.lock().expect_err("held").to_string();
        assert!(refused.contains(&format!("pid {}", std::process::id())), "{refused}");
        drop(lock);
        assert!(!home.is_locked().expect("readable"));
        home.lock().expect("free again");
    }

    #[test]
    fn a_look_at_the_lock_does_not_keep_a_node_from_starting() {
        let temp = tempfile::tempdir().expect("temp");
        let home = finished(temp.path());
        let looks = home.clone();
        let looker = std::thread::spawn(move || {
            for _ in 0..2_000 {
                looks.is_locked().expect("readable");
            }
        });
        for _ in 0..50 {
            drop(home.lock().expect("only looked at"));
        }
        looker.join().expect("looker");
    }
}
