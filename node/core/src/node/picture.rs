//! What a node makes of the records and of who is within reach: whom it counts on, which volumes there are for new
//! shards, what a roll has, and what is still on its way.

use std::collections::{BTreeMap, BTreeSet};

use safelight_proto::id::{CodingId, NodeId, RollId, ShootId, VolumeId};
use safelight_proto::record::{Leaver, Roll, VolumeInfo};
use safelight_proto::shard::StreamShape;
use safelight_proto::vocabulary::{Media, Role, Rule, Site};

use super::Node;
use crate::manifest::Held;
use crate::place::{CodingView, Holding, RollView, Topology, VolumeView, evaluate_roll};
use crate::time::FAR_AHEAD;

/// Shards on a removable volume that lies somewhere unmounted count so long after they were last verified, milliseconds.
pub const TRUST_PERIOD: u64 = 180 * 24 * 3_600_000;

/// How a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// This node, or within its reach.
    Online,
    /// Out of reach, and expected back.
    Away,
    /// Declared lost, or out of reach for longer than its grace.
    Lost,
    /// Leaving: it is emptied, and takes nothing new.
    Retired,
}

impl Node {
    /// How `who` is; nothing for one that does not belong here.
    pub fn condition(&self, who: &NodeId) -> Option<Condition> {
        self.manifest.members().get(who)?;
        Some(if self.manifest.is_lost(who) {
            Condition::Lost
        } else if self.manifest.is_retired(&Leaver::Node(*who)) {
            Condition::Retired
        } else if self.is_near(who) {
            Condition::Online
        } else if self.liveness.away_for(who, self.now) < self.grace_of(who) {
            Condition::Away
        } else {
            Condition::Lost
        })
    }

    /// Whether `who` is this node or within its reach.
    pub fn is_near(&self, who: &NodeId) -> bool {
        *who == self.me || self.connected.contains(who)
    }

    /// A node is waited for less long while others of its site answer: then it is the node, not the line.
    fn grace_of(&self, who: &NodeId) -> u64 {
        let members = self.manifest.members();
        let site = members.get(who).map(|member| &member.site);
        let site_answers = members.iter().any(|(id, member)| Some(&member.site) == site && self.is_near(id));
        if site_answers { self.settings.grace_node } else { self.settings.grace_site }
    }

    /// Whether what `who` holds counts: it belongs here and is not lost.
    pub fn counts(&self, who: &NodeId) -> bool {
        self.condition(who).is_some_and(|condition| condition != Condition::Lost)
    }

    /// Whether what `volume` holds counts: its host's counts, and it is there or trusted while it is away. One that is to
    /// leave and is away is not waited for: it is as good as gone.
    pub fn volume_counts(&self, volume: &VolumeId) -> bool {
        let Some((host, info)) = self.manifest.volume(volume) else { return false };
        let trusted = || !self.is_leaving(volume) && self.now.wall < self.trusted_until(volume, &host, info);
        self.counts(&host) && (info.absent == 0 || trusted())
    }

    /// Until when the shards of a volume that `host` does not find count, milliseconds since 1970. A time to come is a
    /// broken clock or a lie, and a vault's own word is no proof: its drives count as long as audits of others reach.
    fn trusted_until(&self, volume: &VolumeId, host: &NodeId, info: &VolumeInfo) -> u64 {
        let credible = |at: u64| if at <= self.now.wall.saturating_add(FAR_AHEAD) { at } else { 0 };
        if self.role_of(host) != Some(Role::Studio) {
            let proven = self.manifest.last_proven(volume).map_or(0, |at| credible(at.millis()));
            return proven.saturating_add(self.settings.audit_period.saturating_mul(2));
        }
        match info.media {
            Media::Usb | Media::Tape | Media::Optical => {
                let verified = self.manifest.scrubbed(volume).map_or(info.absent, |(at, _)| at.millis());
                credible(verified.max(info.since)).saturating_add(TRUST_PERIOD)
            }
            _ => credible(info.absent).saturating_add(self.settings.grace_node),
        }
    }

    /// Whether this node, which has `volume` open, is to say again that it is here: another has said so since, and has not
    /// got it any more, or cannot be asked, or is a vault where this is a studio. Two that both have it let it be.
    pub fn may_claim(&self, volume: &VolumeId) -> bool {
        self.manifest.volume(volume).is_some_and(|(host, info)| {
            let studio = |node: &NodeId| self.role_of(node) == Some(Role::Studio);
            host != self.me
                && (info.absent != 0 || !self.is_near(&host) || studio(&self.me) && !studio(&host))
        })
    }

