//! Documents as pages for people: one sentence first, then only what needs them.

mod care;

mod drill;

mod library;

mod plan;
mod removal;

mod table;

mod trash;

mod work;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::units::plain;

/// How people are shown a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// `ingest`
    Ingest,
    /// `status`
    Status,
    /// `shoots`
    Shoots,
    /// `files`
    Files,
    /// `nodes`
    Nodes,
    /// `volumes`
    Volumes,
    /// `invite`
    Invite,
    /// The studio that an `invite` let in
    Newcomer,
    /// `restore`, `salvage`
    Restore,
    /// `recover`
    Recover,
    /// `verify`
    Verify,
    /// `drill`
    Drill,
    /// `delete`
    Deleted,
    /// `trash`
    Trash,
    /// `undelete`
    Undeleted,
    /// `lost`
    Lost,
    /// `plan`
    Plan,
    /// `remove`
    Removal,
    /// `rule`
    Rule,
    /// `config`
    Config,
    /// `init`
    Founded,
    /// `join`
    Joined,
    /// `kit`
    Kit,
    /// `demo`
    Demo,
    /// A text that is the same for scripts: a completion script, the manual.
    Text,
    /// Nothing to say.
    Silent,
}

/// The page of a document; an error when the document is not one of this view.
pub fn render(view: View, document: &Value) -> Result<String, serde_json::Error> {
    Ok(match view {
        View::Status => library::status(&read(document)?),
        View::Shoots => library::shoots(&read(document)?),
        View::Files => library::files(&read(document)?),
        View::Nodes => library::nodes(&read(document)?),
        View::Volumes => library::volumes(&read(document)?),
        View::Rule => library::rule(&read(document)?),
        View::Config => library::config(&read(document)?),
        View::Verify => care::verify(&read(document)?),
        View::Drill => drill::drill(&read(document)?),
        View::Lost => library::lost(&read(document)?),
        View::Plan => plan::plan(&read(document)?),
        View::Removal => removal::removal(&read(document)?),
        View::Deleted => trash::deleted(&read(document)?),
        View::Trash => trash::trash(&read(document)?),
        View::Undeleted => trash::undeleted(&read(document)?),
        View::Ingest => work::ingest(&read(document)?),
        View::Restore => work::restore(&read(document)?),
        View::Recover => work::recover(&read(document)?),
        View::Invite => work::invite(&read(document)?),
        View::Newcomer => work::newcomer(&read(document)?),
        View::Founded => work::founded(&read(document)?),
        View::Joined => work::joined(&read(document)?),
        View::Demo => work::demo(&read(document)?),
        View::Kit => work::kit(&read(document)?),
        View::Text => document["text"].as_str().unwrap_or_default().to_owned(),
        View::Silent => String::new(),
    })
}

fn read<T: DeserializeOwned>(document: &Value) -> Result<T, serde_json::Error> {
    T::deserialize(document)
}

/// A name that a vault cannot read is said so.
fn name_or_sealed(name: Option<&str>) -> String {
    name.map_or_else(|| "(sealed)".to_owned(), plain)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
