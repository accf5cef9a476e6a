//! The cheapest change that would let the planner meet the rule, found by asking it: what if?

use std::collections::BTreeMap;

use safelight_proto::id::{NodeId, VolumeId};
use safelight_proto::vocabulary::{Media, Role, Rule, Site};

use super::judge::{lacking, list, plan_all, standing_room};
use super::{LossRates, MAX_K, RollView, SHARD_OVERHEAD, Standing, Topology, VolumeView};

/// Most pieces that the missing rolls are planned in. Their bytes are what counts, and a question asks many times.
const MAX_LUMPS: usize = 64;

/// Most volumes that one remedy adds: as many as the largest number in a rule.
const MAX_ADDED: usize = Rule::MAX as usize + 1;

/// Room that a volume has for the sake of the question.
const ENDLESS: u64 = u64::MAX / 4;

/// What a person can do so that the rule can be met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// Make room on a volume.
    Free {
        /// The volume.
        volume: VolumeId,
        /// Bytes more than are free now.
        bytes: u64,
    },
    /// Add these volumes, together.
    Add(Vec<Addition>),
    /// Nothing can be added to make up for it: absent volumes and nodes must come back.
    BringBack,
}

/// One volume to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addition {
    /// Where; none is a site that there is not yet, another one for every addition.
    pub site: Option<Site>,
    /// Media it must not be.
    pub not: Vec<Media>,
    /// Room it needs, in bytes, for the rolls that lack something.
    pub bytes: u64,
}

impl Remedy {
    /// The sentence a person reads, after the word "Remedy".
    pub fn sentence(&self, topology: &Topology) -> String {
        match self {
            Self::Free { volume, bytes } => {
                let name = topology.volume(*volume).map_or("the volume", |view| view.name.as_str());
                format!("free {} on {name}", gigabytes(*bytes))
            }
            Self::Add(additions) => {
                let one = |addition: &Addition| {
                    let site = addition.site.as_ref().map_or("another site", |site| site.name());
                    let not = if addition.not.is_empty() {
                        String::new()
                    } else {
                        format!(", of another medium than {}", list(addition.not.iter().map(|m| m.word())))
                    };
                    format!("one volume of {} at {site}{not}", gigabytes(addition.bytes))
                };
                format!("add {}", additions.iter().map(one).collect::<Vec<_>>().join(", and "))
            }
            Self::BringBack => {
                "bring back the volumes and nodes that hold the missing shards, and check them in".to_owned()
            }
        }
    }
}

/// The cheapest remedy: making room before adding a volume, few volumes before many, few bytes before many, a known
/// site before a new one. `None` when nothing of the kind helps.
pub fn remedy(
    topology: &Topology,
    rule: &Rule,
    rates: &LossRates,
    rolls: &[RollView],
    standing: &Standing,
) -> Option<Remedy> {
    let lacking = lacking(rule, rolls, standing);
    let what_if = WhatIf {
        topology: topology.with_room(&standing_room(&lacking)),
        rule,
        rates,
        lumps: lumps(lacking.iter().map(|roll| roll.sealed_len)),
    };
    what_if.freeing().or_else(|| what_if.adding())
}

/// Lengths in at most [`MAX_LUMPS`] sums, with what each roll needs beyond its bytes.
fn lumps(lengths: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut lumps: Vec<u64> = Vec::new();
    for (at, length) in lengths.enumerate() {
        match lumps.get_mut(at % MAX_LUMPS) {
            Some(lump) if at >= MAX_LUMPS => {
                *lump = lump.saturating_add(length).saturating_add(SHARD_OVERHEAD * u64::from(MAX_K));
            }
            _ => lumps.push(length),
        }
    }
    lumps
}

struct WhatIf<'a> {
    topology: Topology,
    rule: &'a Rule,
    rates: &'a LossRates,
    lumps: Vec<u64>,
}

/// Where to add a volume: a known site, or a new one.
type Where<'a> = Option<&'a Site>;

