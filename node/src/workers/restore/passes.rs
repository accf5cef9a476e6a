//! What to read of a roll in one go: the pieces of files whose turn it is, and the stretches of the roll that hold them.
//!
//! A file is written from its start to its end. One that spans rolls stays open from one roll to the next, within a
//! bound; a piece whose turn has not come is read in a later pass over its roll.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Range;

use safelight_core::restore::{ReadPlan, RollReader};
use safelight_proto::id::RollId;

use super::files::{Part, WantedFile};

/// Files that one pass writes side by side, and files that stay open between passes.
const OPEN: usize = 32;
/// Stretches of a roll that one pass reads: a request for shards takes so many ranges, and then some.
const RUNS: usize = 512;

/// How far a file is.
#[derive(Debug)]
pub struct Job {
    /// The file.
    pub file: WantedFile,
    /// Parts that are written.
    at: usize,
    /// Bytes of the next part that are written.
    done: u64,
    /// Nothing more is to be done for it.
    pub over: bool,
    /// It came back.
    pub came: bool,
}

/// A stretch of a roll's plaintext that belongs to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The file's number.
    pub job: usize,
    /// Where its bytes lie.
    pub plain: Range<u64>,
}

impl Job {
    /// A file of which nothing is written.
    pub fn new(file: WantedFile) -> Self {
        Self { file, at: 0, done: 0, over: false, came: false }
    }

    /// The part that comes next.
    pub fn next(&self) -> Option<&Part> {
        self.file.parts.get(self.at).filter(|_| !self.over)
    }

    /// Whether some of it is written, and some is not.
    pub fn is_open(&self) -> bool {
        self.next().is_some() && (self.at > 0 || self.done > 0)
    }

    /// Notes that so many more bytes of it were written.
    pub fn advance(&mut self, mut bytes: u64) {
        while let Some(part) = self.file.parts.get(self.at) {
            let take = bytes.min(part.len - self.done);
            self.done += take;
            bytes -= take;
            if self.done < part.len {
                return;
            }
            self.at += 1;
            self.done = 0;
        }
    }

    /// Goes back to the start, with the bytes from another place; `false` when there is none.
    pub fn try_elsewhere(&mut self) -> bool {
        let Some(parts) = self.file.elsewhere.pop() else { return false };
        self.file.parts = parts;
        (self.at, self.done) = (0, 0);
        true
    }
}

/// The roll to read next, `skip` left out: one that an open file waits for, else the first that any file waits for.
pub fn next_roll(jobs: &[Job], skip: impl Fn(&RollId) -> bool) -> Option<RollId> {
    let next = |job: &Job| job.next().map(|part| part.roll).filter(|roll| !skip(roll));
    let open = jobs.iter().filter(|job| job.is_open()).find_map(next);
    open.or_else(|| jobs.iter().find_map(next))
}

/// The pieces of `roll` whose turn it is, in its order.
pub fn ready(jobs: &[Job], roll: RollId) -> Vec<Piece> {
    struct Turn {
        at: usize,
        end: u64,
    }
    let mut turns: BTreeMap<usize, Turn> = BTreeMap::new();
    let mut parts: Vec<(Range<u64>, usize, usize)> = Vec::new();
    for (number, job) in jobs.iter().enumerate().filter(|(_, job)| !job.over) {
        for (at, part) in job.file.parts.iter().enumerate().skip(job.at).filter(|(_, p)| p.roll == roll) {
            let skip = if at == job.at { job.done } else { 0 };
            parts.push((part.offset + skip..part.offset + part.len, number, at));
            turns.entry(number).or_insert(Turn { at: job.at, end: 0 });
        }
    }
    parts.sort_by_key(|(plain, number, at)| (plain.start, *number, *at));
    let mut lingering = jobs.iter().filter(|job| job.is_open()).count();
    let mut side_by_side: BinaryHeap<Reverse<u64>> = BinaryHeap::new();
    let mut pieces = Vec::new();
    for (plain, number, at) in parts {
        let (Some(job), Some(turn)) = (jobs.get(number), turns.get_mut(&number)) else { continue };
        while side_by_side.peek().is_some_and(|Reverse(end)| *end <= plain.start) {
            side_by_side.pop();
        }
        let (open, last) = (job.is_open() || at > 0, at + 1 == job.file.parts.len());
        let in_turn = turn.at == at && turn.end <= plain.start;
        let room = side_by_side.len() < OPEN && (open || last || lingering < OPEN);
        if !in_turn || !room {
            continue;
        }
        match (open, last) {
            (true, true) => lingering -= 1,
            (false, false) => lingering += 1,
            _ => {}
        }
        *turn = Turn { at: at + 1, end: plain.end };
        side_by_side.push(Reverse(plain.end));
        pieces.push(Piece { job: number, plain });
    }
    pieces
}

