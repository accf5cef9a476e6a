//! The words of the trade that travel in records: roles, media, sites and the rule.

use std::fmt;
use std::str::FromStr;

/// What a node may do: see the design's section on keys. The one that may more comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Can read the library and admit vaults.
    Studio,
    /// Holds shards it cannot read; can still ingest, audit and repair.
    Vault,
}

/// The kind of medium a volume is. Two volumes of one medium can fail for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Media {
    /// Flash on a bus of the machine.
    Ssd,
    /// Spinning disk.
    Hdd,
    /// Anything that hangs on a USB plug.
    Usb,
    /// Network storage appliance.
    Nas,
    /// A provider's block or object storage.
    Cloud,
    /// Tape.
    Tape,
    /// Optical disc.
    Optical,
}

/// A text that names no known word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{got}' is no {what}; say one of {choices}")]
pub struct UnknownWord {
    what: &'static str,
    got: String,
    choices: &'static str,
}

macro_rules! words {
    ($type:ident, $what:literal, $choices:literal, { $($variant:ident = $word:literal),* $(,)? }) => {
        impl $type {
            /// Every variant, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word people read and type.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.word())
            }
        }
        impl FromStr for $type {
            type Err = UnknownWord;
            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text.to_ascii_lowercase().as_str() {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(UnknownWord { what: $what, got: text.to_owned(), choices: $choices }),
                }
            }
        }
    };
}

words!(Role, "role", "studio, vault", { Studio = "studio", Vault = "vault" });
words!(Media, "medium", "ssd, hdd, usb, nas, cloud, tape, optical", {
    Ssd = "ssd", Hdd = "hdd", Usb = "usb", Nas = "nas", Cloud = "cloud", Tape = "tape", Optical = "optical",
});

/// A place that can burn down. Kept as it was typed; compared with case and spaces folded.
#[derive(Clone)]
pub struct Site {
    name: String,
    /// The name folded, made once: sites are compared all the time.
    key: String,
}

impl Site {
    /// Longest name, in bytes.
    pub const MAX: usize = 64;

    /// A site by its name; `None` when the name is empty, too long, or has control characters.
    pub fn new(name: &str) -> Option<Self> {
        let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
        let fits = !name.is_empty() && name.len() <= Self::MAX && !name.chars().any(char::is_control);
        fits.then(|| Self { key: name.to_lowercase().replace(' ', ""), name })
    }

    /// The name as it was typed, spaces tidied.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What two spellings of one site share.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl PartialEq for Site {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}
impl Eq for Site {}
impl PartialOrd for Site {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Site {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}
impl std::hash::Hash for Site {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}
impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}
impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Site({:?})", self.name)
    }
}

/// The protection asked for, written `C-M-S` with an optional `full`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// C: survive the loss of any C-1 volumes. 1 to [`Rule::MAX`].
    pub copies: u8,
    /// M: survive the loss of every volume of any M-1 media. 1 to [`Rule::MAX`].
    pub media: u8,
    /// S: survive the loss of any S sites. 0 to [`Rule::MAX`].
    pub offsite: u8,
    /// Literal copies are asked for, beside the coded clauses.
    pub full: bool,
    /// Most storage that may be spent, in percent of the data (200 is 2.0x); nothing means the cheapest that meets the rule.
    pub spend: Option<u32>,
}

/// A text that is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no rule; write copies-media-offsite, such as 3-2-1 or '3-2-1 full', each at most 5")]
pub struct NotARule(String);

impl Rule {
    /// Largest number in any place of a rule.
    pub const MAX: u8 = 5;

    /// What asks for as much as both.
    pub fn stricter(self, other: Self) -> Self {
        Self {
            copies: self.copies.max(other.copies),
            media: self.media.max(other.media),
            offsite: self.offsite.max(other.offsite),
            full: self.full || other.full,
            spend: self.spend.max(other.spend),
        }
    }
}

impl Default for Rule {
    fn default() -> Self {
        Self { copies: 3, media: 2, offsite: 1, full: false, spend: None }
    }
}

impl FromStr for Rule {
    type Err = NotARule;
    fn from_str(text: &str) -> Result<Self, NotARule> {
        let error = || NotARule(text.to_owned());
        let mut words = text.split_whitespace();
        let numbers = words
            .next()
            .ok_or_else(error)?
            .split('-')
            .map(|n| n.parse::<u8>().ok().filter(|n| *n <= Self::MAX))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(error)?;
        let full = match words.next() {
            None => false,
            Some("full") => true,
            Some(_) => return Err(error()),
        };
        match (numbers.as_slice(), words.next()) {
            (&[copies, media, offsite], None) if copies > 0 && media > 0 => {
                Ok(Self { copies, media, offsite, full, spend: None })
            }
            _ => Err(error()),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.copies, self.media, self.offsite)?;
        if self.full {
            f.write_str(" full")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_there_and_back() {
        for text in ["3-2-1", "3-2-1 full", "2-1-0", "5-5-5"] {
            assert_eq!(text.parse::<Rule>().map(|r| r.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "3-2", "0-1-1", "3-0-1", "6-2-1", "3-2-1-1", "3-2-1 ful", "3-2-1 full x", "-1-2-3"] {
            assert!(text.parse::<Rule>().is_err(), "{text}");
        }
    }

    #[test]
    fn sites_fold_case_and_spaces() {
        assert_eq!(Site::new("Tom's  House"), Site::new("TOM'S HOUSE"));
        assert_ne!(Site::new("studio"), Site::new("friend"));
        assert_eq!(Site::new("  "), None);
    }
}
