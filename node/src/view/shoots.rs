//! Shoots, each with its rolls and its verdict.

use std::collections::{BTreeMap, BTreeSet};

use safelight_core::node::Node;
use safelight_core::place::{Judgement, LossRates, RollView, Topology, Verdict, judge};
use safelight_core::seal::ReadingKey;
use safelight_proto::id::{Prefix, RollId, ShootId};
use safelight_proto::record::Roll;
use safelight_proto::vocabulary::Rule;

use super::{Names, normal_name};
use crate::admin::doc;
use crate::admin::operator::Failure;

/// A shoot: all that was ingested under one name. Two nodes that met the name apart gave it two ids; it is one shoot.
#[derive(Debug, Clone)]
pub struct ShootView {
    /// Its name, where this node can read it.
    pub name: Option<String>,
    /// Its ids.
    pub ids: BTreeSet<ShootId>,
    /// Its rolls, oldest first.
    pub rolls: Vec<Roll>,
    /// The rule that holds for it.
    pub rule: Rule,
    /// Places in the catalogs of its rolls whose files are deleted.
    pub hidden: BTreeMap<RollId, BTreeSet<u32>>,
    /// Bytes of those files, as far as this node has read the catalogs.
    pub hidden_bytes: u64,
}

/// All shoots with files that are not deleted, by name; on a node that cannot read, by id.
pub fn shoots(node: &Node, names: &Names, key: Option<&ReadingKey>) -> Vec<ShootView> {
    shoots_of(node, names, key, |roll| !node.manifest().is_trashed(roll))
}

/// All shoots of the rolls that are `wanted`.
pub fn shoots_of(
    node: &Node,
    names: &Names,
    key: Option<&ReadingKey>,
    wanted: impl Fn(&Roll) -> bool,
) -> Vec<ShootView> {
    let manifest = node.manifest();
    let mut by_id: BTreeMap<ShootId, (Option<String>, Vec<Roll>)> = BTreeMap::new();
    for (roll, _) in manifest.rolls().filter(|(roll, _)| wanted(roll)) {
        let slot = by_id.entry(roll.shoot).or_default();
        slot.0 = slot.0.take().or_else(|| names.of(manifest.library(), roll, key));
        slot.1.push(roll.clone());
    }
    let mut by_name: BTreeMap<(Option<String>, Option<ShootId>), ShootView> = BTreeMap::new();
    for (id, (name, rolls)) in by_id {
        let apart = name.is_none().then_some(id);
        let slot = by_name.entry((name.as_deref().map(normal_name), apart)).or_insert_with(|| ShootView {
            name,
            ids: BTreeSet::new(),
            rolls: Vec::new(),
            rule: Rule::default(),
            hidden: BTreeMap::new(),
            hidden_bytes: 0,
        });
        slot.ids.insert(id);
        slot.rolls.extend(rolls);
    }
    let mut shoots: Vec<ShootView> = by_name.into_values().collect();
    for shoot in &mut shoots {
        shoot.rule = strictest(node, &shoot.ids);
        let hidden = shoot.rolls.iter().map(|roll| (roll.roll, manifest.hidden(roll)));
        shoot.hidden = hidden.filter(|(_, places)| !places.is_empty()).collect();
        shoot.hidden_bytes = shoot.hidden.keys().map(|roll| names.hidden_bytes(manifest, roll)).sum();
    }
    shoots
}

/// Of several ids with rules of their own the strictest holds: protection is never lowered by a coincidence of names.
fn strictest(node: &Node, ids: &BTreeSet<ShootId>) -> Rule {
    let rules = ids.iter().map(|id| node.manifest().rule(Some(*id)));
    rules.reduce(Rule::stricter).unwrap_or_default()
}

/// The shoot that a person means by `text`: its name, or the first digits of its id.
pub fn find_shoot(shoots: &[ShootView], text: &str) -> Result<ShootView, Failure> {
    let name = normal_name(text);
    if let Some(found) = shoots.iter().find(|s| s.name.as_deref().map(normal_name).as_ref() == Some(&name)) {
        return Ok(found.clone());
    }
    let by_prefix: Vec<&ShootView> = match Prefix::parse(text) {
        Some(prefix) => shoots.iter().filter(|s| s.ids.iter().any(|id| prefix.matches(id))).collect(),
        None => Vec::new(),
    };
    match by_prefix.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(Failure::new(format!("there is no shoot '{text}'")).next("safelight shoots")),
        _ => Err(Failure::new(format!("'{text}' fits several shoots; give more digits of the id"))
            .next("safelight shoots")),
    }
}

