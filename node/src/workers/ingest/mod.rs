//! Taking files in: read once, sealed, coded, written, fsynced and read back; only then "stored".
//!
//! ```text
//! survey ─▶ worker ─▶ reading ─▶ known? ─▶ stream (seal, code) ─▶ drafts on this node's volumes ─▶ settle
//!              │                    └─▶ an entry that refers to another roll's bytes
//!              └─ place: which code, which volume for each shard, where it is staged
//! ```
//!
//! What is stored together is a *batch*: mostly one roll; for a file larger than a roll, all rolls that carry it. The
//! entry of such a file is in the catalog of its last roll, which refers to the others; a batch is recorded when all of
//! it is durable, so no recorded roll ever waits for a piece of a file. A batch that meets a failing volume is dropped
//! whole and its files are read again, without that volume: new rolls, new keys, nothing half-stored.
//!
//! Where room is short, rolls are cut smaller first, then made with fewer parity shards, and a notice says so; never
//! with less than one whole copy. Files that still find no room are listed as failed; files that are known already
//! need none, and go on.
//!
//! What is left out: symbolic links inside a folder are listed as failed, because somebody may take what they point to
//! for saved; pipes, sockets and Safelight's own volumes hold no photographs and are only told of. Over a card or drive
//! with a Safelight volume on it "safe to format" is never said.

mod batch;
mod known;
mod place;
mod protect;
mod reading;
mod rolls;
mod stream;
mod survey;
#[cfg(test)]
mod tests;
mod worker;
mod writer;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use safelight_core::seal::{ReadingPublic, seal_text};
use safelight_proto::id::ShootId;
use safelight_proto::limit::{ROLL_BYTES, ROLL_FILES, SHOOT_NAME_MAX};
use safelight_proto::vocabulary::Rule;
use tokio::runtime::Handle;

pub(super) use self::stream::{make_durable, remove};
pub(super) use self::writer::{Draft, Drafts};

use self::batch::Tally;
use self::worker::Worker;
use crate::admin::command::Wait;
use crate::admin::doc::{IngestDoc, Verdict};
use crate::admin::operator::{Failure, Outcome, Reporter};
use crate::shell::Shell;
use crate::view::{SHOOT_NAME, find_shoot, normal_name, shoots};

/// What is to be taken in.
#[derive(Debug, Clone)]
pub struct Ingest {
    /// Files and folders of this machine, absolute.
    pub paths: Vec<PathBuf>,
    /// The shoot, new or known.
    pub shoot: String,
    /// When to end.
    pub wait: Wait,
}

/// Where rolls are cut; tests lower it.
#[derive(Clone)]
struct Settings {
    /// Most bytes of files in a roll.
    roll_bytes: u64,
    /// Most files in a roll.
    roll_files: usize,
    /// Rolls are not cut smaller than this for want of room.
    least_bytes: u64,
    #[cfg(test)]
    between: Option<reading::Between>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            roll_bytes: ROLL_BYTES,
            roll_files: ROLL_FILES,
            least_bytes: 64 * 1024 * 1024,
            #[cfg(test)]
            between: None,
        }
    }
}

/// The shoot that the files go to.
#[derive(Clone)]
struct Shoot {
    id: ShootId,
    /// As it was typed, outer spaces gone, in Unicode's composed form.
    name: String,
    /// Sealed to the library.
    sealed_name: Vec<u8>,
    rule: Rule,
    reader: ReadingPublic,
}

/// Takes files in. Ends when they are stored, or when the shoot is safe, as was asked.
pub async fn ingest(shell: &Arc<Shell>, request: Ingest, reporter: &Reporter) -> Result<Outcome, Failure> {
    let _busy = shell.scrubs.busy();
    ingest_with(shell, request, reporter, Settings::default()).await
}

