//! The whole vocabulary between core and shell: what the shell tells, and what it is asked to do.
//!
//! Photo bytes never travel in here. The core says which shard goes where; the shell streams it.

mod invite;
mod memory;
mod shard;

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;
use safelight_proto::id::{Hash, NodeId, RecordId, RollId, VolumeId};
use safelight_proto::message::{JoinReply, JoinRequest, Request, Response};
use safelight_proto::record::Body;
use safelight_proto::vocabulary::Role;

pub use self::invite::{Ending, InviteState, Newcomer};
pub use self::memory::{Brake, Mass, Memory};
pub use self::shard::{Made, Remake, Shard, Want};
use crate::settings::Settings;

/// Names a thing the shell waits to answer: a peer's request, a gossip message, a join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// Names a request of ours, so that its answer finds back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Question(pub u64);

/// What the shell tells the core.
#[derive(Debug)]
pub enum Event {
    /// Some time has passed. At least twice a second.
    Tick,
    /// The owner's settings, at the start and when they change.
    Configure(Settings),
    /// A member is within reach.
    Connected(NodeId),
    /// A member is no longer within reach.
    Disconnected(NodeId),
    /// A member asks: [`Request::Reconcile`] or [`Request::Push`]. The shell answers the others from its store.
    Asked {
        /// Who.
        from: NodeId,
        /// What.
        request: Request,
        /// Where the answer goes.
        token: Token,
    },
    /// A member answered, or did not.
    Answered {
        /// Who.
        from: NodeId,
        /// Which of our requests.
        question: Question,
        /// The answer, or why there is none.
        answer: Result<Response, String>,
    },
    /// A record came by gossip.
    Gossip {
        /// Its bytes.
        bytes: Vec<u8>,
        /// Where the judgement goes.
        token: Token,
    },
    /// A member that takes this node for a stranger told why, in records.
    Told(Vec<Vec<u8>>),
    /// A stranger wants to join.
    Join {
        /// Who, by its channel.
        from: NodeId,
        /// With what words.
        request: JoinRequest,
        /// Where the answer goes.
        token: Token,
    },
    /// The node itself, or its owner, says something.
    Say(Vec<Body>),
    /// The owner says something with the authority key.
    SayAs(Box<SigningKey>, Vec<Body>),
    /// The owner ends a node's membership: of a vault by this node's own word, of a studio by the authority's.
    Remove {
        /// Who.
        node: NodeId,
        /// The authority's key.
        authority: Option<Box<SigningKey>>,
    },
    /// The owner invites; the key is BLAKE3 of the secret.
    Invite(Hash, InviteState),
    /// The owner sees the short code of this newcomer on its screen: it may come in.
    Confirmed {
        /// BLAKE3 of the invite's secret.
        invite: Hash,
        /// Who was asked about.
        newcomer: NodeId,
    },
    /// The owner ends a studio's invite that was not used.
    EndInvite(Hash, Ending),
    /// An ingest put shards on volumes, durably, and has this to say about them.
    Stored {
        /// Roll, coding and layout.
        bodies: Vec<Body>,
        /// What lies where now. Only for bytes that are fsynced and were read back.
        shards: Vec<(VolumeId, Shard)>,
        /// The catalog blob is kept too.
        catalog: Hash,
    },
    /// Shards that an added volume brought along: durable, and each read and found to be what its hash says.
    Brought(Vec<(VolumeId, Shard)>),
    /// A [`Effect::Pull`] came to its end; the shard is durable, or why not.
    Pulled {
        /// Which.
        want: Want,
        /// Whether it is durable.
        outcome: Result<(), PullError>,
    },
    /// An [`Effect::Remake`] came to its end: what is to be said of the new shards and where they lie, durably; or why
    /// there are none.
    Remade {
        /// Of which roll.
        roll: RollId,
        /// The new shards.
        outcome: Result<Made, String>,
    },
    /// An [`Effect::Audit`] came to its end: whether the proof held, or why there was none.
    Audited {
        /// Of which roll.
        roll: RollId,
        /// On which volume.
        volume: VolumeId,
        /// Which claim was put to the proof: the holder may have made another meanwhile.
        claim: RecordId,
        /// Of which shard.
        hash: Hash,
        /// Whether it held; an error when the holder could not be asked.
        outcome: Result<bool, String>,
    },
    /// A catalog blob is kept now, or could not be had.
    Catalog {
        /// Which.
        hash: Hash,
        /// Whether it is durable here.
        kept: bool,
    },
    /// A volume of this node is open, with what the ledger says it holds.
    VolumeOpened {
        /// Which.
        volume: VolumeId,
        /// Its shards that are there.
        shards: Vec<Shard>,
    },
    /// On a volume that was just opened are files that the ledger does not count: whole shards, or parts of some.
    Unrecorded {
        /// Which volume.
        volume: VolumeId,
        /// What they are of.
        hashes: Vec<Hash>,
    },
    /// The owner has looked at what was deleted here, and means it.
    ReleaseBrake,
    /// A volume of this node is not available now. Nothing on it is given up.
    VolumeGone(VolumeId),
    /// A shard was found bad and moved aside.
    ShardBad {
        /// Where.
        volume: VolumeId,
        /// Which.
        hash: Hash,
    },
}

