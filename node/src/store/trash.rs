//! What a node remembers of what it is to drop and to keep: how long it has run, since when each deleted roll may go and
//! each shard is surplus, what it has promised, whom it knows since when, how its brake stands.

use std::collections::BTreeMap;

use redb::{ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError, WriteTransaction};
use safelight_core::event::{Brake, Mass, Memory, Write};
use safelight_proto::id::{Hash, NodeId, RollId, VolumeId};

use super::{Result, Store, StoreError};

/// By roll: how long the node had run when it first saw that the roll may go, milliseconds.
const DEAD: TableDefinition<&[u8; 32], u64> = TableDefinition::new("dead");
/// By volume and shard: how long the node had run when it first saw that nobody wants the shard there.
const SURPLUS: Shards = TableDefinition::new("surplus");
/// By volume and shard: until which running time it is promised to be kept.
const PROMISED: Shards = TableDefinition::new("promised");
/// By member: how long the node had run when it first heard of it.
const MET: TableDefinition<&[u8; 32], u64> = TableDefinition::new("met");
/// `running u64 BE`; `brake`: [`brake_row`].
const CARE: TableDefinition<&str, &[u8]> = TableDefinition::new("care");

type Shards = TableDefinition<'static, (&'static [u8; 16], &'static [u8; 32]), u64>;

const RUNNING: &str = "running";
const BRAKE: &str = "brake";

pub(super) fn create(write: &WriteTransaction) -> Result<()> {
    write.open_table(DEAD)?;
    write.open_table(CARE)?;
    write.open_table(SURPLUS)?;
    write.open_table(PROMISED)?;
    write.open_table(MET)?;
    Ok(())
}

/// Keeps one write of a step that is about the trash.
pub(super) fn keep(to: &WriteTransaction, write: &Write) -> Result<()> {
    match write {
        Write::Running(millis) => {
            drop(to.open_table(CARE)?.insert(RUNNING, millis.to_be_bytes().as_slice())?);
        }
        Write::Dead(roll, Some(since)) => drop(to.open_table(DEAD)?.insert(&roll.0, since)?),
        Write::Dead(roll, None) => drop(to.open_table(DEAD)?.remove(&roll.0)?),
        Write::Brake(brake) => drop(to.open_table(CARE)?.insert(BRAKE, brake_row(brake).as_slice())?),
        Write::Surplus(volume, hash, since) => keep_shard(to, SURPLUS, (volume, hash), *since)?,
        Write::Promise(volume, hash, until) => keep_shard(to, PROMISED, (volume, hash), *until)?,
        Write::Met(node, since) => drop(to.open_table(MET)?.insert(&node.0, since)?),
        _ => {}
    }
    Ok(())
}

fn keep_shard(
    to: &WriteTransaction,
    table: Shards,
    (volume, hash): (&VolumeId, &Hash),
    time: Option<u64>,
) -> Result<()> {
    let mut table = to.open_table(table)?;
    match time {
        Some(time) => drop(table.insert((&volume.0, &hash.0), time)?),
        None => drop(table.remove((&volume.0, &hash.0))?),
    }
    Ok(())
}

impl Store {
    /// What the node remembers of its trash.
    pub fn memory(&self) -> Result<Memory> {
        let mut memory = Memory::default();
        let read = self.db.begin_read()?;
        match read.open_table(CARE) {
            Ok(care) => {
                if let Some(row) = care.get(RUNNING)? {
                    memory.running = number(row.value())?;
                }
                if let Some(row) = care.get(BRAKE)? {
                    memory.brake = brake_of(row.value())?;
                }
            }
            // A home from before anything could be deleted.
            Err(TableError::TableDoesNotExist(_)) => {}
            Err(error) => return Err(error.into()),
        }
        match read.open_table(DEAD) {
            Ok(dead) => {
                for row in dead.iter()? {
                    let (roll, since) = row?;
                    memory.dead.insert(RollId(*roll.value()), since.value());
                }
            }
            Err(TableError::TableDoesNotExist(_)) => {}
            Err(error) => return Err(error.into()),
        }
        match read.open_table(MET) {
            Ok(met) => {
                for row in met.iter()? {
                    let (node, since) = row?;
                    memory.met.insert(NodeId(*node.value()), since.value());
                }
            }
            Err(TableError::TableDoesNotExist(_)) => {}
            Err(error) => return Err(error.into()),
        }
        memory.surplus = shards_of(&read, SURPLUS)?;
        memory.promised = shards_of(&read, PROMISED)?;
        Ok(memory)
    }
}

fn shards_of(read: &ReadTransaction, table: Shards) -> Result<BTreeMap<(VolumeId, Hash), u64>> {
    let table = match read.open_table(table) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(BTreeMap::new()),
        Err(error) => return Err(error.into()),
    };
    let mut shards = BTreeMap::new();
    for row in table.iter()? {
        let (place, time) = row?;
        let (volume, hash) = place.value();
        shards.insert((VolumeId(*volume), Hash(*hash)), time.value());
    }
    Ok(shards)
}

/// `released u64 BE`, and while it holds `files | bytes | of files | of bytes`, each u64 BE.
fn brake_row(brake: &Brake) -> Vec<u8> {
    let held = brake.held.map(|mass| [mass.files, mass.bytes, mass.of_files, mass.of_bytes]);
    [brake.released].into_iter().chain(held.into_iter().flatten()).flat_map(u64::to_be_bytes).collect()
}

fn brake_of(row: &[u8]) -> Result<Brake> {
    let numbers = row.chunks(8).map(number).collect::<Result<Vec<u64>>>()?;
    match numbers.as_slice() {
        [released] => Ok(Brake { held: None, released: *released }),
        [released, files, bytes, of_files, of_bytes] => {
            let held = Mass { files: *files, bytes: *bytes, of_files: *of_files, of_bytes: *of_bytes };
            Ok(Brake { held: Some(held), released: *released })
        }
        _ => Err(StoreError::Damaged("brake")),
    }
}

fn number(bytes: &[u8]) -> Result<u64> {
    let bytes = bytes.try_into().map_err(|_| StoreError::Damaged("running time"))?;
    Ok(u64::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brake_there_and_back() {
        let held = Some(Mass { files: 1, bytes: u64::MAX, of_files: 3, of_bytes: 4 });
        for brake in [Brake::default(), Brake { held: None, released: 7 }, Brake { held, released: 7 }] {
            assert_eq!(brake_of(&brake_row(&brake)).expect("ours"), brake);
        }
        assert!(brake_of(&[]).is_err() && brake_of(&[0; 9]).is_err() && brake_of(&[0; 16]).is_err());
    }
}
