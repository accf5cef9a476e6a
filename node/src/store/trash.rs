//! What a node remembers of its trash: how long it has run, since when each deleted roll may go, how its brake stands.

use redb::{ReadableDatabase, ReadableTable, TableDefinition, TableError, WriteTransaction};
use safelight_core::event::{Brake, Mass, Memory, Write};
use safelight_proto::id::RollId;

use super::{Result, Store, StoreError};

/// By roll: how long the node had run when it first saw that the roll may go, milliseconds.
const DEAD: TableDefinition<&[u8; 32], u64> = TableDefinition::new("dead");
/// `running u64 BE`; `brake`: [`brake_row`].
const CARE: TableDefinition<&str, &[u8]> = TableDefinition::new("care");

const RUNNING: &str = "running";
const BRAKE: &str = "brake";

pub(super) fn create(write: &WriteTransaction) -> Result<()> {
    write.open_table(DEAD)?;
    write.open_table(CARE)?;
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
        _ => {}
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
        Ok(memory)
    }
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
