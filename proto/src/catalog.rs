//! The catalog of a roll: which files it brought in, and where their bytes lie.
//!
//! A catalog comes out of a sealed segment, so only a member of the library can have written it. All the same
//! every bound is checked before memory is taken for what it promises.

use prost::Message as _;
use prost::bytes::Buf as _;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use crate::id::{Hash, RollId, ShootId};
use crate::limit::{
    CATALOG_BYTES_MAX, ENTRIES_MAX, ENTRY_BYTES_MAX, EXTENTS_MAX, PART_BYTES_MAX, PATH_MAX, SEGMENT,
    SHOOT_NAME_MAX,
};
use crate::schema;
use crate::shard::{StreamShape, padded};

/// Why bytes are no catalog, or a catalog cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// The bytes break off, or are no protobuf.
    #[error("the catalog cannot be read: {0}")]
    Malformed(String),
    /// A count or a length is over its bound.
    #[error("the catalog has {what} of {got}; at most {most} are allowed")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        got: u64,
        /// How large it may be.
        most: u64,
    },
    /// Extents that do not add up to the file or lie outside their roll.
    #[error("the catalog's entry {entry} has extents that cannot be")]
    Extents {
        /// Position of the entry in the catalog.
        entry: usize,
    },
}

/// The file list of one roll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    /// Shoot that the files belong to.
    pub shoot: ShootId,
    /// Name of that shoot at ingest.
    pub shoot_name: String,
    /// When the ingest began, in milliseconds since 1970 (UTC).
    pub ingested_ms: u64,
    /// The files, in the order of ingest.
    pub entries: Vec<Entry>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path as named at ingest, relative to the ingested path, parts divided by `/`. Not to be trusted as a
    /// path to write to.
    pub path: String,
    /// The path's own bytes, where they are not UTF-8.
    pub raw_path: Option<Vec<u8>>,
    /// Length in bytes.
    pub bytes: u64,
    /// BLAKE3 of the file.
    pub hash: Hash,
    /// By which an ingest finds out cheaply that it may be known: [`Entry::head_of`].
    pub head: [u8; 16],
    /// Time of last change in nanoseconds since 1970 (UTC), where known.
    pub modified_ns: Option<i64>,
    /// Where the bytes lie, in order. Empty for an empty file.
    pub extents: Vec<Extent>,
}

/// A run of a file's bytes in the data part of a roll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Roll that holds them; nothing means the roll of this catalog.
    pub roll: Option<RollId>,
    /// Offset in that roll's plaintext stream.
    pub offset: u64,
    /// Length in bytes, not 0.
    pub len: u64,
}

impl Catalog {
    /// The plaintext of the catalog part: a length, the message, zeros. Its length is the part's padded length.
    pub fn to_plain(&self, data_bytes: u64) -> Result<Vec<u8>, CatalogError> {
        self.check(data_bytes)?;
        let message = schema::Catalog {
            shoot: self.shoot.as_bytes().to_vec(),
            shoot_name: self.shoot_name.clone(),
            ingested_ms: self.ingested_ms,
            entries: self.entries.iter().map(Entry::to_message).collect(),
        };
        let len = message.encoded_len() as u64;
        bounded("a length", len, CATALOG_BYTES_MAX)?;
        let mut plain = Vec::with_capacity(padded(len + 8) as usize);
        plain.extend_from_slice(&len.to_le_bytes());
        plain.append(&mut message.encode_to_vec());
        plain.resize(padded(len + 8) as usize, 0);
        Ok(plain)
    }

    /// The catalog in the plaintext of the catalog part of a roll of that shape.
    pub fn from_plain(plain: &[u8], shape: StreamShape) -> Result<Self, CatalogError> {
        let (len, rest) = plain.split_first_chunk().ok_or_else(|| malformed("no length"))?;
        let len = u64::from_le_bytes(*len);
        bounded("a length", len, CATALOG_BYTES_MAX)?;
        let message = rest.get(..len as usize).ok_or_else(|| malformed("it breaks off"))?;
        let catalog = Self::decode(message)?;
        catalog.check(shape.data_bytes)?;
        Ok(catalog)
    }

    /// Every roll that an entry refers to, in order of first mention.
    pub fn references(&self) -> Vec<RollId> {
        let mut seen = std::collections::BTreeSet::new();
        let rolls = self.entries.iter().flat_map(|entry| &entry.extents).filter_map(|extent| extent.roll);
        rolls.filter(|roll| seen.insert(*roll)).collect()
    }

