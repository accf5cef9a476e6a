//! The node's settings: kept in its store, at work at once.

use std::time::Duration;

use safelight_core::event::Event;
use safelight_core::settings::Settings as Care;

use crate::admin::doc::{ConfigDoc, SettingDoc};
use crate::admin::operator::{Failure, Outcome};
use crate::blobs::arg::parse_size;
use crate::hours::{Hours, NotHours};
use crate::shell::Shell;
use crate::store::{Store, StoreError};

/// One setting there is.
struct Setting {
    key: &'static str,
    kind: Kind,
    default: &'static str,
    about: &'static str,
}

/// What a setting's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Bytes a second, or [`NONE`].
    Rate,
    /// A span of time.
    Span,
    /// Hours of the day, or [`NONE`].
    Hours,
    /// A share of a whole, or [`RELEASE`], which changes no setting.
    Percent,
}

/// What stands for "no limit".
const NONE: &str = "none";
/// What releases a brake that holds.
const RELEASE: &str = "release";
/// The setting of the brake.
const BRAKE: &str = "brake";
/// The setting of the hours for transfers.
const HOURS: &str = "limit.hours";
/// The setting of the age at which drives are to be replaced.
const VOLUME_AGE: &str = "volume.age";
/// Four years: drives fail more and more often from then on.
const VOLUME_AGE_DEFAULT: &str = "1460d";
/// The longest span that may be set: a hundred years.
const SPAN_MOST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Settings come with the parts they steer.
const SETTINGS: &[Setting] = &[
    Setting {
        key: "audit.period",
        kind: Kind::Span,
        default: "7d",
        about: "how often vaults have to prove anew that they hold what they say",
    },
    Setting {
        key: BRAKE,
        kind: Kind::Percent,
        default: "5%",
        about: "more of the library deleted within a day stops this node from freeing anything; 0% never does. \
                `release`, or setting it again, releases it",
    },
    Setting {
        key: "drill.period",
        kind: Kind::Span,
        default: "30d",
        about: "how often a studio rehearses the loss of every site with a sample of the files; 0s never does",
    },
    Setting {
        key: "grace.node",
        kind: Kind::Span,
        default: "24h",
        about: "how long a node that does not answer is expected back before its shards are made again elsewhere",
    },
    Setting {
        key: "grace.site",
        kind: Kind::Span,
        default: "14d",
        about: "the same, for a site of which no node answers",
    },
    Setting {
        key: "limit.down",
        kind: Kind::Rate,
        default: NONE,
        about: "bytes a second that shards may come in at, such as 5MB",
    },
    Setting {
        key: HOURS,
        kind: Kind::Hours,
        default: NONE,
        about: "hours of the day in which shards may go to and from other nodes, such as 22:00-07:00; restores and \
                rolls in danger do not wait for them",
    },
    Setting {
        key: "limit.up",
        kind: Kind::Rate,
        default: NONE,
        about: "bytes a second that shards may go out at, such as 2MB",
    },
    Setting {
        key: "scrub.period",
        kind: Kind::Span,
        default: "30d",
        about: "every shard on this node's volumes is read and verified once in so long",
    },
    Setting {
        key: "quarantine",
        kind: Kind::Span,
        default: "30d",
        about: "how long what is deleted stays on this node's volumes; only time in which it runs counts",
    },
    Setting {
        key: VOLUME_AGE,
        kind: Kind::Span,
        default: VOLUME_AGE_DEFAULT,
        about: "`volumes` and `status` recommend to replace a drive that is older",
    },
];

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Failure::new(error.to_string()).next("check the drive that the node's home is on")
    }
}

/// All settings, or one.
pub fn get(store: &Store, key: Option<&str>) -> Result<Outcome, Failure> {
    let mut settings = Vec::new();
    for setting in SETTINGS.iter().filter(|setting| key.is_none_or(|key| key == setting.key)) {
        let set = store.setting(setting.key)?;
        settings.push(SettingDoc {
            key: setting.key.to_owned(),
            default: set.is_none(),
            value: set.unwrap_or_else(|| setting.default.to_owned()),
            about: setting.about.to_owned(),
        });
    }
    match key {
        Some(key) if settings.is_empty() => Err(unknown(key)),
        _ => Ok(Outcome::done(ConfigDoc { settings })),
    }
}

/// Changes a setting, durably, and puts it to work.
pub async fn set(shell: &Shell, key: &str, value: &str) -> Result<Outcome, Failure> {
    let setting = SETTINGS.iter().find(|setting| setting.key == key).ok_or_else(|| unknown(key))?;
    check(setting.kind, value).map_err(Failure::usage)?;
    // An empty text clears hours, too.
    let value = if setting.kind == Kind::Hours && value.trim().is_empty() { NONE } else { value };
    if value != RELEASE {
        shell.store.set(key, value)?;
        apply(shell).await?;
    }
    if key == BRAKE {
        shell.core.settle(Event::ReleaseBrake).await?;
    }
    get(&shell.store, Some(key))
}

