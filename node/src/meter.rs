//! How much has gone to each peer, and how fast: for estimates of when it will be done.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use safelight_proto::id::NodeId;

/// A pause longer than this begins a new measurement.
const PAUSE: Duration = Duration::from_secs(60);

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Meter(Mutex<BTreeMap<NodeId, Line>>);

#[derive(Debug)]
struct Line {
    bytes: u64,
    began: Instant,
    last: Instant,
}

impl Meter {
    /// Notes bytes of shards that went to `peer`.
    pub fn sent(&self, peer: NodeId, bytes: u64) {
        let now = Instant::now();
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = lines.entry(peer).or_insert(Line { bytes: 0, began: now, last: now });
        if now - line.last > PAUSE {
            *line = Line { bytes: 0, began: now, last: now };
        }
        line.bytes += bytes;
        line.last = now;
    }

    /// Bytes sent to each peer since the last pause, and bytes a second.
    pub fn read(&self) -> BTreeMap<NodeId, (u64, f64)> {
        let now = Instant::now();
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines
            .iter()
            .filter(|(_, line)| now - line.last <= PAUSE)
            .map(|(peer, line)| {
                let seconds = (now - line.began).as_secs_f64().max(0.5);
                (*peer, (line.bytes, line.bytes as f64 / seconds))
            })
            .collect()
    }
}
