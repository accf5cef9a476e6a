//! A volume as it is typed: `PATH[,media=ssd][,capacity=4TB][,site=S]`.

use std::path::PathBuf;
use std::str::FromStr;

use safelight_proto::vocabulary::{Media, Site, UnknownWord};

/// A volume as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeArg {
    /// Its directory.
    pub path: PathBuf,
    /// Its medium, where it was said.
    pub media: Option<Media>,
    /// Most bytes to use on it, where it was said.
    pub capacity: Option<u64>,
    /// The site it is at while it travels unmounted, where it was said.
    pub site: Option<Site>,
}

/// A text that names no volume.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VolumeArgError {
    /// No path.
    #[error("a volume starts with its directory: PATH[,media=ssd][,capacity=4TB][,site=S]")]
    NoPath,
    /// A part that is none of ours.
    #[error(
        "'{0}' is no part of a volume; say media=, capacity= or site= (a path with a comma cannot be used)"
    )]
    UnknownPart(String),
    /// Something was said twice.
    #[error("'{0}' is given twice")]
    Twice(&'static str),
    /// No medium.
    #[error(transparent)]
    Media(#[from] UnknownWord),
    /// No size.
    #[error(transparent)]
    Capacity(#[from] NotASize),
    /// No site.
    #[error("'{0}' is no name for a site: 1 to 64 bytes without control characters")]
    Site(String),
}

/// A text that is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no size; write a number with KB, MB, GB, TB or KiB, MiB, GiB, TiB, such as 4TB or 1.5TB")]
pub struct NotASize(pub String);

impl FromStr for VolumeArg {
    type Err = VolumeArgError;

    fn from_str(text: &str) -> Result<Self, VolumeArgError> {
        let mut parts = text.split(',');
        let path = parts.next().map(str::trim).filter(|p| !p.is_empty()).ok_or(VolumeArgError::NoPath)?;
        let mut arg = Self { path: PathBuf::from(path), media: None, capacity: None, site: None };
        for part in parts {
            let (key, value) =
                part.split_once('=').ok_or_else(|| VolumeArgError::UnknownPart(part.to_owned()))?;
            match key.trim() {
                "media" => once("media", &mut arg.media, value.trim().parse()?)?,
                "capacity" => once("capacity", &mut arg.capacity, parse_size(value)?)?,
                "site" => {
                    let site = Site::new(value).ok_or_else(|| VolumeArgError::Site(value.to_owned()))?;
                    once("site", &mut arg.site, site)?;
                }
                _ => return Err(VolumeArgError::UnknownPart(part.to_owned())),
            }
        }
        Ok(arg)
    }
}

/// Bytes in a text such as `4TB`, `1.5 TiB` or `1000000`. Case does not matter; `B` may be left out. At least
/// one byte.
pub fn parse_size(text: &str) -> Result<u64, NotASize> {
    let error = || NotASize(text.trim().to_owned());
    let lower = text.trim().to_ascii_lowercase();
    let unit_at = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(unit_at);
    let unit = unit.trim();
    let factor: u64 = match unit.strip_suffix('b').unwrap_or(unit) {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        "t" => 1_000_000_000_000,
        "ki" => 1 << 10,
        "mi" => 1 << 20,
        "gi" => 1 << 30,
        "ti" => 1 << 40,
        _ => return Err(error()),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.len() > 6 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return Err(error());
    }
    let whole = whole.parse::<u64>().ok().and_then(|n| n.checked_mul(factor)).ok_or_else(error)?;
    let part = match fraction {
        "" => 0,
        digits => {
            digits.parse::<u128>().map_err(|_| error())? * u128::from(factor)
                / 10_u128.pow(digits.len() as u32)
        }
    };
    // A fraction of a unit is below 2^40.
    whole.checked_add(part as u64).filter(|bytes| *bytes > 0).ok_or_else(error)
}

fn once<T>(name: &'static str, slot: &mut Option<T>, value: T) -> Result<(), VolumeArgError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(VolumeArgError::Twice(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_as_people_type_them() {
        let arg: VolumeArg = "/mnt/raid,media=ssd,capacity=4TB,site=Bank box".parse().unwrap();
        assert_eq!(arg.path, PathBuf::from("/mnt/raid"));
        assert_eq!((arg.media, arg.capacity), (Some(Media::Ssd), Some(4_000_000_000_000)));
        assert_eq!(arg.site, Site::new("bank box"));
        let plain: VolumeArg = "photos".parse().unwrap();
        assert_eq!((plain.media, plain.capacity, plain.site), (None, None, None));
        for bad in [
            "",
            ",media=ssd",
            "/a,media=floppy",
            "/a,capacity=much",
            "/a,ssd",
            "/a,x=1",
            "/a,media=ssd,media=hdd",
            "/a,site=",
        ] {
            assert!(bad.parse::<VolumeArg>().is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("1", 1),
            ("500 MB", 500_000_000),
            ("4tb", 4_000_000_000_000),
            ("1.5TB", 1_500_000_000_000),
            ("0.5GiB", 1 << 29),
            ("2KiB", 2048),
            ("3k", 3000),
            ("16TiB", 16 << 40),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for bad in [
            "",
            "0",
            "-1",
            "1.2.3",
            "1XB",
            ".5GB",
            "99999999999999999999",
            "20000000TiB",
            "1e9",
            "0.0000001TB",
        ] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
