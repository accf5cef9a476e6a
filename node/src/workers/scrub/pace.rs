//! When rounds begin and how fast they read: every shard within the period, and no faster than that needs.

use std::time::Duration;

use crate::store::scrubs::Round;

/// A round begins this part of the period after the last one began, in percent.
const EVERY: u32 = 60;
/// And reads everything in this part of it. So no shard waits longer than the two together: 95 % of the period.
const LENGTH: u32 = 35;
/// A round that is late, for the machine was off, still takes its time: this part of the period, in percent.
const CATCH_UP: u32 = 10;
/// A slower reading than this would only keep a drive from its sleep, bytes a second.
const FLOOR: f64 = 4e6;
/// A drive that others work with is read for a fifth of the time, however late it is.
const REST_BUSY: u32 = 4;
/// And one that nobody else works with for four fifths.
const REST_IDLE: f64 = 0.25;
/// Longest rest.
const REST_MOST: Duration = Duration::from_secs(60);

/// When the round after `round` is to begin, milliseconds since 1970.
pub fn next_start(round: &Round, period: Duration) -> u64 {
    round.started.saturating_add(part(period, EVERY).as_millis() as u64)
}

/// How long what is left of a round that began at `started` may take from `now` on, both milliseconds since 1970.
pub fn time_left(started: u64, now: u64, period: Duration) -> Duration {
    let over = Duration::from_millis(now.saturating_sub(started));
    match part(period, LENGTH).saturating_sub(over) {
        Duration::ZERO => part(period, CATCH_UP),
        left => left,
    }
}

fn part(period: Duration, percent: u32) -> Duration {
    period / 100 * percent
}

/// Bytes a second that finish `bytes` within `time`.
pub fn rate(bytes: u64, time: Duration) -> f64 {
    (bytes as f64 / time.as_secs_f64().max(1e-3)).max(FLOOR)
}

/// How long to rest after `bytes` that took `took` to read.
pub fn rest(bytes: u64, took: Duration, rate: f64, busy: bool) -> Duration {
    let even = Duration::from_secs_f64(bytes as f64 / rate).saturating_sub(took);
    let least = if busy { took * REST_BUSY } else { took.mul_f64(REST_IDLE) };
    even.max(least).min(REST_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);
    const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

    fn millis(span: Duration) -> u64 {
        span.as_millis() as u64
    }

    /// The longest time between two readings of one shard, over a few rounds of a volume.
    fn longest_wait(bytes: u64, disk: f64, busy: bool) -> Duration {
        const SHARD: u64 = 1 << 30;
        let (mut now, mut longest) = (0_u64, 0_u64);
        let mut read = vec![0_u64; (bytes / SHARD) as usize];
        for _ in 0..4 {
            let round = Round { started: now, ..Round::default() };
            let all = bytes;
            for (at, last) in read.iter_mut().enumerate() {
                let left = all - at as u64 * SHARD;
                let rate = rate(left, time_left(round.started, now, MONTH));
                let took = Duration::from_secs_f64(SHARD as f64 / disk);
                // Read in steps of a MiB: the same by the thousand.
                now += millis(took + 1024 * rest(SHARD / 1024, took / 1024, rate, busy));
                longest = longest.max(now - *last);
                *last = now;
            }
            now = now.max(next_start(&round, MONTH));
        }
        Duration::from_millis(longest)
    }

    #[test]
    fn every_shard_is_read_within_the_period() {
        for (bytes, disk) in [(8 << 30, 5e8), (1 << 40, 1.5e8), (8 << 40, 1.5e8), (20 << 40, 2e8)] {
            let waited = longest_wait(bytes, disk, false);
            assert!(waited <= MONTH && waited > DAY, "{bytes} bytes: {waited:?}");
        }
        assert!(longest_wait(1 << 40, 1.5e8, true) <= MONTH, "and beside others' work");
    }

    #[test]
    fn it_is_no_faster_than_it_must_be() {
        // 8 TB in ten days and a half: some 9 MB a second.
        let rate = rate(8_000_000_000_000, time_left(0, 0, MONTH));
        assert!((8e6..10e6).contains(&rate), "{rate}");
        let rested = rest(1 << 20, Duration::from_millis(7), rate, false);
        assert!((100..125).contains(&rested.as_millis()), "{rested:?}");
    }

    #[test]
    fn it_stays_out_of_the_way_even_when_it_is_late() {
        let late = rate(1 << 40, time_left(0, u64::MAX / 2, Duration::from_secs(1)));
        let took = Duration::from_millis(100);
        assert_eq!(rest(1 << 20, took, late, true), took * 4);
        assert_eq!(rest(1 << 20, took, late, false), took / 4);
        assert_eq!(rest(1, Duration::from_secs(900), late, true), REST_MOST, "a drive that hardly answers");
    }

    #[test]
    fn who_was_off_for_long_does_not_hurry() {
        let left = time_left(0, millis(MONTH * 12), MONTH);
        assert_eq!(left, MONTH / 10);
        assert_eq!(time_left(10, 5, MONTH), part(MONTH, LENGTH), "a clock that was set back");
    }
}
