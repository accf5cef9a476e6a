//! Who belongs to the library, and as what: derived from founding, admissions and delegations alone.

use std::collections::{BTreeMap, BTreeSet};

use safelight_proto::id::{LibraryId, NodeId, RecordId};
use safelight_proto::record::{Body, Hlc, Leaver, Record, Retired};
use safelight_proto::vocabulary::{Role, Site};

/// Stands for the founding among the proofs: no node has this key.
static FOUNDING: NodeId = NodeId([0; 32]);

/// Of several admissions of one node the authority's names the site, else the latest.
type Rank = (bool, (Hlc, NodeId, RecordId));

/// A node that was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What it may do: the most that any of its admissions allows.
    pub role: Role,
    /// Where it stands.
    pub site: Site,
}

/// The membership of one library.
#[derive(Debug, Clone)]
pub struct Members {
    library: LibraryId,
    reading_public: Option<[u8; 32]>,
    delegates: BTreeSet<NodeId>,
    /// By node: the rank of the admission that names its site, and what all its admissions come to.
    admitted: BTreeMap<NodeId, (Rank, Member)>,
    /// The records themselves, to show to newcomers: they lead from the authority to each member.
    proofs: BTreeMap<NodeId, BTreeMap<[u8; 32], Vec<u8>>>,
}

impl Members {
    pub(crate) fn new(library: LibraryId) -> Self {
        Self {
            library,
            reading_public: None,
            delegates: BTreeSet::new(),
            admitted: BTreeMap::new(),
            proofs: BTreeMap::new(),
        }
    }

    /// The library.
    pub fn library(&self) -> LibraryId {
        self.library
    }

    /// The key that roll keys are wrapped to; known once the founding is.
    pub fn reading_public(&self) -> Option<&[u8; 32]> {
        self.reading_public.as_ref()
    }

    /// Whether `key` is the library's authority: the library's id is its hash.
    pub fn is_authority(&self, key: &NodeId) -> bool {
        LibraryId(*blake3::hash(&key.0).as_bytes()) == self.library
    }

    /// The member `node`, if it is one.
    pub fn get(&self, node: &NodeId) -> Option<&Member> {
        self.admitted.get(node).map(|(_, member)| member)
    }

    /// Whether `node` may admit vaults.
    pub fn is_delegate(&self, node: &NodeId) -> bool {
        self.delegates.contains(node) && self.get(node).is_some_and(|member| member.role == Role::Studio)
    }

    /// All members, by id.
    pub fn iter(&self) -> impl Iterator<Item = (&NodeId, &Member)> {
        self.admitted.iter().map(|(node, (_, member))| (node, member))
    }

    /// The records that prove to a stranger that `nodes` belong to the library: founding, and each one's chain.
    pub fn proofs<'a>(&'a self, nodes: impl IntoIterator<Item = &'a NodeId>) -> Vec<Vec<u8>> {
        let mut wanted = BTreeSet::from([&FOUNDING]);
        wanted.extend(nodes);
        // A member admitted by a delegate needs the delegate's own admission too.
        wanted.extend(self.delegates.iter());
        wanted.iter().filter_map(|node| self.proofs.get(node)).flat_map(|p| p.values().cloned()).collect()
    }

    /// Whether the author of `record` may say it, by what is known now.
    pub fn may(&self, record: &Record) -> Permission {
        let authority = self.is_authority(&record.author);
        match &record.body {
            Body::Founding(_) | Body::Delegate(_) if authority => Permission::Yes,
            Body::Founding(_) | Body::Delegate(_) => Permission::No("only the authority may say so"),
            Body::Admit(_) if authority => Permission::Yes,
            Body::Admit(admit) if admit.role != Role::Vault => {
                Permission::No("only the authority may admit a studio")
            }
            Body::Admit(_) if self.is_delegate(&record.author) => Permission::Yes,
            Body::Admit(_) => Permission::Unknown,
            _ => match self.get(&record.author) {
                Some(member) => Permission::of(member.role, record.author, &record.body),
                None => Permission::Unknown,
            },
        }
    }

    /// Takes in a record that was found valid.
    pub(crate) fn learn(&mut self, record: &Record) {
        let of = match &record.body {
            Body::Founding(founding) => {
                self.reading_public = Some(founding.reading_public);
                FOUNDING
            }
            Body::Delegate(delegate) => {
                self.delegates.insert(delegate.node);
                delegate.node
            }
            Body::Admit(admit) => {
                let rank = (self.is_authority(&record.author), record.rank());
                let member = Member { role: admit.role, site: admit.site.clone() };
                let slot = self.admitted.entry(admit.node).or_insert_with(|| (rank, member));
                slot.1.role = slot.1.role.min(admit.role);
                if slot.0 < rank {
                    slot.0 = rank;
                    slot.1.site = admit.site.clone();
                }
                admit.node
            }
            _ => return,
        };
        self.proofs.entry(of).or_default().insert(record.id.0, record.bytes.clone());
    }
}

/// Whether an author may say a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// It may.
    Yes,
    /// It may not, whatever else becomes known.
    No(&'static str),
    /// Not by what is known so far.
    Unknown,
}

impl Permission {
    /// What members of a role may say; the authority and admissions are judged in [`Members::may`].
    fn of(role: Role, author: NodeId, body: &Body) -> Self {
        let allowed = match body {
            Body::Founding(_) | Body::Admit(_) | Body::Delegate(_) => false,
            Body::Rule(_) | Body::Trash(_) | Body::Drill(_) => role == Role::Studio,
            Body::Seeding(seeding) => role == Role::Studio || seeding.node == author,
            Body::Retired(Retired { what: Leaver::Node(node), .. }) => {
                role == Role::Studio || *node == author
            }
            Body::Lost(lost) => role == Role::Studio && lost.node != author,
            Body::Node(_)
            | Body::Volume(_)
            | Body::Roll(_)
            | Body::Coding(_)
            | Body::Layout(_)
            | Body::Holding(_)
            | Body::Audit(_)
            | Body::Scrubbed(_)
            | Body::Retired(_)
            | Body::Head(_) => true,
        };
        if allowed { Self::Yes } else { Self::Unknown }
    }
}
