//! Making whole what losses, leavers and newcomers left short of its rule. Pure: what is held and where there is room
//! comes in, what is to be made and where it is to go comes out.
//!
//! ```text
//! Patient (what a roll has on volumes that stay) ─▶ plan ─▶ Repair: nothing · more shards of a coding · a new coding
//! ```
//!
//! The volumes that a plan looks at are those that stay: not lost, not leaving, not away for longer than their grace. So
//! one rule covers a burnt site, a drive that is retired and a newcomer that makes a better protection possible.

mod complete;
mod heal;
mod plan;
#[cfg(test)]
mod tests;

pub use heal::{Loss, unhealable};
pub use plan::{NOWHERE, Patient, Repair, Stock, plan, wish_meets};