    /// Whether `volume` is to be emptied, by itself or with its node.
    pub fn is_leaving(&self, volume: &VolumeId) -> bool {
        let with_host = |host| self.manifest.is_retired(&Leaver::Node(host));
        self.manifest.is_retired(&Leaver::Volume(*volume))
            || self.manifest.host_of(volume).is_some_and(with_host)
    }

    /// Whether some roll would be worse off without what `volume` holds.
    pub fn is_missed(&self, volume: &VolumeId) -> bool {
        let with = self.topology();
        let without = Topology::new(with.volumes().iter().filter(|view| view.id != *volume).cloned());
        let holds =
            |roll: &RollId| self.manifest.holdings(roll).values().any(|held| held.contains_key(volume));
        self.manifest.rolls().map(|(roll, _)| roll).filter(|roll| holds(&roll.roll)).any(|roll| {
            let (rule, view) = (self.rule_of(roll), self.roll_view(roll));
            let standing = |topology| {
                let standing = evaluate_roll(topology, &rule, &view);
                (standing.readable, standing.offsite, standing.copies.survives_volumes, standing.media)
            };
            !evaluate_roll(&without, &rule, &view).met() && standing(&without) != standing(&with)
        })
    }

    /// All volumes whose shards count, with the room that they offer: none where they are leaving or away.
    pub fn topology(&self) -> Topology {
        self.topology_of(|volume| self.volume_counts(volume))
    }

    /// The volumes that stay: those of [`Self::topology`] but for the leaving ones.
    pub fn staying(&self) -> Topology {
        self.topology_of(|volume| self.volume_counts(volume) && !self.is_leaving(volume))
    }

    fn topology_of(&self, chosen: impl Fn(&VolumeId) -> bool) -> Topology {
        let volumes = self.manifest.volumes();
        let mut of_host: BTreeMap<NodeId, usize> = BTreeMap::new();
        for (host, _) in volumes.values() {
            *of_host.entry(*host).or_default() += 1;
        }
        let view = |(id, (host, info)): (&VolumeId, &(NodeId, &VolumeInfo))| {
            let member = self.manifest.members().get(host)?;
            let name = self.manifest.node(host).map_or_else(|| host.short(), |info| info.name.clone());
            let takes = info.absent == 0 && !self.is_leaving(id);
            // Then it does not share its host's fate. Only a studio's word tells that it does travel.
            let travels = info.absent != 0 && info.site.is_some() && member.role == Role::Studio;
            Some(VolumeView {
                id: *id,
                name: match of_host.get(host) {
                    Some(2..) => format!("{name}'s {} volume", info.media),
                    _ => name,
                },
                node: *host,
                role: member.role,
                site: self.manifest.site_of(info, host)?,
                media: info.media,
                free: if takes { info.free } else { 0 },
                used: if takes { info.capacity.saturating_sub(info.free) } else { 0 },
                domain: Some(info.device.clone()).filter(|device| !device.is_empty()),
                host: Some(info.host.clone()).filter(|host| !host.is_empty() && !travels),
                trust_declared: info.trust_declared,
            })
        };
        Topology::new(volumes.iter().filter(|(id, _)| chosen(id)).filter_map(view))
    }

    /// The rule that holds for `roll`: its shoot's, and the stricter ones of shoots that refer to it.
    pub fn rule_of(&self, roll: &Roll) -> Rule {
        let own = self.manifest.rule(Some(roll.shoot));
        if self.manifest.shoots_with_rules().next().is_none() {
            return own;
        }
        let refers = |(other, _): &(&Roll, NodeId)| {
            other.references.contains(&roll.roll) && !self.manifest.is_trashed(other)
        };
        let others =
            self.manifest.rolls().filter(refers).map(|(other, _)| self.manifest.rule(Some(other.shoot)));
        others.fold(own, Rule::stricter)
    }

    /// The same for every roll, worked out together.
    pub(super) fn rules(&self) -> BTreeMap<RollId, Rule> {
        let all = || self.manifest.rolls().map(|(roll, _)| (roll, self.manifest.rule(Some(roll.shoot))));
        let mut rules: BTreeMap<RollId, Rule> = all().map(|(roll, rule)| (roll.roll, rule)).collect();
        if self.manifest.shoots_with_rules().next().is_some() {
            for (roll, rule) in all().filter(|(roll, _)| !self.manifest.is_trashed(roll)) {
                for referred in &roll.references {
                    rules.entry(*referred).and_modify(|own| *own = own.stricter(rule));
                }
            }
        }
        rules
    }