/// What to read for these pieces, and the pieces that it gives: all of them, but for those beyond the bound.
pub fn runs(reader: &RollReader, mut pieces: Vec<Piece>) -> (Vec<ReadPlan>, Vec<Piece>) {
    let mut runs: Vec<ReadPlan> = Vec::new();
    let mut given = 0;
    for piece in &pieces {
        let plan = reader.plan_data(piece.plain.clone());
        let full = runs.len() == RUNS;
        match runs.last_mut() {
            Some(last) if plan.stripes.start <= last.stripes.end => {
                let end = last.plain.end.max(piece.plain.end);
                *last = reader.plan_data(last.plain.start..end);
            }
            _ if full => break,
            _ => runs.push(plan),
        }
        given += 1;
    }
    pieces.truncate(given);
    (runs, pieces)
}

#[cfg(test)]
mod tests {
    use safelight_proto::id::Hash;

    use super::*;
    use crate::disk::restore::Wanted;

    const A: RollId = RollId([1; 32]);
    const B: RollId = RollId([2; 32]);

    fn job(parts: &[(RollId, u64, u64)]) -> Job {
        let parts: Vec<Part> = parts.iter().map(|&(roll, offset, len)| Part { roll, offset, len }).collect();
        let wanted = Wanted { len: parts.iter().map(|p| p.len).sum(), hash: Hash([0; 32]), modified: None };
        let (shown, path) = ("x".to_owned(), b"x".to_vec());
        Job::new(WantedFile { shown, path, wanted, parts, elsewhere: vec![], older: false })
    }

    fn pass(jobs: &mut [Job], roll: RollId) -> Vec<(usize, u64)> {
        let pieces = ready(jobs, roll);
        for piece in &pieces {
            jobs[piece.job].advance(piece.plain.end - piece.plain.start);
        }
        pieces.into_iter().map(|piece| (piece.job, piece.plain.start)).collect()
    }

    #[test]
    fn files_that_span_rolls_are_read_in_their_order() {
        let mut jobs = [job(&[(A, 50, 10), (B, 0, 10)]), job(&[(B, 20, 5)]), job(&[(B, 30, 5), (A, 0, 5)])];
        assert_eq!(next_roll(&jobs, |_| false), Some(A));
        assert_eq!(pass(&mut jobs, A), [(0, 50)]);
        assert_eq!(next_roll(&jobs, |_| false), Some(B));
        assert_eq!(pass(&mut jobs, B), [(0, 0), (1, 20), (2, 30)]);
        assert_eq!(next_roll(&jobs, |_| false), Some(A));
        assert_eq!(pass(&mut jobs, A), [(2, 0)]);
        assert_eq!(next_roll(&jobs, |_| false), None);
    }

    #[test]
    fn a_pass_goes_on_where_the_last_one_broke_off() {
        let mut jobs = [job(&[(A, 0, 10), (A, 10, 10)])];
        jobs[0].advance(4);
        let pieces: Vec<_> = ready(&jobs, A).into_iter().map(|piece| piece.plain).collect();
        assert_eq!(pieces, [4..10, 10..20]);
        jobs[0].advance(16);
        assert_eq!(jobs[0].next(), None);
    }

    #[test]
    fn the_same_bytes_twice_and_bytes_in_reverse_take_turns() {
        let mut jobs = [job(&[(A, 0, 10), (A, 0, 10)]), job(&[(A, 5, 5), (A, 0, 5)])];
        assert_eq!(pass(&mut jobs, A), [(0, 0), (1, 5)]);
        assert_eq!(pass(&mut jobs, A), [(0, 0), (1, 0)]);
        assert_eq!(next_roll(&jobs, |_| false), None);
    }

    #[test]
    fn open_files_are_bounded_and_all_come_back() {
        let mut jobs: Vec<Job> = (0..500).map(|_| job(&[(A, 0, 10), (B, 0, 10)])).collect();
        let mut passes = 0;
        while let Some(roll) = next_roll(&jobs, |_| false) {
            assert!(!pass(&mut jobs, roll).is_empty());
            assert!(jobs.iter().filter(|job| job.is_open() && job.next().is_some()).count() <= OPEN);
            passes += 1;
        }
        assert!(passes <= 2 * 500_usize.div_ceil(OPEN), "{passes}");
    }
}
