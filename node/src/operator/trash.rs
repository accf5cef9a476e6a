//! Deleting, looking into the trash, and taking back. Here only words are said; what they come to every holder decides
//! for itself, slowly.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use globset::GlobBuilder;
use safelight_core::event::Event;
use safelight_proto::catalog::{Catalog, Entry};
use safelight_proto::id::RollId;
use safelight_proto::record::{Body, Roll, Trash};
use tokio::sync::Mutex;

use super::files::catalogs;
use crate::admin::doc;
use crate::admin::operator::{Failure, Outcome, Reporter};
use crate::shell::Shell;
use crate::view::{ShootView, find_shoot, shoots_of, trash};

/// One at a time: each reads what is deleted of a roll, and says it anew.
static ONE: Mutex<()> = Mutex::const_new(());

/// The command `delete`.
pub(super) async fn delete(
    shell: &Arc<Shell>,
    shoot: String,
    paths: Vec<String>,
    reporter: &Reporter,
) -> Result<Outcome, Failure> {
    super::studio_only(shell, "delete photos")?;
    let _one = ONE.lock().await;
    super::files::measure_deleted(shell).await?;
    let found = super::shoot_of(shell, shoot).await?;
    let (places, files, bytes) = match paths.is_empty() {
        true => {
            let whole = |roll: &Roll| (roll.roll, Places { all: true, hidden: BTreeSet::new() });
            (found.rolls.iter().map(whole).collect(), found.files(), found.bytes())
        }
        false => {
            let lists = catalogs(shell, &found.rolls, reporter).await?;
            let chosen = choose(&found, &lists, &paths, |hidden| !hidden, "no file")?;
            (more(&found, &chosen), chosen.files, chosen.bytes)
        }
    };
    let bodies = places.into_iter().map(|(roll, places)| places.body(roll)).collect();
    shell.core.settle(Event::Say(bodies)).await?;
    let rolls: Vec<RollId> = found.rolls.iter().map(|roll| roll.roll).collect();
    let asked = shell.core.ask(move |node| {
        let dead = rolls.iter().filter(|roll| node.is_dead(roll));
        let stored: u64 = dead.map(|roll| node.stored_bytes(roll)).sum();
        (stored, node.settings().quarantine / 1000, node.braked().is_some())
    });
    let (frees_bytes, quarantine_seconds, braked) = asked.await?;
    let document =
        doc::DeletionDoc { shoot: found.name, files, bytes, frees_bytes, quarantine_seconds, braked };
    Ok(Outcome::done(document))
}

/// The command `undelete`.
pub(super) async fn undelete(
    shell: &Arc<Shell>,
    shoot: String,
    paths: Vec<String>,
    reporter: &Reporter,
) -> Result<Outcome, Failure> {
    super::studio_only(shell, "take anything back from the trash")?;
    let _one = ONE.lock().await;
    let reader = Arc::clone(shell);
    let asked = shell.core.ask(move |node| {
        let all = shoots_of(node, &reader.names, reader.reading_key.as_ref(), |_| true);
        let mut found = find_shoot(&all, &shoot)?;
        let manifest = node.manifest();
        let stands = found.rolls.iter().any(|roll| !manifest.is_trashed(roll));
        let deleted = |roll: &Roll| manifest.is_trashed(roll) || found.hidden.contains_key(&roll.roll);
        let rolls: Vec<Roll> = found.rolls.iter().filter(|roll| deleted(roll)).cloned().collect();
        // What nobody holds anything of is in no trash any more. It is told of where nothing else is left.
        let held: Vec<Roll> =
            rolls.iter().filter(|roll| node.stored_bytes(&roll.roll) > 0).cloned().collect();
        found.rolls = if stands || !held.is_empty() { held } else { rolls };
        let gone = found.rolls.iter().filter(|roll| !trash::can_come_back(node, roll)).map(|roll| roll.roll);
        let gone: BTreeSet<RollId> = gone.collect();
        Ok::<_, Failure>((found, gone))
    });
    let (found, gone) = asked.await??;
    let name = found.name.clone().unwrap_or_default();
    if found.rolls.is_empty() {
        return Err(Failure::new(format!("nothing of {name} is in the trash")).next("safelight trash"));
    }
    let lists = match paths.is_empty() {
        true => readable(shell, &found.rolls).await?,
        false => catalogs(shell, &found.rolls, reporter).await?,
    };
    let mut chosen = match paths.is_empty() {
        true => everything(&found, &lists),
        false => choose(&found, &lists, &paths, |hidden| hidden, "no deleted file")?,
    };
    let gone_files = chosen.give_up(&gone);
    if chosen.places.is_empty() || (chosen.files == 0 && gone_files > 0) {
        return Err(Failure::new(format!(
            "what was asked for of {name} is gone for good: its quarantine ran out, and the room was freed"
        ))
        .next("if the card or another copy is still there, ingest it again"));
    }
    let bodies = less(&found, &chosen).into_iter().map(|(roll, places)| places.body(roll)).collect();
    shell.core.settle(Event::Say(bodies)).await?;
    let document =
        doc::UndeletionDoc { shoot: found.name, files: chosen.files, bytes: chosen.bytes, gone_files };
    Ok(if gone_files == 0 { Outcome::done(document) } else { Outcome::attention(document) })
}

