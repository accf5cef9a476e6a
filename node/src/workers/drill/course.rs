//! One drill on its way: shoot by shoot, each of its files rebuilt from the data, and then once more from parity.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use safelight_core::drill::order;
use safelight_proto::catalog::Catalog;
use safelight_proto::id::RollId;
use safelight_proto::record::Roll;

use super::{Drill, chance, files_of};
use crate::admin::command::Extent;
use crate::admin::doc::{DrillDoc, DrillFailureDoc, RestoreDoc, Verdict};
use crate::admin::operator::{Failure, Reporter};
use crate::shell::Shell;
use crate::view::ShootView;
use crate::workers::restore::files::{WantedFile, whole_file};
use crate::workers::restore::rehearsal::{BadShard, Rehearsal};
use crate::workers::restore::target::Target;
use crate::workers::restore::title;
use crate::workers::restore::work::Work;

/// See the module's documentation.
pub(super) struct Course<'a> {
    work: Work<'a>,
    without: String,
    all: bool,
    /// Files to take of each roll; all, when there are none.
    shares: Option<BTreeMap<RollId, u64>>,
    draw: Box<dyn FnMut(u64) -> u64 + Send + 'a>,
    /// Bytes of files that may still be taken.
    bytes_left: u64,
    files_tested: u64,
    /// Files that were right.
    files_passed: u64,
    /// Their bytes.
    bytes: u64,
    failed: Vec<DrillFailureDoc>,
}

impl<'a> Course<'a> {
    /// Nothing is rebuilt yet.
    pub(super) fn new(
        shell: &'a Arc<Shell>,
        request: &Drill,
        shares: Option<BTreeMap<RollId, u64>>,
        reporter: &'a Reporter,
    ) -> Result<Self, Failure> {
        let phase = format!("rebuilding without {}", request.without.name());
        let mut work = Work::new(shell, Target::Nowhere, vec![request.without.clone()], reporter, &phase);
        work.rehearsal = Some(Rehearsal::new(request.polite));
        Ok(Self {
            work,
            without: request.without.name().to_owned(),
            all: matches!(request.extent, Extent::All),
            shares,
            draw: Box::new(chance()?),
            bytes_left: request.most_bytes.unwrap_or(u64::MAX),
            files_tested: 0,
            files_passed: 0,
            bytes: 0,
            failed: Vec::new(),
        })
    }

    /// Files of a roll that are to be rebuilt.
    fn share(&self, shoot: &ShootView, roll: &Roll) -> u64 {
        let share = |shares: &BTreeMap<RollId, u64>| shares.get(&roll.roll).copied().unwrap_or(0);
        self.shares.as_ref().map_or_else(|| files_of(shoot, roll), share)
    }

    /// The shoots, by chance where not everything is rebuilt: with a bound of bytes those that come first get more.
    pub(super) fn turns(&mut self, shoots: usize) -> Vec<usize> {
        match self.shares {
            None => (0..shoots).collect(),
            Some(_) => order(shoots, &mut self.draw),
        }
    }

    /// Says how much there is to do, as far as the records tell.
    pub(super) fn foresee(&self, shoots: &[ShootView]) {
        let rolls = || shoots.iter().flat_map(|shoot| shoot.rolls.iter().map(move |roll| (shoot, roll)));
        let files = rolls().map(|(shoot, roll)| self.share(shoot, roll)).sum();
        let bytes = rolls().map(|(shoot, roll)| about(roll, self.share(shoot, roll))).sum();
        self.work.tally.expect(files, bytes);
    }

    /// Rebuilds what is chosen of a shoot.
    pub(super) async fn shoot(&mut self, shoot: &ShootView) -> Result<(), Failure> {
        let mut chosen = shoot.clone();
        // A roll without files of its own may carry a piece of a large one: its list has to come back, too.
        chosen.rolls.retain(|roll| self.shares.is_none() || self.share(shoot, roll) > 0);
        if chosen.rolls.is_empty() {
            return Ok(());
        }
        let foreseen = chosen.rolls.iter().map(|roll| about(roll, self.share(shoot, roll))).sum();
        let name = title(shoot);
        self.first(true);
        let catalogs = self.work.catalogs(&chosen, Some(&name)).await?;
        let mut files = Vec::new();
        for (roll, catalog) in &catalogs {
            let record = chosen.rolls.iter().find(|record| record.roll == *roll);
            let share = record.map_or(0, |record| self.share(shoot, record));
            files.extend(self.choose(*roll, catalog, share, &name));
        }
        let without_list = chosen.rolls.iter().filter(|roll| catalogs.iter().all(|(id, _)| *id != roll.roll));
        self.files_tested += without_list.map(|roll| self.share(shoot, roll)).sum::<u64>();
        let bytes: u64 = files.iter().map(|file| file.wanted.len).sum();
        self.work.tally.correct(foreseen, bytes.saturating_mul(2));
        let came = self.work.files(files).await?;
        self.prove_catalogs(&chosen, &catalogs).await?;
        self.first(false);
        let (again, done) = self.part(came).await?;
        // What is rebuilt once only, or not at all.
        let twice: u64 = again.iter().map(|file| file.wanted.len).sum();
        self.work.tally.correct(bytes.saturating_sub(twice), 0);
        let right = self.work.files(again).await?;
        self.files_passed += (done.len() + right.len()) as u64;
        self.bytes += done.iter().chain(&right).map(|file| file.wanted.len).sum::<u64>();
        self.take_failures();
        Ok(())
    }

