//! Any path that a catalog may name, made into one that is safe to create below a folder.
//!
//! A catalog is written by a member, and a member may be hostile or broken. What would leave the folder or
//! cannot exist (`..`, an absolute path, NUL, an empty or over-long name) is always made safe. What only some
//! file systems refuse (`CON`, `a:b`, a trailing dot) is kept as it was wherever the target can hold it: the
//! photographer's own names come back byte for byte. Names that differ only in case or Unicode form are no
//! matter of this page: [`super::restore`] never replaces a file, whatever the file system takes for the same
//! name.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// Longest name of one file or folder, in bytes, as all common file systems have it.
pub const MAX_NAME: usize = 255;
/// Most folders above a file; the ones between the first and the last few are folded into one.
pub const MAX_FOLDERS: usize = 128;
/// Longest ending that is kept when a name is cut, dot included.
const MAX_ENDING: usize = 16;

/// A path of plain names: no root, no `.`, no `..`, nothing empty, at least a file name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SafePath {
    /// Folders from the outside in.
    pub folders: Vec<OsString>,
    /// The file's name.
    pub name: OsString,
    /// Whether anything had to be changed.
    pub changed: bool,
}

impl SafePath {
    /// Makes `path` safe. With `windows`, also by the rules of FAT, NTFS and SMB.
    pub fn new(path: &[u8], windows: bool) -> Self {
        let given: Vec<&[u8]> = path.split(|b| *b == b'/').collect();
        let mut parts: Vec<Vec<u8>> =
            given.iter().filter(|part| !part.is_empty() && **part != b".").map(|part| plain(part)).collect();
        if parts.is_empty() {
            parts.push(b"unnamed".to_vec());
        }
        fold_deep(&mut parts);
        let mut parts: Vec<OsString> = parts
            .into_iter()
            .map(|part| OsString::from_vec(fit(if windows { tame(&part) } else { part })))
            .collect();
        let changed = parts.len() != given.len() || parts.iter().zip(&given).any(|(p, g)| p.as_bytes() != *g);
        let name = parts.pop().unwrap_or_else(|| OsString::from("unnamed"));
        Self { folders: parts, name, changed }
    }

    /// The path as one piece, relative.
    pub fn to_path(&self) -> PathBuf {
        self.folders.iter().chain([&self.name]).collect()
    }
}

/// `name` as the `attempt`-th name beside a file that is in the way: `DSC1 (restored).NEF`, `DSC1 (restored
/// 2).NEF`.
pub fn beside(name: &OsStr, attempt: u32) -> OsString {
    let mark = match attempt {
        0 => return name.to_owned(),
        1 => " (restored)".to_owned(),
        n => format!(" (restored {n})"),
    };
    let (stem, ending) = split_ending(name.as_bytes());
    let room = MAX_NAME - mark.len() - ending.len();
    OsString::from_vec([cut(stem, room), mark.as_bytes(), ending].concat())
}

/// A name as the strictest file systems take it.
pub fn tame_name(name: &OsStr) -> OsString {
    OsString::from_vec(fit(tame(name.as_bytes())))
}

/// One component without what no file system can hold, and without a way up.
fn plain(part: &[u8]) -> Vec<u8> {
    if part == b".." {
        return b"(up)".to_vec();
    }
    part.iter().map(|b| if *b == 0 { b'_' } else { *b }).collect()
}