impl ShootView {
    /// Files it names and that are not deleted, by its rolls' records.
    pub fn files(&self) -> u64 {
        let all: u64 = self.rolls.iter().map(|roll| roll.files).sum();
        all.saturating_sub(self.hidden.values().map(|places| places.len() as u64).sum())
    }

    /// Their bytes.
    pub fn bytes(&self) -> u64 {
        let all: u64 = self.rolls.iter().map(|roll| roll.bytes).sum();
        all.saturating_sub(self.hidden_bytes)
    }

    /// Its verdict.
    pub fn judge(&self, node: &Node, topology: &Topology) -> Judgement {
        self.judge_rolls(node, topology, &node.rolls_with_references(&self.ids))
    }

    /// The same, for who knows its rolls and all they refer to already.
    pub fn judge_rolls(&self, node: &Node, topology: &Topology, rolls: &[RollView]) -> Judgement {
        let mut judgement = judge(topology, &self.rule, &LossRates::default(), self.name.as_deref(), rolls);
        if is_stuck(node, judgement.verdict, rolls) {
            judgement.verdict = Verdict::AtRisk;
            judgement.remedy = Some(
                "The volumes there are could keep the rule, but too few shards are within reach to make the missing \
                 ones from: bring back the nodes that do not answer."
                    .into(),
            );
        }
        judgement
    }

    /// What `status` says of it.
    pub fn document(&self, node: &Node, topology: &Topology) -> doc::ShootDoc {
        let judgement = self.judge(node, topology);
        let standing = &judgement.standing;
        let rolls: BTreeSet<RollId> =
            self.rolls.iter().flat_map(|r| r.references.iter().copied().chain([r.roll])).collect();
        doc::ShootDoc {
            id: self.ids.first().map(ToString::to_string).unwrap_or_default(),
            name: self.name.clone(),
            files: self.files(),
            bytes: self.bytes(),
            stored_bytes: self.stored_bytes(node),
            verdict: verdict(judgement.verdict),
            rule: doc::ClausesDoc {
                copies: doc::CopiesDoc {
                    met: standing.copies.met,
                    survives_volumes: standing.copies.survives_volumes.into(),
                },
                media: doc::ClauseDoc { met: standing.media },
                offsite: doc::ClauseDoc { met: standing.offsite },
            },
            sites: standing
                .sites
                .iter()
                .map(|(site, survives)| doc::SurvivalDoc {
                    site: site.name().to_owned(),
                    survives: *survives,
                })
                .collect(),
            pending_bytes: node.pending(rolls).values().sum(),
            reason: Some(judgement.reason).filter(|reason| !reason.is_empty()),
            remedy: judgement.remedy,
        }
    }

    /// Bytes of shards on all volumes.
    pub fn stored_bytes(&self, node: &Node) -> u64 {
        self.rolls.iter().map(|roll| node.stored_bytes(&roll.roll)).sum()
    }
}

/// Rolls that are asked whether they can be bettered: they mostly stand alike, and each question takes a plan.
const LOOKED_AT: usize = 16;

/// Catching up means that something is under way, or about to be: shards that travel, or a roll that its caretaker can
/// still better. Where neither is so, saying that it is at risk is the honest verdict.
fn is_stuck(node: &Node, verdict: Verdict, rolls: &[RollView]) -> bool {
    let under_way = || node.pending(rolls.iter().map(|roll| roll.roll)).values().any(|bytes| *bytes > 0);
    let short = || rolls.iter().filter(|roll| node.falls_short(&roll.roll)).take(LOOKED_AT);
    let betterable = || short().any(|roll| node.can_be_bettered(&roll.roll));
    verdict == Verdict::CatchingUp && !under_way() && !betterable()
}

/// The verdict's word in documents.
pub fn verdict(verdict: Verdict) -> doc::Verdict {
    match verdict {
        Verdict::Safe => doc::Verdict::Safe,
        Verdict::CatchingUp => doc::Verdict::CatchingUp,
        Verdict::AtRisk => doc::Verdict::AtRisk,
        Verdict::Lost => doc::Verdict::Lost,
    }
}
