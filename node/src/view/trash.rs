//! What is in the trash, as people see it.

use std::collections::BTreeSet;
use std::time::{Duration, UNIX_EPOCH};

use safelight_core::node::Node;
use safelight_core::seal::ReadingKey;
use safelight_proto::catalog::Catalog;
use safelight_proto::record::{Hlc, Roll};

use super::{Names, ShootView, shoots_of};
use crate::admin::doc::DeletedDoc;

/// The last millisecond that can be written as a date: the end of the year 9999.
const LAST_MILLIS: u64 = 253_402_300_799_999;

/// What was deleted whole, and what needs catalogs to be told.
pub struct Bin {
    /// Rolls that were deleted whole, by shoot.
    pub whole: Vec<DeletedDoc>,
    /// Rolls of which some files were deleted by themselves.
    pub partly: Vec<Partly>,
}

/// A roll of which some files were deleted by themselves.
#[derive(Debug, Clone)]
pub struct Partly {
    /// The roll.
    pub roll: Roll,
    /// The deleted files' places in its catalog.
    pub hidden: BTreeSet<u32>,
    /// What is told of each of them.
    pub like: DeletedDoc,
}

/// What is in the trash and still takes room anywhere.
pub fn bin(node: &Node, names: &Names, key: Option<&ReadingKey>) -> Bin {
    let manifest = node.manifest();
    let whole = |dead: bool| {
        let wanted = move |roll: &Roll| {
            manifest.is_trashed(roll) && node.is_dead(&roll.roll) == dead && node.stored_bytes(&roll.roll) > 0
        };
        shoots_of(node, names, key, wanted).into_iter().map(|shoot| deleted(node, &shoot))
    };
    let partly = manifest.partly_deleted();
    let shoots = shoots_of(node, names, key, |roll| partly.contains_key(&roll.roll));
    let partly = shoots.into_iter().flat_map(|shoot| {
        let like = DeletedDoc { stored_bytes: 0, running_seconds_left: None, ..deleted(node, &shoot) };
        let of = |roll: Roll| {
            let at = manifest.deletion(&roll.roll).map_or(Hlc(0), |deletion| deletion.at);
            let hidden = manifest.hidden(&roll);
            let stays = Some("its roll holds other files, and is not packed anew yet".to_owned());
            Partly { roll, hidden, like: DeletedDoc { deleted: time(at), stays, ..like.clone() } }
        };
        shoot.rolls.into_iter().map(of).collect::<Vec<_>>()
    });
    Bin { whole: whole(true).chain(whole(false)).collect(), partly: partly.collect() }
}

fn deleted(node: &Node, shoot: &ShootView) -> DeletedDoc {
    let manifest = node.manifest();
    let rolls = || shoot.rolls.iter();
    let said = rolls().filter_map(|roll| manifest.deletion(&roll.roll)).map(|deletion| deletion.at).max();
    let left = rolls().filter_map(|roll| node.time_left(&roll.roll)).min();
    DeletedDoc {
        shoot: shoot.name.clone(),
        id: shoot.ids.first().map(ToString::to_string).unwrap_or_default(),
        path: None,
        files: rolls().map(|roll| roll.files).sum(),
        bytes: Some(rolls().map(|roll| roll.bytes).sum()),
        stored_bytes: shoot.stored_bytes(node),
        deleted: time(said.unwrap_or(Hlc(0))),
        running_seconds_left: left.map(|millis| millis.div_ceil(1000)),
        stays: match (left, node.braked()) {
            (None, _) => Some("another shoot holds the same files".into()),
            (Some(_), Some(_)) => Some("the brake holds on this node".into()),
            (Some(_), None) => None,
        },
    }
}

impl Partly {
    /// One line for each deleted file where the catalog can be read, else one for all of them.
    pub fn told(&self, catalog: Option<&Catalog>) -> Vec<DeletedDoc> {
        let Some(catalog) = catalog else {
            let files = self.hidden.len() as u64;
            return vec![DeletedDoc { files, bytes: None, ..self.like.clone() }];
        };
        let entries = self.hidden.iter().filter_map(|place| catalog.entries.get(*place as usize));
        let line = |entry: &safelight_proto::catalog::Entry| DeletedDoc {
            path: Some(entry.path.clone()),
            files: 1,
            bytes: Some(entry.bytes),
            ..self.like.clone()
        };
        entries.map(line).collect()
    }
}

/// Whether `roll` and all that it refers to can still be rebuilt from what is known anywhere.
pub fn can_come_back(node: &Node, roll: &Roll) -> bool {
    let known = |view: safelight_core::place::RollView| {
        view.codings.iter().any(|coding| coding.known_anywhere >= u16::from(coding.k))
    };
    let referred = |id| node.manifest().roll(id).is_some_and(|(roll, _)| known(node.roll_view(roll)));
    known(node.roll_view(roll)) && roll.references.iter().all(referred)
}

fn time(at: Hlc) -> String {
    // The clock of whoever said it may be wrong by any number of years.
    let millis = at.millis().min(LAST_MILLIS);
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(millis)).to_string()
}
