//! Stretches of a roll: k feeds in, plaintext out, stripe by stripe, on a thread that may block.

use std::ops::Range;

use safelight_core::restore::{ReadPlan, RestoreError, RollReader};

use super::feed::{Fault, Feed, Spans};

/// How a reading ended.
#[derive(Debug)]
pub enum Ended {
    /// Everything was read.
    Done,
    /// One of the feeds failed.
    Feed(usize, Fault),
    /// Every shard is what its hash says, and what they decode to is not the roll: the coding itself is wrong.
    Coding(RestoreError),
    /// The caller went away, or nobody takes the plaintext.
    Stopped,
}

/// The units of the shard with `index` that these plans need. With the first k shards each gives only what is needed of
/// it; with any others, all give every stripe.
pub fn spans(reader: &RollReader, runs: &[ReadPlan], index: u8, direct: bool) -> Spans {
    let of = |plan: &ReadPlan| -> Range<u64> {
        let Range { mut start, mut end } = plan.stripes;
        // Only the first and the last stripe of a run may need less than k units.
        if direct && start < end && !reader.data_units(plan, start).contains(&index) {
            start += 1;
        }
        if direct && start < end && !reader.data_units(plan, end - 1).contains(&index) {
            end -= 1;
        }
        start..end
    };
    Spans::new(*reader.geometry(), runs.iter().map(of))
}

/// Reads the plans. Plaintext goes to `sink` in order, which says whether to go on.
pub fn read(
    reader: &RollReader,
    runs: Vec<ReadPlan>,
    feeds: &mut [Feed],
    direct: bool,
    stop: &dyn Fn() -> bool,
    sink: &mut dyn FnMut(u64, &[u8]) -> bool,
) -> Ended {
    for plan in runs {
        let mut decoder = reader.read(plan.clone());
        while let Some(stripe) = decoder.wants() {
            if stop() {
                return Ended::Stopped;
            }
            let needed = reader.data_units(&plan, stripe);
            let takes_part = |index: u8| !direct || needed.contains(&index);
            for (number, feed) in feeds.iter_mut().enumerate() {
                if takes_part(feed.index)
                    && let Err(fault) = feed.advance(stripe, stop)
                {
                    return if fault == Fault::Stopped { Ended::Stopped } else { Ended::Feed(number, fault) };
                }
            }
            let taking_part = feeds.iter().filter(|feed| takes_part(feed.index));
            let units: Vec<(u8, &[u8])> = taking_part.map(|feed| (feed.index, feed.unit(stripe))).collect();
            let mut taken = true;
            match decoder.stripe(&units, |offset, bytes| taken = taken && sink(offset, bytes)) {
                Err(error) => return Ended::Coding(error),
                Ok(()) if !taken => return Ended::Stopped,
                Ok(()) => {}
            }
        }
    }
    Ended::Done
}