    /// Walks the message field by field, so that an entry takes memory only once it is known to be in bounds.
    fn decode(mut bytes: &[u8]) -> Result<Self, CatalogError> {
        let mut head = schema::Catalog::default();
        let mut entries = Vec::new();
        let whole = bytes;
        while bytes.has_remaining() {
            let start = whole.len() - bytes.len();
            let (tag, wire) = decode_key(&mut bytes).map_err(malformed)?;
            if (tag, wire) != (4, WireType::LengthDelimited) {
                skip_field(wire, tag, &mut bytes, DecodeContext::default()).map_err(malformed)?;
                let field = &whole[start..whole.len() - bytes.len()];
                // A field of the head, or one of a later version: it takes no more memory than it has bytes.
                head.merge(field).map_err(malformed)?;
                continue;
            }
            let len = decode_varint(&mut bytes).map_err(malformed)?;
            bounded("an entry", len, ENTRY_BYTES_MAX as u64)?;
            bounded("a number of files", entries.len() as u64 + 1, ENTRIES_MAX as u64)?;
            let (message, rest) =
                bytes.split_at_checked(len as usize).ok_or_else(|| malformed("it breaks off"))?;
            bytes = rest;
            let message = schema::CatalogEntry::decode(message).map_err(malformed)?;
            entries.push(Entry::from_message(message)?);
        }
        let shoot = ShootId::from_slice(&head.shoot).map_err(malformed)?;
        Ok(Self { shoot, shoot_name: head.shoot_name, ingested_ms: head.ingested_ms, entries })
    }

    fn check(&self, data_bytes: u64) -> Result<(), CatalogError> {
        bounded("a shoot name", self.shoot_name.len() as u64, SHOOT_NAME_MAX as u64)?;
        bounded("a number of files", self.entries.len() as u64, ENTRIES_MAX as u64)?;
        for (position, entry) in self.entries.iter().enumerate() {
            let raw = entry.raw_path.as_ref().map_or(0, Vec::len);
            bounded("a path", entry.path.len().max(raw) as u64, PATH_MAX as u64)?;
            bounded("a number of extents", entry.extents.len() as u64, EXTENTS_MAX as u64)?;
            if !entry.extents_add_up(data_bytes) {
                return Err(CatalogError::Extents { entry: position });
            }
        }
        Ok(())
    }
}

impl Entry {
    /// The first half of the BLAKE3 of a file's first MiB, or of all of it where it is shorter.
    pub fn head_of(first: &[u8]) -> [u8; 16] {
        let hash = Hash::of(&first[..first.len().min(SEGMENT)]);
        std::array::from_fn(|at| hash.0[at])
    }

    /// Whether the extents lie within their rolls and come to the file's length.
    fn extents_add_up(&self, data_bytes: u64) -> bool {
        let mut total = 0u64;
        for extent in &self.extents {
            let most = if extent.roll.is_none() { data_bytes } else { PART_BYTES_MAX };
            let inside = extent.offset.checked_add(extent.len).is_some_and(|end| end <= most);
            if extent.len == 0 || !inside {
                return false;
            }
            // No overflow: the count of extents and the length of each are bounded.
            total += extent.len;
        }
        total == self.bytes
    }

    fn to_message(&self) -> schema::CatalogEntry {
        let extents = self.extents.iter().map(|extent| schema::CatalogExtent {
            roll: extent.roll.map_or_else(Vec::new, |roll| roll.as_bytes().to_vec()),
            offset: extent.offset,
            len: extent.len,
        });
        schema::CatalogEntry {
            path: self.path.clone(),
            raw_path: self.raw_path.clone().unwrap_or_default(),
            bytes: self.bytes,
            hash: self.hash.as_bytes().to_vec(),
            head: self.head.to_vec(),
            modified_ns: self.modified_ns,
            extents: extents.collect(),
        }
    }

    fn from_message(message: schema::CatalogEntry) -> Result<Self, CatalogError> {
        let extent = |extent: schema::CatalogExtent| {
            let roll = match extent.roll.as_slice() {
                [] => None,
                id => Some(RollId::from_slice(id).map_err(malformed)?),
            };
            Ok(Extent { roll, offset: extent.offset, len: extent.len })
        };
        Ok(Self {
            path: message.path,
            raw_path: Some(message.raw_path).filter(|raw| !raw.is_empty()),
            bytes: message.bytes,
            hash: Hash::from_slice(&message.hash).map_err(malformed)?,
            head: message.head.try_into().map_err(|_| malformed("a head that has not 16 bytes"))?,
            modified_ns: message.modified_ns,
            extents: message.extents.into_iter().map(extent).collect::<Result<_, CatalogError>>()?,
        })
    }
}

