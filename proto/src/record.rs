//! Signed records: the manifest is a set of these and nothing more.
//!
//! A record is checked once, where it enters ([`Record::parse`]): its signature, its bounds and its form. The exact
//! bytes that came are kept, because protobuf has many encodings of one message and a signature holds for one of them.

mod adoption;
mod body;
mod convert;
mod key;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use prost::Message;

pub use adoption::Adopt;
pub use body::*;
pub use key::Key;

use crate::id::{IdError, LibraryId, NodeId, RecordId};
use crate::{limit, schema};

/// Domain of the record signature, and of the record id.
const DOMAIN: &[u8] = b"safelight record v1\0";

/// Hybrid logical time: milliseconds since 1970 in the upper 48 bits, a counter in the lower 16.
///
/// Kulkarni et al., "Logical Physical Clocks" (2014). It orders and breaks ties; no safety delay ever rests on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hlc(pub u64);

impl Hlc {
    /// The first moment of the millisecond `millis`.
    pub fn at(millis: u64) -> Self {
        Self(millis << 16)
    }

    /// Milliseconds since 1970.
    pub fn millis(self) -> u64 {
        self.0 >> 16
    }
}

/// Why bytes are no record of this library.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Longer than [`limit::RECORD_BYTES`].
    #[error("a record of {0} bytes is longer than any may be")]
    TooLong(usize),
    /// Not the encoding of a record.
    #[error("not a record: {0}")]
    Malformed(String),
    /// Of another library.
    #[error("the record belongs to another library")]
    Foreign,
    /// The signature does not hold.
    #[error("the signature does not hold")]
    Forged,
    /// A field is out of its bounds.
    #[error("the record's {0} is out of bounds")]
    Bounds(&'static str),
}

impl From<IdError> for RecordError {
    fn from(error: IdError) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// A record whose signature and form hold. Whether its author may say so is for the manifest to judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// BLAKE3 of the domain tag and the signed bytes.
    pub id: RecordId,
    /// When, by the author's hybrid clock.
    pub hlc: Hlc,
    /// Whose key signed it: a node's, or the authority's.
    pub author: NodeId,
    /// What it says.
    pub body: Body,
    /// The bytes that came, to be kept and passed on as they are.
    pub bytes: Vec<u8>,
}

impl Record {
    /// Signs `body` with `key` for `library` at `hlc`.
    ///
    /// # Panics
    /// When the body breaks a bound of [`limit`]: callers build bodies within them.
    pub fn sign(library: LibraryId, hlc: Hlc, body: Body, key: &SigningKey) -> Self {
        let author = NodeId(key.verifying_key().to_bytes());
        let signed = schema::Claim {
            library: library.0.to_vec(),
            hlc: hlc.0,
            author: author.0.to_vec(),
            body: Some(convert::to_schema(&body)),
        }
        .encode_to_vec();
        let signature = key.sign(&with_domain(&signed)).to_bytes().to_vec();
        let id = record_id(&signed);
        let bytes = schema::Record { signed, signature }.encode_to_vec();
        assert!(bytes.len() <= limit::RECORD_BYTES, "own record of {} bytes breaks the limit", bytes.len());
        Self { id, hlc, author, body, bytes }
    }

    /// Checks bytes that came from outside: bounds, form, library, signature.
    pub fn parse(library: LibraryId, bytes: &[u8]) -> Result<Self, RecordError> {
        let (claim, outer) = Self::open(bytes)?;
        if claim.library != library.0 {
            return Err(RecordError::Foreign);
        }
        let author = NodeId::from_slice(&claim.author)?;
        let key = VerifyingKey::from_bytes(&author.0).map_err(|_| RecordError::Forged)?;
        let signature = Signature::from_slice(&outer.signature).map_err(|_| RecordError::Forged)?;
        key.verify_strict(&with_domain(&outer.signed), &signature).map_err(|_| RecordError::Forged)?;
        let record = Self::checked(claim, &outer, bytes)?;
        if let Body::Adopt(adopt) = &record.body {
            for adopted in &adopt.records {
                Self::parse(library, &adopted.bytes)?;
            }
        }
        Ok(record)
    }

    /// A record from this node's own store, whose signature was verified before it was written there.
    ///
    /// The store checks every page it reads; verifying a million signatures again at each start would cost minutes.
    pub fn trusted(bytes: &[u8]) -> Result<Self, RecordError> {
        let (claim, outer) = Self::open(bytes)?;
        Self::checked(claim, &outer, bytes)
    }

    fn open(bytes: &[u8]) -> Result<(schema::Claim, schema::Record), RecordError> {
        if bytes.len() > limit::RECORD_BYTES {
            return Err(RecordError::TooLong(bytes.len()));
        }
        let malformed = |error: prost::DecodeError| RecordError::Malformed(error.to_string());
        let outer = schema::Record::decode(bytes).map_err(malformed)?;
        let claim = schema::Claim::decode(outer.signed.as_slice()).map_err(malformed)?;
        Ok((claim, outer))
    }

    fn checked(claim: schema::Claim, outer: &schema::Record, bytes: &[u8]) -> Result<Self, RecordError> {
        let body =
            claim.body.ok_or_else(|| RecordError::Malformed("it says nothing that is known".into()))?;
        Ok(Self {
            id: record_id(&outer.signed),
            hlc: Hlc(claim.hlc),
            author: NodeId::from_slice(&claim.author)?,
            body: convert::from_schema(body)?,
            bytes: bytes.to_vec(),
        })
    }

    /// What this record competes for: of two records with one key the later wins.
    pub fn key(&self) -> Key {
        self.body.key(self.author)
    }

    /// Order among records of one key: by time, then author, then id.
    pub fn rank(&self) -> (Hlc, NodeId, RecordId) {
        (self.hlc, self.author, self.id)
    }
}

fn with_domain(signed: &[u8]) -> Vec<u8> {
    [DOMAIN, signed].concat()
}

fn record_id(signed: &[u8]) -> RecordId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(DOMAIN).update(signed);
    RecordId(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests;
