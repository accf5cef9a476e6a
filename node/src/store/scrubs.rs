//! How far the scrub of each volume is, so that a restart goes on where it was.

use redb::{ReadableDatabase, TableDefinition, TableError, WriteTransaction};
use safelight_proto::id::{Hash, VolumeId};

use super::{Result, Store, StoreError};

/// `started, ended, shards, bytes, bad: u64 BE each | last hash 32, if any`, by volume.
const SCRUBS: TableDefinition<&[u8; 16], &[u8]> = TableDefinition::new("scrubs");

/// One round over a volume's shards, in the order of their hashes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    /// When it began, milliseconds since 1970.
    pub started: u64,
    /// When it came to its end; zero while it goes on.
    pub ended: u64,
    /// The last shard that was read in it.
    pub last: Option<Hash>,
    /// Shards read.
    pub shards: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Shards that were bad.
    pub bad: u64,
}

impl Round {
    fn encode(&self) -> Vec<u8> {
        let numbers = [self.started, self.ended, self.shards, self.bytes, self.bad];
        let mut row: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        row.extend(self.last.iter().flat_map(|last| last.0));
        row
    }

    fn decode(row: &[u8]) -> Result<Self> {
        let damaged = || StoreError::Damaged("scrub row");
        let (numbers, last) = row.split_at_checked(5 * 8).ok_or_else(damaged)?;
        let number = |at: usize| {
            let bytes = numbers[at * 8..].first_chunk().copied().unwrap_or_default();
            u64::from_be_bytes(bytes)
        };
        let last = if last.is_empty() { None } else { Some(Hash::from_slice(last)?) };
        Ok(Self {
            started: number(0),
            ended: number(1),
            last,
            shards: number(2),
            bytes: number(3),
            bad: number(4),
        })
    }
}

pub(super) fn create(write: &WriteTransaction) -> Result<()> {
    write.open_table(SCRUBS)?;
    Ok(())
}

impl Store {
    /// How far the scrub of `volume` is; nothing when it never began.
    pub fn scrub(&self, volume: &VolumeId) -> Result<Option<Round>> {
        let read = self.db.begin_read()?;
        let table = match read.open_table(SCRUBS) {
            // A home from before there was such a table.
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            other => other?,
        };
        table.get(&volume.0)?.map(|row| Round::decode(row.value())).transpose()
    }

    /// Notes how far the scrub of `volume` is, durably.
    pub fn set_scrub(&self, volume: &VolumeId, round: &Round) -> Result<()> {
        let write = self.db.begin_write()?;
        write.open_table(SCRUBS)?.insert(&volume.0, round.encode().as_slice())?;
        Ok(write.commit()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let begun = Round { started: 1, ..Round::default() };
        let far = Round { ended: 2, last: Some(Hash([9; 32])), shards: 3, bytes: u64::MAX, bad: 5, ..begun };
        for round in [begun, far] {
            assert_eq!(Round::decode(&round.encode()).expect("ours"), round);
        }
        assert!(Round::decode(&far.encode()[..39]).is_err() && Round::decode(&far.encode()[..50]).is_err());
    }

    #[test]
    fn kept_by_volume() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("store.redb");
        let identity = super::super::Identity {
            secret: [1; 32],
            library: safelight_proto::id::LibraryId([2; 32]),
            reading_key: None,
            name: "n".into(),
            site: safelight_proto::vocabulary::Site::new("s").expect("a fine name"),
            hints: vec![],
        };
        Store::create(&path, &identity, &[], &[]).expect("made");
        let (a, b) = (VolumeId([1; 16]), VolumeId([2; 16]));
        let round = Round { started: 7, last: Some(Hash([3; 32])), shards: 1, ..Round::default() };
        let store = Store::open(&path).expect("there");
        assert_eq!(store.scrub(&a).expect("readable"), None);
        store.set_scrub(&a, &round).expect("written");
        drop(store);
        let store = Store::open(&path).expect("there");
        assert_eq!(store.scrub(&a).expect("readable"), Some(round));
        assert_eq!(store.scrub(&b).expect("readable"), None);
    }
}
