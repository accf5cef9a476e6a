//! The fixed rows of the ledger and of the invites.

use safelight_core::event::{InviteState, Shard};
use safelight_proto::id::{CodingId, Hash, NodeId, RollId};
use safelight_proto::vocabulary::Role;

use super::StoreError;

/// `bytes u64 BE | roll 32 | coding 16 | index | 1 while it is staged here for another volume`.
pub(super) struct ShardRow;

impl ShardRow {
    pub(super) fn encode(shard: &Shard) -> Vec<u8> {
        let mut row = shard.bytes.to_be_bytes().to_vec();
        row.extend(shard.roll.0);
        row.extend(shard.coding.0);
        row.extend([shard.index, shard.staged.into()]);
        row
    }

    pub(super) fn decode(hash: Hash, row: &[u8]) -> Result<Shard, StoreError> {
        let damaged = || StoreError::Damaged("ledger row");
        let (bytes, rest) = row.split_first_chunk::<8>().ok_or_else(damaged)?;
        let (roll, rest) = rest.split_first_chunk::<32>().ok_or_else(damaged)?;
        let (coding, rest) = rest.split_first_chunk::<16>().ok_or_else(damaged)?;
        let [index, staged] = rest else { return Err(damaged()) };
        Ok(Shard {
            hash,
            bytes: u64::from_be_bytes(*bytes),
            roll: RollId(*roll),
            coding: CodingId(*coding),
            index: *index,
            staged: *staged != 0,
        })
    }
}

/// `role | expires u64 BE | user 32, if any`.
pub(super) struct InviteRow;

impl InviteRow {
    pub(super) fn encode(role: Role, expires: u64, used_by: Option<NodeId>) -> Vec<u8> {
        let mut row = vec![match role {
            Role::Studio => 1,
            Role::Vault => 2,
        }];
        row.extend(expires.to_be_bytes());
        row.extend(used_by.iter().flat_map(|user| user.0));
        row
    }

    pub(super) fn decode(row: &[u8]) -> Result<InviteState, StoreError> {
        let damaged = || StoreError::Damaged("invite");
        let (role, rest) = row.split_first().ok_or_else(damaged)?;
        let (expires, rest) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
        let role = match role {
            1 => Role::Studio,
            2 => Role::Vault,
            _ => return Err(damaged()),
        };
        let used_by = if rest.is_empty() { None } else { Some(NodeId::from_slice(rest)?) };
        Ok(InviteState { used_by, ..InviteState::new(role, u64::from_be_bytes(*expires)) })
    }
}