/// The command `trash`.
pub(super) async fn list(shell: &Arc<Shell>) -> Result<Outcome, Failure> {
    let reader = Arc::clone(shell);
    let told = shell.core.ask(move |node| {
        let bin = trash::bin(node, &reader.names, reader.reading_key.as_ref());
        (bin, node.settings().quarantine / 1000, node.braked().is_some())
    });
    let (trash::Bin { mut whole, partly }, quarantine_seconds, braked) = told.await?;
    let rolls: Vec<Roll> = partly.iter().map(|partly| partly.roll.clone()).collect();
    let lists: BTreeMap<RollId, Catalog> =
        readable(shell, &rolls).await?.into_iter().map(|(roll, catalog)| (roll.roll, catalog)).collect();
    whole.extend(partly.iter().flat_map(|partly| partly.told(lists.get(&partly.roll.roll))));
    Ok(Outcome::done(doc::TrashDoc { trash: whole, quarantine_seconds, braked }))
}

/// The catalogs that are here.
async fn readable(shell: &Arc<Shell>, rolls: &[Roll]) -> Result<Vec<(Roll, Catalog)>, Failure> {
    let (worker, rolls) = (Arc::clone(shell), rolls.to_vec());
    let read = move || {
        let key = worker.reading_key.as_ref();
        let catalog = |roll: Roll| Some((worker.catalogs.catalog(worker.library, &roll, key?).ok()?, roll));
        rolls.into_iter().filter_map(catalog).map(|(catalog, roll)| (roll, catalog)).collect()
    };
    tokio::task::spawn_blocking(read)
        .await
        .map_err(|error| Failure::new(format!("the lists of files cannot be read: {error}")))
}

/// What is deleted of one roll.
struct Places {
    all: bool,
    hidden: BTreeSet<u32>,
}

impl Places {
    fn body(self, roll: RollId) -> Body {
        Body::Trash(Trash { roll, all: self.all, hidden: self.hidden })
    }
}

/// Files that are meant: their places, by roll.
#[derive(Default)]
struct Chosen {
    places: BTreeMap<RollId, BTreeMap<u32, u64>>,
    files: u64,
    bytes: u64,
}

impl Chosen {
    fn add(&mut self, roll: RollId, place: u32, bytes: u64) {
        self.places.entry(roll).or_default().insert(place, bytes);
        self.files += 1;
        self.bytes += bytes;
    }

    /// Leaves out the rolls that cannot be rebuilt any more; how many files that are.
    fn give_up(&mut self, gone: &BTreeSet<RollId>) -> u64 {
        let mut files = 0;
        for roll in gone {
            for bytes in self.places.remove(roll).into_iter().flat_map(BTreeMap::into_values) {
                files += 1;
                self.bytes -= bytes;
            }
        }
        self.files -= files;
        files
    }
}