async fn ingest_with(
    shell: &Arc<Shell>,
    request: Ingest,
    reporter: &Reporter,
    settings: Settings,
) -> Result<Outcome, Failure> {
    let mut random = random()?;
    let shoot = find_or_name(shell, &request.shoot, &mut random).await?;
    let mut worker =
        Worker::new(Arc::clone(shell), shoot.clone(), settings, reporter.clone(), Handle::current(), random);
    let paths = request.paths;
    let taken = tokio::task::spawn_blocking(move || worker.run(&paths))
        .await
        .map_err(|error| Failure::new(format!("the ingest broke off: {error}")))??;
    let verdict = protect::verdict(shell, &shoot, request.wait, reporter).await?;
    Ok(outcome(&shoot, taken, verdict, request.wait))
}

fn outcome(shoot: &Shoot, taken: Tally, verdict: Verdict, wait: Wait) -> Outcome {
    let whole = taken.failed.is_empty();
    let found = taken.new + taken.known > 0;
    let document = IngestDoc {
        shoot: shoot.name.clone(),
        files_new: taken.new,
        files_known: taken.known,
        bytes: taken.bytes,
        rolls: taken.rolls,
        stored: found,
        verdict,
        safe_to_format: whole && found && !taken.over_a_volume && verdict == Verdict::Safe,
        files_failed: taken.failed,
    };
    let reached = wait == Wait::Stored || verdict == Verdict::Safe;
    if whole && reached { Outcome::done(document) } else { Outcome::attention(document) }
}

/// The shoot of that name where this node can read names, else a new one.
async fn find_or_name(shell: &Arc<Shell>, name: &str, random: &mut ChaCha20Rng) -> Result<Shoot, Failure> {
    let name = normal_name(name);
    if name.is_empty() {
        return Err(Failure::usage("a shoot needs a name").next("--shoot \"2026-11-21 Smith wedding\""));
    }
    if name.len() > SHOOT_NAME_MAX {
        return Err(Failure::usage(format!("the shoot's name is longer than {SHOOT_NAME_MAX} bytes")));
    }
    let (asked, wanted) = (Arc::clone(shell), name.clone());
    let (known, rule, reader) = shell
        .core
        .ask(move |node| {
            let all = shoots(node, &asked.names, asked.reading_key.as_ref());
            let named = |shoot: &&crate::view::ShootView| {
                shoot.name.as_deref().map(normal_name).as_ref() == Some(&wanted)
            };
            let known = all.iter().find(named).cloned();
            (known, node.manifest().rule(None), node.manifest().members().reading_public().copied())
        })
        .await
        .map_err(Failure::from)?;
    let reader = ReadingPublic(reader.ok_or_else(|| {
        Failure::new("this node does not know the library's public key yet; nothing can be sealed")
            .next("safelight nodes")
    })?);
    let sealed_name = seal_text(&reader, shell.library, SHOOT_NAME, &name, random)
        .map_err(|error| Failure::new(format!("the shoot's name cannot be sealed: {error}")))?;
    let (id, rule) = match known.and_then(|shoot| Some((*shoot.ids.first()?, shoot.rule))) {
        Some(known) => known,
        None => (ShootId(drawn(random)), rule),
    };
    Ok(Shoot { id, name, sealed_name, rule, reader })
}

/// The ids under which the shoot is known now: several, where nodes met its name apart.
async fn ids_of(shell: &Arc<Shell>, shoot: &Shoot) -> Result<BTreeSet<ShootId>, Failure> {
    let (asked, id, name) = (Arc::clone(shell), shoot.id, shoot.name.clone());
    let found = shell.core.ask(move |node| {
        let all = shoots(node, &asked.names, asked.reading_key.as_ref());
        find_shoot(&all, &name).map(|shoot| shoot.ids).unwrap_or_default()
    });
    let mut ids = found.await.map_err(Failure::from)?;
    ids.insert(id);
    Ok(ids)
}

fn random() -> Result<ChaCha20Rng, Failure> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| Failure::new(format!("the system gives no random numbers: {error}")))?;
    Ok(ChaCha20Rng::from_seed(seed))
}

fn drawn<const N: usize>(random: &mut ChaCha20Rng) -> [u8; N] {
    use rand_chacha::rand_core::Rng;
    let mut bytes = [0; N];
    random.fill_bytes(&mut bytes);
    bytes
}
