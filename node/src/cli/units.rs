//! Sizes, counts and times as people read them.

use std::time::Duration;

/// A size in decimal units, as on the box of the drive.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut size = count as f64 / 1000.0;
    let mut unit = 0;
    // What would round to 1000 is one of the next unit.
    while size >= 999.5 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    match size < 9.95 {
        true => format!("{size:.1} {}", UNITS[unit]),
        false => format!("{size:.0} {}", UNITS[unit]),
    }
}

/// A number with its thousands apart.
pub fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 file`, `2 files`.
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(count), if count == 1 { one } else { many })
}

/// A time to wait, no finer than anybody could use.
pub fn about(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..=9 => "a few seconds".into(),
        10..=89 => format!("about {seconds} s"),
        90..=5_399 => format!("about {} min", (seconds + 30) / 60),
        5_400..=172_799 => format!("about {} h", (seconds + 1_800) / 3_600),
        _ => format!("about {} days", (seconds + 43_200) / 86_400),
    }
}

/// An age in days, in words.
pub fn age(days: u64) -> String {
    match days {
        0..=59 => counted(days, "day", "days"),
        60..=729 => counted(days / 30, "month", "months"),
        _ => counted(days / 365, "year", "years"),
    }
}

/// The first digits of an id, enough to name it by.
pub fn short(id: &str) -> String {
    id.chars().take(8).collect()
}

/// How long ago something was, no finer than anybody could use.
pub fn ago(seconds: u64) -> String {
    match seconds {
        0..=89 => "just now".into(),
        90..=5_399 => format!("{} minutes ago", (seconds + 30) / 60),
        5_400..=172_799 => format!("{} hours ago", (seconds + 1_800) / 3_600),
        _ => format!("{} days ago", (seconds + 43_200) / 86_400),
    }
}

/// `text` with nothing in it that a terminal would obey.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (count, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (9_949, "9.9 kB"),
            (9_960, "10 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (25_000_000, "25 MB"),
            (4_000_000_000_000, "4.0 TB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn numbers_and_times() {
        assert_eq!(number(999), "999");
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(counted(1, "file", "files"), "1 file");
        assert_eq!(about(Duration::from_secs(41 * 60)), "about 41 min");
        assert_eq!(about(Duration::from_secs(6 * 86_400)), "about 6 days");
        assert_eq!([1, 59, 60, 729, 1460].map(age), ["1 day", "59 days", "2 months", "24 months", "4 years"]);
        assert_eq!(ago(5), "just now");
        assert_eq!(ago(3 * 86_400), "3 days ago");
        assert_eq!(plain("a\u{1b}[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
    }
}
