//! The verdict of a shoot, with the reason and the remedy a person can act on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use safelight_proto::id::VolumeId;
use safelight_proto::vocabulary::{Rule, Site};

use super::remedy::{Remedy, remedy};
use super::{Culprit, LossRates, Planner, RollView, Standing, Topology, evaluate, shard_room};

/// What a shoot's rule comes to; the library has the worst of its shoots'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The rule is met by counting holdings.
    Safe,
    /// Not met, but some layout over the known volumes can meet it.
    CatchingUp,
    /// Not lost, but no layout can meet the rule, or it cannot be read as things are.
    AtRisk,
    /// Some roll has no coding with k shards known anywhere.
    Lost,
}

impl Verdict {
    /// The word people and scripts read.
    pub fn word(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::CatchingUp => "catching-up",
            Self::AtRisk => "at-risk",
            Self::Lost => "lost",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// The worst of the shoots' verdicts; an empty library is safe.
pub fn library_verdict(shoots: impl IntoIterator<Item = Verdict>) -> Verdict {
    shoots.into_iter().max().unwrap_or(Verdict::Safe)
}

/// A shoot, judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The clauses, one by one.
    pub standing: Standing,
    /// What they come to.
    pub verdict: Verdict,
    /// Why, as a sentence with a counterexample.
    pub reason: String,
    /// What to do about it, when the software alone cannot.
    pub remedy: Option<String>,
}

/// Judges the shoot `name` (none where names cannot be read) by its rolls and all they reference.
pub fn judge(
    topology: &Topology,
    rule: &Rule,
    rates: &LossRates,
    name: Option<&str>,
    rolls: &[RollView],
) -> Judgement {
    let standing = evaluate(topology, rule, rolls);
    let verdict = if !standing.known {
        Verdict::Lost
    } else if standing.met() {
        Verdict::Safe
    } else if standing.readable && can_meet(topology, rule, rates, rolls, &standing) {
        Verdict::CatchingUp
    } else {
        Verdict::AtRisk
    };
    let remedy = match verdict {
        Verdict::Safe | Verdict::CatchingUp => None,
        Verdict::AtRisk if standing.readable => {
            remedy(topology, rule, rates, rolls, &standing).map(|remedy| remedy.sentence(topology))
        }
        Verdict::AtRisk | Verdict::Lost => Some(Remedy::BringBack.sentence(topology)),
    };
    let reason = reason(topology, rule, &standing, verdict, name.unwrap_or("this shoot"));
    Judgement { standing, verdict, reason, remedy }
}

/// Judges a shoot as it stands when all is done that can be: what falls short then is at risk. The remedy is left to who
/// knows of all shoots.
pub fn judge_at_rest(topology: &Topology, rule: &Rule, name: Option<&str>, rolls: &[RollView]) -> Judgement {
    let standing = evaluate(topology, rule, rolls);
    let verdict = match (standing.known, standing.met()) {
        (false, _) => Verdict::Lost,
        (true, true) => Verdict::Safe,
        (true, false) => Verdict::AtRisk,
    };
    let reason = reason(topology, rule, &standing, verdict, name.unwrap_or("this shoot"));
    Judgement { standing, verdict, reason, remedy: None }
}

/// Whether some layout over the volumes can meet the rule for every roll that does not: with the room there is, and
/// that of the shards that already stand.
pub fn can_meet(
    topology: &Topology,
    rule: &Rule,
    rates: &LossRates,
    rolls: &[RollView],
    standing: &Standing,
) -> bool {
    let lacking = lacking(rule, rolls, standing);
    let topology = topology.with_room(&standing_room(&lacking));
    plan_all(&topology, rule, rates, lacking.iter().map(|roll| roll.sealed_len)).is_some()
}

/// The rolls to be planned: those that lack a clause; all of them when the sets of a `full` rule are missing.
pub(super) fn lacking<'a>(rule: &Rule, rolls: &'a [RollView], standing: &Standing) -> Vec<&'a RollView> {
    let named: BTreeSet<_> = standing.lacking.iter().collect();
    let all = rule.full && !standing.copies.met;
    rolls.iter().filter(|roll| all || named.contains(&roll.roll)).collect()
}