/// The files of the catalogs that `paths` name, of those that `wanted` picks by whether they are deleted. A path that
/// names none is an error.
fn choose(
    shoot: &ShootView,
    lists: &[(Roll, Catalog)],
    paths: &[String],
    wanted: impl Fn(bool) -> bool,
    none: &str,
) -> Result<Chosen, Failure> {
    let mut known: Vec<(RollId, u32, &Entry)> = Vec::new();
    for (roll, catalog) in lists {
        let hidden = shoot.hidden.get(&roll.roll);
        let is_hidden = |place: &u32| hidden.is_some_and(|places| places.contains(place));
        let placed = (0u32..).zip(&catalog.entries).filter(|(place, _)| wanted(is_hidden(place)));
        known.extend(placed.map(|(place, entry)| (roll.roll, place, entry)));
    }
    let mut chosen: BTreeMap<(RollId, u32), u64> = BTreeMap::new();
    for path in paths {
        let mut named: Vec<_> = known.iter().filter(|(_, _, entry)| entry.path == *path).collect();
        if named.is_empty()
            && let Ok(glob) = GlobBuilder::new(path).build()
        {
            let glob = glob.compile_matcher();
            named = known.iter().filter(|(_, _, entry)| glob.is_match(&entry.path)).collect();
        }
        if named.is_empty() {
            let name = shoot.name.as_deref().unwrap_or_default();
            return Err(Failure::new(format!("there is {none} '{path}' in {name}; nothing was changed"))
                .next("`safelight files` and `safelight trash` list the paths"));
        }
        chosen.extend(named.iter().map(|(roll, place, entry)| ((*roll, *place), entry.bytes)));
    }
    let mut sum = Chosen::default();
    chosen.into_iter().for_each(|((roll, place), bytes)| sum.add(roll, place, bytes));
    Ok(sum)
}

/// All that is deleted of the shoot's rolls; the sizes as far as their catalogs are here.
fn everything(shoot: &ShootView, lists: &[(Roll, Catalog)]) -> Chosen {
    let mut chosen = Chosen::default();
    for roll in &shoot.rolls {
        chosen.places.entry(roll.roll).or_default();
        let list = lists.iter().find(|(of, _)| of.roll == roll.roll).map(|(_, catalog)| catalog);
        for place in shoot.hidden.get(&roll.roll).into_iter().flatten() {
            let entry = list.and_then(|catalog| catalog.entries.get(*place as usize));
            chosen.add(roll.roll, *place, entry.map_or(0, |entry| entry.bytes));
        }
    }
    chosen
}

/// What is deleted of each roll once the chosen files are too. With the last roll that refers to it goes one that only
/// carries pieces of a large file.
fn more(shoot: &ShootView, chosen: &Chosen) -> BTreeMap<RollId, Places> {
    let mut places = BTreeMap::new();
    for roll in &shoot.rolls {
        let Some(of) = chosen.places.get(&roll.roll) else { continue };
        let mut hidden = shoot.hidden.get(&roll.roll).cloned().unwrap_or_default();
        hidden.extend(of.keys());
        let all = hidden.len() as u64 >= roll.files;
        places.insert(roll.roll, Places { all, hidden: if all { BTreeSet::new() } else { hidden } });
    }
    let whole = |roll: &RollId, places: &BTreeMap<RollId, Places>| places.get(roll).is_some_and(|p| p.all);
    for piece in shoot.rolls.iter().filter(|roll| roll.files == 0) {
        let mut carried = shoot.rolls.iter().filter(|roll| roll.references.contains(&piece.roll)).peekable();
        if carried.peek().is_some() && carried.all(|roll| whole(&roll.roll, &places)) {
            places.insert(piece.roll, Places { all: true, hidden: BTreeSet::new() });
        }
    }
    places
}

