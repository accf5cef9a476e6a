//! What people typed, as it travels to the node: paths byte for byte, the phrase without a trace.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroizing;

/// A path whose very bytes survive JSON: text when it is UTF-8, `{"hex": ...}` when it is not.
#[derive(Clone, PartialEq, Eq)]
pub struct RawPath(PathBuf);

impl RawPath {
    /// The path.
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

impl From<PathBuf> for RawPath {
    fn from(path: PathBuf) -> Self {
        Self(path)
    }
}

impl fmt::Debug for RawPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum PathForm {
    Text(String),
    Bytes { hex: String },
}

impl Serialize for RawPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let form = match self.0.to_str() {
            Some(text) => PathForm::Text(text.to_owned()),
            None => PathForm::Bytes { hex: HEXLOWER_PERMISSIVE.encode(self.0.as_os_str().as_bytes()) },
        };
        form.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RawPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = match PathForm::deserialize(deserializer)? {
            PathForm::Text(text) => text.into_bytes(),
            PathForm::Bytes { hex } => HEXLOWER_PERMISSIVE
                .decode(hex.as_bytes())
                .map_err(|_| de::Error::custom("a path is no hex"))?,
        };
        if bytes.contains(&0) {
            return Err(de::Error::custom("a path has a NUL byte"));
        }
        if !Path::new(OsStr::from_bytes(&bytes)).is_absolute() {
            return Err(de::Error::custom("a path is not absolute"));
        }
        Ok(Self(OsString::from_vec(bytes).into()))
    }
}

/// The words of a recovery phrase as they came in: never printed by accident, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct PhraseText(Zeroizing<String>);

impl PhraseText {
    /// The words in `text`, with one space between them.
    pub fn new(text: &str) -> Self {
        let mut words = Zeroizing::new(String::with_capacity(text.len() + 1));
        for word in text.split_whitespace() {
            if !words.is_empty() {
                words.push(' ');
            }
            words.push_str(word);
        }
        Self(words)
    }

    /// The words, one space between them.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The words one by one.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ').filter(|word| !word.is_empty())
    }
}

impl fmt::Debug for PhraseText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PhraseText(not shown)")
    }
}

impl Serialize for PhraseText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PhraseText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::new(&Zeroizing::new(String::deserialize(deserializer)?)))
    }
}