/// Bytes that the shards of `rolls` take now, by volume.
pub(super) fn standing_room(rolls: &[&RollView]) -> BTreeMap<VolumeId, u64> {
    let mut room: BTreeMap<VolumeId, u64> = BTreeMap::new();
    for roll in rolls {
        for coding in &roll.codings {
            for holding in &coding.holdings {
                let bytes = room.entry(holding.volume).or_default();
                *bytes = bytes.saturating_add(shard_room(roll.sealed_len, coding.k));
            }
        }
    }
    room
}

/// Bytes used on each volume when every roll gets a layout that meets the rule; `None` when one cannot.
pub(super) fn plan_all(
    topology: &Topology,
    rule: &Rule,
    rates: &LossRates,
    lengths: impl IntoIterator<Item = u64>,
) -> Option<BTreeMap<VolumeId, u64>> {
    let mut planner = Planner::new(topology, Rule { spend: None, ..*rule }, rates, None).strictly();
    let mut used: BTreeMap<VolumeId, u64> = BTreeMap::new();
    for length in lengths {
        let plan = planner.plan(length).ok()?;
        planner.take(&plan);
        for volume in &plan.assignment {
            let bytes = used.entry(*volume).or_default();
            *bytes = bytes.saturating_add(plan.shard_bytes);
        }
    }
    Some(used)
}

fn reason(topology: &Topology, rule: &Rule, standing: &Standing, verdict: Verdict, shoot: &str) -> String {
    if verdict == Verdict::Lost {
        return format!(
            "{} of {shoot} {} lost: fewer shards than it takes to rebuild them are known anywhere.",
            files(standing.files_lost),
            are(standing.files_lost)
        );
    }
    if verdict == Verdict::Safe {
        return format!("{} of {shoot} meet {rule}: {}.", files(standing.files), what_may_be_lost(rule));
    }
    let on_the_way = if verdict == Verdict::CatchingUp { " Until its shards have arrived: " } else { "" };
    let sentence = match &standing.culprit {
        Some((Culprit::Unreadable, hit)) => {
            let unreadable = "cannot be read now: too few of their shards are on volumes that count.";
            format!("{} of {shoot} {unreadable}", files(*hit))
        }
        Some((culprit, hit)) => {
            format!("Lose {} and {} of {shoot} {} gone.", lost(topology, culprit), files(*hit), are(*hit))
        }
        None => match standing.full_copies {
            Some(there) if standing.lacking.is_empty() => {
                format!("{shoot} has {there} full copies; {rule} asks for {}, far enough apart.", rule.copies)
            }
            _ => format!("It is not proven that {shoot} meets {rule}."),
        },
    };
    format!("{on_the_way}{sentence}").trim_start().to_owned()
}

fn what_may_be_lost(rule: &Rule) -> String {
    let mut losses = Vec::new();
    match rule.copies {
        0 | 1 => {}
        2 => losses.push("any volume".to_owned()),
        copies => losses.push(format!("any {} volumes", copies.saturating_sub(1))),
    }
    match rule.media {
        0 | 1 => {}
        2 => losses.push("any medium".to_owned()),
        media => losses.push(format!("any {} media", media.saturating_sub(1))),
    }
    match rule.offsite {
        0 => {}
        1 => losses.push("any site".to_owned()),
        sites => losses.push(format!("any {sites} sites")),
    }
    if losses.is_empty() {
        "they can be read".to_owned()
    } else {
        format!("lose {} and all come back", losses.join(" or "))
    }
}

fn lost(topology: &Topology, culprit: &Culprit) -> String {
    match culprit {
        Culprit::Unreadable => "nothing".to_owned(),
        Culprit::Sites(sites) => list(sites.iter().map(Site::name)),
        Culprit::Media(media) => format!("every {} volume", list(media.iter().map(|media| media.word()))),
        Culprit::Volumes(ids) => {
            list(ids.iter().filter_map(|id| topology.volume(*id)).map(|v| v.name.as_str()))
        }
    }
}

/// "a", "a and b", "a, b and c".
pub(super) fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.collect();
    match words.split_last() {
        None => String::new(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

fn are(count: u64) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

/// "1 file", "2,412 files".
fn files(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + if count == 1 { " file" } else { " files" }
}
