//! Who belongs to the library, and as what: derived from founding, admissions, delegations and removals alone. And whose
//! words stand after its removal, by adoption.

use std::collections::{BTreeMap, BTreeSet};

use safelight_proto::id::{LibraryId, NodeId, RecordId};
use safelight_proto::record::{Body, Hlc, Leaver, Record, Retired};
use safelight_proto::vocabulary::{Role, Site};

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

/// How a node was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Removed {
    /// By the authority: nothing can undo it.
    ForEver,
    /// By a delegate, as a vault: it means nothing should the node turn out to be a studio, or the delegate's word not to
    /// stand.
    AsVault,
}

/// The membership of one library.
#[derive(Debug, Clone)]
pub struct Members {
    library: LibraryId,
    /// The standing records that all else follows from. Newcomers are shown those that lead to each member.
    said: BTreeMap<RecordId, Record>,
    /// Standing adoptions: what is adopted, by whom.
    adopted: BTreeMap<RecordId, BTreeSet<NodeId>>,
    reading_public: Option<[u8; 32]>,
    delegates: BTreeSet<NodeId>,
    /// By node: the rank of the admission that names its site, and what all its admissions come to.
    admitted: BTreeMap<NodeId, (Rank, Member)>,
    removed: BTreeMap<NodeId, Removed>,
}

impl Members {
    pub(crate) fn new(library: LibraryId) -> Self {
        Self {
            library,
            said: BTreeMap::new(),
            adopted: BTreeMap::new(),
            reading_public: None,
            delegates: BTreeSet::new(),
            admitted: BTreeMap::new(),
            removed: BTreeMap::new(),
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
        self.ever(node).filter(|_| !self.is_removed(node))
    }

    /// What `node` is, or was before it was removed.
    pub fn ever(&self, node: &NodeId) -> Option<&Member> {
        self.admitted.get(node).map(|(_, member)| member)
    }

    /// Whether `node` was removed: it was a member perhaps, and never is again.
    pub fn is_removed(&self, node: &NodeId) -> bool {
        self.removed.contains_key(node)
    }

    /// All that were removed, by id.
    pub fn removed(&self) -> impl Iterator<Item = &NodeId> {
        self.removed.keys()
    }

    /// By whose word `node` was removed: the authority's key, or a delegate.
    pub fn removed_by(&self, node: &NodeId) -> Option<NodeId> {
        let removals = self.said.values().filter(|record| match &record.body {
            Body::Remove(remove) => remove.node == *node,
            _ => false,
        });
        let first = removals.min_by_key(|record| (!self.is_authority(&record.author), record.rank()));
        first.map(|record| record.author).filter(|_| self.is_removed(node))
    }

    /// Whether `node` may admit and remove vaults.
    pub fn is_delegate(&self, node: &NodeId) -> bool {
        self.was_delegate(node) && !self.is_removed(node)
    }

    /// All members, by id.
    pub fn iter(&self) -> impl Iterator<Item = (&NodeId, &Member)> {
        let all = self.admitted.iter().map(|(node, (_, member))| (node, member));
        all.filter(|(node, _)| !self.is_removed(node))
    }

    /// Who adopted the record `id`.
    pub fn adopters(&self, id: &RecordId) -> impl Iterator<Item = &NodeId> {
        self.adopted.get(id).into_iter().flatten()
    }

    /// The records that prove to a stranger that `nodes` belong to the library: founding, and each one's chain. Removals
    /// are not among them: that a chain goes through a node that was removed is told with the adoption that keeps it.
    pub fn proofs<'a>(&'a self, nodes: impl IntoIterator<Item = &'a NodeId>) -> Vec<Vec<u8>> {
        let mut wanted: BTreeSet<&NodeId> = nodes.into_iter().collect();
        // A member admitted by a delegate needs the delegate's own admission too.
        wanted.extend(self.delegates.iter());
        let leads = |record: &&Record| match &record.body {
            Body::Founding(_) => true,
            Body::Delegate(delegate) => wanted.contains(&delegate.node),
            Body::Admit(admit) => wanted.contains(&admit.node),
            _ => false,
        };
        self.said.values().filter(leads).map(|record| record.bytes.clone()).collect()
    }

    /// The record by which `node` was admitted, the authority's before a delegate's.
    pub fn admission(&self, node: &NodeId) -> Option<&Record> {
        let of_it = |record: &&Record| matches!(&record.body, Body::Admit(admit) if admit.node == *node);
        self.said
            .values()
            .filter(of_it)
            .max_by_key(|record| (self.is_authority(&record.author), record.rank()))
    }

    /// The records that prove to `node` that it was removed: founding, removals, and how those who say so may.
    pub fn ending(&self, node: &NodeId) -> Vec<Vec<u8>> {
        let ends = |record: &&Record| matches!(&record.body, Body::Remove(remove) if remove.node == *node);
        let removals: Vec<&Record> = self.said.values().filter(ends).collect();
        let mut records = self.proofs(removals.iter().map(|record| &record.author));
        records.extend(removals.iter().map(|record| record.bytes.clone()));
        records
    }

