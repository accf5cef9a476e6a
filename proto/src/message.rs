//! What nodes say to each other, checked where it enters: a message that breaks a bound is an error, and the
//! connection it came on is dropped.

use std::ops::Range;

use prost::Message;

use crate::id::{Hash, IdError, LibraryId, RecordId, RollId, VolumeId};
use crate::schema::{self, join_request::Proof as WireProof, request::Kind as Ask, response::Kind as Say};
use crate::{limit, vocabulary::Site};

/// Why bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Not the encoding of a message.
    #[error("not a message: {0}")]
    Malformed(String),
    /// A part is larger than any may be.
    #[error("the message's {0} is out of bounds")]
    Bounds(&'static str),
}

impl From<prost::DecodeError> for MessageError {
    fn from(error: prost::DecodeError) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl From<IdError> for MessageError {
    fn from(error: IdError) -> Self {
        Self::Malformed(error.to_string())
    }
}

type Result<T> = std::result::Result<T, MessageError>;

/// What one member asks of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A step of reconciliation: which records does the other have that this node has not, and the reverse.
    Reconcile(Vec<u8>),
    /// The bytes of these records.
    Fetch(Vec<RecordId>),
    /// Records that the other lacks.
    Push(Vec<Vec<u8>>),
    /// A piece of a catalog blob.
    GetCatalog {
        /// Which.
        hash: Hash,
        /// Where the piece starts.
        offset: u64,
    },
    /// A proof that a shard is held: the bao encoding of some of its 16 KiB groups.
    Prove {
        /// On which volume.
        volume: VolumeId,
        /// Which shard.
        hash: Hash,
        /// Which groups.
        groups: Vec<u64>,
    },
    /// Which shards of this roll the other will keep: the asker wants to drop some of its own.
    Promise(RollId),
}

/// What the other answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// The next step of reconciliation.
    Reconcile(Vec<u8>),
    /// Records asked for; those that did not fit are asked for again.
    Records(Vec<Vec<u8>>),
    /// Pushed records were taken in, and are durable.
    Accepted,
    /// A piece of a blob of `total` bytes, or a proof.
    Chunk {
        /// Length of the whole.
        total: u64,
        /// The piece.
        bytes: Vec<u8>,
    },
    /// Shards that the other keeps, with their volumes: durably said, and only good now.
    Promised(Vec<(VolumeId, Hash)>),
    /// No, and why.
    Refused(String),
}

impl Request {
    /// Its bytes.
    pub fn encode(self) -> Vec<u8> {
        let kind = match self {
            Self::Reconcile(message) => Ask::Reconcile(schema::Reconcile { message }),
            Self::Fetch(ids) => {
                Ask::Fetch(schema::Fetch { ids: ids.iter().map(|id| id.0.to_vec()).collect() })
            }
            Self::Push(records) => Ask::Push(schema::Push { records }),
            Self::GetCatalog { hash, offset } => {
                Ask::GetCatalog(schema::GetCatalog { hash: hash.0.to_vec(), offset })
            }
            Self::Prove { volume, hash, groups } => {
                Ask::Prove(schema::Prove { volume: volume.0.to_vec(), hash: hash.0.to_vec(), groups })
            }
            Self::Promise(roll) => Ask::Promise(schema::Promise { roll: roll.0.to_vec() }),
        };
        schema::Request { kind: Some(kind) }.encode_to_vec()
    }

    /// A request from the bytes a member sent.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        within(bytes.len(), limit::MESSAGE_BYTES, "length")?;
        let kind = schema::Request::decode(bytes)?.kind;
        Ok(match kind.ok_or_else(|| MessageError::Malformed("an unknown request".into()))? {
            Ask::Reconcile(m) => Self::Reconcile(reconciliation(m.message)?),
            Ask::Fetch(m) => {
                within(m.ids.len(), limit::FETCH_IDS, "number of ids")?;
                Self::Fetch(
                    m.ids.iter().map(|id| RecordId::from_slice(id)).collect::<std::result::Result<_, _>>()?,
                )
            }
            Ask::Push(m) => Self::Push(records(m.records)?),
            Ask::GetCatalog(m) => Self::GetCatalog { hash: Hash::from_slice(&m.hash)?, offset: m.offset },
            Ask::Prove(m) => {
                within(m.groups.len(), limit::PROOF_GROUPS, "number of groups")?;
                Self::Prove {
                    volume: VolumeId::from_slice(&m.volume)?,
                    hash: Hash::from_slice(&m.hash)?,
                    groups: m.groups,
                }
            }
            Ask::Promise(m) => Self::Promise(RollId::from_slice(&m.roll)?),
        })
    }
}