/// Windows' rules: no `<>:"|?*\` or control characters, no trailing dot or space, no device names, text only.
fn tame(part: &[u8]) -> Vec<u8> {
    let mut text: String = String::from_utf8_lossy(part)
        .chars()
        .map(|c| if c.is_control() || r#"<>:"|?*\"#.contains(c) { '_' } else { c })
        .collect();
    if text.ends_with(['.', ' ']) {
        text.pop();
        text.push('_');
    }
    let stem = text.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = |device: &str| {
        stem.strip_prefix(device).is_some_and(|n| n.len() == 1 && n.bytes().all(|b| b.is_ascii_digit()))
    };
    let device = ["CON", "PRN", "AUX", "NUL"].contains(&stem.as_str()) || numbered("COM") || numbered("LPT");
    if device { format!("_{text}").into_bytes() } else { text.into_bytes() }
}

/// Cuts an over-long name, keeping its ending, with a mark from its hash so that two long names stay two.
fn fit(part: Vec<u8>) -> Vec<u8> {
    if part.len() <= MAX_NAME {
        return part;
    }
    let mark = format!("~{}", &blake3::hash(&part).to_hex()[..8]);
    let (stem, ending) = split_ending(&part);
    [cut(stem, MAX_NAME - mark.len() - ending.len()), mark.as_bytes(), ending].concat()
}

/// Folds the middle of a path that is nested too deep into one folder named by its hash.
fn fold_deep(parts: &mut Vec<Vec<u8>>) {
    if parts.len() <= MAX_FOLDERS + 1 {
        return;
    }
    let keep = MAX_FOLDERS / 2;
    let middle: Vec<Vec<u8>> = parts.drain(keep..parts.len() - keep).collect();
    let mark = format!("(folded {})", &blake3::hash(&middle.join(&b'/')).to_hex()[..16]);
    parts.insert(keep, mark.into_bytes());
}

/// The stem and the ending with its dot; a leading dot starts no ending.
fn split_ending(name: &[u8]) -> (&[u8], &[u8]) {
    match name.iter().rposition(|b| *b == b'.') {
        Some(at) if at > 0 && name.len() - at <= MAX_ENDING => name.split_at(at),
        _ => (name, &[]),
    }
}

/// At most `room` bytes from the start, never inside a UTF-8 character.
fn cut(stem: &[u8], room: usize) -> &[u8] {
    if stem.len() <= room {
        return stem;
    }
    let inside = |at: usize| stem[at] & 0xc0 == 0x80;
    let end = (room.saturating_sub(3)..=room).rev().find(|at| !inside(*at)).unwrap_or(room);
    &stem[..end]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn safe(path: &[u8], windows: bool) -> (String, bool) {
        let path = SafePath::new(path, windows);
        (path.to_path().to_string_lossy().into_owned(), path.changed)
    }

    #[test]
    fn ordinary_names_stay() {
        for path in
            ["DCIM/100/a.NEF", "CON.jpg", "a:b.jpg", "trailing.", "back\\slash", ".hidden", "...", "a b/ c "]
        {
            assert_eq!(safe(path.as_bytes(), false), (path.to_owned(), false), "{path}");
        }
        let latin = SafePath::new(b"caf\xe9.jpg", false);
        assert_eq!((latin.name.as_bytes(), latin.changed), (&b"caf\xe9.jpg"[..], false));
    }

    #[test]
    fn what_would_leave_is_made_safe() {
        for (path, want) in [
            ("../../etc/passwd", "(up)/(up)/etc/passwd"),
            ("/etc/passwd", "etc/passwd"),
            ("a/./b//c", "a/b/c"),
            ("a/", "a"),
            ("", "unnamed"),
            ("/", "unnamed"),
            ("..", "(up)"),
            (".", "unnamed"),
            ("a\0b", "a_b"),
        ] {
            assert_eq!(safe(path.as_bytes(), false), (want.to_owned(), true), "{path:?}");
        }
    }

    #[test]
    fn strict_targets_get_tame_names() {
        for (path, want) in [
            ("CON", "_CON"),
            ("con.jpg", "_con.jpg"),
            ("nul .txt", "_nul .txt"),
            ("COM1/LPT9.x", "_COM1/_LPT9.x"),
            ("a:b?.jpg", "a_b_.jpg"),
            ("end.", "end_"),
            ("end ", "end_"),
            ("tab\tnew\nline", "tab_new_line"),
        ] {
            assert_eq!(safe(path.as_bytes(), true), (want.to_owned(), true), "{path:?}");
        }
        assert_eq!(safe("COM10.console".as_bytes(), true), ("COM10.console".to_owned(), false));
    }

    #[test]
    fn long_names_keep_their_ending_and_stay_two() {
        let (a, b) = (format!("{}1.NEF", "é".repeat(200)), format!("{}2.NEF", "é".repeat(200)));
        let (a, b) = (SafePath::new(a.as_bytes(), false), SafePath::new(b.as_bytes(), false));
        assert!(a.changed && a.name != b.name);
        for name in [&a.name, &b.name, &beside(&a.name, 12)] {
            assert!(name.len() <= MAX_NAME && name.to_str().is_some_and(|n| n.ends_with(".NEF")));
        }
    }

    #[test]
    fn a_suffix_goes_before_the_ending() {
        assert_eq!(beside(OsStr::new("DSC1.NEF"), 0), "DSC1.NEF");
        assert_eq!(beside(OsStr::new("DSC1.NEF"), 1), "DSC1 (restored).NEF");
        assert_eq!(beside(OsStr::new(".hidden"), 2), ".hidden (restored 2)");
    }

    proptest! {
        #[test]
        fn every_path_becomes_plain_names(path in prop::collection::vec(any::<u8>(), 0..2000), windows: bool) {
            let safe = SafePath::new(&path, windows);
            for part in safe.folders.iter().chain([&safe.name]) {
                let bytes = part.as_bytes();
                prop_assert!(!bytes.is_empty() && bytes.len() <= MAX_NAME);
                prop_assert!(bytes != b"." && bytes != b".." && !bytes.contains(&b'/') && !bytes.contains(&0));
            }
            prop_assert!(safe.folders.len() <= MAX_FOLDERS);
            prop_assert_eq!(safe.changed, safe.to_path().as_os_str().as_bytes() != path.as_slice());
            // Safe names are safe: a second pass changes nothing.
            let again = SafePath::new(safe.to_path().as_os_str().as_bytes(), windows);
            prop_assert!(!again.changed);
        }

        #[test]
        fn depth_is_bounded(depth in 0usize..600) {
            let path = "d/".repeat(depth) + "file.jpg";
            let safe = SafePath::new(path.as_bytes(), false);
            prop_assert!(safe.folders.len() <= MAX_FOLDERS);
            prop_assert_eq!(safe.name, "file.jpg");
        }
    }
}
