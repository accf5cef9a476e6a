//! What records compete for, and what kinds of them there are.

use super::body::{Body, Leaver};
use crate::id::{CodingId, Hash, NodeId, RollId, ShootId, VolumeId};
use crate::vocabulary::{Role, Site};

/// What a record competes for. Records with one key supersede each other; every other record stands beside the rest. But for
/// what the authority alone says, the author is part of it: when one is removed, no other's word went with its.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The founding.
    Founding,
    /// An admission, by node, role and author: a second role never hides the first.
    Admit(NodeId, Role, NodeId),
    /// A delegation, by node.
    Delegate(NodeId),
    /// A node's words about itself.
    Node(NodeId),
    /// A volume, by its node.
    Volume(VolumeId, NodeId),
    /// A roll, by its author.
    Roll(RollId, NodeId),
    /// A coding, by its author.
    Coding(RollId, CodingId, NodeId),
    /// The layout of a roll, by its author: nobody's wish replaces another's.
    Layout(RollId, NodeId),
    /// The holding of a roll on a volume, by its node.
    Holding(RollId, VolumeId, NodeId),
    /// One node's audit of a roll on a volume.
    Audit(RollId, VolumeId, NodeId),
    /// The rule of the library or a shoot, by whose word.
    Rule(Option<ShootId>, NodeId),
    /// A node's state, by whose word.
    Lost(NodeId, NodeId),
    /// A node's head.
    Head(NodeId),
    /// What is deleted of a roll, by whose word.
    Trash(RollId, NodeId),
    /// The last scrub of a volume, by its node.
    Scrubbed(VolumeId, NodeId),
    /// Whether a node or volume leaves, by whose word.
    Retired(Leaver, NodeId),
    /// Where a node stands while it is filled, by whose word.
    Seeding(NodeId, NodeId),
    /// The last drill without a site, by who held it.
    Drill(Site, NodeId),
    /// The end of a node's membership, by whose word.
    Remove(NodeId, NodeId),
    /// An adoption, by the ids of what it adopts and who does: none takes the place of another.
    Adopt(Hash, NodeId),
}

impl Body {
    /// What this competes for when `author` says it.
    pub fn key(&self, author: NodeId) -> Key {
        match self {
            Self::Founding(_) => Key::Founding,
            Self::Admit(b) => Key::Admit(b.node, b.role, author),
            Self::Delegate(b) => Key::Delegate(b.node),
            Self::Node(_) => Key::Node(author),
            Self::Volume(b) => Key::Volume(b.volume, author),
            Self::Roll(b) => Key::Roll(b.roll, author),
            Self::Coding(b) => Key::Coding(b.roll, b.coding, author),
            Self::Layout(b) => Key::Layout(b.roll, author),
            Self::Holding(b) => Key::Holding(b.roll, b.volume, author),
            Self::Audit(b) => Key::Audit(b.roll, b.volume, author),
            Self::Rule(b) => Key::Rule(b.shoot, author),
            Self::Lost(b) => Key::Lost(b.node, author),
            Self::Head(_) => Key::Head(author),
            Self::Trash(b) => Key::Trash(b.roll, author),
            Self::Scrubbed(b) => Key::Scrubbed(b.volume, author),
            Self::Retired(b) => Key::Retired(b.what, author),
            Self::Seeding(b) => Key::Seeding(b.node, author),
            Self::Drill(b) => Key::Drill(b.without.clone(), author),
            Self::Remove(b) => Key::Remove(b.node, author),
            Self::Adopt(b) => Key::Adopt(b.digest(), author),
        }
    }

    /// Whether it bears on who belongs to the library: such records are taken in before all others.
    pub fn is_membership(&self) -> bool {
        matches!(self, Self::Founding(_) | Self::Admit(_) | Self::Delegate(_) | Self::Remove(_))
    }

    /// Whether it can outlive its author's membership: what is known and wanted, never what a node says of itself, holds
    /// or has found.
    pub fn is_adoptable(&self) -> bool {
        match self {
            Self::Admit(_)
            | Self::Remove(_)
            | Self::Roll(_)
            | Self::Coding(_)
            | Self::Layout(_)
            | Self::Rule(_)
            | Self::Lost(_)
            | Self::Trash(_)
            | Self::Retired(_) => true,
            Self::Founding(_)
            | Self::Delegate(_)
            | Self::Node(_)
            | Self::Volume(_)
            | Self::Holding(_)
            | Self::Audit(_)
            | Self::Head(_)
            | Self::Scrubbed(_)
            | Self::Seeding(_)
            | Self::Drill(_)
            | Self::Adopt(_) => false,
        }
    }
}