impl Response {
    /// Its bytes.
    pub fn encode(self) -> Vec<u8> {
        let kind = match self {
            Self::Reconcile(message) => Say::Reconcile(schema::Reconcile { message }),
            Self::Records(records) => Say::Records(schema::Records { records }),
            Self::Accepted => Say::Accepted(schema::Accepted {}),
            Self::Chunk { total, bytes } => Say::Chunk(schema::Chunk { total, bytes }),
            Self::Promised(shards) => {
                let shard = |(volume, hash): (VolumeId, Hash)| schema::PromisedShard {
                    volume: volume.0.to_vec(),
                    hash: hash.0.to_vec(),
                };
                Say::Promised(schema::Promised { shards: shards.into_iter().map(shard).collect() })
            }
            Self::Refused(reason) => Say::Refused(schema::Refused { reason }),
        };
        schema::Response { kind: Some(kind) }.encode_to_vec()
    }

    /// An answer from the bytes a member sent.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        within(bytes.len(), limit::MESSAGE_BYTES, "length")?;
        let kind = schema::Response::decode(bytes)?.kind;
        Ok(match kind.ok_or_else(|| MessageError::Malformed("an unknown answer".into()))? {
            Say::Reconcile(m) => Self::Reconcile(reconciliation(m.message)?),
            Say::Records(m) => Self::Records(records(m.records)?),
            Say::Accepted(_) => Self::Accepted,
            Say::Chunk(m) => Self::Chunk { total: m.total, bytes: m.bytes },
            Say::Promised(m) => {
                within(m.shards.len(), limit::PROMISED_SHARDS, "number of promised shards")?;
                let shard = |m: schema::PromisedShard| -> Result<(VolumeId, Hash)> {
                    Ok((VolumeId::from_slice(&m.volume)?, Hash::from_slice(&m.hash)?))
                };
                Self::Promised(m.shards.into_iter().map(shard).collect::<Result<_>>()?)
            }
            Say::Refused(m) => Self::Refused(m.reason.chars().take(REASON_CHARS).collect()),
        })
    }
}

/// As much of a peer's reason as is shown or logged.
const REASON_CHARS: usize = 200;

fn reconciliation(message: Vec<u8>) -> Result<Vec<u8>> {
    within(message.len(), limit::RECONCILE_BYTES, "reconciliation message")?;
    Ok(message)
}

fn records(records: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
    if records.iter().any(|record| record.len() > limit::RECORD_BYTES) {
        return Err(MessageError::Bounds("record"));
    }
    Ok(records)
}

fn within(count: usize, most: usize, what: &'static str) -> Result<()> {
    if count > most { Err(MessageError::Bounds(what)) } else { Ok(()) }
}

/// Opens a shard stream: which groups of which shard are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardRequest {
    /// Which shard.
    pub hash: Hash,
    /// Ranges of 16 KiB groups; empty means all.
    pub groups: Vec<Range<u64>>,
    /// A person waits for it, or its roll is in danger: it is to be served outside of the holder's hours, too.
    pub urgent: bool,
}

/// Answers a [`ShardRequest`]: the length of the shard, after which its bao bytes follow, or why not.
pub type ShardReply = std::result::Result<u64, String>;

/// Most ranges in one [`ShardRequest`]: a shard so full of holes is asked for whole.
pub const SHARD_RANGES: usize = 4096;

impl ShardRequest {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let ranges = self.groups.iter().map(|r| schema::Range { start: r.start, end: r.end }).collect();
        schema::ShardRequest { hash: self.hash.0.to_vec(), ranges, urgent: self.urgent }.encode_to_vec()
    }

    /// A shard request from the bytes a member sent.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let m = schema::ShardRequest::decode(bytes)?;
        within(m.ranges.len(), SHARD_RANGES, "number of ranges")?;
        if m.ranges.iter().any(|range| range.start >= range.end) {
            return Err(MessageError::Bounds("range"));
        }
        Ok(Self {
            hash: Hash::from_slice(&m.hash)?,
            groups: m.ranges.iter().map(|range| range.start..range.end).collect(),
            urgent: m.urgent,
        })
    }
}

/// Bytes of a [`ShardReply`].
pub fn encode_shard_reply(reply: &ShardReply) -> Vec<u8> {
    match reply {
        Ok(bytes) => schema::ShardReply { found: true, bytes: *bytes, reason: String::new() },
        Err(reason) => schema::ShardReply { found: false, bytes: 0, reason: reason.clone() },
    }
    .encode_to_vec()
}

/// A [`ShardReply`] from the bytes a member sent.
pub fn decode_shard_reply(bytes: &[u8]) -> Result<ShardReply> {
    let m = schema::ShardReply::decode(bytes)?;
    Ok(if m.found { Ok(m.bytes) } else { Err(m.reason.chars().take(REASON_CHARS).collect()) })
}

