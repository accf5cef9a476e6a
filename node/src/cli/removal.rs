//! `remove`: a person sees first what it means, and is asked. Nothing is asked where standard input is no terminal, and
//! nothing with `--json`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::args::Global;
use super::confirm::{ask, asks, read, say};
use super::render::View;
use super::{dispatch, output, phrase, values};
use crate::admin::command::Command;
use crate::admin::doc::RemovalDoc;
use crate::admin::operator::{Failure, Outcome};

/// `remove`
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// The node, by name or id
    #[arg(value_parser = values::name)]
    pub node: String,
    /// The recovery phrase, which only a studio's removal needs; - reads standard input
    #[arg(long, value_name = "FILE|-", value_hint = ValueHint::FilePath)]
    pub phrase_file: Option<PathBuf>,
}

/// `remove`.
pub fn remove(args: RemoveArgs, global: &Global) -> Result<(View, Outcome), Failure> {
    let mut phrase = args.phrase_file.as_deref().map(phrase::read).transpose()?;
    let client = dispatch::client(global)?;
    let from_stdin = args.phrase_file.as_deref().is_some_and(|file| file.as_os_str() == "-");
    if asks(global) && !from_stdin {
        let command = Command::Remove { node: args.node.clone(), phrase: phrase.clone(), preview: true };
        let preview = client.perform(command, |_| {})?;
        output::show(View::Removal, &preview, false)?;
        let preview: RemovalDoc = read(preview)?;
        let question = format!("Remove {} at {}?", preview.removed.name, preview.removed.site);
        if !ask("This cannot be undone.", &super::units::plain(&question))? {
            return Err(Failure::new("nothing was changed"));
        }
        if phrase.is_none() && preview.removed.role == "studio" {
            say(
                "It is a studio, so the recovery phrase is needed. Type its 24 words; they are kept nowhere.",
            )?;
            phrase = Some(phrase::ask()?);
        }
    }
    let done = client.perform(Command::Remove { node: args.node, phrase, preview: false }, |_| {})?;
    Ok((View::Removal, done))
}
