//! What a node does for others' rolls without being told: keep every catalog, and ask vaults for proof. This is a claim's
//! first proof; the later ones are the [rota](super::rota)'s.

use std::collections::{BTreeMap, BTreeSet};

use safelight_proto::id::{CodingId, Hash, NodeId, RecordId, RollId, VolumeId};
use safelight_proto::record::{self, Body, Head};
use safelight_proto::vocabulary::Role;

use super::Node;
use super::rota::Rota;
use crate::event::{Effect, Step};
use crate::manifest::Held;
use crate::time::Now;

/// Audits under way at once, first ones and later ones together.
const AUDITS: usize = 8;
/// Groups of 16 KiB asked for of a shard.
const AUDIT_GROUPS: u64 = 4;
/// A holder that could not be asked is asked again after this long, milliseconds.
const AUDIT_RETRY: u64 = 3_000;
/// A holder that failed is given another chance after this long, doubled with every failure: its drive may only have
/// been unplugged.
const AUDIT_AGAIN: u64 = 60_000;
/// But no later than this.
const AUDIT_AGAIN_MOST: u64 = 3_600_000;
/// Catalogs on their way at once.
const CATALOGS: usize = 4;
/// A catalog that could not be had is tried again after this long.
const CATALOG_RETRY: u64 = 3_000;
/// A node says how much it knows this often.
const HEAD_PERIOD: u64 = 24 * 3_600_000;
/// Bytes of a group.
const GROUP: u64 = 16 * 1024;

/// Audits and catalogs due.
#[derive(Debug, Default)]
pub(super) struct Care {
    /// Catalog blobs that this node keeps.
    pub(super) catalogs: BTreeSet<Hash>,
    missing: BTreeMap<Hash, Missing>,
    audits: BTreeMap<(RollId, VolumeId), Audit>,
    /// Claims that were proven once, and are to be again.
    pub(super) rota: Rota,
    head_due: u64,
}

#[derive(Debug, Default)]
struct Attempt {
    under_way: bool,
    due: u64,
}

/// One claim put to the proof: shard after shard of it.
#[derive(Debug)]
struct Audit {
    claim: RecordId,
    unproven: Vec<(Hash, u64)>,
    failures: u32,
    attempt: Attempt,
}

/// A catalog that is not kept here yet.
#[derive(Debug)]
struct Missing {
    /// Who wrote it: the one that has it for certain, as long as it lives.
    author: NodeId,
    /// The author was asked the last time, and did not give it.
    elsewhere: bool,
    attempt: Attempt,
}

impl Care {
    pub(super) fn new(catalogs: BTreeSet<Hash>) -> Self {
        Self { catalogs, ..Self::default() }
    }

    /// A new peer may have what the others had not.
    pub(super) fn retry(&mut self, now: Now) {
        for missing in self.missing.values_mut() {
            missing.attempt.due = missing.attempt.due.min(now.steady);
        }
    }

    pub(super) fn catalog(&mut self, hash: Hash, kept: bool, now: Now) {
        if kept {
            self.missing.remove(&hash);
            self.catalogs.insert(hash);
        } else if let Some(missing) = self.missing.get_mut(&hash) {
            missing.attempt = Attempt { under_way: false, due: now.steady + CATALOG_RETRY };
        }
    }
}

impl Node {
    /// Catalogs of known rolls that this node does not keep yet.
    pub fn missing_catalogs(&self) -> usize {
        self.care.missing.len()
    }

    /// Notes which catalog and which audits `roll` asks for.
    pub(super) fn review_care(&mut self, roll: RollId, holdings: &BTreeMap<CodingId, Held>, now: Now) {
        let Some((body, author)) = self.manifest.roll(&roll) else { return };
        if !self.care.catalogs.contains(&body.catalog_hash) {
            let missing = Missing { author, elsewhere: false, attempt: Attempt::default() };
            self.care.missing.entry(body.catalog_hash).or_insert(missing);
        }
        let (mut due, mut proven) = (BTreeMap::new(), BTreeMap::new());
        for volume in holdings.values().flat_map(|held| held.keys()) {
            let Some(host) = self.manifest.host_of(volume) else { continue };
            if let Some(claim) = self.manifest.claim(&roll, volume)
                && self.role_of(&host) == Some(Role::Vault)
                && self.audits_of(host, author)
            {
                let claims = if self.proven_enough(&roll, volume) { &mut proven } else { &mut due };
                claims.insert((roll, *volume), claim);
            }
        }
        self.review_rota(roll, proven, now);
        self.care
            .audits
            .retain(|(of, volume), audit| *of != roll || due.get(&(roll, *volume)) == Some(&audit.claim));
        for ((roll, volume), claim) in due {
            // A claim may come before the coding that says what it is a claim to; with that it is looked at again.
            if !self.care.audits.contains_key(&(roll, volume))
                && let Some(unproven) = self.shards_on(&roll, &volume)
            {
                let audit = Audit { claim, unproven, failures: 0, attempt: Attempt::default() };
                self.care.audits.insert((roll, volume), audit);
            }
        }
    }

    /// Whether a passed audit stands that this node cannot better: a studio repeats what only a vault has found.
    fn proven_enough(&self, roll: &RollId, volume: &VolumeId) -> bool {
        let better = self.role_of(&self.me) == Some(Role::Studio);
        self.manifest.audited(roll, volume).is_some_and(|audit| audit.passed && (audit.by_studio || !better))
    }

    /// Whether this node is the one to audit `host` about a roll of `author`: of those within reach a studio before a
    /// vault (two vaults could vouch for each other), then the author, then the first. Two that think so do no harm.
    fn audits_of(&self, host: NodeId, author: NodeId) -> bool {
        let near = self.connected.iter().chain([&self.me]).filter(|node| **node != host);
        let first =
            near.min_by_key(|node| (self.role_of(node) != Some(Role::Studio), **node != author, **node));
        first == Some(&self.me)
    }

