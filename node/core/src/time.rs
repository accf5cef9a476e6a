//! Time is an argument: the core never asks a clock.

use safelight_proto::record::Hlc;

/// What the shell's clocks say when an event enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Now {
    /// Milliseconds since 1970, by a clock that people set and that may be years off.
    pub wall: u64,
    /// Milliseconds since some fixed moment, by a clock that only goes forward. Delays rest on this one.
    pub steady: u64,
}

/// A time ahead of ours by more than this is taken for a broken clock, in milliseconds.
pub const FAR_AHEAD: u64 = 5 * 60 * 1000;

/// Gives out hybrid logical times: later than everything seen, near the wall clock.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    last: Hlc,
}

impl Clock {
    /// The next time for a record of ours.
    pub fn tick(&mut self, now: Now) -> Hlc {
        self.last = Hlc(self.last.0 + 1).max(Hlc::at(now.wall));
        self.last
    }

    /// Takes note of another's time, unless it is so far ahead that following it would spread a broken clock.
    pub fn observe(&mut self, hlc: Hlc, now: Now) {
        if hlc.millis() <= now.wall.saturating_add(FAR_AHEAD) {
            self.last = self.last.max(hlc);
        }
    }

    /// Starts no earlier than what this node itself said before a restart, however far ahead that was.
    pub fn resume(&mut self, own: Hlc) {
        self.last = self.last.max(own);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_only_grow() {
        let mut clock = Clock::default();
        let now = Now { wall: 1_000, steady: 0 };
        let first = clock.tick(now);
        let second = clock.tick(Now { wall: 10, steady: 1 });
        assert!(second > first);
        clock.observe(Hlc::at(2_000), now);
        assert!(clock.tick(now) > Hlc::at(2_000));
    }

    #[test]
    fn a_broken_clock_does_not_spread() {
        let mut clock = Clock::default();
        let now = Now { wall: 1_000, steady: 0 };
        clock.observe(Hlc::at(now.wall + FAR_AHEAD + 1), now);
        assert_eq!(clock.tick(now), Hlc::at(1_000));
    }
}