    /// One roll as the evaluator sees it: the holdings that count, and what is known to be anywhere.
    pub fn roll_view(&self, roll: &Roll) -> RollView {
        let held = self.manifest.holdings(&roll.roll);
        self.view_of(roll, &held, |volume| self.volume_counts(volume))
    }

    /// The same, for who knows already what is held and what `counts`.
    pub(super) fn view_of(
        &self,
        roll: &Roll,
        held: &BTreeMap<CodingId, Held>,
        counts: impl Fn(&VolumeId) -> bool,
    ) -> RollView {
        let codings = self.manifest.codings(&roll.roll).into_values().map(|coding| {
            let mut known: BTreeSet<u8> = BTreeSet::new();
            let mut holdings = Vec::new();
            for (volume, indexes) in held.get(&coding.coding).into_iter().flatten() {
                known.extend(indexes);
                if counts(volume) && self.manifest.believed(&roll.roll, volume) {
                    let holding = |index: &u8| Holding { index: (*index).into(), volume: *volume };
                    holdings.extend(indexes.iter().map(holding));
                }
            }
            CodingView { k: coding.k, holdings, known_anywhere: known.len() as u16 }
        });
        let codings = codings.collect();
        let files = self.manifest.files_left(roll);
        RollView { roll: roll.roll, sealed_len: sealed_len(roll), files, codings }
    }

    /// The rolls of `shoots` that are not deleted, and every roll that they refer to.
    pub fn rolls_with_references(&self, shoots: &BTreeSet<ShootId>) -> Vec<RollView> {
        let rolls = self.manifest.rolls().map(|(roll, _)| roll);
        let own = rolls.filter(|roll| shoots.contains(&roll.shoot) && !self.manifest.is_trashed(roll));
        let own: Vec<&Roll> = own.collect();
        let mut wanted: BTreeSet<RollId> = own.iter().map(|roll| roll.roll).collect();
        wanted.extend(own.iter().flat_map(|roll| &roll.references));
        let view = |id: &RollId| match self.manifest.roll(id) {
            Some((roll, _)) => self.roll_view(roll),
            // A roll that is referred to and not known yet cannot be counted on.
            None => RollView { roll: *id, sealed_len: 0, files: 0, codings: Vec::new() },
        };
        wanted.iter().map(view).collect()
    }

    /// What is still to be brought to the volumes that want it, by the node that hosts them: bytes. A shard that nobody
    /// holds any more is not on its way.
    pub fn pending(&self, rolls: impl IntoIterator<Item = RollId>) -> BTreeMap<NodeId, u64> {
        let mut pending = BTreeMap::new();
        for roll in rolls {
            let Some((layout, coding)) = self.manifest.laid_out(&roll) else { continue };
            let held = self.manifest.holdings(&roll);
            let held = held.get(&layout.coding);
            for (index, volume) in (0u8..).zip(&layout.volumes) {
                let Some(host) = self.manifest.host_of(volume).filter(|host| self.counts(host)) else {
                    continue;
                };
                let there =
                    held.and_then(|held| held.get(volume)).is_some_and(|indexes| indexes.contains(&index));
                let held_by = |(holder, indexes): (&VolumeId, &BTreeSet<u8>)| {
                    self.volume_counts(holder) && indexes.contains(&index)
                };
                let somewhere = held.is_some_and(|held| held.iter().any(held_by));
                if somewhere && !(there && self.manifest.believed(&roll, volume)) {
                    *pending.entry(host).or_default() += coding.shard_bytes;
                }
            }
        }
        pending
    }

    /// Every site that a member or a volume is at.
    pub fn sites(&self) -> BTreeSet<Site> {
        let members = self.manifest.members().iter().map(|(_, member)| member.site.clone());
        let volumes = self.manifest.volumes().into_values();
        let travelling = volumes.filter_map(|(host, info)| self.manifest.site_of(info, &host));
        members.chain(travelling).collect()
    }
}

/// Bytes of a roll's sealed stream.
pub(super) fn sealed_len(roll: &Roll) -> u64 {
    StreamShape { data_bytes: roll.data_bytes, catalog_bytes: roll.catalog_bytes }.sealed_len()
}
