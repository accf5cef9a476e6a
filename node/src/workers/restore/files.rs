//! Which files are wanted, under which names, and where their bytes lie: catalogs in, files to write out. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::time::{Duration, SystemTime};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use safelight_proto::catalog::{Catalog, Entry};
use safelight_proto::id::RollId;

use crate::admin::operator::Failure;
use crate::disk::names::tame_name;
use crate::disk::restore::Wanted;
use crate::view::normal_name;

/// A run of a file's bytes in the data part of a roll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The roll.
    pub roll: RollId,
    /// Offset in its plaintext.
    pub offset: u64,
    /// Length, not 0.
    pub len: u64,
}

/// A file to bring back.
#[derive(Debug, Clone)]
pub struct WantedFile {
    /// Its path, for people.
    pub shown: String,
    /// Its path below the target: any bytes with `/` between names.
    pub path: Vec<u8>,
    /// Length, hash and time.
    pub wanted: Wanted,
    /// Where its bytes lie, in order.
    pub parts: Vec<Part>,
    /// Where the same bytes lie too: another ingest took them in without knowing of the first.
    pub elsewhere: Vec<Vec<Part>>,
    /// An older version of a path: written once the newest has the name.
    pub older: bool,
}

/// Which paths are wanted.
#[derive(Debug, Default)]
pub struct Filter {
    include: Option<GlobSet>,
    exclude: Option<GlobSet>,
}

impl Filter {
    /// The paths that match one of `include`, if there is one, and none of `exclude`. Case does not matter, as cameras
    /// and people disagree about it, and `*` goes across folders.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Self, Failure> {
        Ok(Self { include: globs(include)?, exclude: globs(exclude)? })
    }

    fn wants(&self, path: &str) -> bool {
        self.include.as_ref().is_none_or(|globs| globs.is_match(path))
            && !self.exclude.as_ref().is_some_and(|globs| globs.is_match(path))
    }
}

fn globs(patterns: &[String]) -> Result<Option<GlobSet>, Failure> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let wrong = |error: globset::Error| Failure::usage(format!("this is no pattern for files: {error}"));
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(GlobBuilder::new(pattern).case_insensitive(true).build().map_err(wrong)?);
    }
    Ok(Some(set.build().map_err(wrong)?))
}

/// The files of one shoot. Of one path with equal bytes there is one; with different bytes the latest ingest comes
/// first and the others are marked [`WantedFile::older`]. `folder` stands before every path.
pub fn wanted_files(
    catalogs: &[(RollId, Catalog)],
    folder: Option<&str>,
    filter: &Filter,
) -> Vec<WantedFile> {
    let mut latest_first: Vec<&(RollId, Catalog)> = catalogs.iter().collect();
    latest_first.sort_by_key(|(roll, catalog)| std::cmp::Reverse((catalog.ingested_ms, *roll)));
    let mut by_path: BTreeMap<&[u8], Vec<usize>> = BTreeMap::new();
    let mut files: Vec<WantedFile> = Vec::new();
    for (roll, catalog) in latest_first {
        for entry in catalog.entries.iter().rev().filter(|entry| filter.wants(&entry.path)) {
            let path = entry.raw_path.as_deref().unwrap_or(entry.path.as_bytes());
            let same_path = by_path.entry(path).or_default();
            let same = |at: &&usize| files.get(**at).is_some_and(|file| file.wanted.hash == entry.hash);
            match same_path.iter().find(same) {
                Some(&at) => files[at].elsewhere.push(parts(*roll, entry)),
                None => {
                    let older = !same_path.is_empty();
                    same_path.push(files.len());
                    files.push(wanted_file(*roll, entry, path, folder, older));
                }
            }
        }
    }
    // As they were ingested: that is how they lie in their rolls.
    files.reverse();
    files
}

/// A file that is rebuilt for its own sake: from where its catalog says, and from nowhere else.
pub fn whole_file(roll: RollId, entry: &Entry, folder: &str) -> WantedFile {
    let path = entry.raw_path.as_deref().unwrap_or(entry.path.as_bytes());
    wanted_file(roll, entry, path, Some(folder), false)
}

fn wanted_file(roll: RollId, entry: &Entry, path: &[u8], folder: Option<&str>, older: bool) -> WantedFile {
    let (shown, path) = match folder {
        Some(folder) => (format!("{folder}/{}", entry.path), [folder.as_bytes(), b"/", path].concat()),
        None => (entry.path.clone(), path.to_vec()),
    };
    let wanted =
        Wanted { len: entry.bytes, hash: entry.hash, modified: entry.modified_ns.and_then(system_time) };
    WantedFile { shown, path, wanted, parts: parts(roll, entry), elsewhere: Vec::new(), older }
}

