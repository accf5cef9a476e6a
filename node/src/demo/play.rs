//! What happens on the stage, in order.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Script;
use super::compare;
use super::photos::WEDDING;
use super::stage::Stage;
use crate::admin::doc::{InviteDoc, NodeState, NodesDoc, RecoverDoc, ShootDoc, StatusDoc, Verdict};
use crate::admin::operator::Failure;

/// The shoot's name.
const SHOOT: &str = "Demo wedding";

/// Room needed for each byte of photos: on the volumes, staged, and come back.
const ROOM_FACTOR: u64 = 5;

/// How long a command that moves no photos may take.
const SHORT: Duration = Duration::from_secs(90);

/// Slowest pace at which photos may move before the demonstration gives up, in bytes a second.
const SLOWEST: u64 = 2_000_000;

/// Pause between two looks at the library.
const LOOK_PAUSE: Duration = Duration::from_millis(300);

/// The two sites that survive: home, site, medium.
const VAULTS: [(&str, &str); 2] = [("friend", "nas"), ("cloud", "cloud")];

/// Plays it all; what is found goes into the script's document.
pub fn play(stage: &mut Stage, script: &mut Script, given: Option<PathBuf>) -> Result<(), Failure> {
    let card = photos(stage, script, given)?;
    let long = SHORT + Duration::from_secs(script.document.bytes / SLOWEST);

    script.step("found the library at the studio, with two drives", || found(stage))?;
    for (site, media) in VAULTS {
        script.step(&format!("let the site {site} in, as a vault"), || let_in(stage, site, media))?;
    }
    let vaults = script.step("all three sites see each other", || all_online(stage))?;
    script.step("take the photos in at the studio", || {
        let args = words(["ingest".as_ref(), card.as_os_str(), "--shoot".as_ref(), SHOOT.as_ref()]);
        let document = stage.watch("studio", &args, long)?;
        match document["stored"].as_bool() {
            Some(true) => Ok(()),
            _ => Err(Failure::new("the studio did not store the photos")),
        }
    })?;
    let shoot = script.step("wait until the loss of any site is survived", || until_safe(stage, long))?;
    if script.document.bytes > 0 {
        script.document.storage_factor = Some(shoot.stored_bytes as f64 / script.document.bytes as f64);
    }
    script.step("destroy the studio: its computer, its home, both drives", || {
        stage.destroy("studio", &["studio", "studio-ssd", "studio-hdd"])
    })?;
    let recovered = script
        .step("recover on a new computer, from the phrase and one vault", || recover(stage, &vaults, long))?;
    script.step("compare every byte with the card", || same(stage, &card, &recovered))?;
    script.document.identical = true;
    Ok(())
}

/// The photos, given or made up, and counted.
fn photos(stage: &mut Stage, script: &mut Script, given: Option<PathBuf>) -> Result<PathBuf, Failure> {
    let name =
        if given.is_some() { "look at the photos" } else { "make up a wedding, as a camera leaves it" };
    let (card, files) = script.step(name, || {
        let card = match given {
            Some(card) => card,
            None => {
                stage.need_room(WEDDING.most_bytes() * (ROOM_FACTOR + 1))?;
                let (card, interrupt) = (stage.place("card"), stage.interrupt());
                let made = WEDDING.make(&card, || interrupt.check());
                made.map_err(|error| Failure::new(format!("the photos cannot be made: {error}")))?;
                card
            }
        };
        let files = compare::files(&card).map_err(|error| {
            Failure::new(format!("the photos in {} cannot be read: {error}", card.display()))
        })?;
        match files.is_empty() {
            true => Err(Failure::new(format!("there are no files in {}", card.display()))),
            false => Ok((card, files)),
        }
    })?;
    script.document.files = files.len() as u64;
    script.document.bytes = files.values().sum();
    stage.need_room(script.document.bytes.saturating_mul(ROOM_FACTOR))?;
    let absolute = std::path::absolute(&card);
    absolute.map_err(|error| Failure::new(format!("{} cannot be used: {error}", card.display())))
}

fn found(stage: &mut Stage) -> Result<(), Failure> {
    let mut args = words(["init", "--name", "studio", "--site", "studio", "--phrase-out"]);
    args.push(stage.place("phrase.txt").into());
    args.extend(volume(stage, "studio-ssd", "ssd")?);
    args.extend(volume(stage, "studio-hdd", "hdd")?);
    stage.ask("studio", &args, SHORT)?;
    stage.start_node("studio")
}

fn let_in(stage: &mut Stage, site: &str, media: &str) -> Result<(), Failure> {
    let invite: InviteDoc = read(stage.ask("studio", &["invite"], SHORT)?)?;
    let mut args = words(["join", invite.code.as_str(), "--name", site, "--site", site]);
    args.extend(volume(stage, &format!("{site}-{media}"), media)?);
    stage.ask(site, &args, SHORT)?;
    stage.start_node(site)
}

