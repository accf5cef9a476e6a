//! Ranges of 16 KiB groups: the unit in which a shard is verified, sent, proved and found damaged.

use std::ops::Range;

/// Bytes in a group: what one pair of hashes in an outboard vouches for.
pub const GROUP: u64 = 16 * 1024;
/// Most separate ranges a set may have; a set built from more is widened to fewer.
pub const MAX_RANGES: usize = 4096;

/// A set of groups of one shard, as sorted ranges that neither touch nor overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups(Vec<Range<u64>>);

impl Groups {
    /// No group.
    pub fn none() -> Self {
        Self::default()
    }

    /// Every group of a shard of `len` bytes.
    pub fn all(len: u64) -> Self {
        Self::range(0..count(len))
    }

    /// The groups that `bytes` touches.
    pub fn touching(bytes: Range<u64>) -> Self {
        Self::range(bytes.start / GROUP..bytes.end.div_ceil(GROUP))
    }

    /// The set of the given ranges of group indexes, in any order; empty ones are dropped.
    pub fn from_ranges(ranges: impl IntoIterator<Item = Range<u64>>) -> Self {
        let mut ranges: Vec<_> = ranges.into_iter().filter(|r| r.start < r.end).collect();
        ranges.sort_by_key(|r| r.start);
        let mut merged: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match merged.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
        }
        Self(merged)
    }

    /// The groups of one range.
    pub fn range(range: Range<u64>) -> Self {
        Self::from_ranges(std::iter::once(range))
    }

    /// The set of the given group indexes.
    pub fn from_indexes(indexes: impl IntoIterator<Item = u64>) -> Self {
        Self::from_ranges(indexes.into_iter().map(|i| i..i.saturating_add(1)))
    }

    /// The ranges, sorted.
    pub fn ranges(&self) -> &[Range<u64>] {
        &self.0
    }

    /// Number of groups.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|r| r.end - r.start).sum()
    }

    /// Bytes of a shard of `len` bytes that lie in the set.
    #[cfg(test)]
    pub fn bytes(&self, len: u64) -> u64 {
        let at = |group: u64| group.saturating_mul(GROUP).min(len);
        self.0.iter().map(|r| at(r.end) - at(r.start)).sum()
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any group of `range` is in the set.
    pub fn touches(&self, range: &Range<u64>) -> bool {
        let after = self.0.partition_point(|r| r.end <= range.start);
        range.start < range.end && self.0.get(after).is_some_and(|r| r.start < range.end)
    }

    /// Both sets together.
    pub fn union(&self, other: &Self) -> Self {
        Self::from_ranges(self.0.iter().chain(&other.0).cloned())
    }

    /// The groups of this set that are not in `other`.
    pub fn minus(&self, other: &Self) -> Self {
        let mut left = Vec::new();
        for range in &self.0 {
            let mut start = range.start;
            let from = other.0.partition_point(|r| r.end <= range.start);
            for hole in other.0[from..].iter().take_while(|r| r.start < range.end) {
                left.push(start..hole.start.max(start));
                start = hole.end;
            }
            left.push(start.min(range.end)..range.end);
        }
        Self::from_ranges(left)
    }

    /// The part of the set that a shard of `len` bytes has.
    pub fn within(&self, len: u64) -> Self {
        let end = count(len);
        Self::from_ranges(self.0.iter().map(|r| r.start.min(end)..r.end.min(end)))
    }

    /// The set, widened over its smallest gaps until it has at most [`MAX_RANGES`] ranges: to ask for a
    /// little too much is cheaper than a message without bound.
    pub fn bounded(mut self) -> Self {
        if self.0.len() > MAX_RANGES {
            let mut gaps: Vec<u64> = self.0.windows(2).map(|w| w[1].start - w[0].end).collect();
            gaps.sort_unstable();
            let widest = gaps[self.0.len() - MAX_RANGES];
            let mut merged: Vec<Range<u64>> = Vec::new();
            for range in self.0 {
                match merged.last_mut() {
                    Some(last) if range.start - last.end <= widest => last.end = range.end,
                    _ => merged.push(range),
                }
            }
            self.0 = merged;
        }
        self
    }

    /// Adds the range that follows the last one; a cheap union for sets built in order.
    pub(super) fn push(&mut self, range: Range<u64>) {
        match self.0.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            Some(last) if range.start < last.end => *self = self.union(&Self::range(range)),
            _ if range.start < range.end => self.0.push(range),
            _ => {}
        }
    }
}

/// Number of groups in a shard of `len` bytes.
pub fn count(len: u64) -> u64 {
    len.div_ceil(GROUP)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn set(groups: &Groups) -> BTreeSet<u64> {
        groups.ranges().iter().cloned().flatten().collect()
    }

    fn some() -> impl Strategy<Value = Groups> {
        prop::collection::vec((0u64..60, 0u64..8), 0..12)
            .prop_map(|v| Groups::from_ranges(v.into_iter().map(|(start, n)| start..start + n)))
    }

    proptest! {
        #[test]
        fn sets_behave_as_sets(a in some(), b in some(), at in 0u64..70, n in 0u64..5) {
            let (x, y) = (set(&a), set(&b));
            prop_assert_eq!(set(&a.union(&b)), x.union(&y).copied().collect());
            prop_assert_eq!(set(&a.minus(&b)), x.difference(&y).copied().collect());
            prop_assert_eq!(a.count(), x.len() as u64);
            prop_assert_eq!(a.touches(&(at..at + n)), (at..at + n).any(|i| x.contains(&i)));
            prop_assert_eq!(&Groups::from_indexes(x.iter().copied()), &a);
            let mut pushed = Groups::none();
            x.iter().for_each(|i| pushed.push(*i..*i + 1));
            prop_assert_eq!(&pushed, &a);
            prop_assert!(a.ranges().windows(2).all(|w| w[0].end < w[1].start));
        }

        #[test]
        fn bytes_stop_at_the_end(a in some(), len in 0u64..70 * GROUP) {
            let inside = a.within(len);
            let want: u64 = set(&inside).iter().map(|i| GROUP.min(len - i * GROUP)).sum();
            prop_assert_eq!(inside.bytes(len), want);
            prop_assert_eq!(Groups::all(len).bytes(len), len);
        }
    }

    #[test]
    fn a_bounded_set_covers_what_it_had() {
        let many = Groups::from_indexes((0..10_000).map(|i| i * 3));
        let few = many.clone().bounded();
        assert!(few.ranges().len() <= MAX_RANGES && many.minus(&few).is_empty());
    }
}