/// What a newcomer shows to be let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// The one-time secret of an invite.
    Invite([u8; 16]),
    /// A record, signed by the authority, that admits the very peer that sends it.
    Admit(Vec<u8>),
}

/// What the people at a newcomer say of the short code that both screens show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Comparison {
    /// Nothing yet.
    #[default]
    Open,
    /// It is the same on both.
    Equal,
    /// It is not: they want nothing more to do with this invite.
    Different,
}

/// A newcomer's first words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinRequest {
    /// The library it wants to join.
    pub library: LibraryId,
    /// Why it may.
    pub proof: Proof,
    /// Where it stands.
    pub site: Site,
    /// What it is called.
    pub name: String,
    /// How far its people are with the short code; of no matter unless it becomes a studio by invite.
    pub comparison: Comparison,
}

/// What a member answers a newcomer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JoinReply {
    /// Come in.
    Welcome {
        /// Membership records that lead from the authority to both peers.
        records: Vec<Vec<u8>>,
        /// The reading key, for a studio.
        reading_key: Option<[u8; 32]>,
    },
    /// Not yet: the short code is to be compared on both sides. Ask again.
    Confirm {
        /// Whether someone on the inviting side is asked, too.
        attended: bool,
        /// Where the inviting node stands.
        site: Site,
    },
    /// No, and why.
    Refused(String),
}

impl JoinRequest {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let proof = match &self.proof {
            Proof::Invite(secret) => WireProof::Invite(secret.to_vec()),
            Proof::Admit(record) => WireProof::Admit(record.clone()),
        };
        schema::JoinRequest {
            library: self.library.0.to_vec(),
            proof: Some(proof),
            site: self.site.name().to_owned(),
            name: self.name.clone(),
            comparison: match self.comparison {
                Comparison::Open => schema::Comparison::Open,
                Comparison::Equal => schema::Comparison::Equal,
                Comparison::Different => schema::Comparison::Different,
            }
            .into(),
        }
        .encode_to_vec()
    }

    /// A join request from the bytes a stranger sent.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        within(bytes.len(), limit::JOIN_BYTES, "length")?;
        let m = schema::JoinRequest::decode(bytes)?;
        within(m.name.len(), limit::NAME_BYTES, "name")?;
        // People are shown it, and are asked to trust what they see.
        if m.name.is_empty() || m.name.chars().any(char::is_control) {
            return Err(MessageError::Bounds("name"));
        }
        let comparison = match schema::Comparison::try_from(m.comparison) {
            Ok(schema::Comparison::Open) => Comparison::Open,
            Ok(schema::Comparison::Equal) => Comparison::Equal,
            Ok(schema::Comparison::Different) => Comparison::Different,
            Err(_) => return Err(MessageError::Malformed("an unknown comparison".into())),
        };
        let proof = match m.proof.ok_or_else(|| MessageError::Malformed("no proof".into()))? {
            WireProof::Invite(secret) => {
                Proof::Invite(secret.try_into().map_err(|_| MessageError::Bounds("secret"))?)
            }
            WireProof::Admit(record) => Proof::Admit(record),
        };
        Ok(Self {
            library: LibraryId::from_slice(&m.library)?,
            proof,
            site: Site::new(&m.site).ok_or(MessageError::Bounds("site"))?,
            name: m.name,
            comparison,
        })
    }
}

impl JoinReply {
    /// Its bytes.
    pub fn encode(self) -> Vec<u8> {
        match self {
            Self::Welcome { records, reading_key } => schema::JoinReply {
                records,
                reading_key: reading_key.map(|key| key.to_vec()).unwrap_or_default(),
                ..Default::default()
            },
            Self::Confirm { attended, site } => {
                let confirm = schema::Confirm { attended, site: site.name().to_owned() };
                schema::JoinReply { confirm: Some(confirm), ..Default::default() }
            }
            Self::Refused(refused) => schema::JoinReply { refused, ..Default::default() },
        }
        .encode_to_vec()
    }