/// Waits until the studio sees everybody, and gives the addresses of the vaults.
fn all_online(stage: &mut Stage) -> Result<Vec<String>, Failure> {
    let deadline = Instant::now() + SHORT;
    loop {
        let nodes: NodesDoc = read(stage.ask("studio", &["nodes"], SHORT)?)?;
        let online = nodes.nodes.iter().filter(|node| node.state == NodeState::Online).count();
        let vaults = nodes.nodes.iter().filter(|node| node.role == "vault");
        let addresses: Vec<_> = vaults.filter_map(|node| node.addresses.first().cloned()).collect();
        if online == VAULTS.len() + 1 && addresses.len() == VAULTS.len() {
            return Ok(addresses);
        }
        pause(stage, deadline, || format!("{online} of {} nodes are online", VAULTS.len() + 1))?;
    }
}

fn until_safe(stage: &mut Stage, limit: Duration) -> Result<ShootDoc, Failure> {
    let deadline = Instant::now() + limit;
    loop {
        let status: StatusDoc = read(stage.ask("studio", &["status", SHOOT], SHORT)?)?;
        let shoot = status
            .shoots
            .into_iter()
            .next()
            .ok_or_else(|| Failure::new("the shoot is not in the library"))?;
        if shoot.verdict == Verdict::Safe && shoot.sites.iter().all(|site| site.survives) {
            return Ok(shoot);
        }
        pause(stage, deadline, || {
            format!("the shoot is {:?}: {}", shoot.verdict, shoot.reason.unwrap_or_default())
        })?;
    }
}

fn recover(stage: &mut Stage, vaults: &[String], limit: Duration) -> Result<RecoverDoc, Failure> {
    let peer = vaults.first().ok_or_else(|| Failure::new("no vault has an address"))?;
    let mut args = words(["recover", "--peer", peer.as_str(), "--name", "studio-2", "--site", "new studio"]);
    args.extend(["--phrase-file".into(), stage.place("phrase.txt").into()]);
    args.extend(["--to".into(), stage.place("back").into()]);
    args.extend(volume(stage, "new-ssd", "ssd")?);
    let recovered: RecoverDoc = read(stage.watch("studio-2", &args, limit)?)?;
    match recovered.restored.files_failed.first() {
        None => Ok(recovered),
        Some(file) => {
            let count = recovered.restored.files_failed.len();
            Err(Failure::new(format!("{count} files did not come back; the first: {}", file.error)))
        }
    }
}

fn same(stage: &Stage, card: &Path, recovered: &RecoverDoc) -> Result<(), Failure> {
    let interrupt = stage.interrupt();
    let differences = only_folder(&stage.place("back")).and_then(|back| {
        let under = back.file_name().map(Path::new).unwrap_or(Path::new(""));
        let inside =
            |path: &str| Path::new(path).strip_prefix(under).map_or_else(|_| path.into(), Path::to_owned);
        let renamed: BTreeMap<PathBuf, PathBuf> = recovered
            .restored
            .renamed
            .iter()
            .map(|file| (inside(&file.path), inside(&file.written_as)))
            .collect();
        compare::differences(card, &back, &renamed, || interrupt.check())
    });
    match differences {
        Ok(differences) if differences.is_empty() => Ok(()),
        Ok(differences) => Err(Failure::new(format!("not identical: {}", differences.join("; ")))),
        Err(error) => Err(Failure::new(format!("what came back cannot be compared: {error}"))),
    }
}

/// The folder of the one shoot that came back.
fn only_folder(back: &Path) -> std::io::Result<PathBuf> {
    let entries = fs::read_dir(back)?.collect::<Result<Vec<_>, _>>()?;
    match entries.as_slice() {
        [one] => Ok(one.path()),
        other => Err(std::io::Error::other(format!("{} folders came back instead of one", other.len()))),
    }
}

/// A drive with its declared medium, as an argument of `--volume`.
fn volume(stage: &Stage, name: &str, media: &str) -> Result<[OsString; 2], Failure> {
    let path = stage.place(name);
    fs::create_dir_all(&path)
        .map_err(|error| Failure::new(format!("no folder for the drive {name}: {error}")))?;
    let mut text = path.into_os_string();
    text.push(format!(",media={media}"));
    Ok(["--volume".into(), text])
}

fn pause(stage: &Stage, deadline: Instant, state: impl FnOnce() -> String) -> Result<(), Failure> {
    stage.interrupt().check().map_err(|error| Failure::new(error.to_string()))?;
    if Instant::now() >= deadline {
        return Err(Failure::new(format!("this took too long: {}", state())));
    }
    std::thread::sleep(LOOK_PAUSE);
    Ok(())
}

fn words<S: Into<OsString>, const N: usize>(words: [S; N]) -> Vec<OsString> {
    words.into_iter().map(Into::into).collect()
}

fn read<T: DeserializeOwned>(document: Value) -> Result<T, Failure> {
    serde_json::from_value(document)
        .map_err(|error| Failure::new(format!("an answer was not understood: {error}")))
}

#[cfg(test)]
#[path = "play_tests.rs"]
mod tests;
