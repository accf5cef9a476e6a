//! The pure core of a node: events in, effects out. Time and randomness are arguments; nothing here touches a disk, a
//! network, a clock or a thread, so the simulator runs exactly what the daemon runs.
//!
//! The modules follow the data; each may use those above it.

/// Clocks as arguments.
pub mod time;

/// What the owner of a node may set.
pub mod settings;

/// Keys, and sealing with them.
pub mod seal;

/// Erasure coding, and hashing on the way.
pub mod code;

/// Files to shards.
pub mod ingest;

/// Shards to files.
pub mod restore;

/// Which files a drill rebuilds.
pub mod drill;

/// Who belongs to the library.
pub mod members;

/// Signed records, merged to one truth.
pub mod manifest;

/// Where shards go, and what a shoot's protection comes to.
pub mod place;

/// Making whole what losses left short.
pub mod repair;

/// How two manifests become one.
pub mod sync;

/// What core and shell say to each other.
pub mod event;

/// One node.
pub mod node;