/// What is still deleted of each roll once the chosen files are not, with the rolls that carry pieces of them.
fn less(shoot: &ShootView, chosen: &Chosen) -> BTreeMap<RollId, Places> {
    let mut places = BTreeMap::new();
    for roll in shoot.rolls.iter() {
        let Some(of) = chosen.places.get(&roll.roll) else { continue };
        let mut hidden = shoot.hidden.get(&roll.roll).cloned().unwrap_or_default();
        hidden.retain(|place| !of.contains_key(place));
        places.insert(roll.roll, Places { all: false, hidden });
        for piece in shoot.rolls.iter().filter(|p| p.files == 0 && roll.references.contains(&p.roll)) {
            places.insert(piece.roll, Places { all: false, hidden: BTreeSet::new() });
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use safelight_proto::id::{Hash, ShootId};
    use safelight_proto::vocabulary::Rule;

    use super::*;

    fn roll(n: u8, files: u64, references: &[u8]) -> Roll {
        Roll {
            roll: RollId([n; 32]),
            shoot: ShootId([1; 16]),
            shoot_name: vec![],
            references: references.iter().map(|n| RollId([*n; 32])).collect(),
            data_bytes: 1,
            catalog_bytes: 1,
            sealed_hash: Hash([0; 32]),
            wrapped_key: [0; 80],
            catalog_hash: Hash([n; 32]),
            files,
            bytes: files,
        }
    }

    fn catalog(paths: &[&str]) -> Catalog {
        let entry = |path: &&str| Entry {
            path: (*path).into(),
            raw_path: None,
            bytes: 10,
            hash: Hash([0; 32]),
            modified_ns: None,
            head: [0; 16],
            extents: vec![],
        };
        let entries = paths.iter().map(entry).collect();
        Catalog { shoot: ShootId([1; 16]), shoot_name: "Smith".into(), ingested_ms: 1, entries }
    }

    fn shoot(rolls: Vec<Roll>, hidden: &[(u8, &[u32])]) -> ShootView {
        ShootView {
            name: Some("Smith".into()),
            ids: [ShootId([1; 16])].into(),
            rolls,
            rule: Rule::default(),
            hidden: hidden.iter().map(|(n, p)| (RollId([*n; 32]), p.iter().copied().collect())).collect(),
            hidden_bytes: 0,
        }
    }

    fn words(paths: &[&str]) -> Vec<String> {
        paths.iter().map(|path| (*path).to_owned()).collect()
    }

    #[test]
    fn paths_are_taken_as_they_are_listed_and_else_as_globs() {
        let shoot = shoot(vec![roll(1, 4, &[])], &[(1, &[3])]);
        let lists = [(roll(1, 4, &[]), catalog(&["a/[x].jpg", "a/x.jpg", "a/X.jpg", "a/gone.jpg"]))];
        let chosen = |paths: &[&str]| choose(&shoot, &lists, &words(paths), |hidden| !hidden, "no file");
        let places = |paths: &[&str]| {
            chosen(paths).map(|c| c.places[&RollId([1; 32])].keys().copied().collect::<Vec<_>>())
        };
        assert_eq!(places(&["a/[x].jpg"]).ok(), Some(vec![0]), "a name before a pattern");
        assert_eq!(places(&["a/[xX].jpg"]).ok(), Some(vec![1, 2]));
        assert_eq!(places(&["*.jpg", "a/x.jpg"]).ok(), Some(vec![0, 1, 2]), "each once, and none twice");
        let refused = chosen(&["a/x.jpg", "a/gone.jpg"]).err().expect("it is deleted already");
        assert!(refused.message.contains("'a/gone.jpg'"), "{refused}");
        assert!(chosen(&["A/x.jpg"]).is_err(), "case matters where something is deleted");
    }

    #[test]
    fn a_roll_goes_with_its_last_file_and_takes_its_pieces_along() {
        let rolls = vec![roll(1, 0, &[]), roll(2, 2, &[1])];
        let lists = [(rolls[0].clone(), catalog(&[])), (rolls[1].clone(), catalog(&["large.mov", "b"]))];
        let gone = |shoot: &ShootView, paths: &[&str]| {
            let chosen = choose(shoot, &lists, &words(paths), |hidden| !hidden, "no file").expect("there");
            more(shoot, &chosen).into_iter().filter(|(_, p)| p.all).map(|(r, _)| r.0[0]).collect::<Vec<_>>()
        };
        let before = shoot(rolls.clone(), &[]);
        assert_eq!(gone(&before, &["large.mov"]), [] as [u8; 0]);
        assert_eq!(gone(&before, &["*"]), [1, 2]);
        assert_eq!(gone(&shoot(rolls.clone(), &[(2, &[0])]), &["b"]), [1, 2]);
        // And back: one file, and the piece it lies in.
        let after = shoot(rolls, &[(2, &[0, 1])]);
        let chosen =
            choose(&after, &lists, &words(&["large.mov"]), |hidden| hidden, "no file").expect("there");
        let back = less(&after, &chosen);
        assert!(!back[&RollId([1; 32])].all);
        assert_eq!(back[&RollId([2; 32])].hidden, [1].into());
    }
}
