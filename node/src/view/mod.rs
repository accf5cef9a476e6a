//! The library as people see it, from the core's picture: shoots, verdicts, documents.
//!
//! Pure reading: functions here take the core as it is and change nothing. Names are opened once and remembered, because
//! opening one costs a key exchange.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use safelight_core::seal::{ReadingKey, open_text};
use safelight_proto::id::{LibraryId, RollId};
use safelight_proto::record::Roll;
use unicode_normalization::UnicodeNormalization;

pub mod library;
mod shoots;
pub mod transfers;

pub use shoots::{ShootView, find_shoot, shoots, verdict};

/// What the sealed texts are that hold shoots' names.
pub const SHOOT_NAME: &str = "shoot name";

/// Names of shoots, opened once.
#[derive(Debug, Default)]
pub struct Names(Mutex<BTreeMap<RollId, Option<String>>>);

impl Names {
    /// The name of the shoot that `roll` belongs to, where this node can read it.
    pub fn of(&self, library: LibraryId, roll: &Roll, key: Option<&ReadingKey>) -> Option<String> {
        let key = key?;
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names
            .entry(roll.roll)
            .or_insert_with(|| open_text(key, library, SHOOT_NAME, &roll.shoot_name).ok())
            .clone()
    }
}

/// How names are compared: Unicode's composed form, outer spaces gone.
pub fn normal_name(name: &str) -> String {
    name.trim().nfc().collect()
}