impl WhatIf<'_> {
    /// The volume on which least must be freed, if freeing what is on it is enough.
    fn freeing(&self) -> Option<Remedy> {
        let tried = self.topology.volumes().iter().filter(|volume| volume.used > 0).filter_map(|volume| {
            let roomy = self.topology.with_room(&BTreeMap::from([(volume.id, ENDLESS)]));
            let used = plan_all(&roomy, self.rule, self.rates, self.lumps.iter().copied())?;
            let used = *used.get(&volume.id)?;
            let enough = |room: u64| {
                let more = room.saturating_sub(volume.free);
                let topology = self.topology.with_room(&BTreeMap::from([(volume.id, more)]));
                plan_all(&topology, self.rule, self.rates, self.lumps.iter().copied()).is_some()
            };
            let slack = SLACK.into_iter().find(|slack| enough(with_slack(used, *slack)))?;
            let bytes = with_slack(used, slack).saturating_sub(volume.free);
            (bytes > 0 && bytes <= volume.used).then_some((bytes, volume.id))
        });
        tried.min().map(|(bytes, volume)| Remedy::Free { volume, bytes })
    }

    /// The fewest volumes, then the fewest bytes, then known sites first.
    fn adding(&self) -> Option<Remedy> {
        let known: Vec<Where<'_>> =
            self.topology.places().iter().filter_map(|place| place.sites.first()).map(Some).collect();
        for count in 1..=MAX_ADDED {
            // One at a known site, if any, and the rest at new ones: more than one at a known site saves nobody a trip.
            let wheres = known.iter().copied().filter(|_| count <= 2).chain([None]);
            let tried = wheres.filter_map(|first| {
                let mut sites = vec![first];
                sites.resize(count, None);
                self.add(&sites)
            });
            if let Some((_, additions)) = tried.min_by_key(|(bytes, _)| *bytes) {
                return Some(Remedy::Add(additions));
            }
        }
        None
    }

    /// Adds a volume at each of `sites`: of the media there are most of if that will do, else of new ones.
    fn add(&self, sites: &[Where<'_>]) -> Option<(u64, Vec<Addition>)> {
        let there: Vec<Media> = Media::ALL
            .iter()
            .copied()
            .filter(|m| self.topology.volumes().iter().any(|v| v.media == *m))
            .collect();
        let absent: Vec<Media> = Media::ALL.iter().copied().filter(|media| !there.contains(media)).collect();
        let with_new = |new: usize| -> Vec<Vec<Media>> {
            let mut choices = vec![Vec::new()];
            for at in 0..sites.len() {
                // The last `new` volumes are of media there are not yet, one each as far as there are any.
                let fresh = absent.get(at.wrapping_sub(sites.len() - new)).or(absent.last()).copied();
                let media = if at < sites.len() - new { there.clone() } else { fresh.into_iter().collect() };
                choices = choices
                    .iter()
                    .flat_map(|chosen: &Vec<Media>| {
                        media.iter().map(move |m| chosen.iter().copied().chain([*m]).collect())
                    })
                    .take(Media::ALL.len() * Media::ALL.len())
                    .collect();
            }
            choices
        };
        let endless = vec![ENDLESS; sites.len()];
        for new in 0..=sites.len() {
            let worked: Vec<(Vec<Media>, Vec<u64>)> = with_new(new)
                .into_iter()
                .filter_map(|media| self.try_adding(sites, &media, &endless).map(|bytes| (media, bytes)))
                .collect();
            let works = |at: usize, media: Media| worked.iter().any(|(chosen, _)| chosen[at] == media);
            // What is said of each volume by itself must hold for all of them together.
            let together: usize = (0..sites.len())
                .map(|at| Media::ALL.iter().filter(|media| works(at, **media)).count())
                .product();
            if worked.is_empty() || worked.len() < together {
                continue;
            }
            let most = |at: usize| worked.iter().map(|(_, bytes)| bytes[at]).max().unwrap_or(0);
            let most: Vec<u64> = (0..sites.len()).map(most).collect();
            let enough = |slack: u64| {
                let room: Vec<u64> = most.iter().map(|bytes| with_slack(*bytes, slack)).collect();
                worked.iter().all(|(media, _)| self.try_adding(sites, media, &room).is_some())
            };
            let Some(slack) = SLACK.into_iter().find(|slack| enough(*slack)) else { continue };
            let additions = sites.iter().enumerate().map(|(at, site)| Addition {
                site: site.cloned(),
                not: there.iter().copied().filter(|media| !works(at, *media)).collect(),
                bytes: with_slack(most[at], slack),
            });
            let additions: Vec<Addition> = additions.collect();
            return Some((additions.iter().map(|addition| addition.bytes).sum(), additions));
        }
        None
    }

    /// Bytes that each of the new volumes, with that room each, would hold; `None` if they are not enough or one is not needed.
    fn try_adding(&self, sites: &[Where<'_>], media: &[Media], room: &[u64]) -> Option<Vec<u64>> {
        let mut topology = self.topology.clone();
        let mut ids = Vec::new();
        for (at, (site, media)) in sites.iter().zip(media).enumerate() {
            let id = VolumeId([0xff - at as u8; VolumeId::LEN]);
            let site = site.cloned().or_else(|| self.unused_site(at))?;
            topology = topology.with_volume(VolumeView {
                id,
                name: String::new(),
                node: NodeId([0xff - at as u8; NodeId::LEN]),
                role: Role::Vault,
                site,
                media: *media,
                free: room[at],
                used: 0,
                domain: None,
                host: None,
                trust_declared: true,
            });
            ids.push(id);
        }
        let used = plan_all(&topology, self.rule, self.rates, self.lumps.iter().copied())?;
        ids.iter().map(|id| used.get(id).copied()).collect()
    }

    /// A name that no site has.
    fn unused_site(&self, at: usize) -> Option<Site> {
        let sites = self.topology.places().len();
        let names = (0..=sites).filter_map(|n| Site::new(&format!("another site {at}-{n}")));
        names.into_iter().find(|site| self.topology.place_of_site(site).is_none())
    }
}

/// Sixteenths by which to ask for more than counted, until it is enough: with less room to choose from, rolls do not
/// fall as they did with endless room.
const SLACK: [u64; 5] = [1, 4, 8, 16, 48];

fn with_slack(bytes: u64, sixteenths: u64) -> u64 {
    bytes.saturating_add((bytes / 16).saturating_mul(sixteenths))
}

/// Decimal gigabytes, rounded up: "180 GB", "0.4 GB".
fn gigabytes(bytes: u64) -> String {
    const GB: u64 = 1_000_000_000;
    if bytes >= 10 * GB {
        return format!("{} GB", bytes.div_ceil(GB));
    }
    let tenths = bytes.div_ceil(GB / 10);
    format!("{}.{} GB", tenths / 10, tenths % 10)
}
