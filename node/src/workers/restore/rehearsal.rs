//! What a restore does more when it is a rehearsal: it reads in an order that proves more, and it looks into every fault
//! at once, for a repair that follows may leave no trace of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use safelight_core::event::Shard;
use safelight_core::node::Node;
use safelight_proto::id::{CodingId, Hash, RollId, VolumeId};

use super::feed::Fault;
use super::open::open;
use super::read::{Mishap, Reading};
use super::sources::{Order, Source, roll_sources};
use super::work::{Work, blocking};
use crate::admin::operator::Failure;
use crate::workers::scrub::{Finding, examine};

/// A holder that cannot give a shard at first is asked again for so long, before that is what a drill says of it.
const DOUBT: Duration = Duration::from_secs(6);
/// Between two looks.
const GLANCE: Duration = Duration::from_millis(300);
/// Between two looks whether others are done with the drives.
const GIVE_WAY: Duration = Duration::from_millis(500);

/// See the module's documentation.
#[derive(Debug, Default)]
pub(in crate::workers) struct Rehearsal {
    /// The second time through: as many parity shards as there are.
    pub(in crate::workers) parity: bool,
    /// See [`Rehearsal::new`].
    pub(super) polite: bool,
    /// Shards of each roll that took part the first time.
    used: BTreeMap<RollId, (CodingId, BTreeSet<u8>)>,
    /// What was wrong, by shard; a coding that is wrong has none.
    findings: BTreeMap<(RollId, Option<(VolumeId, Hash)>), BadShard>,
}

/// A shard that was met and is not what its holder says.
#[derive(Debug, Clone)]
pub(in crate::workers) struct BadShard {
    /// Of which roll.
    pub(in crate::workers) roll: RollId,
    /// Which; nothing when it is the coding.
    pub(in crate::workers) source: Option<Source>,
    /// What is wrong.
    pub(in crate::workers) why: String,
}

impl Rehearsal {
    /// The first time through. A polite one waits while others work with the drives, and keeps to the limit of what
    /// comes in.
    pub(in crate::workers) fn new(polite: bool) -> Self {
        Self { polite, ..Self::default() }
    }

    pub(super) fn order(&self, roll: &RollId) -> Order {
        match self.parity {
            false => Order::DataFirst,
            true => Order::ParityFirst(self.used.get(roll).map(|(_, used)| used.clone()).unwrap_or_default()),
        }
    }

    /// What was wrong so far.
    pub(in crate::workers) fn findings(&self) -> impl Iterator<Item = &BadShard> {
        self.findings.values()
    }
}

/// What a holder says of a shard now.
struct Claim {
    /// It says that it has it, in the same record as when it was chosen.
    unchanged: bool,
    /// It says that it has it.
    declared: bool,
    /// It belongs there.
    wanted: bool,
    connected: bool,
}

impl Claim {
    fn of(node: &Node, (roll, coding): (RollId, CodingId), source: &Source) -> Self {
        let manifest = node.manifest();
        let held = manifest.holdings(&roll);
        let on_volume = held.get(&coding).and_then(|held| held.get(&source.volume));
        let layout = manifest.layout(&roll).filter(|layout| layout.coding == coding);
        let place = layout.and_then(|layout| layout.volumes.get(usize::from(source.index)));
        Self {
            unchanged: manifest.claim(&roll, &source.volume) == source.claim,
            declared: on_volume.is_some_and(|indexes| indexes.contains(&source.index)),
            wanted: place == Some(&source.volume),
            connected: node.connected().contains(&source.node),
        }
    }
}

