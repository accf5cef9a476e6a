//! Questions to the manifest, in the words of the vocabulary.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use safelight_proto::id::{CodingId, NodeId, RecordId, RollId, ShootId, VolumeId};
use safelight_proto::record::{
    Body, Coding, Head, Hlc, Key, Layout, Leaver, NodeInfo, Roll, Scrubbed, VolumeInfo,
};
use safelight_proto::vocabulary::{Role, Rule, Site};

use super::{Entry, Manifest};

pub(super) const LOW_NODE: NodeId = NodeId([0; 32]);
pub(super) const HIGH_NODE: NodeId = NodeId([0xff; 32]);
pub(super) const LOW_ROLL: RollId = RollId([0; 32]);
pub(super) const HIGH_ROLL: RollId = RollId([0xff; 32]);
const LOW_VOLUME: VolumeId = VolumeId([0; 16]);
const HIGH_VOLUME: VolumeId = VolumeId([0xff; 16]);
const LOW_CODING: CodingId = CodingId([0; 16]);
const HIGH_CODING: CodingId = CodingId([0xff; 16]);

/// Where shards of one coding are held, by volume.
pub type Held = BTreeMap<VolumeId, BTreeSet<u8>>;

/// What audits of one claim came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audited {
    /// Whether the proof held.
    pub passed: bool,
    /// Whether a studio asked for it.
    pub by_studio: bool,
    /// When, by the asker's clock.
    pub at: Hlc,
}

impl Manifest {
    /// What `node` says of itself.
    pub fn node(&self, node: &NodeId) -> Option<&NodeInfo> {
        match &self.get(&Key::Node(*node))?.body {
            Body::Node(info) => Some(info),
            _ => None,
        }
    }

    /// All volumes with the node each hangs on. A volume that several nodes claim is its latest claimant's.
    pub fn volumes(&self) -> BTreeMap<VolumeId, (NodeId, &VolumeInfo)> {
        let mut latest: BTreeMap<VolumeId, (&Entry, &VolumeInfo)> = BTreeMap::new();
        for (key, entry) in
            self.range(Key::Volume(LOW_VOLUME, LOW_NODE)..=Key::Volume(HIGH_VOLUME, HIGH_NODE))
        {
            if let (Key::Volume(volume, _), Body::Volume(info)) = (key, &entry.body)
                && latest.get(volume).is_none_or(|(old, _)| old.rank() < entry.rank())
            {
                latest.insert(*volume, (entry, info));
            }
        }
        latest.into_iter().map(|(volume, (entry, info))| (volume, (entry.author, info))).collect()
    }

    /// The node that `volume` hangs on.
    pub fn host_of(&self, volume: &VolumeId) -> Option<NodeId> {
        self.hosts.get(volume).copied()
    }

    /// One volume, with the node it hangs on.
    pub fn volume(&self, volume: &VolumeId) -> Option<(NodeId, &VolumeInfo)> {
        let latest = self.get(&Key::Volume(*volume, self.host_of(volume)?))?;
        match &latest.body {
            Body::Volume(info) => Some((latest.author, info)),
            _ => None,
        }
    }

    /// Where `volume` is: its own site while it travels unmounted, else where its node stands. Where a vault's drives are
    /// while nobody can look is not believed.
    pub fn site_of(&self, volume: &VolumeInfo, node: &NodeId) -> Option<Site> {
        let studio = self.members().get(node).is_some_and(|member| member.role == Role::Studio);
        let own = volume.site.clone().filter(|_| studio && volume.absent != 0);
        own.or_else(|| self.stands_at(node))
    }

    /// Where `node` stands: while it is filled elsewhere, there; else at its own site.
    pub fn stands_at(&self, node: &NodeId) -> Option<Site> {
        self.seeding_at(node).or_else(|| self.members().get(node).map(|member| member.site.clone()))
    }

    /// The site where `node` stands until it is moved to its own, by its own word or a studio's, the latest.
    pub fn seeding_at(&self, node: &NodeId) -> Option<Site> {
        match self.latest(Key::Seeding(*node, LOW_NODE)..=Key::Seeding(*node, HIGH_NODE), *node)? {
            Body::Seeding(seeding) => seeding.at.clone(),
            _ => None,
        }
    }