    /// Whether `author` may say `body`, by what is known now; `id` is the record's.
    pub fn may(&self, id: &RecordId, author: &NodeId, body: &Body) -> Permission {
        let authority = self.is_authority(author);
        match body {
            Body::Founding(_) | Body::Delegate(_) if authority => Permission::Yes,
            Body::Founding(_) | Body::Delegate(_) => Permission::No("only the authority may say so"),
            Body::Admit(_) | Body::Remove(_) if authority => Permission::Yes,
            Body::Admit(admit) if admit.role != Role::Vault => {
                Permission::No("only the authority may admit a studio")
            }
            Body::Admit(_) | Body::Remove(_) if self.was_delegate(author) => {
                self.while_it_belongs(id, author, body)
            }
            Body::Admit(_) | Body::Remove(_) => Permission::Unknown,
            _ => match self.ever(author).map(|member| Permission::of(member.role, *author, body)) {
                Some(Permission::Yes) => self.while_it_belongs(id, author, body),
                Some(other) => other,
                None => Permission::Unknown,
            },
        }
    }

    /// What a node may say counts while it belongs to the library, and later if it was adopted.
    fn while_it_belongs(&self, id: &RecordId, author: &NodeId, body: &Body) -> Permission {
        match self.removed.get(author) {
            None => Permission::Yes,
            Some(_) if body.is_adoptable() && self.adopted.contains_key(id) => Permission::Yes,
            Some(Removed::ForEver) => Permission::Void,
            Some(Removed::AsVault) => Permission::Unknown,
        }
    }

    /// Takes in a record that stands. Whether it bears on what other records are worth.
    pub(crate) fn learn(&mut self, record: &Record) -> bool {
        match &record.body {
            Body::Adopt(adopt) => {
                for adopted in &adopt.records {
                    self.adopted.entry(adopted.id).or_default().insert(record.author);
                }
                true
            }
            body if body.is_membership() => {
                self.said.insert(record.id, record.clone());
                self.derive();
                true
            }
            _ => false,
        }
    }

    /// A record that stood does so no more; it is known as `id`, by `author`. Whether it bore on what others are worth.
    pub(crate) fn forget(&mut self, id: &RecordId, author: &NodeId, body: &Body) -> bool {
        match body {
            Body::Adopt(adopt) => {
                for adopted in &adopt.records {
                    if let Some(adopters) = self.adopted.get_mut(&adopted.id) {
                        adopters.remove(author);
                    }
                }
                self.adopted.retain(|_, adopters| !adopters.is_empty());
                true
            }
            body if body.is_membership() => {
                self.said.remove(id);
                self.derive();
                true
            }
            _ => false,
        }
    }

    fn derive(&mut self) {
        self.reading_public = None;
        self.delegates.clear();
        self.admitted.clear();
        self.removed.clear();
        for record in self.said.values() {
            let authority = LibraryId(*blake3::hash(&record.author.0).as_bytes()) == self.library;
            match &record.body {
                Body::Founding(founding) => self.reading_public = Some(founding.reading_public),
                Body::Delegate(delegate) => drop(self.delegates.insert(delegate.node)),
                Body::Admit(admit) => {
                    let rank = (authority, record.rank());
                    let member = Member { role: admit.role, site: admit.site.clone() };
                    let slot = self.admitted.entry(admit.node).or_insert_with(|| (rank, member));
                    slot.1.role = slot.1.role.min(admit.role);
                    if slot.0 < rank {
                        slot.0 = rank;
                        slot.1.site = admit.site.clone();
                    }
                }
                Body::Remove(remove) if authority => drop(self.removed.insert(remove.node, Removed::ForEver)),
                Body::Remove(remove) => drop(self.removed.entry(remove.node).or_insert(Removed::AsVault)),
                _ => {}
            }
        }
        // No delegate removes a studio, and studios are admitted by the authority alone.
        let admitted = &self.admitted;
        let studio =
            |node: &NodeId| admitted.get(node).is_some_and(|(_, member)| member.role == Role::Studio);
        self.removed.retain(|node, removed| *removed == Removed::ForEver || !studio(node));
    }

    /// Whether `node` is a studio with a delegation, or was one.
    fn was_delegate(&self, node: &NodeId) -> bool {
        self.delegates.contains(node) && self.ever(node).is_some_and(|member| member.role == Role::Studio)
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
    /// It was removed for good, and this was not adopted: an adoption would bring it along.
    Void,
}

impl Permission {
    /// What members of a role may say; the authority and admissions are judged in [`Members::may`].
    fn of(role: Role, author: NodeId, body: &Body) -> Self {
        let allowed = match body {
            Body::Founding(_) | Body::Admit(_) | Body::Delegate(_) | Body::Remove(_) => false,
            Body::Rule(_) | Body::Trash(_) | Body::Drill(_) | Body::Adopt(_) => role == Role::Studio,
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
