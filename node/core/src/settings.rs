//! What the owner of a node may set about its care. All spans in milliseconds, measured by the steady clock.

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

/// See the module's documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// A node out of reach is expected back so long; then its shards are made again elsewhere.
    pub grace_node: u64,
    /// The same, for a site of which no node is within reach.
    pub grace_site: u64,
    /// What is deleted or no longer wanted stays on this node's volumes so long, by its own running time.
    pub quarantine: u64,
    /// More of the library than this deleted within a day stops all dropping, in percent; zero never stops it.
    pub brake_percent: u8,
    /// Every shard is read and verified once in so long.
    pub scrub_period: u64,
    /// Vaults prove anew what they hold once in so long.
    pub audit_period: u64,
    /// It is within the hours in which shards may go between nodes. The shell, which knows the time of day, says so.
    pub within_hours: bool,
    /// The loss of every site is rehearsed once in so long, a sample of the files; zero for never.
    pub drill_period: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            grace_node: DAY,
            grace_site: 14 * DAY,
            quarantine: 30 * DAY,
            brake_percent: 5,
            scrub_period: 30 * DAY,
            audit_period: 7 * DAY,
            within_hours: true,
            drill_period: 30 * DAY,
        }
    }
}