    /// Whether a node or volume is to be emptied, by a studio's word or its own node's, the latest.
    pub fn is_retired(&self, what: &Leaver) -> bool {
        let own = match what {
            Leaver::Node(node) => Some(*node),
            Leaver::Volume(volume) => self.host_of(volume),
        };
        let said = own
            .and_then(|own| self.latest(Key::Retired(*what, LOW_NODE)..=Key::Retired(*what, HIGH_NODE), own));
        matches!(said, Some(Body::Retired(retired)) if retired.retired)
    }

    /// The last scrub of `volume` by the node it hangs on, with its time.
    pub fn scrubbed(&self, volume: &VolumeId) -> Option<(Hlc, &Scrubbed)> {
        let entry = self.get(&Key::Scrubbed(*volume, self.host_of(volume)?))?;
        match &entry.body {
            Body::Scrubbed(scrubbed) => Some((entry.hlc, scrubbed)),
            _ => None,
        }
    }

    /// The latest word among `keys` of `own` or of any studio.
    fn latest(&self, keys: RangeInclusive<Key>, own: NodeId) -> Option<&Body> {
        self.latest_entry(keys, own).map(|entry| &entry.body)
    }

    pub(super) fn latest_entry(&self, keys: RangeInclusive<Key>, own: NodeId) -> Option<&Entry> {
        let studio = |author: &NodeId| self.members().ever(author).is_some_and(|m| m.role == Role::Studio);
        self.range(keys)
            .map(|(_, entry)| entry)
            .filter(|entry| entry.author == own || studio(&entry.author))
            .max_by_key(|entry| entry.rank())
    }

    /// All rolls, by id.
    pub fn rolls(&self) -> impl Iterator<Item = (&Roll, NodeId)> {
        self.range(Key::Roll(LOW_ROLL, LOW_NODE)..=Key::Roll(HIGH_ROLL, HIGH_NODE))
            .filter_map(|(_, entry)| self.standing_roll(entry))
    }

    /// The roll `id` and its author.
    pub fn roll(&self, id: &RollId) -> Option<(&Roll, NodeId)> {
        self.range(Key::Roll(*id, LOW_NODE)..=Key::Roll(*id, HIGH_NODE))
            .find_map(|(_, entry)| self.standing_roll(entry))
    }

    /// When the record of roll `id` was said.
    pub fn roll_said(&self, id: &RollId) -> Option<Hlc> {
        let (_, author) = self.roll(id)?;
        self.get(&Key::Roll(*id, author)).map(|entry| entry.hlc)
    }

    /// The shoots that have a rule of their own.
    pub fn shoots_with_rules(&self) -> impl Iterator<Item = ShootId> {
        let (low, high) = (Some(ShootId([0; 16])), Some(ShootId([0xff; 16])));
        let said = self.range(Key::Rule(low, LOW_NODE)..=Key::Rule(high, HIGH_NODE));
        let shoots: BTreeSet<ShootId> = said
            .filter_map(|(key, _)| match key {
                Key::Rule(shoot, _) => *shoot,
                _ => None,
            })
            .collect();
        shoots.into_iter()
    }