    pub(super) fn role_of(&self, node: &NodeId) -> Option<Role> {
        self.manifest.members().get(node).map(|member| member.role)
    }

    pub(super) fn care_tick(&mut self, now: Now, step: &mut Step) {
        self.fetch_catalogs(now, step);
        self.audit(now, step);
        if self.care.head_due <= now.steady && self.manifest.members().get(&self.me).is_some() {
            self.care.head_due = now.steady + HEAD_PERIOD;
            let head = Head { records: self.manifest.count(), fingerprint: self.manifest.fingerprint() };
            self.say(vec![Body::Head(head)], now, step);
        }
    }

    fn fetch_catalogs(&mut self, now: Now, step: &mut Step) {
        let peers: Vec<NodeId> = self.connected.iter().copied().collect();
        if peers.is_empty() {
            return;
        }
        let under_way = self.care.missing.values().filter(|missing| missing.attempt.under_way).count();
        let ready: Vec<Hash> = self
            .care
            .missing
            .iter()
            .filter(|(_, missing)| !missing.attempt.under_way && missing.attempt.due <= now.steady)
            .map(|(hash, _)| *hash)
            .take(CATALOGS.saturating_sub(under_way))
            .collect();
        for hash in ready {
            let anybody = peers[self.below(peers.len() as u64) as usize];
            let Some(missing) = self.care.missing.get_mut(&hash) else { continue };
            missing.attempt = Attempt { under_way: true, due: now.steady };
            // The author first: until another has fetched it, nobody else can help.
            let ask_author = !missing.elsewhere && peers.contains(&missing.author);
            missing.elsewhere = ask_author;
            let from = if ask_author { missing.author } else { anybody };
            step.effects.push(Effect::FetchCatalog { hash, from });
        }
    }

    fn audit(&mut self, now: Now, step: &mut Step) {
        let first = self.care.audits.values().filter(|audit| audit.attempt.under_way).count();
        let under_way = first + self.care.rota.under_way();
        let ready: Vec<(RollId, VolumeId)> = self
            .care
            .audits
            .iter()
            .filter(|(_, audit)| !audit.attempt.under_way && audit.attempt.due <= now.steady)
            .map(|(audit, _)| *audit)
            .take(AUDITS.saturating_sub(under_way))
            .collect();
        for (roll, volume) in ready {
            let Some(of) = self.manifest.host_of(&volume).filter(|of| self.connected.contains(of)) else {
                continue;
            };
            let next = self.care.audits.get(&(roll, volume)).and_then(|audit| audit.unproven.last().copied());
            let Some((hash, bytes)) = next else { continue };
            let groups = self.some_groups(bytes);
            let Some(audit) = self.care.audits.get_mut(&(roll, volume)) else { continue };
            audit.attempt.under_way = true;
            let claim = audit.claim;
            step.effects.push(Effect::Audit { of, roll, volume, claim, hash, bytes, groups });
        }
        let first = self.care.audits.values().filter(|audit| audit.attempt.under_way).count();
        self.audit_again(AUDITS.saturating_sub(first), now, step);
    }

    /// Groups at random places of a shard, few of them: who lost a hundredth of it is found out within weeks.
    pub(super) fn some_groups(&mut self, bytes: u64) -> Vec<u64> {
        let groups = bytes.div_ceil(GROUP).max(1);
        let chosen: BTreeSet<u64> = (0..AUDIT_GROUPS).map(|_| self.below(groups)).collect();
        chosen.into_iter().collect()
    }

    /// The shards that `volume` says it holds of `roll`; nothing as long as one of them means nothing here.
    pub(super) fn shards_on(&self, roll: &RollId, volume: &VolumeId) -> Option<Vec<(Hash, u64)>> {
        let mut shards = Vec::new();
        for (coding, held) in self.manifest.holdings(roll) {
            for index in held.get(volume).into_iter().flatten() {
                let coding = self.manifest.coding(roll, &coding)?;
                shards.push((*coding.shards.get(usize::from(*index))?, coding.shard_bytes));
            }
        }
        Some(shards)
    }

    /// A proof held, or not, or could not be had. A claim has passed when every shard of it is proven.
    pub(super) fn audited(
        &mut self,
        (roll, volume): (RollId, VolumeId),
        claim: RecordId,
        hash: Hash,
        outcome: Result<bool, String>,
        now: Now,
        step: &mut Step,
    ) {
        if self.audited_again((roll, volume), claim, hash, &outcome, now, step) {
            return;
        }
        // An answer about an older claim says nothing of the present one: what the holder gave up meanwhile it need not
        // prove, and what it took on it has not proven.
        let asked =
            |audit: &&mut Audit| audit.claim == claim && audit.unproven.last().is_some_and(|s| s.0 == hash);
        let Some(audit) = self.care.audits.get_mut(&(roll, volume)).filter(asked) else { return };
        let (passed, wait) = match outcome {
            Ok(true) => {
                audit.unproven.pop();
                (audit.unproven.is_empty().then_some(true), 0)
            }
            Ok(false) => {
                let wait = AUDIT_AGAIN.saturating_mul(1 << audit.failures.min(6)).min(AUDIT_AGAIN_MOST);
                audit.failures += 1;
                (Some(false), wait)
            }
            Err(_) => (None, AUDIT_RETRY),
        };
        audit.attempt = Attempt { under_way: false, due: now.steady + wait };
        if let Some(passed) = passed {
            let audit = record::Audit { roll, volume, holding: claim, passed };
            self.say(vec![Body::Audit(audit)], now, step);
        }
    }
}
