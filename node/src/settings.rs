//! The node's settings: kept in its store, at work at once.

use crate::admin::doc::{ConfigDoc, SettingDoc};
use crate::admin::operator::{Failure, Outcome};
use crate::blobs::arg::parse_size;
use crate::shell::Shell;
use crate::store::{Store, StoreError};

/// One setting there is.
struct Setting {
    key: &'static str,
    default: &'static str,
    about: &'static str,
}

/// What stands for "no limit".
const NONE: &str = "none";

/// Settings come with the parts they steer.
const SETTINGS: &[Setting] = &[
    Setting {
        key: "limit.down",
        default: NONE,
        about: "bytes a second that shards may come in at, such as 5MB",
    },
    Setting {
        key: "limit.up",
        default: NONE,
        about: "bytes a second that shards may go out at, such as 2MB",
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
pub fn set(shell: &Shell, key: &str, value: &str) -> Result<Outcome, Failure> {
    if !SETTINGS.iter().any(|setting| setting.key == key) {
        return Err(unknown(key));
    }
    rate(value).map_err(Failure::usage)?;
    shell.store.set(key, value)?;
    apply(shell)?;
    get(&shell.store, Some(key))
}

/// Puts all settings to work.
pub fn apply(shell: &Shell) -> Result<(), Failure> {
    let of = |key| Ok::<_, Failure>(shell.store.setting(key)?.and_then(|value| rate(&value).ok()).flatten());
    shell.pace.down.set(of("limit.down")?);
    shell.pace.up.set(of("limit.up")?);
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        assert_eq!(rate("none"), Ok(None));
        assert_eq!(rate("5MB"), Ok(Some(5_000_000)));
        assert_eq!(rate("5MB/s"), Ok(Some(5_000_000)));
        assert!(rate("0").is_err() && rate("fast").is_err());
    }
}