    /// Two authors with one roll id is a forgery by one of them, for ids are random. A studio's word goes before a
    /// vault's, then the earlier goes before the later.
    fn standing_roll<'a>(&self, entry: &'a Entry) -> Option<(&'a Roll, NodeId)> {
        let Body::Roll(roll) = &entry.body else { return None };
        let standing = self
            .range(Key::Roll(roll.roll, LOW_NODE)..=Key::Roll(roll.roll, HIGH_NODE))
            .map(|(_, rival)| rival)
            .min_by_key(|rival| {
                let vault = self.members().ever(&rival.author).is_none_or(|m| m.role == Role::Vault);
                (self.members().is_removed(&rival.author), vault, rival.rank())
            })?;
        (standing.id == entry.id).then_some((roll, entry.author))
    }

    /// The codings of `roll` that count: those by its own author, and those by studios. Who completes a coding says it
    /// anew with more shards; the longest list stands. One that says otherwise of what is known is no completion: the
    /// members' words go before those of who was removed, and the author's before others'.
    pub fn codings(&self, roll: &RollId) -> BTreeMap<CodingId, &Coding> {
        let author = self.roll(roll).map(|(_, author)| author);
        // A studio's word that was adopted is a studio's.
        let studio = |author: &NodeId| self.members().ever(author).is_some_and(|m| m.role == Role::Studio);
        let said =
            self.range(Key::Coding(*roll, LOW_CODING, LOW_NODE)..=Key::Coding(*roll, HIGH_CODING, HIGH_NODE));
        let may = |entry: &&Entry| Some(entry.author) == author || studio(&entry.author);
        let mut said: Vec<&Entry> = said.map(|(_, entry)| entry).filter(may).collect();
        if said.len() > 1 {
            said.sort_by_key(|e| (self.members().is_removed(&e.author), Some(e.author) != author, e.rank()));
        }
        let mut codings: BTreeMap<CodingId, &Coding> = BTreeMap::new();
        for entry in said {
            let Body::Coding(coding) = &entry.body else { continue };
            let standing = codings.entry(coding.coding).or_insert(coding);
            let same = (standing.k, standing.unit, standing.shard_bytes)
                == (coding.k, coding.unit, coding.shard_bytes);
            if same
                && coding.shards.len() > standing.shards.len()
                && coding.shards.starts_with(&standing.shards)
            {
                *standing = coding;
            }
        }
        codings
    }

    /// When another than its host last found that `volume` holds what it says, of any roll.
    pub fn last_proven(&self, volume: &VolumeId) -> Option<Hlc> {
        let host = self.host_of(volume)?;
        let said = self.proven.range((*volume, LOW_NODE)..=(*volume, HIGH_NODE));
        said.filter(|((_, by), _)| *by != host).map(|(_, at)| *at).max()
    }

    /// One coding of `roll`.
    pub fn coding(&self, roll: &RollId, coding: &CodingId) -> Option<&Coding> {
        self.codings(roll).remove(coding)
    }

    /// Where the shards of `roll` are wanted: the latest word of any member, who may all be its caretaker. It is a wish:
    /// nobody gives up a shard for it unless what is left meets the rule.
    pub fn layout(&self, roll: &RollId) -> Option<&Layout> {
        match &self.layout_entry(roll)?.body {
            Body::Layout(layout) => Some(layout),
            _ => None,
        }
    }

    /// Who said where the shards of `roll` are wanted.
    pub fn layout_author(&self, roll: &RollId) -> Option<NodeId> {
        self.layout_entry(roll).map(|entry| entry.author)
    }

    pub(super) fn layout_entry(&self, roll: &RollId) -> Option<&Entry> {
        self.range(Key::Layout(*roll, LOW_NODE)..=Key::Layout(*roll, HIGH_NODE))
            .map(|(_, entry)| entry)
            .max_by_key(|entry| entry.rank())
    }

    /// The layout of `roll` and the coding that it is for.
    pub fn laid_out(&self, roll: &RollId) -> Option<(&Layout, &Coding)> {
        let layout = self.layout(roll)?;
        Some((layout, self.coding(roll, &layout.coding)?))
    }

    /// What each volume holds of `roll`, by coding, by the word of the node it hangs on.
    pub fn holdings(&self, roll: &RollId) -> BTreeMap<CodingId, Held> {
        let mut held: BTreeMap<CodingId, Held> = BTreeMap::new();
        for (_, entry) in self
            .range(Key::Holding(*roll, LOW_VOLUME, LOW_NODE)..=Key::Holding(*roll, HIGH_VOLUME, HIGH_NODE))
        {
            let Body::Holding(holding) = &entry.body else { continue };
            if self.host_of(&holding.volume) != Some(entry.author) {
                continue;
            }
            for (coding, indexes) in &holding.held {
                held.entry(*coding).or_default().entry(holding.volume).or_default().extend(indexes);
            }
        }
        held
    }

    /// The record by which the host of `volume` says what it holds of `roll`.
    pub fn claim(&self, roll: &RollId, volume: &VolumeId) -> Option<RecordId> {
        let host = self.host_of(volume)?;
        self.get(&Key::Holding(*roll, *volume, host)).map(|entry| entry.id)
    }

    /// What audits, by others than its host, came to of what `volume` says now that it holds of `roll`; nothing when there
    /// was none. The latest stands; but a studio's is not outdone by a vault's, for two vaults could vouch for each other.
    pub fn audited(&self, roll: &RollId, volume: &VolumeId) -> Option<Audited> {
        let host = self.host_of(volume)?;
        let claim = self.claim(roll, volume)?;
        // Who was given up and came back proves everything anew.
        let found_again = self.lost_entry(&host).map(|entry| entry.hlc).unwrap_or_default();
        self.range(Key::Audit(*roll, *volume, LOW_NODE)..=Key::Audit(*roll, *volume, HIGH_NODE))
            .map(|(_, entry)| entry)
            .filter(|entry| entry.author != host && entry.hlc > found_again)
            .filter_map(|entry| match &entry.body {
                Body::Audit(audit) if audit.holding == claim => {
                    let by_studio = self.members().get(&entry.author).is_some_and(|m| m.role == Role::Studio);
                    let audited = Audited { passed: audit.passed, by_studio, at: entry.hlc };
                    Some(((by_studio, entry.rank()), audited))
                }
                _ => None,
            })
            .max_by_key(|(rank, _)| *rank)
            .map(|(_, audited)| audited)
    }

    /// Whether what `volume` says it holds of `roll` is believed: a studio's word is, a vault's after a passed audit.
    pub fn believed(&self, roll: &RollId, volume: &VolumeId) -> bool {
        let role = self.host_of(volume).and_then(|host| self.members().get(&host)).map(|member| member.role);
        match role {
            Some(Role::Studio) => true,
            Some(Role::Vault) => self.audited(roll, volume).is_some_and(|audit| audit.passed),
            None => false,
        }
    }

    /// Whether the latest audit of what `volume` says it holds of `roll` has failed.
    pub fn is_disproved(&self, roll: &RollId, volume: &VolumeId) -> bool {
        self.audited(roll, volume).is_some_and(|audit| !audit.passed)
    }

    /// The rule that holds for a shoot: its own, else the library's, else the default.
    pub fn rule(&self, shoot: Option<ShootId>) -> Rule {
        let last = |shoot| self.last(Key::Rule(shoot, LOW_NODE)..=Key::Rule(shoot, HIGH_NODE));
        let of = |shoot| match &last(shoot)?.body {
            Body::Rule(info) => Some(info.rule),
            _ => None,
        };
        shoot.and_then(|shoot| of(Some(shoot))).or_else(|| of(None)).unwrap_or_default()
    }

    /// Whether `node` was declared lost.
    pub fn is_lost(&self, node: &NodeId) -> bool {
        matches!(self.lost_entry(node), Some(Entry { body: Body::Lost(lost), .. }) if lost.lost)
    }

    pub(super) fn lost_entry(&self, node: &NodeId) -> Option<&Entry> {
        self.last(Key::Lost(*node, LOW_NODE)..=Key::Lost(*node, HIGH_NODE))
    }

    /// Of several authors' words on one matter, the last.
    pub(super) fn last(&self, keys: RangeInclusive<Key>) -> Option<&Entry> {
        self.range(keys).map(|(_, entry)| entry).max_by_key(|entry| entry.rank())
    }

    /// Each member's last head, with its time.
    pub fn heads(&self) -> impl Iterator<Item = (NodeId, Hlc, &Head)> {
        self.range(Key::Head(LOW_NODE)..=Key::Head(HIGH_NODE)).filter_map(|(_, entry)| match &entry.body {
            Body::Head(head) => Some((entry.author, entry.hlc, head)),
            _ => None,
        })
    }

    /// The ids of the records, for those who must say how much they know.
    pub fn count(&self) -> u64 {
        self.ids().len() as u64
    }

    /// Time and id of every record of one author, for those who must not repeat a time after a restart.
    pub fn last_said_by(&self, author: &NodeId) -> Option<(Hlc, RecordId)> {
        self.entries().map(|(_, entry)| entry).filter(|e| e.author == *author).map(|e| (e.hlc, e.id)).max()
    }
}
