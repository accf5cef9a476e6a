//! `init`: the phrase is made, shown or written, and checked back before anything of the library exists.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use super::args::InitArgs;
use super::{client, local, phrase};
use crate::admin::command::PhraseText;
use crate::admin::operator::{Failure, Outcome};
use crate::home::Home;

/// Founds a library with its first node in `home`.
pub fn init(home: PathBuf, args: InitArgs, json: bool) -> Result<Outcome, Failure> {
    if json && args.phrase_out.is_none() {
        return Err(Failure::usage("with --json the recovery phrase is not printed among the answers")
            .next("say where to write it: --phrase-out FILE"));
    }
    Home::check_vacant(&home).map_err(|error| client::explain(error, &home))?;
    let phrase = local::new_phrase()?;
    match &args.phrase_out {
        Some(file) => phrase::write(&phrase, file)?,
        None => hand_over(&phrase)?,
    }
    let founded = local::init(home, args.node.into(), &phrase);
    founded.map_err(|failure| orphaned(failure, args.phrase_out.as_deref()))
}

/// Gives the phrase to a person, who proves to have it, or to whatever reads standard output.
fn hand_over(phrase: &PhraseText) -> Result<(), Failure> {
    let (input, output) = (io::stdin(), io::stdout());
    if !input.is_terminal() {
        let mut output = output.lock();
        return writeln!(output, "Recovery phrase, shown this once:\n\n{}", phrase::page(phrase).as_str())
            .and_then(|()| output.flush())
            .map_err(|error| {
                Failure::new(format!("the recovery phrase cannot be shown: {error}; nothing was made"))
            });
    }
    let mut screen: Box<dyn Write> =
        if output.is_terminal() { Box::new(output.lock()) } else { Box::new(io::stderr().lock()) };
    phrase::show_and_check(phrase, &mut input.lock(), &mut screen)
}

/// A phrase that was handed over and has no library must not be taken for one that has.
///
/// The file stays: should the failure have come after the library stood, it is all there is.
fn orphaned(failure: Failure, file: Option<&Path>) -> Failure {
    let which = match file {
        Some(file) => format!("the phrase in {}", file.display()),
        None => "the phrase shown above".to_owned(),
    };
    Failure { message: format!("{}; {which} belongs to no library", failure.message), ..failure }
}
