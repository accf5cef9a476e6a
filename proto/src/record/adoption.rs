//! Adoption: records of removed nodes that are to stand, carried whole.

use super::{Record, RecordError, limit, schema};
use crate::id::Hash;

/// Records that stand although their authors were removed. Each is its author's own, with its id, key and time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopt {
    /// The very records; of kinds that [can be adopted](super::Body::is_adoptable) only.
    pub records: Vec<Record>,
}

impl Adopt {
    /// Adoptions of `records`, as few as hold them all. One that is too long to be adopted is left out.
    pub fn of(records: impl IntoIterator<Item = Record>) -> Vec<Self> {
        let mut adoptions: Vec<Self> = Vec::new();
        let mut room = 0;
        let cost = |record: &Record| record.bytes.len() + OVERHEAD;
        for record in records.into_iter().filter(|record| cost(record) <= limit::ADOPTED_BYTES) {
            let bytes = cost(&record);
            match adoptions.last_mut().filter(|_| bytes <= room) {
                Some(last) => last.records.push(record),
                None => {
                    room = limit::ADOPTED_BYTES;
                    adoptions.push(Self { records: vec![record] });
                }
            }
            room -= bytes;
        }
        adoptions
    }

    /// Stands for what is adopted: BLAKE3 of the ids, one after the other.
    pub fn digest(&self) -> Hash {
        let ids: Vec<u8> = self.records.iter().flat_map(|record| record.id.0).collect();
        Hash::of(&ids)
    }

    pub(super) fn to_schema(&self) -> schema::Adopt {
        schema::Adopt { records: self.records.iter().map(|record| record.bytes.clone()).collect() }
    }

    /// Checks the form of what is adopted. Signatures are checked where the adoption's own is.
    pub(super) fn from_schema(message: schema::Adopt) -> Result<Self, RecordError> {
        let bytes: usize = message.records.iter().map(|record| record.len() + OVERHEAD).sum();
        if message.records.is_empty() || bytes > limit::ADOPTED_BYTES {
            return Err(RecordError::Bounds("number of adopted records"));
        }
        let record = |bytes: &Vec<u8>| {
            let (claim, outer) = Record::open(bytes)?;
            // Before anything of it is looked at: adoptions within adoptions would nest without end.
            if matches!(claim.body, Some(schema::claim::Body::Adopt(_))) {
                return Err(RecordError::Bounds("adopted record"));
            }
            let record = Record::checked(claim, &outer, bytes)?;
            match record.body.is_adoptable() {
                true => Ok(record),
                false => Err(RecordError::Bounds("adopted record")),
            }
        };
        Ok(Self { records: message.records.iter().map(record).collect::<Result<_, _>>()? })
    }
}

/// Bytes that an adoption needs for each record beside its own.
const OVERHEAD: usize = 4;
