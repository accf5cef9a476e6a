//! What is deleted: by the studios' word, and only as far as nothing that stands refers to it.

use std::collections::{BTreeMap, BTreeSet};

use safelight_proto::id::{RecordId, RollId};
use safelight_proto::record::{Body, Hlc, Key, Roll, Trash};

use super::view::{HIGH_NODE, HIGH_ROLL, LOW_NODE, LOW_ROLL};
use super::{Entry, Manifest};

/// The last word on deleting something of a roll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deletion<'a> {
    /// When it was said.
    pub at: Hlc,
    /// By which record.
    pub record: RecordId,
    /// What it says.
    pub trash: &'a Trash,
}

impl Manifest {
    /// What was last said about deleting something of `roll`; an undelete too.
    pub fn deletion(&self, roll: &RollId) -> Option<Deletion<'_>> {
        let entry = self.trash_entry(roll)?;
        match &entry.body {
            Body::Trash(trash) => Some(Deletion { at: entry.hlc, record: entry.id, trash }),
            _ => None,
        }
    }

    pub(super) fn trash_entry(&self, roll: &RollId) -> Option<&Entry> {
        self.last(Key::Trash(*roll, LOW_NODE)..=Key::Trash(*roll, HIGH_NODE))
    }

    /// Places in the catalog of `roll` whose files are deleted.
    pub fn hidden(&self, roll: &Roll) -> BTreeSet<u32> {
        let most = u32::try_from(roll.files).unwrap_or(u32::MAX);
        match self.deletion(&roll.roll) {
            Some(deletion) if deletion.trash.all => (0..most).collect(),
            Some(deletion) => deletion.trash.hidden.range(..most).copied().collect(),
            None => BTreeSet::new(),
        }
    }

    /// Files of `roll` that are not deleted.
    pub fn files_left(&self, roll: &Roll) -> u64 {
        let Some(deletion) = self.deletion(&roll.roll) else { return roll.files };
        let most = u32::try_from(roll.files).unwrap_or(u32::MAX);
        match deletion.trash.all {
            true => 0,
            false => roll.files - deletion.trash.hidden.range(..most).count() as u64,
        }
    }

    /// Whether all of `roll` is deleted. One without files of its own, which carries a piece of a large file, is so only
    /// by a word of its own.
    pub fn is_trashed(&self, roll: &Roll) -> bool {
        match self.deletion(&roll.roll) {
            Some(deletion) => deletion.trash.all || (roll.files > 0 && self.files_left(roll) == 0),
            None => false,
        }
    }

    /// The rolls that may go once their quarantine is over: deleted, and no roll that stands refers to them. What is
    /// referred to by several rolls of one id, all but one forged, is kept too.
    pub fn dead(&self) -> BTreeSet<RollId> {
        let mentioned = self.ever_deleted().into_iter().filter_map(|roll| self.roll(&roll));
        let trashed = mentioned.filter(|(roll, _)| self.is_trashed(roll));
        let mut dead: BTreeSet<RollId> = trashed.map(|(roll, _)| roll.roll).collect();
        if dead.is_empty() {
            return dead;
        }
        for (_, entry) in self.range(Key::Roll(LOW_ROLL, LOW_NODE)..=Key::Roll(HIGH_ROLL, HIGH_NODE)) {
            if let Body::Roll(roll) = &entry.body
                && !roll.references.is_empty()
                && !self.is_trashed(roll)
            {
                for referred in &roll.references {
                    dead.remove(referred);
                }
            }
        }
        dead
    }

    /// Rolls of which something is deleted, and with them which places: not those that are deleted whole.
    pub fn partly_deleted(&self) -> BTreeMap<RollId, RecordId> {
        let partly = self.ever_deleted().into_iter().filter_map(|roll| {
            let Deletion { record, trash, .. } = self.deletion(&roll)?;
            let (roll, _) = self.roll(&roll).filter(|(roll, _)| !self.is_trashed(roll))?;
            (!trash.all && !trash.hidden.is_empty()).then_some((roll.roll, record))
        });
        partly.collect()
    }

    /// Rolls of which somebody ever deleted something, taken back or not.
    fn ever_deleted(&self) -> BTreeSet<RollId> {
        let said = self.range(Key::Trash(LOW_ROLL, LOW_NODE)..=Key::Trash(HIGH_ROLL, HIGH_NODE));
        said.filter_map(|(key, _)| match key {
            Key::Trash(roll, _) => Some(*roll),
            _ => None,
        })
        .collect()
    }
}
