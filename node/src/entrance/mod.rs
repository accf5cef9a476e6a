//! How a machine becomes a node: it founds a library, is invited into one, or comes with the recovery phrase.
//!
//! The three end alike: keys, volumes and first records are made, and the home is complete once its database stands in it.
//! Broken off before, the command is simply given again.

mod found;
mod join;
mod make;
mod recover;

pub use found::found;
pub use join::{Compare, Joining};
pub use make::NodePlan;
pub use recover::{Recovery, recover};

use ed25519_dalek::SigningKey;
use safelight_proto::id::NodeId;

use crate::admin::operator::Failure;

fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::new(format!("this machine has no randomness: {error}")))?;
    Ok(bytes)
}

fn node_id(secret: &[u8; 32]) -> NodeId {
    NodeId(SigningKey::from_bytes(secret).verifying_key().to_bytes())
}