impl Work<'_> {
    pub(super) fn note_used(&mut self, roll: RollId, coding: CodingId, indexes: &[u8]) {
        let Some(rehearsal) = self.rehearsal.as_mut().filter(|rehearsal| !rehearsal.parity) else { return };
        let slot = rehearsal.used.entry(roll).or_insert_with(|| (coding, BTreeSet::new()));
        if slot.0 != coding {
            *slot = (coding, BTreeSet::new());
        }
        slot.1.extend(indexes);
    }

    pub(super) fn note_wrong_coding(&mut self, roll: RollId, error: &str) {
        let why = format!("its shards are whole, and what they decode to is not the roll: {error}");
        self.find(roll, None, why);
    }

    fn find(&mut self, roll: RollId, source: Option<&Source>, why: String) {
        if let Some(rehearsal) = &mut self.rehearsal {
            let key = (roll, source.map(|source| (source.volume, source.hash)));
            rehearsal.findings.entry(key).or_insert(BadShard { roll, source: source.cloned(), why });
        }
    }

    /// The rolls of which a second rebuilding, from parity, would read a shard that took no part in the first.
    pub(in crate::workers) async fn unproven(
        &self,
        rolls: BTreeSet<RollId>,
    ) -> Result<BTreeSet<RollId>, Failure> {
        let Some(rehearsal) = &self.rehearsal else { return Ok(BTreeSet::new()) };
        let asked = rolls.clone();
        let known = self.shell.core.ask(move |node| {
            asked.iter().filter_map(|roll| Some((*roll, roll_sources(node, roll)?))).collect::<Vec<_>>()
        });
        let may = |source: &Source| source.within_reach && self.troubles.may(source);
        let unproven = known.await.map_err(super::stopped)?.into_iter().filter(|(roll, known)| {
            let used = rehearsal.used.get(roll);
            let indexes = used.map(|(_, indexes)| indexes.clone()).unwrap_or_default();
            known.choose_by(may, &Order::ParityFirst(indexes.clone())).is_some_and(|(coding, chosen)| {
                used.is_none_or(|(used, _)| *used != coding.coding)
                    || chosen.iter().any(|source| !indexes.contains(&source.index))
            })
        });
        Ok(unproven.map(|(roll, _)| roll).collect())
    }

    /// Finds out whether a shard that could not be read is bad, or something passing came between.
    pub(super) async fn inspect(
        &mut self,
        of: (RollId, CodingId),
        reading: &Reading,
        mishap: &Mishap,
    ) -> Result<(), Failure> {
        if self.rehearsal.is_none() || mishap.fault == Fault::Stopped {
            return Ok(());
        }
        let source = &reading.source;
        let why = match &mishap.fault {
            _ if mishap.bad => Some("it was damaged; it is moved aside and will be made again".to_owned()),
            _ if source.here => self.inspect_here(of, reading).await,
            Fault::Bad(why) => Some(why.clone()),
            _ => self.inspect_there(of, reading, mishap).await?,
        };
        if let Some(why) = why {
            self.find(of.0, Some(source), why);
        }
        Ok(())
    }

    /// What is wrong with a shard on a volume here.
    async fn inspect_here(&self, (roll, coding): (RollId, CodingId), reading: &Reading) -> Option<String> {
        let Source { index, hash, volume, .. } = reading.source;
        let shard = Shard { hash, bytes: reading.bytes, roll, coding, index, staged: false };
        let reporter = self.reporter.clone();
        match examine(self.shell, volume, &shard, move |_| !reporter.is_cancelled()).await {
            Ok(Finding::Bad) => Some("it was damaged or missing; it will be made again".into()),
            Ok(Finding::Unread(why)) => Some(why),
            Ok(Finding::Good | Finding::Gone | Finding::Stopped) | Err(_) => None,
        }
    }

    /// What is wrong with a shard elsewhere: its holder moves what it finds damaged aside and says so, and one that goes
    /// on saying that it has a shard which it does not give has not got it. One that is busy or out of reach has not
    /// failed.
    async fn inspect_there(
        &self,
        of: (RollId, CodingId),
        reading: &Reading,
        mishap: &Mishap,
    ) -> Result<Option<String>, Failure> {
        let refused = matches!(mishap.fault, Fault::Refused(_));
        let (began, mut cannot) = (Instant::now(), refused.then(|| mishap.fault.clone()));
        loop {
            let source = reading.source.clone();
            let claim = self.shell.core.ask(move |node| Claim::of(node, of, &source)).await;
            let claim = claim.map_err(super::stopped)?;
            let gone = "its holder found it damaged and moved it aside";
            match claim.declared {
                false if claim.wanted => return Ok(Some(gone.into())),
                // It was given up in order.
                false => return Ok(None),
                true if !claim.unchanged && (refused || mishap.begun) => {
                    return Ok(Some(format!("{gone}; it has it again meanwhile")));
                }
                true => {}
            }
            if claim.connected {
                match self.try_again(reading).await? {
                    Ok(()) | Err(Mishap { fault: Fault::Stopped, .. }) => return Ok(None),
                    Err(Mishap { fault: Fault::Bad(why), .. }) => return Ok(Some(why)),
                    Err(again) if again.begun || matches!(again.fault, Fault::Refused(_)) => {
                        cannot = Some(again.fault);
                    }
                    Err(_) => {}
                }
            }
            if began.elapsed() >= DOUBT || self.reporter.is_cancelled() {
                let cannot = cannot.filter(|_| claim.connected);
                return Ok(
                    cannot.map(|fault| format!("its holder says it has it and cannot give it: {fault}"))
                );
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Reads the same units of a shard once more.
    async fn try_again(&self, reading: &Reading) -> Result<Result<(), Mishap>, Failure> {
        let opened = open(self.shell, &reading.source, reading.spans.clone(), reading.bytes, true).await;
        let mishap = |begun| move |fault| Mishap { fault, begun, bad: false };
        let (mut feed, spans, reporter) = match opened {
            Ok(feed) => (feed, reading.spans.clone(), self.reporter.clone()),
            Err(fault) => return Ok(Err(mishap(false)(fault))),
        };
        let drained = blocking(move || feed.drain(&spans, &|| reporter.is_cancelled())).await?;
        Ok(drained.map_err(mishap(true)))
    }

    /// Waits while others work with the drives, where it is to.
    pub(super) async fn give_way(&self) -> Result<(), Failure> {
        let polite = self.rehearsal.as_ref().is_some_and(|rehearsal| rehearsal.polite);
        while polite && self.shell.scrubs.is_busy() {
            self.check_cancelled()?;
            tokio::time::sleep(GIVE_WAY).await;
        }
        Ok(())
    }
}
