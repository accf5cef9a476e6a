//! From "stored" to "safe": the shoot's verdict, and waiting for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use safelight_core::node::Node;
use safelight_proto::id::ShootId;

use super::{Shoot, ids_of};
use crate::admin::command::Wait;
use crate::admin::doc::Verdict;
use crate::admin::operator::{Failure, Progress, Reporter};
use crate::hours::Hours;
use crate::shell::Shell;
use crate::view::transfers::left;
use crate::view::{ShootView, shoots, verdict as word};

/// The verdict is asked for this often.
const ROUND: Duration = Duration::from_millis(500);

/// How a shoot stands.
struct Standing {
    verdict: Verdict,
    /// Bytes still to be brought to where they are wanted.
    pending: u64,
    /// The nodes that wait for them, by name.
    waiting: Vec<String>,
}

/// The shoot's verdict; with `--wait safe` once it is safe, or as soon as nothing can make it so.
pub async fn verdict(
    shell: &Arc<Shell>,
    shoot: &Shoot,
    wait: Wait,
    reporter: &Reporter,
) -> Result<Verdict, Failure> {
    let ids = ids_of(shell, shoot).await?;
    let mut most = 0;
    loop {
        let (asked, wanted) = (Arc::clone(shell), ids.clone());
        let now = shell.core.ask(move |node| standing(node, &asked, &wanted)).await.map_err(Failure::from)?;
        if wait == Wait::Stored || now.verdict != Verdict::CatchingUp {
            return Ok(now.verdict);
        }
        most = now.pending.max(most);
        reporter.progress(progress(&now, most, shell.gate.awaited()));
        tokio::select! {
            () = tokio::time::sleep(ROUND) => {}
            () = reporter.cancelled() => {
                return Err(Failure::new("the wait was broken off; everything is stored, and protecting it goes on")
                    .next("safelight status"));
            }
        }
    }
}

fn standing(node: &Node, shell: &Shell, ids: &BTreeSet<ShootId>) -> Standing {
    let all = shoots(node, &shell.names, shell.reading_key.as_ref());
    let mine: Vec<&ShootView> = all.iter().filter(|shoot| !shoot.ids.is_disjoint(ids)).collect();
    let topology = node.topology();
    let verdict = mine.iter().map(|shoot| word(shoot.judge(node, &topology).verdict)).max();
    let rolls: BTreeSet<_> = mine
        .iter()
        .flat_map(|shoot| &shoot.rolls)
        .flat_map(|roll| roll.references.iter().copied().chain([roll.roll]))
        .collect();
    let waiting = left(node, &shell.meter.read(), rolls);
    let name = |id| node.manifest().node(id).map_or_else(|| id.short(), |info| info.name.clone());
    Standing {
        // A shoot that nothing went to is not at risk.
        verdict: verdict.unwrap_or(Verdict::Safe),
        pending: waiting.values().sum(),
        waiting: waiting.iter().filter(|(_, bytes)| **bytes > 0).map(|(id, _)| name(id)).collect(),
    }
}

fn progress(now: &Standing, most: u64, hours: Option<Hours>) -> Progress {
    let done = most - now.pending;
    let hours = hours.map(|hours| format!("; it waits for its hours ({hours})")).unwrap_or_default();
    let for_whom = match now.waiting.is_empty() {
        true => "being checked".to_owned(),
        false => format!("on the way to {}{hours}", now.waiting.join(", ")),
    };
    Progress {
        phase: "protecting".into(),
        bytes_done: done,
        bytes_total: Some(most),
        note: Some(for_whom),
        ..Progress::default()
    }
}
