//! Invites, as the core keeps them.

use ed25519_dalek::SigningKey;
use safelight_proto::id::NodeId;
use safelight_proto::invite::ShortCode;
use safelight_proto::vocabulary::{Role, Site};

/// An invite that this node gave out.
#[derive(Debug, Clone)]
pub struct InviteState {
    /// What its bearer becomes.
    pub role: Role,
    /// End of its life, milliseconds since 1970.
    pub expires: u64,
    /// Who used it.
    pub used_by: Option<NodeId>,
    /// Signs the admission of a studio. In memory only, as is all that follows: such an invite ends with the process.
    pub authority: Option<Box<SigningKey>>,
    /// Whether its owner waits for a studio that comes with it, and is asked before that is let in.
    pub attended: bool,
    /// The studio that came with it, until it is let in.
    pub newcomer: Option<Newcomer>,
    /// The first other node that came with it, by name and site: its code is in wrong hands.
    pub rival: Option<(String, Site)>,
    /// Why it ended before its time.
    pub ended: Option<Ending>,
}

impl InviteState {
    /// An invite as it is kept: nobody came yet, and nobody waits.
    pub fn new(role: Role, expires: u64) -> Self {
        Self {
            role,
            expires,
            used_by: None,
            authority: None,
            attended: false,
            newcomer: None,
            rival: None,
            ended: None,
        }
    }
}

/// A node that came with a studio's invite. An invite takes one for good, so that nobody can try on keys until the
/// short code fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newcomer {
    /// Who, by its channel.
    pub node: NodeId,
    /// What it calls itself.
    pub name: String,
    /// Where it says that it stands.
    pub site: Site,
    /// What its screen shows, too.
    pub code: ShortCode,
    /// Whether the inviting side found the code to be the same.
    pub confirmed: bool,
}

/// Why a studio's invite ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Its owner says that the newcomer's screen shows another code.
    Refused,
    /// Its owner no longer waits.
    Withdrawn,
    /// The newcomer's people say that the inviting screen shows another code.
    Declined,
}