fn bounded(what: &'static str, got: u64, most: u64) -> Result<(), CatalogError> {
    if got > most { Err(CatalogError::TooLarge { what, got, most }) } else { Ok(()) }
}

fn malformed(why: impl ToString) -> CatalogError {
    CatalogError::Malformed(why.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHAPE: StreamShape = StreamShape { data_bytes: 1 << 20, catalog_bytes: 4096 };

    fn entry(bytes: u64, extents: Vec<Extent>) -> Entry {
        let hash = Hash([7; 32]);
        let path = "DCIM/é 1.NEF".into();
        Entry { path, raw_path: None, bytes, hash, head: [9; 16], modified_ns: Some(-5), extents }
    }

    fn catalog(entries: Vec<Entry>) -> Catalog {
        Catalog { shoot: ShootId([1; 16]), shoot_name: "Smith".into(), ingested_ms: 12, entries }
    }

    fn extents() -> impl Strategy<Value = Vec<Extent>> {
        let extent = (proptest::option::of(any::<[u8; 32]>()), 0u64..1000, 1u64..1000);
        let extent = extent.prop_map(|(roll, offset, len)| Extent { roll: roll.map(RollId), offset, len });
        proptest::collection::vec(extent, 0..5)
    }

    proptest! {
        #[test]
        fn there_and_back(files in proptest::collection::vec(extents(), 0..20), raw: Option<[u8; 3]>) {
            let file = |extents: Vec<Extent>| {
                let raw_path = raw.map(|raw| raw.to_vec());
                Entry { raw_path, ..entry(extents.iter().map(|e| e.len).sum(), extents) }
            };
            let catalog = catalog(files.into_iter().map(file).collect());
            let plain = catalog.to_plain(SHAPE.data_bytes).expect("in bounds");
            prop_assert!(plain.len().is_multiple_of(4096));
            prop_assert_eq!(Catalog::from_plain(&plain, SHAPE), Ok(catalog));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(mut bytes in proptest::collection::vec(any::<u8>(), 8..300)) {
            bytes[..8].copy_from_slice(&200u64.to_le_bytes());
            drop(Catalog::from_plain(&bytes, SHAPE));
        }
    }

    #[test]
    fn extents_must_add_up() {
        let extent = |offset, len| Extent { roll: None, offset, len };
        for (bytes, extents) in [
            (1, vec![]),
            (0, vec![extent(0, 0)]),
            (3, vec![extent(0, 1), extent(1, 1)]),
            (2, vec![extent((1 << 20) - 1, 2)]),
            (2, vec![extent(u64::MAX, 2)]),
            (2, vec![Extent { roll: Some(RollId([0; 32])), offset: PART_BYTES_MAX, len: 2 }]),
        ] {
            let error = catalog(vec![entry(bytes, extents)]).to_plain(SHAPE.data_bytes);
            assert_eq!(error, Err(CatalogError::Extents { entry: 0 }));
        }
    }

    #[test]
    fn bounds_are_kept() {
        let long = Entry { path: "x".repeat(PATH_MAX + 1), ..entry(0, vec![]) };
        assert!(matches!(catalog(vec![long]).to_plain(0), Err(CatalogError::TooLarge { .. })));

        let mut plain = catalog(vec![]).to_plain(0).expect("in bounds");
        plain[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(matches!(Catalog::from_plain(&plain, SHAPE), Err(CatalogError::TooLarge { .. })));
        plain[..8].copy_from_slice(&4090u64.to_le_bytes());
        assert!(matches!(Catalog::from_plain(&plain, SHAPE), Err(CatalogError::Malformed(_))));

        // An entry that says it is huge is refused by what it says.
        let mut plain = vec![0; 4096];
        plain[..8].copy_from_slice(&20u64.to_le_bytes());
        plain[8..13].copy_from_slice(&[0x22, 0xff, 0xff, 0xff, 0x7f]);
        assert!(matches!(Catalog::from_plain(&plain, SHAPE), Err(CatalogError::TooLarge { .. })));
    }
}
