//! Identifiers: fixed-size byte strings with a type each, so that a roll is never taken for a shoot.
//!
//! All print as lower-case hex and parse back from it. People type prefixes: see [`Prefix`].

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER_PERMISSIVE;

/// Why a text or a byte string is no identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The byte string has another length.
    #[error("an identifier of {want} bytes came with {got}")]
    Length {
        /// Bytes the identifier has.
        want: usize,
        /// Bytes that came.
        got: usize,
    },
    /// The text is no hex.
    #[error("'{0}' is not a hexadecimal identifier")]
    NotHex(String),
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// The identifier in a byte string of exactly [`Self::LEN`] bytes.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, IdError> {
                let array = bytes
                    .try_into()
                    .map_err(|_| IdError::Length { want: $len, got: bytes.len() })?;
                Ok(Self(array))
            }

            /// Its bytes.
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// The first eight hex digits: enough for a person, never for a program.
            pub fn short(&self) -> String {
                self.to_string()[..8].to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&HEXLOWER_PERMISSIVE.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.short())
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let bytes = HEXLOWER_PERMISSIVE
                    .decode(text.as_bytes())
                    .map_err(|_| IdError::NotHex(text.to_owned()))?;
                Self::from_slice(&bytes)
            }
        }
    };
}

id!(
    /// A library: BLAKE3 of its authority public key.
    LibraryId, 32
);
id!(
    /// A node: its ed25519 public key, the same key that makes its libp2p PeerId.
    NodeId, 32
);
id!(
    /// A volume: random, in the marker file of its directory.
    VolumeId, 16
);
id!(
    /// A shoot: random.
    ShootId, 16
);
id!(
    /// A roll: random.
    RollId, 32
);
id!(
    /// One coding of a roll: random.
    CodingId, 16
);
id!(
    /// A record: BLAKE3 of a domain tag and its signed bytes.
    RecordId, 32
);
id!(
    /// A BLAKE3 hash of bytes: a file, a shard, a sealed stream, a catalog blob.
    Hash, 32
);

impl Hash {
    /// BLAKE3 of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl From<blake3::Hash> for Hash {
    fn from(hash: blake3::Hash) -> Self {
        Self(*hash.as_bytes())
    }
}

/// What a person typed for an identifier: the first hex digits of it, at least four.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(String);

impl Prefix {
    /// Shortest prefix that is taken for an identifier and not for a name.
    pub const MIN: usize = 4;

    /// `text` as a prefix, if it can be one.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.len() >= Self::MIN && text.bytes().all(|b| b.is_ascii_hexdigit());
        hex.then(|| Self(text.to_ascii_lowercase()))
    }

    /// Whether `id` starts so.
    pub fn matches(&self, id: impl fmt::Display) -> bool {
        id.to_string().starts_with(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_there_and_back() {
        let id = RollId([0xab; 32]);
        assert_eq!(id.to_string().parse::<RollId>(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse::<RollId>(), Ok(id));
        assert!("abcd".parse::<RollId>().is_err());
        assert!("zz".parse::<RollId>().is_err());
    }

    #[test]
    fn prefixes_need_four_digits() {
        assert!(Prefix::parse("abc").is_none());
        assert!(Prefix::parse("smith").is_none());
        assert!(Prefix::parse("ABAB").is_some_and(|p| p.matches(RollId([0xab; 32]))));
    }
}
