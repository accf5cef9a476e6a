//! What lies under a path: the medium, the drive, the room. All of it is read from Linux's own accounts.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{major, makedev, minor, statfs, statvfs};
use safelight_proto::vocabulary::Media;

/// File systems that are a server's, by the magic number of `statfs(2)`: NFS, SMB1, CIFS, SMB2, AFS, Ceph,
/// 9P.
const NETWORK: [u64; 7] = [0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42, 0x5346_414f, 0x00c3_6400, 0x0102_1997];
/// File systems that a power cut empties: tmpfs, ramfs.
const MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];
/// File systems with Windows' rules for names: FAT, exFAT, NTFS (two drivers), and the SMB family.
const WINDOWS: [u64; 7] = [0x4d44, 0x2011_bab0, 0x5346_544e, 0x7366_746e, 0x517b, 0xff53_4d42, 0xfe53_4d42];
/// Deepest stack of mapped devices that is followed (encryption on LVM on RAID is three).
const MAX_STACK: usize = 8;

/// The device under a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The medium as far as it can be detected; `None` where nothing tells, and then it counts as `hdd`.
    pub media: Option<Media>,
    /// The file system: two volumes with one id are one failure.
    pub filesystem: u64,
    /// The drives underneath, by kernel device number (`8:0`), sorted; empty when they cannot be seen.
    pub drives: Vec<String>,
    /// The file system lives in memory: nothing on it survives a power cut.
    pub volatile: bool,
    /// Names follow Windows' rules here: case is folded, some names and characters are refused.
    pub windows_names: bool,
}

impl Device {
    /// Looks at the device under `path`.
    pub fn of(path: &Path) -> io::Result<Self> {
        let filesystem = fs::metadata(path)?.dev();
        // `f_type` differs in width and sign between architectures; the magic numbers all fit 32 bits.
        let kind = statfs(path)?.f_type as u64 & 0xffff_ffff;
        let disks = drives(filesystem);
        let media = if NETWORK.contains(&kind) { Some(Media::Nas) } else { worst(&disks) };
        let mut drives: Vec<String> = disks.iter().filter_map(|disk| number(disk)).collect();
        drives.sort();
        drives.dedup();
        let (volatile, windows_names) = (MEMORY.contains(&kind), WINDOWS.contains(&kind));
        Ok(Self { media, filesystem, drives, volatile, windows_names })
    }

    /// One text for the manifest, equal for equal devices of one machine.
    pub fn identity(&self) -> String {
        match self.drives.as_slice() {
            [] => format!("fs {:x}", self.filesystem),
            drives => format!("disk {}", drives.join("+")),
        }
    }
}

/// Bytes of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that an unprivileged process may still write.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
}

impl Space {
    /// Asks the file system of `path`.
    pub fn of(path: &Path) -> io::Result<Self> {
        let stat = statvfs(path)?;
        let unit = stat.f_frsize;
        Ok(Self { free: stat.f_bavail.saturating_mul(unit), total: stat.f_blocks.saturating_mul(unit) })
    }
}

/// The sysfs folders of the whole disks under a file system.
fn drives(filesystem: u64) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for device in [Some(filesystem), mounted_from(filesystem)].into_iter().flatten() {
        let node = PathBuf::from(format!("/sys/dev/block/{}:{}", major(device), minor(device)));
        if let Ok(node) = node.canonicalize() {
            collect(&node, MAX_STACK, &mut found);
            break;
        }
    }
    found
}

/// Follows partitions to their disk and mapped devices (LVM, RAID, encryption) to what they lie on.
fn collect(node: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    let disk = if node.join("partition").exists() { node.parent().unwrap_or(node) } else { node };
    let slaves: Vec<PathBuf> = fs::read_dir(disk.join("slaves"))
        .map(|entries| entries.flatten().filter_map(|e| e.path().canonicalize().ok()).collect())
        .unwrap_or_default();
    if slaves.is_empty() || depth == 0 {
        found.push(disk.to_owned());
    }
    for slave in slaves.iter().filter(|_| depth > 0) {
        collect(slave, depth - 1, found);
    }
}

/// File systems such as btrfs and overlays have a made-up device number; the mount table names the real one.
fn mounted_from(filesystem: u64) -> Option<u64> {
    let number = format!("{}:{}", major(filesystem), minor(filesystem));
    let table = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let line = table.lines().find(|line| line.split(' ').nth(2) == Some(number.as_str()))?;
    let source = line.split(" - ").nth(1)?.split(' ').nth(1)?;
    let device = fs::metadata(source.starts_with('/').then_some(source)?).ok()?.rdev();
    (device != makedev(0, 0)).then_some(device)
}

/// The weakest medium of the stack: a mirror of an SSD and a USB stick is as good as the stick.
fn worst(disks: &[PathBuf]) -> Option<Media> {
    let media: Vec<Media> = disks.iter().filter_map(|disk| medium(disk)).collect();
    [Media::Usb, Media::Hdd, Media::Ssd].into_iter().find(|m| media.contains(m))
}

fn medium(disk: &Path) -> Option<Media> {
    let flag = |name: &str| fs::read_to_string(disk.join(name)).ok().map(|text| text.trim() == "1");
    let on_usb = disk.components().any(|part| part.as_os_str().to_string_lossy().starts_with("usb"));
    if on_usb || flag("removable") == Some(true) {
        return Some(Media::Usb);
    }
    flag("queue/rotational").map(|spins| if spins { Media::Hdd } else { Media::Ssd })
}

fn number(disk: &Path) -> Option<String> {
    fs::read_to_string(disk.join("dev")).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_has_one_identity() {
        let dir = tempfile::tempdir().unwrap();
        let here = Device::of(dir.path()).unwrap();
        assert_eq!(here.identity(), Device::of(dir.path()).unwrap().identity());
        assert!(!here.identity().is_empty());
        let space = Space::of(dir.path()).unwrap();
        assert!(space.free <= space.total && space.total > 0);
    }

    #[test]
    fn memory_is_known_as_volatile() {
        match Device::of(Path::new("/dev/shm")) {
            Ok(device) if Path::new("/proc/mounts").exists() => {
                let table = fs::read_to_string("/proc/mounts").unwrap();
                let tmpfs = table.lines().any(|l| l.contains(" /dev/shm tmpfs "));
                assert_eq!(device.volatile, tmpfs);
            }
            _ => eprintln!("skipped: this machine has no /dev/shm"),
        }
    }

    #[test]
    fn a_missing_path_is_an_error() {
        assert!(Device::of(Path::new("/no/such/place")).is_err());
        assert!(Space::of(Path::new("/no/such/place")).is_err());
    }

    #[test]
    fn disks_are_judged_by_their_flags() {
        let dir = tempfile::tempdir().unwrap();
        let disk = dir.path().join("sda");
        fs::create_dir_all(disk.join("queue")).unwrap();
        assert_eq!(medium(&disk), None);
        fs::write(disk.join("queue/rotational"), "0\n").unwrap();
        assert_eq!(medium(&disk), Some(Media::Ssd));
        fs::write(disk.join("queue/rotational"), "1\n").unwrap();
        assert_eq!(medium(&disk), Some(Media::Hdd));
        fs::write(disk.join("removable"), "1\n").unwrap();
        assert_eq!(medium(&disk), Some(Media::Usb));
        assert_eq!(worst(&[]), None);
    }
}