fn parts(roll: RollId, entry: &Entry) -> Vec<Part> {
    let part = |extent: &safelight_proto::catalog::Extent| Part {
        roll: extent.roll.unwrap_or(roll),
        offset: extent.offset,
        len: extent.len,
    };
    entry.extents.iter().map(part).collect()
}

fn system_time(nanos: i64) -> Option<SystemTime> {
    let distance = Duration::from_nanos(nanos.unsigned_abs());
    match nanos < 0 {
        true => SystemTime::UNIX_EPOCH.checked_sub(distance),
        false => SystemTime::UNIX_EPOCH.checked_add(distance),
    }
}

/// Folders for shoots, each named after its shoot, made safe for any file system, no two alike.
#[derive(Debug, Default)]
pub struct Folders(BTreeSet<String>);

impl Folders {
    /// The folder for the next shoot.
    pub fn name(&mut self, shoot: &str) -> String {
        let plain = normal_name(shoot).replace('/', "_");
        let safe = match tame_name(OsStr::new(&plain)).to_string_lossy().into_owned() {
            empty if empty.is_empty() => "unnamed".to_owned(),
            safe => safe,
        };
        let mut numbered = (2..).map(|number| format!("{safe} ({number})"));
        let mut name = safe.clone();
        while !self.0.insert(name.to_lowercase()) {
            name = numbered.next().unwrap_or_default();
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use safelight_proto::catalog::Extent;
    use safelight_proto::id::{Hash, ShootId};

    use super::*;

    fn catalog(roll: u8, ingested_ms: u64, files: &[(&str, u8)]) -> (RollId, Catalog) {
        let entry = |(number, (path, content)): (usize, &(&str, u8))| Entry {
            path: (*path).into(),
            raw_path: None,
            bytes: 10,
            hash: Hash([*content; 32]),
            modified_ns: Some(-1),
            head: [0; 16],
            extents: vec![Extent { roll: None, offset: number as u64 * 10, len: 10 }],
        };
        let entries = files.iter().enumerate().map(entry).collect();
        let catalog = Catalog { shoot: ShootId([1; 16]), shoot_name: "Smith".into(), ingested_ms, entries };
        (RollId([roll; 32]), catalog)
    }

    fn filter(include: &[&str], exclude: &[&str]) -> Filter {
        let owned = |globs: &[&str]| globs.iter().map(|glob| (*glob).to_owned()).collect::<Vec<_>>();
        Filter::new(&owned(include), &owned(exclude)).unwrap()
    }

    #[test]
    fn the_latest_ingest_keeps_the_name() {
        let (early, late) = (catalog(9, 5, &[("a", 1), ("b", 2)]), catalog(3, 6, &[("a", 7), ("b", 2)]));
        for catalogs in [[early.clone(), late.clone()], [late, early]] {
            let files = wanted_files(&catalogs, None, &Filter::default());
            let told: Vec<_> = files
                .iter()
                .map(|f| (f.shown.as_str(), f.wanted.hash.0[0], f.older, f.parts[0].roll.0[0]))
                .collect();
            assert_eq!(told, [("a", 1, true, 9), ("a", 7, false, 3), ("b", 2, false, 3)]);
            assert_eq!(files[2].elsewhere, [vec![Part { roll: RollId([9; 32]), offset: 10, len: 10 }]]);
        }
    }

    #[test]
    fn patterns_go_across_folders_and_case() {
        let all = [catalog(1, 1, &[("DCIM/100/A.CR3", 1), ("DCIM/100/A.JPG", 2), ("b.cr3", 3)])];
        let names = |filter| {
            let files = wanted_files(&all, Some("Smith"), &filter);
            files.into_iter().map(|file| file.shown).collect::<Vec<_>>()
        };
        assert_eq!(names(filter(&["*.cr3"], &[])), ["Smith/DCIM/100/A.CR3", "Smith/b.cr3"]);
        assert_eq!(names(filter(&["*.cr3", "*.jpg"], &["dcim/**"])), ["Smith/b.cr3"]);
        assert!(Filter::new(&["[".into()], &[]).is_err());
    }

    #[test]
    fn folders_are_safe_and_differ() {
        let mut folders = Folders::default();
        let names = ["Smith", "smith", "a/b", "..", "", "Smith (2)", "CON"].map(|name| folders.name(name));
        assert_eq!(names, ["Smith", "smith (2)", "a_b", "._", "unnamed", "Smith (2) (2)", "_CON"]);
    }
}