/// Why a shard did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullError {
    /// The source could not give it: another may.
    Source,
    /// This volume cannot take it (full, read-only, gone): later, perhaps.
    Volume,
}

/// What must be durable before any effect of the same step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Keep a record.
    PutRecord(RecordId, Vec<u8>),
    /// A record was superseded.
    DropRecord(RecordId),
    /// A shard lies on a volume.
    PutShard(VolumeId, Shard),
    /// A shard is given up: its file may go once this is durable.
    DropShard(VolumeId, Hash),
    /// The node has run so long, in all its life, milliseconds.
    Running(u64),
    /// Since which running time a roll may go; nothing when it may not any more.
    Dead(RollId, Option<u64>),
    /// How the brake stands.
    Brake(Brake),
    /// Since which running time a shard is surplus; nothing when it is not any more.
    Surplus(VolumeId, Hash, Option<u64>),
    /// Until which running time a shard is promised to be kept; nothing when that is over.
    Promise(VolumeId, Hash, Option<u64>),
    /// At which running time a member was first heard of.
    Met(NodeId, u64),
    /// An invite was given out or used.
    PutInvite {
        /// BLAKE3 of its secret.
        hash: Hash,
        /// What its bearer becomes.
        role: Role,
        /// End of its life, milliseconds since 1970.
        expires: u64,
        /// Who used it.
        used_by: Option<NodeId>,
    },
}

/// What the core thinks of a gossip message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Pass it on.
    Accept,
    /// Do not pass it on; nobody is to blame.
    Ignore,
    /// Its sender is to blame.
    Reject,
}

/// What the shell is asked to do, once the step's writes are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Answer a member's request.
    Reply(Token, Response),
    /// Drop the connection that this came on, with a reason.
    Drop(Token, String),
    /// Judge a gossip message.
    Judge(Token, Judgement),
    /// Answer a stranger.
    Welcome(Token, JoinReply),
    /// Tell the owner, who may want to do something about it.
    Tell(String),
    /// Ask a member.
    Ask(NodeId, Question, Request),
    /// Send a member records that it lacks, from the store.
    Push(NodeId, Vec<RecordId>),
    /// Spread a record.
    Publish(Vec<u8>),
    /// The gate: these belong to the library; stay in touch with them at these addresses.
    Gate(BTreeMap<NodeId, Vec<String>>),
    /// Bring a shard here. `from` may be this node itself: another of its volumes has it.
    Pull {
        /// Where it is wanted.
        want: Want,
        /// Which.
        hash: Hash,
        /// Its length.
        bytes: u64,
        /// Who has it.
        from: NodeId,
        /// The roll is in danger: it does not wait for anybody's hours.
        urgent: bool,
    },
    /// Make shards out of others.
    Remake(Remake),
    /// Ask a holder for a proof.
    Audit {
        /// Whom.
        of: NodeId,
        /// Of which roll.
        roll: RollId,
        /// On which volume.
        volume: VolumeId,
        /// The claim that is put to the proof.
        claim: RecordId,
        /// Of which shard.
        hash: Hash,
        /// The shard's length.
        bytes: u64,
        /// Of which 16 KiB groups.
        groups: Vec<u64>,
    },
    /// Bring a catalog blob here.
    FetchCatalog {
        /// Which.
        hash: Hash,
        /// Who may have it.
        from: NodeId,
    },
    /// Remove a shard file that the ledger has given up, or what came of it.
    Unlink(VolumeId, Hash),
    /// Tell the owner that the brake holds: too much was deleted within a day.
    Alert(Mass),
}

/// Proof that the writes of a step were committed and fsynced: the key to its effects.
#[derive(Debug)]
pub struct Committed(());

impl Committed {
    /// Only a store says so, after its commit returned.
    pub fn after_fsync() -> Self {
        Self(())
    }
}

/// What came of an event: writes first, effects after.
#[derive(Debug, Default)]
#[must_use]
pub struct Step {
    pub(crate) writes: Vec<Write>,
    pub(crate) effects: Vec<Effect>,
}

impl Step {
    /// What must be durable first.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// The effects, for one who can show that the writes are durable.
    pub fn release(self, _proof: Committed) -> Vec<Effect> {
        self.effects
    }
}
