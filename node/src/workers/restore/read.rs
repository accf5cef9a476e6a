//! One attempt to read a roll: sources chosen, feeds opened, stretches decoded, and what failed on the way.

use futures::future::join_all;
use safelight_core::restore::{ReadPlan, RollReader};
use safelight_core::seal::{Opener, WrappedKey};
use safelight_proto::id::RollId;
use safelight_proto::record::Roll;
use safelight_proto::shard::Geometry;

use super::feed::{Fault, Feed, Spans};
use super::open::open;
use super::sources::{Order, Source, roll_sources};
use super::stretch::{self, Ended};
use super::trouble::Obstacle;
use super::work::{Attempt, Sink, Work, blocking};
use crate::admin::operator::Failure;

/// A shard that is read, and which units of it.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) source: Source,
    pub(super) spans: Spans,
    /// Bytes of the shard.
    pub(super) bytes: u64,
}

/// Why a reading broke off.
#[derive(Debug, Clone)]
pub(super) struct Mishap {
    pub(super) fault: Fault,
    /// The source had begun to give.
    pub(super) begun: bool,
    /// It was looked at already, and is bad.
    pub(super) bad: bool,
}

impl Work<'_> {
    /// Reads of `roll` what `ask` wants, into the sink that it gives.
    pub(super) async fn read(
        &mut self,
        roll: RollId,
        ask: impl FnOnce(&RollReader) -> (Vec<ReadPlan>, Sink),
    ) -> Result<Attempt, Failure> {
        let known =
            self.shell.core.ask(move |node| roll_sources(node, &roll)).await.map_err(super::stopped)?;
        let Some(mut known) = known else {
            let why = format!("nothing is known of roll {} yet", roll.short());
            return Ok(Attempt::Not(Obstacle { why, hope: true }));
        };
        known.codings.retain(|coding| !self.wrong_codings.contains(&coding.coding));
        let order = self.rehearsal.as_ref().map_or(Order::Cheapest, |rehearsal| rehearsal.order(&roll));
        let may = |source: &Source| source.within_reach && self.troubles.may(source);
        let Some((coding, chosen)) = known.choose_by(may, &order) else {
            return Ok(Attempt::Not(self.troubles.obstacle(&known)));
        };
        let (coding, geometry) = (coding.coding, coding.geometry);
        let opener = match self.opener(&known.roll) {
            Ok(opener) => opener,
            Err(why) => return Ok(Attempt::Not(Obstacle { why, hope: false })),
        };
        let reader = RollReader::new(geometry, opener).map_err(|error| Failure::new(error.to_string()))?;
        let (runs, sink) = ask(&reader);
        let direct = chosen.iter().enumerate().all(|(row, source)| row == usize::from(source.index));
        let reading = |source: &&Source| Reading {
            source: (*source).clone(),
            spans: stretch::spans(&reader, &runs, source.index, direct),
            bytes: geometry.shard_len(),
        };
        let indexes: Vec<u8> = chosen.iter().map(|source| source.index).collect();
        let readings = chosen.iter().map(reading).filter(|reading| !reading.spans.groups().is_empty());
        let readings: Vec<Reading> = readings.collect();
        let (feeds, mut faults) = self.open_all(&readings, geometry).await;
        if faults.is_empty() {
            let (ended, feeds) = self.stretch(reader, runs, feeds, direct, sink).await?;
            let taken: Vec<u64> = feeds.iter().map(|feed| feed.taken).collect();
            drop(feeds);
            self.note_taken(&readings, &taken).await;
            match ended {
                Ended::Done => {
                    self.note_used(roll, coding, &indexes);
                    return Ok(Attempt::Read);
                }
                Ended::Stopped => {}
                Ended::Feed(number, fault) => {
                    faults.push((number, Mishap { fault, begun: true, bad: false }))
                }
                Ended::Coding(error) => {
                    tracing::error!(roll = %roll.short(), %error, "the coding of a roll is wrong");
                    self.wrong_codings.insert(coding);
                    self.note_wrong_coding(roll, &error.to_string());
                }
            }
        }
        for (number, mut mishap) in faults {
            let Some(reading) = readings.get(number) else { continue };
            mishap.bad = self.troubles.blame(&reading.source, &mishap.fault).await;
            self.inspect((roll, coding), reading, &mishap).await?;
        }
        Ok(Attempt::Moved)
    }

    /// A feed for each of the readings, in their order; and which of them failed.
    async fn open_all(&self, readings: &[Reading], geometry: Geometry) -> (Vec<Feed>, Vec<(usize, Mishap)>) {
        let opened = readings.iter().map(|reading| {
            open(self.shell, &reading.source, reading.spans.clone(), geometry.shard_len(), true)
        });
        let (mut feeds, mut faults) = (Vec::with_capacity(readings.len()), Vec::new());
        for (number, feed) in join_all(opened).await.into_iter().enumerate() {
            match feed {
                Ok(feed) => feeds.push(feed),
                Err(fault) => faults.push((number, Mishap { fault, begun: false, bad: false })),
            }
        }
        (feeds, faults)
    }

    /// Counts what came from where.
    async fn note_taken(&mut self, readings: &[Reading], taken: &[u64]) {
        let mut remote = 0;
        for (reading, taken) in readings.iter().zip(taken) {
            *self.taken.entry(reading.source.site.name().to_owned()).or_default() += taken;
            remote += if reading.source.here { 0 } else { *taken };
        }
        if self.rehearsal.as_ref().is_some_and(|rehearsal| rehearsal.polite) {
            self.shell.pace.down.came(remote).await;
        }
    }

    /// Reads on a thread that may block.
    async fn stretch(
        &self,
        reader: RollReader,
        runs: Vec<ReadPlan>,
        mut feeds: Vec<Feed>,
        direct: bool,
        mut sink: Sink,
    ) -> Result<(Ended, Vec<Feed>), Failure> {
        let reporter = self.reporter.clone();
        blocking(move || {
            let stop = || reporter.is_cancelled();
            let ended = stretch::read(&reader, runs, &mut feeds, direct, &stop, &mut sink);
            (ended, feeds)
        })
        .await
    }

    fn opener(&self, roll: &Roll) -> Result<Opener, String> {
        let sealed = || format!("the key of roll {} does not open", roll.roll.short());
        let key = self.shell.reading_key.as_ref().ok_or_else(sealed)?;
        let opened = WrappedKey(roll.wrapped_key).open(key, self.shell.library, roll.roll);
        Ok(Opener::new(&opened.map_err(|_| sealed())?, self.shell.library, roll.roll))
    }
}
