//! Anti-entropy: range-based set reconciliation over the ids of all standing records.
//!
//! Negentropy, protocol version 1 (Meyer, "Range-Based Set Reconciliation", 2022). Equal sets cost one round trip of
//! some 340 bytes; fingerprints only find differences, every record that comes is verified by itself.

use std::sync::Arc;

use negentropy::{Id, Negentropy, NegentropyStorageVector};
use safelight_proto::id::RecordId;
use safelight_proto::limit;

use crate::manifest::Manifest;

/// Rounds after which a session gives up: a peer whose set changes all the while, or that lies.
pub const ROUNDS: u32 = 64;

/// A reconciliation message that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a reconciliation message that cannot be followed: {0}")]
pub struct SyncError(String);

impl From<negentropy::Error> for SyncError {
    fn from(error: negentropy::Error) -> Self {
        Self(format!("{error:?}"))
    }
}

/// The set at one moment, shared by all sessions of that moment.
#[derive(Debug, Clone)]
pub struct Snapshot(Arc<NegentropyStorageVector>);

impl Snapshot {
    /// The set of `manifest` now.
    pub fn of(manifest: &Manifest) -> Result<Self, SyncError> {
        let mut items = NegentropyStorageVector::with_capacity(manifest.ids().len());
        for (hlc, id) in manifest.ids() {
            items.insert(hlc.0, Id::from_byte_array(id.0))?;
        }
        items.seal()?;
        Ok(Self(Arc::new(items)))
    }

    /// The answer to another's step.
    pub fn answer(&self, message: &[u8]) -> Result<Vec<u8>, SyncError> {
        Ok(Negentropy::borrowed(&*self.0, frame_limit())?.reconcile(message)?)
    }
}

/// The initiator's side of one reconciliation.
#[derive(Debug)]
pub struct Session {
    snapshot: Snapshot,
    rounds: u32,
    have: Vec<RecordId>,
    need: Vec<RecordId>,
}

/// What to do after a step.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Send this and wait for the answer.
    Send(Vec<u8>),
    /// Both sets are compared.
    Done {
        /// What the other lacks.
        have: Vec<RecordId>,
        /// What this node lacks.
        need: Vec<RecordId>,
    },
}

impl Session {
    /// Begins: the session and its first message.
    pub fn begin(snapshot: Snapshot) -> Result<(Self, Vec<u8>), SyncError> {
        let message = Negentropy::borrowed(&*snapshot.0, frame_limit())?.initiate()?;
        Ok((Self { snapshot, rounds: 0, have: Vec::new(), need: Vec::new() }, message))
    }

    /// Goes on with the other's answer.
    pub fn step(&mut self, message: &[u8]) -> Result<Next, SyncError> {
        self.rounds += 1;
        if self.rounds > ROUNDS {
            return Err(SyncError(format!("no end after {ROUNDS} rounds")));
        }
        let mut side = Negentropy::borrowed(&*self.snapshot.0, frame_limit())?;
        side.set_initiator();
        let (mut have, mut need) = (Vec::new(), Vec::new());
        let next = side.reconcile_with_ids(message, &mut have, &mut need)?;
        self.have.extend(have.iter().map(|id| RecordId(*id.as_bytes())));
        self.need.extend(need.iter().map(|id| RecordId(*id.as_bytes())));
        Ok(match next {
            Some(message) => Next::Send(message),
            None => Next::Done { have: sorted(&mut self.have), need: sorted(&mut self.need) },
        })
    }
}

/// The library collects ids in unordered sets; the core must not depend on their order.
fn sorted(ids: &mut Vec<RecordId>) -> Vec<RecordId> {
    ids.sort_unstable();
    ids.dedup();
    std::mem::take(ids)
}

fn frame_limit() -> u64 {
    (limit::RECONCILE_BYTES / 2) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn snapshot(ids: &BTreeSet<(u64, [u8; 32])>) -> Snapshot {
        let mut items = NegentropyStorageVector::new();
        for (time, id) in ids {
            items.insert(*time, Id::from_byte_array(*id)).expect("not sealed yet");
        }
        items.seal().expect("sealed once");
        Snapshot(Arc::new(items))
    }

    fn ids(range: std::ops::Range<u32>) -> BTreeSet<(u64, [u8; 32])> {
        range.map(|n| (u64::from(n), *blake3::hash(&n.to_be_bytes()).as_bytes())).collect()
    }

    fn reconcile(
        ours: &BTreeSet<(u64, [u8; 32])>,
        theirs: &BTreeSet<(u64, [u8; 32])>,
    ) -> (usize, usize, u32) {
        let (mut session, mut message) = Session::begin(snapshot(ours)).expect("begins");
        let other = snapshot(theirs);
        loop {
            let answer = other.answer(&message).expect("answers");
            match session.step(&answer).expect("follows") {
                Next::Send(next) => message = next,
                Next::Done { have, need } => {
                    let only = |a: &BTreeSet<(u64, [u8; 32])>, b: &BTreeSet<(u64, [u8; 32])>| {
                        let mut ids: Vec<_> = a.difference(b).map(|(_, id)| RecordId(*id)).collect();
                        ids.sort_unstable();
                        ids
                    };
                    assert_eq!(have, only(ours, theirs));
                    assert_eq!(need, only(theirs, ours));
                    return (have.len(), need.len(), session.rounds);
                }
            }
        }
    }

    #[test]
    fn both_differences_are_found() {
        assert_eq!(reconcile(&ids(0..5_000), &ids(0..5_000)).2, 1, "equal sets cost one round trip");
        reconcile(&ids(0..5_000), &ids(100..6_000));
        reconcile(&ids(0..0), &ids(0..20_000));
        reconcile(&ids(0..20_000), &ids(0..0));
        reconcile(&ids(0..40_000), &ids(39_000..80_000));
    }

    #[test]
    fn noise_is_an_error() {
        let (mut session, _) = Session::begin(snapshot(&ids(0..10))).expect("begins");
        assert!(session.step(b"").is_err());
        assert!(session.step(&[0x99, 1, 2]).is_err());
        assert!(snapshot(&ids(0..10)).answer(&[1, 2, 3]).is_err());
    }
}