/// Puts all settings to work.
pub async fn apply(shell: &Shell) -> Result<(), Failure> {
    let rate_of =
        |key| Ok::<_, Failure>(shell.store.setting(key)?.and_then(|value| rate(&value).ok()).flatten());
    shell.pace.down.set(rate_of("limit.down")?);
    shell.pace.up.set(rate_of("limit.up")?);
    let hours_set = shell.store.setting(HOURS)?.and_then(|value| hours(&value).ok()).flatten();
    let within_hours = shell.gate.set(hours_set);
    let span_of = |key, default| {
        let set = shell.store.setting(key)?.and_then(|value| span(&value).ok());
        Ok::<_, Failure>(set.map_or(default, |span| span.as_millis() as u64))
    };
    let default = Care::default();
    let brake = shell.store.setting(BRAKE)?.and_then(|value| percent(&value).ok());
    let care = Care {
        grace_node: span_of("grace.node", default.grace_node)?,
        grace_site: span_of("grace.site", default.grace_site)?,
        scrub_period: span_of("scrub.period", default.scrub_period)?,
        audit_period: span_of("audit.period", default.audit_period)?,
        drill_period: span_of("drill.period", default.drill_period)?,
        quarantine: span_of("quarantine", default.quarantine)?,
        brake_percent: brake.unwrap_or(default.brake_percent),
        within_hours,
    };
    shell.scrubs.set_period(Duration::from_millis(care.scrub_period));
    Ok(shell.core.settle(Event::Configure(care)).await?)
}

/// How old a drive may become before it is to be replaced.
pub fn volume_age(store: &Store) -> Result<Duration, StoreError> {
    let set = store.setting(VOLUME_AGE)?.and_then(|value| span(&value).ok());
    Ok(set.or_else(|| span(VOLUME_AGE_DEFAULT).ok()).unwrap_or(SPAN_MOST))
}

fn check(kind: Kind, value: &str) -> Result<(), String> {
    match kind {
        Kind::Hours => hours(value).map(drop),
        Kind::Rate => rate(value).map(drop),
        Kind::Span => span(value).map(drop),
        Kind::Percent if value == RELEASE => Ok(()),
        Kind::Percent => percent(value).map(drop),
    }
}

fn unknown(key: &str) -> Failure {
    let known: Vec<&str> = SETTINGS.iter().map(|setting| setting.key).collect();
    Failure::usage(format!("there is no setting '{key}'; there are {}", known.join(", ")))
}

/// A rate in bytes a second; nothing for no limit.
fn rate(value: &str) -> Result<Option<u64>, String> {
    match value {
        NONE => Ok(None),
        size => match parse_size(size.trim_end_matches("/s")) {
            Ok(0) | Err(_) => Err(format!("'{value}' is no rate; write bytes a second such as 5MB, or none")),
            Ok(bytes) => Ok(Some(bytes)),
        },
    }
}

/// Hours of the day; nothing for all of it.
fn hours(value: &str) -> Result<Option<Hours>, String> {
    match value.trim() {
        NONE | "" => Ok(None),
        hours => hours.parse().map(Some).map_err(|error: NotHours| error.to_string()),
    }
}

/// A span of time.
fn span(value: &str) -> Result<Duration, String> {
    match humantime::parse_duration(value) {
        Ok(span) if span <= SPAN_MOST => Ok(span),
        _ => Err(format!("'{value}' is no span of time; write one such as 30d, 24h or 90s")),
    }
}

/// A share of a whole, in percent.
fn percent(value: &str) -> Result<u8, String> {
    match value.strip_suffix('%').unwrap_or(value).parse() {
        Ok(percent) if percent <= 100 => Ok(percent),
        _ => Err(format!("'{value}' is no share; write 0% to 100%")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares() {
        assert_eq!(percent("5%"), Ok(5));
        assert_eq!(percent("0"), Ok(0));
        assert!(percent("101%").is_err() && percent("-1%").is_err() && percent("some").is_err());
        assert_eq!(check(Kind::Percent, RELEASE), Ok(()));
        assert!(check(Kind::Span, RELEASE).is_err());
    }

    #[test]
    fn rates() {
        assert_eq!(rate("none"), Ok(None));
        assert_eq!(rate("5MB"), Ok(Some(5_000_000)));
        assert_eq!(rate("5MB/s"), Ok(Some(5_000_000)));
        assert!(rate("0").is_err() && rate("fast").is_err());
    }

    #[test]
    fn hours_of_the_day() {
        assert_eq!(hours("none"), Ok(None));
        assert_eq!(hours(" "), Ok(None));
        assert_eq!(
            hours("22:00-07:00").map(|hours| hours.map(|h| h.to_string())),
            Ok(Some("22:00-07:00".into()))
        );
        assert!(check(Kind::Hours, "at night").is_err_and(|error| error.contains("22:00-07:00")));
    }

    #[test]
    fn spans() {
        assert_eq!(span("30d"), Ok(Duration::from_secs(30 * 24 * 3600)));
        assert_eq!(span("1s"), Ok(Duration::from_secs(1)));
        assert!(span("soon").is_err() && span("900000y").is_err());
    }

    #[test]
    fn defaults_are_what_the_core_takes() {
        for setting in SETTINGS {
            assert_eq!(check(setting.kind, setting.default), Ok(()), "{}", setting.key);
        }
        let of = |key: &str| SETTINGS.iter().find(|setting| setting.key == key).expect("there").default;
        let millis = |key| span(of(key)).expect("a span").as_millis() as u64;
        assert_eq!(millis("grace.node"), Care::default().grace_node);
        assert_eq!(millis("grace.site"), Care::default().grace_site);
        assert_eq!(millis("scrub.period"), Care::default().scrub_period);
        assert_eq!(millis("audit.period"), Care::default().audit_period);
        assert_eq!(millis("drill.period"), Care::default().drill_period);
        assert_eq!(millis("quarantine"), Care::default().quarantine);
        assert_eq!(percent(of(BRAKE)), Ok(Care::default().brake_percent));
    }
}
