//! What a node leaves behind when it is removed: the words of its that are worth keeping.

use safelight_proto::id::{NodeId, VolumeId};
use safelight_proto::record::{Body, Key, Leaver, Record};
use safelight_proto::vocabulary::Rule;

use super::view::{HIGH_NODE, LOW_NODE};
use super::{Entry, Manifest};

impl Manifest {
    /// The records that would have to be adopted so that nothing of value goes with `node`: what it said of rolls and of
    /// other members as far as it is the last word, and what nobody but it has adopted.
    pub fn legacy(&self, node: &NodeId) -> Vec<Record> {
        let left = self.entries().map(|(_, entry)| entry).filter(|entry| {
            let kept_by_it = self.members().adopters(&entry.id).eq([node]);
            (entry.author == *node || kept_by_it) && self.is_worth_keeping(entry, node)
        });
        left.filter_map(Entry::adoptable).collect()
    }

    /// Volumes that hang on `node` and hung on another member before: with `node` gone they would seem to be back there.
    pub fn taken_along(&self, node: &NodeId) -> Vec<VolumeId> {
        let hung_elsewhere = |volume: &VolumeId| {
            let claims = self.range(Key::Volume(*volume, LOW_NODE)..=Key::Volume(*volume, HIGH_NODE));
            claims.map(|(_, entry)| entry.author).any(|author| author != *node)
        };
        let volumes = self.volumes().into_iter().filter(|(_, (host, _))| host == node);
        volumes.map(|(volume, _)| volume).filter(hung_elsewhere).collect()
    }

    /// Whether what a node said still says something when that node is gone.
    fn is_worth_keeping(&self, entry: &Entry, gone: &NodeId) -> bool {
        let stands = |last: Option<&Entry>| last.is_some_and(|last| last.id == entry.id);
        match &entry.body {
            Body::Roll(_) | Body::Coding(_) => true,
            Body::Admit(admit) => admit.node != *gone,
            Body::Remove(remove) => remove.node != *gone,
            Body::Layout(layout) => stands(self.layout_entry(&layout.roll)),
            Body::Trash(trash) => stands(self.trash_entry(&trash.roll)),
            // A thief may have weakened it: only what asks for no less than the others' words is kept.
            Body::Rule(said) => {
                let keys = Key::Rule(said.shoot, LOW_NODE)..=Key::Rule(said.shoot, HIGH_NODE);
                let others = self.range(keys.clone()).map(|(_, entry)| entry).filter(|e| e.author != *gone);
                let rest = match others.max_by_key(|entry| entry.rank()).map(|entry| &entry.body) {
                    Some(Body::Rule(rest)) => rest.rule,
                    _ => said.shoot.map_or_else(Rule::default, |_| self.rule(None)),
                };
                let asked = |rule: Rule| Rule { spend: None, ..rule };
                stands(self.last(keys)) && asked(said.rule.stricter(rest)) == asked(said.rule)
            }
            Body::Lost(lost) => lost.node != *gone && stands(self.lost_entry(&lost.node)),
            Body::Retired(retired) => {
                let what = retired.what;
                let own = match what {
                    Leaver::Node(node) => Some(node),
                    Leaver::Volume(volume) => self.host_of(&volume),
                };
                let said = Key::Retired(what, LOW_NODE)..=Key::Retired(what, HIGH_NODE);
                own.is_some_and(|own| own != *gone && stands(self.latest_entry(said, own)))
            }
            Body::Founding(_)
            | Body::Delegate(_)
            | Body::Node(_)
            | Body::Volume(_)
            | Body::Holding(_)
            | Body::Audit(_)
            | Body::Head(_)
            | Body::Scrubbed(_)
            | Body::Seeding(_)
            | Body::Drill(_)
            | Body::Adopt(_) => false,
        }
    }
}