    /// The first time through, or the second.
    fn first(&mut self, first: bool) {
        self.work.tally.again(!first);
        if let Some(rehearsal) = &mut self.work.rehearsal {
            rehearsal.parity = !first;
        }
    }

    /// Files of a roll, all or by chance: no more bytes than are left, one at least if nothing was taken yet.
    fn choose(&mut self, roll: RollId, catalog: &Catalog, share: u64, folder: &str) -> Vec<WantedFile> {
        let entries = &catalog.entries;
        if self.shares.is_none() {
            self.files_tested += entries.len() as u64;
            return entries.iter().map(|entry| whole_file(roll, entry, folder)).collect();
        }
        let mut files = Vec::new();
        for place in order(entries.len(), &mut self.draw) {
            if files.len() as u64 >= share {
                break;
            }
            let entry = &entries[place];
            if entry.bytes <= self.bytes_left {
                self.bytes_left -= entry.bytes;
                files.push(whole_file(roll, entry, folder));
            }
        }
        if files.is_empty() && self.files_tested == 0 {
            let least = entries.iter().min_by_key(|entry| entry.bytes);
            files.extend(least.map(|entry| whole_file(roll, entry, folder)));
            self.bytes_left = 0;
        }
        self.files_tested += files.len() as u64;
        files
    }

    /// The lists of files have to come back, too.
    async fn prove_catalogs(
        &mut self,
        shoot: &ShootView,
        catalogs: &[(RollId, Catalog)],
    ) -> Result<(), Failure> {
        for (id, catalog) in catalogs {
            let Some(roll) = shoot.rolls.iter().find(|roll| roll.roll == *id) else { continue };
            let proven = self.work.prove_catalog(roll, shoot.hidden.get(id), catalog).await?;
            if let Err(why) = proven {
                let error = format!("the list of files of roll {} cannot be rebuilt: {why}", id.short());
                self.failed.push(DrillFailureDoc { error, ..DrillFailureDoc::default() });
            }
        }
        Ok(())
    }

    /// The files that a second time, from parity, would prove more of, and the others.
    async fn part(&mut self, files: Vec<WantedFile>) -> Result<(Vec<WantedFile>, Vec<WantedFile>), Failure> {
        let rolls: BTreeSet<RollId> =
            files.iter().flat_map(|file| file.parts.iter().map(|part| part.roll)).collect();
        let unproven = self.work.unproven(rolls).await?;
        let again = |file: &WantedFile| file.parts.iter().any(|part| unproven.contains(&part.roll));
        Ok(files.into_iter().partition(again))
    }

    fn take_failures(&mut self) {
        let failed = std::mem::take(&mut self.work.doc.files_failed);
        self.failed.extend(failed.into_iter().map(|failed| DrillFailureDoc {
            path: Some(failed.path),
            error: failed.error,
            ..DrillFailureDoc::default()
        }));
    }

    /// What came of it.
    pub(super) async fn finish(mut self) -> Result<DrillDoc, Failure> {
        self.take_failures();
        // What was bad comes first: it may be why files did not come.
        let findings = self.work.rehearsal.iter().flat_map(Rehearsal::findings);
        self.failed.splice(0..0, findings.map(bad_shard));
        let RestoreDoc { sources, .. } = self.work.finish(Instant::now()).await?;
        Ok(DrillDoc {
            without: self.without,
            files_tested: self.files_tested,
            files_passed: self.files_passed,
            files: 0,
            bytes: self.bytes,
            passed: self.failed.is_empty(),
            failed: self.failed,
            all: self.all,
            sources,
            verdict: Verdict::Safe,
            seconds: 0.0,
        })
    }
}

/// Bytes of so many files of a roll, twice, as far as its record tells.
fn about(roll: &Roll, files: u64) -> u64 {
    let each = roll.bytes.checked_div(roll.files).unwrap_or(0);
    each.saturating_mul(files).saturating_mul(2)
}

fn bad_shard(bad: &BadShard) -> DrillFailureDoc {
    let mut document = DrillFailureDoc { roll: Some(bad.roll.to_string()), ..DrillFailureDoc::default() };
    let Some(source) = &bad.source else {
        document.error = bad.why.clone();
        return document;
    };
    document.index = Some(source.index);
    document.volume = Some(source.volume.to_string());
    document.node = Some(source.name.clone());
    document.site = Some(source.site.name().to_owned());
    document.error = bad.why.clone();
    document
}
