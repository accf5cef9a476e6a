//! What a command reports on its way, on standard error: a bar for a person who watches, else a line now and then.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::units::{self, about, number, plain};
use crate::admin::operator::{Progress, Report};

/// Pause between two lines where nobody watches.
const LINE_PAUSE: Duration = Duration::from_secs(5);

/// Shows reports until it is dropped.
#[derive(Debug)]
pub struct Display {
    /// The bar, where standard error is a terminal.
    bar: Option<ProgressBar>,
    phase: String,
    begun: Instant,
    /// Bytes that were done when this phase began: they say nothing on its pace.
    begun_at: u64,
    spoke: Option<Instant>,
}

impl Display {
    /// A display that shows nothing yet.
    pub fn new() -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { bar, phase: String::new(), begun: Instant::now(), begun_at: 0, spoke: None }
    }

    /// Shows one report.
    pub fn show(&mut self, report: Report) {
        match (report, &self.bar) {
            (Report::Notice(text), Some(bar)) => bar.println(plain(&text)),
            (Report::Notice(text), None) => eprintln!("{}", plain(&text)),
            (Report::Progress(progress), _) => self.advance(&progress),
        }
    }

    fn advance(&mut self, progress: &Progress) {
        let fresh = progress.phase != self.phase;
        if fresh {
            self.phase.clone_from(&progress.phase);
            self.begun = Instant::now();
            self.begun_at = progress.bytes_done;
        }
        let eta = eta(progress, progress.bytes_done.saturating_sub(self.begun_at), self.begun.elapsed());
        let text = line(progress, eta);
        let Some(bar) = &self.bar else {
            let due = self.spoke.is_none_or(|spoke| spoke.elapsed() >= LINE_PAUSE);
            if fresh || due {
                self.spoke = Some(Instant::now());
                eprintln!("{text}");
            }
            return;
        };
        if fresh {
            let template = match progress.bytes_total {
                Some(_) => "{spinner} {bar:24} {msg}",
                None => "{spinner} {msg}",
            };
            // The templates are ours and tested; one that does not parse leaves the plain spinner.
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
        }
        if let Some(total) = progress.bytes_total {
            bar.set_length(total.max(1));
            bar.set_position(if total == 0 { 1 } else { progress.bytes_done.min(total) });
        }
        bar.set_message(text);
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn eta(progress: &Progress, moved: u64, time: Duration) -> Option<Duration> {
    let left = progress.bytes_total?.saturating_sub(progress.bytes_done);
    let pace = moved as f64 / time.as_secs_f64();
    (left > 0 && moved > 0 && time > Duration::from_secs(2))
        .then(|| Duration::from_secs_f64(left as f64 / pace))
}

fn line(progress: &Progress, eta: Option<Duration>) -> String {
    let mut parts = vec![plain(&progress.phase)];
    match (progress.files_done, progress.files_total) {
        (done, Some(total)) => {
            parts.push(format!("{} of {}", number(done), units::counted(total, "file", "files")))
        }
        (0, None) => {}
        (done, None) => parts.push(units::counted(done, "file", "files")),
    }
    match (progress.bytes_done, progress.bytes_total) {
        (done, Some(total)) if total > 0 => {
            let percent = done.min(total) as f64 * 100.0 / total as f64;
            parts.push(format!("{} of {} ({percent:.0} %)", units::bytes(done), units::bytes(total)));
        }
        (0, _) | (_, Some(_)) => {}
        (done, None) => parts.push(units::bytes(done)),
    }
    parts.extend(eta.map(|time| format!("{} left", about(time))));
    parts.extend(progress.note.as_deref().map(plain));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_says_it_all() {
        let mut progress = Progress {
            phase: "copying".into(),
            bytes_done: 500_000_000,
            bytes_total: Some(2_000_000_000),
            files_done: 20,
            files_total: Some(1_204),
            note: Some("1 file retried".into()),
        };
        let eta = eta(&progress, 250_000_000, Duration::from_secs(10));
        assert_eq!(
            line(&progress, eta),
            "copying, 20 of 1,204 files, 500 MB of 2.0 GB (25 %), about 60 s left, 1 file retried"
        );
        progress = Progress { phase: "waiting for friend".into(), ..Progress::default() };
        assert_eq!(line(&progress, None), "waiting for friend");
    }

    #[test]
    fn no_guess_without_a_pace() {
        let progress = Progress { bytes_total: Some(10), ..Progress::default() };
        assert_eq!(eta(&progress, 0, Duration::from_secs(10)), None);
        assert_eq!(eta(&progress, 5, Duration::from_millis(10)), None);
        assert_eq!(eta(&Progress::default(), 5, Duration::from_secs(10)), None);
    }

    #[test]
    fn the_templates_parse() {
        assert!(ProgressStyle::with_template("{spinner} {bar:24} {msg}").is_ok());
        assert!(ProgressStyle::with_template("{spinner} {msg}").is_ok());
    }
}