    /// A join reply from the bytes a peer sent.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        within(bytes.len(), limit::JOIN_BYTES, "length")?;
        let m = schema::JoinReply::decode(bytes)?;
        if !m.refused.is_empty() {
            return Ok(Self::Refused(m.refused.chars().take(REASON_CHARS).collect()));
        }
        if let Some(confirm) = m.confirm {
            let site = Site::new(&confirm.site).ok_or(MessageError::Bounds("site"))?;
            return Ok(Self::Confirm { attended: confirm.attended, site });
        }
        let reading_key = match m.reading_key.as_slice() {
            [] => None,
            key => Some(key.try_into().map_err(|_| MessageError::Bounds("reading key"))?),
        };
        Ok(Self::Welcome { records: m.records, reading_key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn requests_there_and_back() {
        for request in [
            Request::Reconcile(vec![1, 2, 3]),
            Request::Fetch(vec![RecordId([1; 32]), RecordId([2; 32])]),
            Request::Push(vec![vec![5; 100], vec![]]),
            Request::GetCatalog { hash: Hash([3; 32]), offset: 77 },
            Request::Prove { volume: VolumeId([4; 16]), hash: Hash([5; 32]), groups: vec![0, 9] },
            Request::Promise(RollId([6; 32])),
        ] {
            assert_eq!(Request::decode(&request.clone().encode()), Ok(request));
        }
    }

    #[test]
    fn answers_there_and_back() {
        for response in [
            Response::Reconcile(vec![]),
            Response::Records(vec![vec![1]]),
            Response::Accepted,
            Response::Chunk { total: 9, bytes: vec![1, 2] },
            Response::Promised(vec![(VolumeId([7; 16]), Hash([8; 32])), (VolumeId([9; 16]), Hash([8; 32]))]),
            Response::Refused("not now".into()),
        ] {
            assert_eq!(Response::decode(&response.clone().encode()), Ok(response));
        }
    }

    #[test]
    fn joining_there_and_back() {
        let site = Site::new("friend").expect("a fine name");
        for proof in [Proof::Invite([7; 16]), Proof::Admit(vec![1, 2])] {
            for comparison in [Comparison::Open, Comparison::Equal, Comparison::Different] {
                let (proof, site) = (proof.clone(), site.clone());
                let library = LibraryId([1; 32]);
                let request = JoinRequest { library, proof, site, name: "nas".into(), comparison };
                assert_eq!(JoinRequest::decode(&request.encode()), Ok(request));
            }
        }
        for reply in [
            JoinReply::Welcome { records: vec![vec![1]], reading_key: Some([3; 32]) },
            JoinReply::Welcome { records: vec![], reading_key: None },
            JoinReply::Confirm { attended: true, site: site.clone() },
            JoinReply::Confirm { attended: false, site },
            JoinReply::Refused("the invite has expired".into()),
        ] {
            assert_eq!(JoinReply::decode(&reply.clone().encode()), Ok(reply));
        }
    }

    #[test]
    fn a_shard_request_says_whether_it_can_wait() {
        for urgent in [false, true] {
            let request = ShardRequest { hash: Hash([7; 32]), groups: vec![0..3, 9..10], urgent };
            assert_eq!(ShardRequest::decode(&request.encode()), Ok(request));
        }
    }

    #[test]
    fn what_breaks_a_bound_is_refused() {
        let too_many = Request::Fetch(vec![RecordId([0; 32]); limit::FETCH_IDS + 1]).encode();
        assert_eq!(Request::decode(&too_many), Err(MessageError::Bounds("number of ids")));
        let too_long = Request::Push(vec![vec![0; limit::RECORD_BYTES + 1]]).encode();
        assert_eq!(Request::decode(&too_long), Err(MessageError::Bounds("record")));
        let backwards =
            ShardRequest { hash: Hash([0; 32]), groups: vec![5..5, 7..8], urgent: false }.encode();
        assert_eq!(ShardRequest::decode(&backwards), Err(MessageError::Bounds("range")));
        let joining = |name: &str, site: &str, comparison| schema::JoinRequest {
            library: vec![1; 32],
            proof: Some(WireProof::Invite(vec![7; 16])),
            site: site.into(),
            name: name.into(),
            comparison,
        };
        let bounds = |what| Err(MessageError::Bounds(what));
        let long = "n".repeat(limit::NAME_BYTES + 1);
        for (request, error) in [
            (joining("", "friend", 0), bounds("name")),
            (joining("a\u{1b}[2J", "friend", 0), bounds("name")),
            (joining(&long, "friend", 0), bounds("name")),
            (joining("nas", "", 0), bounds("site")),
            (joining("nas", "friend", 3), Err(MessageError::Malformed("an unknown comparison".into()))),
        ] {
            assert_eq!(JoinRequest::decode(&request.encode_to_vec()), error);
        }
        let confirm = Some(schema::Confirm { attended: true, site: "s".repeat(limit::NAME_BYTES + 1) });
        let reply = schema::JoinReply { confirm, ..Default::default() }.encode_to_vec();
        assert_eq!(JoinReply::decode(&reply), Err(MessageError::Bounds("site")));
    }

    proptest! {
        #[test]
        fn noise_does_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Request::decode(&bytes);
            let _ = Response::decode(&bytes);
            let _ = ShardRequest::decode(&bytes);
            let _ = JoinRequest::decode(&bytes);
            let _ = JoinReply::decode(&bytes);
        }
    }
}
