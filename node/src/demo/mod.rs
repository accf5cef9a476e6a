//! The demonstration: three sites on this machine, the studio destroyed, everything back from the phrase.
//!
//! It drives this very program as a person would, by its commands alone: no door is opened for it. `photos`
//! makes a shoot, `stage` holds processes and folders and clears them away, `play` is what happens, `compare`
//! looks at every byte.

mod compare;

mod photos;

mod play;

mod stage;

use std::path::PathBuf;
use std::time::Instant;

use crate::admin::doc::{DemoDoc, StepDoc};
use crate::admin::operator::{Exit, Failure, Outcome};
use stage::{Interrupt, Stage};

/// What `demo` was told.
#[derive(Debug)]
pub struct Options {
    /// Photos to use; a shoot is made up when there are none.
    pub photos: Option<PathBuf>,
    /// Say nothing on the way.
    pub quiet: bool,
}

/// Plays the demonstration to its end and clears everything away, also when it fails or is interrupted.
pub fn run(options: Options) -> Result<Outcome, Failure> {
    let interrupt = Interrupt::watch()
        .map_err(|error| Failure::new(format!("the demonstration cannot watch for Ctrl-C: {error}")))?;
    let mut stage = Stage::set(interrupt, options.quiet)?;
    let mut script = Script { document: DemoDoc::default(), quiet: options.quiet };
    let played = play::play(&mut stage, &mut script, options.photos);
    if let Err(failure) = &played {
        eprintln!("safelight: {failure}");
        stage.show_logs();
    }
    let cleared = script.step("clear everything away", || stage.clear());
    if let Err(failure) = &cleared {
        eprintln!("safelight: {failure}");
    }
    let mut document = script.document;
    document.passed = played.is_ok() && cleared.is_ok() && document.identical;
    let exit = if document.passed { Exit::Done } else { Exit::Failed };
    Ok(Outcome { exit, ..Outcome::done(document) })
}

/// What was done so far.
#[derive(Debug)]
struct Script {
    document: DemoDoc,
    quiet: bool,
}

impl Script {
    /// Does one step and notes how it went and how long it took.
    fn step<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        if !self.quiet {
            eprintln!("- {name}");
        }
        let begun = Instant::now();
        let done = work();
        let seconds = begun.elapsed().as_secs_f64();
        self.document.steps.push(StepDoc { name: name.to_owned(), ok: done.is_ok(), seconds });
        done
    }
}
