//! Drills that go by the clock: which one is due, and whose turn it is, is for the core to say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use safelight_proto::vocabulary::Site;

use super::{Drill, rehearse};
use crate::admin::command::{DEFAULT_TIMEOUT, Extent};
use crate::admin::doc::DrillDoc;
use crate::admin::operator::{Failure, Reporter};
use crate::shell::Shell;

/// Between two looks at the setting.
const LOOK: Duration = Duration::from_secs(1);
/// What is due is looked for so many times in a period,
const LOOKS: u32 = 10;
/// and once in so long at least.
const LOOK_MOST: Duration = Duration::from_secs(60);
/// Files of a drill.
const SAMPLE: u64 = 20;
/// Their bytes: what a month can spare on a slow line.
const BYTES: u64 = 2 << 30;
/// A drill that could not be held, or whose record another clock outshines, is not held again before this.
const AGAIN: Duration = Duration::from_secs(3_600);

/// Rehearses what is due until the node stops, one drill at a time. A vault cannot.
pub async fn keep(shell: Arc<Shell>) {
    if shell.reading_key.is_none() {
        return;
    }
    let mut held: BTreeMap<Site, Instant> = BTreeMap::new();
    let mut looked: Option<Instant> = None;
    loop {
        tokio::time::sleep(LOOK).await;
        let Ok(period) = shell.core.ask(|node| node.settings().drill_period).await else { return };
        let period = Duration::from_millis(period);
        let pause = (period / LOOKS).clamp(LOOK, LOOK_MOST);
        if period.is_zero() || looked.is_some_and(|at| at.elapsed() < pause) || shell.scrubs.is_busy() {
            continue;
        }
        looked = Some(Instant::now());
        held.retain(|_, at| at.elapsed() < AGAIN.min(period));
        let skip = held.keys().cloned().collect();
        match shell.core.ask(move |node| node.drill_due(&skip)).await {
            Ok(Some(site)) => {
                tell(&site, hold(&shell, site.clone()).await);
                held.insert(site, Instant::now());
            }
            Ok(None) => {}
            Err(_) => return,
        }
    }
}

async fn hold(shell: &Arc<Shell>, without: Site) -> Result<DrillDoc, Failure> {
    // Dropped with this future when the node stops, which ends what still reads.
    let (reporter, _reports) = Reporter::new(DEFAULT_TIMEOUT);
    let request = Drill { without, extent: Extent::Sample(SAMPLE), most_bytes: Some(BYTES), polite: true };
    rehearse(shell, request, &reporter).await
}

fn tell(site: &Site, outcome: Result<DrillDoc, Failure>) {
    match outcome {
        Ok(document) if document.passed => {
            tracing::info!(without = %site, files = document.files_tested, "a drill passed");
        }
        Ok(document) => {
            let (files, failed) = (document.files_tested, document.failed.len());
            tracing::warn!(without = %site, files, failed, "A DRILL FAILED; `safelight status` says more");
        }
        Err(failure) => tracing::warn!(without = %site, "a drill could not be held: {failure}"),
    }
}
