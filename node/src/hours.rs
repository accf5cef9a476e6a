//! The hours of the day in which shards may go to and from other nodes, by the clock on the wall where the node stands.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use chrono::{Local, Timelike};
use tokio::sync::watch;

/// Minutes of a day.
const DAY: u16 = 24 * 60;
/// Most spans of time in one setting.
const MOST: usize = 16;

/// Some spans of the day, each in minutes since midnight: from, and to before; one that ends before it begins goes over
/// midnight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours(Vec<(u16, u16)>);

/// A text that names no hours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' are no hours; write some such as 22:00-07:00, several with commas between them, or none")]
pub struct NotHours(String);

impl Hours {
    /// Whether `minute` of the day is within them.
    pub fn contains(&self, minute: u16) -> bool {
        self.0.iter().any(|(from, to)| match from < to {
            true => (*from..*to).contains(&minute),
            false => minute >= *from || minute < *to,
        })
    }

    /// The share of a day that they are, above 0.
    pub fn share(&self) -> f64 {
        let minutes = (0..DAY).filter(|minute| self.contains(*minute)).count();
        minutes as f64 / f64::from(DAY)
    }
}

impl FromStr for Hours {
    type Err = NotHours;

    fn from_str(text: &str) -> Result<Self, NotHours> {
        let wrong = || NotHours(text.to_owned());
        let clock = |text: &str| -> Option<u16> {
            let (hour, minute) = text.trim().split_once(':')?;
            let digits = |text: &str| (text.len() <= 2).then(|| text.parse::<u16>().ok()).flatten();
            let (hour, minute) = (digits(hour)?, digits(minute).filter(|minute| *minute < 60)?);
            Some(hour * 60 + minute).filter(|minutes| *minutes <= DAY)
        };
        let span = |text: &str| {
            let (from, to) = text.split_once('-')?;
            let (from, to) = (clock(from).filter(|from| *from < DAY)?, clock(to)?);
            // All day long is no limit, and no minute is none at all: both are surely meant otherwise.
            (from != to && to - to / DAY * DAY != from).then_some((from, to))
        };
        let spans: Option<Vec<(u16, u16)>> = text.split(',').map(span).collect();
        spans.filter(|spans| spans.len() <= MOST).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clock = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        let spans = self.0.iter().map(|(from, to)| format!("{}-{}", clock(*from), clock(*to)));
        f.write_str(&spans.collect::<Vec<_>>().join(","))
    }
}

/// Whether shards may go now.
#[derive(Debug)]
pub struct Gate {
    hours: Mutex<Option<Hours>>,
    open: watch::Sender<bool>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { hours: Mutex::default(), open: watch::channel(true).0 }
    }
}

impl Gate {
    /// Sets the hours; nothing for all day. Says whether it is open now.
    pub fn set(&self, hours: Option<Hours>) -> bool {
        *self.hours.lock().unwrap_or_else(PoisonError::into_inner) = hours;
        self.look();
        self.is_open()
    }

    /// Looks at the clock; says whether it has opened or closed since the last look.
    pub fn look(&self) -> bool {
        let now = Local::now();
        let minute = (now.hour() * 60 + now.minute()) as u16;
        let open = self.hours().is_none_or(|hours| hours.contains(minute));
        self.open.send_if_modified(|was| std::mem::replace(was, open) != open)
    }

    /// The hours that are set.
    pub fn hours(&self) -> Option<Hours> {
        self.hours.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether shards may go now.
    pub fn is_open(&self) -> bool {
        *self.open.borrow()
    }

    /// The hours that have to come before shards may go; nothing while they may.
    pub fn awaited(&self) -> Option<Hours> {
        self.hours().filter(|_| !self.is_open())
    }

    /// Returns when shards may not go any more.
    pub async fn closed(&self) {
        // The sender lives as long as this gate, so the wait ends with a closing.
        let _ = self.open.subscribe().wait_for(|open| !open).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(text: &str) -> Hours {
        text.parse().expect("hours")
    }

    #[test]
    fn over_midnight_and_several() {
        let night = hours("22:00-07:00");
        for (minute, within) in
            [(22 * 60 - 1, false), (22 * 60, true), (DAY - 1, true), (0, true), (419, true), (420, false)]
        {
            assert_eq!(night.contains(minute), within, "{minute}");
        }
        let both = hours(" 9:30-10:00, 18:00-24:00");
        assert!(both.contains(570) && !both.contains(600) && both.contains(DAY - 1) && !both.contains(0));
        assert_eq!(both.to_string(), "09:30-10:00,18:00-24:00");
        assert!((night.share() - 9.0 / 24.0).abs() < 1e-9);
    }

    #[test]
    fn what_are_no_hours() {
        for text in [
            "",
            "night",
            "22:00",
            "22:00-",
            "25:00-07:00",
            "22:60-07:00",
            "24:00-07:00",
            "7-9",
            "08:00-08:00",
            "00:00-24:00",
            "22:00-07:00,",
            "022:00-07:00",
        ] {
            assert!(text.parse::<Hours>().is_err(), "{text}");
        }
        assert!(vec!["1:00-2:00"; MOST + 1].join(",").parse::<Hours>().is_err());
    }

    #[tokio::test]
    async fn a_gate_closes_and_opens() {
        let gate = Gate::default();
        assert!(gate.is_open() && gate.awaited().is_none());
        let now = Local::now();
        let minute = now.hour() * 60 + now.minute();
        let clock = |minute: u32| format!("{:02}:{:02}", minute / 60 % 24, minute % 60);
        let other = hours(&format!("{}-{}", clock(minute + 700), clock(minute + 760)));
        assert!(!gate.set(Some(other.clone())));
        assert_eq!(gate.awaited(), Some(other));
        gate.closed().await;
        assert!(!gate.look(), "nothing has changed");
        assert!(gate.set(Some(hours(&format!("{}-{}", clock(minute + 1430), clock(minute + 30))))));
        assert!(gate.set(None) && gate.awaited().is_none());
    }
}
