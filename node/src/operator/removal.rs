//! `remove`: ends a node's membership for good, and says plainly what whoever has the machine can do and cannot.

use std::collections::BTreeSet;
use std::sync::Arc;

use safelight_core::event::Event;
use safelight_core::node::Node;
use safelight_proto::id::{NodeId, Prefix};
use safelight_proto::record::{Body, Record};
use safelight_proto::vocabulary::Role;

use super::{casualties, local, look, studio_only};
use crate::admin::command::{Casualty, Command, PhraseText};
use crate::admin::doc;
use crate::admin::operator::{Failure, Outcome};
use crate::cli::units;
use crate::invites::phrase_of;
use crate::shell::Shell;
use crate::view::{self, name_of};

/// The command `remove`. With `preview` nothing is changed.
pub(super) async fn remove(
    shell: &Arc<Shell>,
    text: &str,
    phrase: Option<&PhraseText>,
    preview: bool,
) -> Result<Outcome, Failure> {
    studio_only(shell, "remove a node")?;
    let id = node_to_remove(shell, text).await?;
    let (role, delegate) = shell.core.ask(move |node| role_and_right(node, &id)).await?;
    let authority = match phrase {
        Some(text) => Some(Box::new(phrase_of(text, shell)?.authority())),
        None if preview => None,
        None if role == Role::Studio => {
            return Err(Failure::usage(format!(
                "{text} is a studio: to remove it needs the recovery phrase; nothing was changed"
            ))
            .next(format!("safelight remove {text} --phrase-file FILE")));
        }
        None if !delegate => {
            return Err(Failure::new("this node may not remove others; nothing was changed")
                .next(format!("safelight remove {text} --phrase-file FILE")));
        }
        None => None,
    };
    let here = local(shell);
    let mut document = shell.core.ask(move |node| describe(node, &id, role, &here)).await??;
    document.preview = preview;
    if !preview {
        shell.core.settle(Event::Remove { node: id, authority }).await?;
        document.removed.state = doc::NodeState::Removed;
        document.removed.addresses.clear();
    }
    let after = look(shell, |shoots| Ok(shoots.to_vec())).await?;
    document.verdict = after.verdict;
    let fallen = after.shoots.into_iter().filter(|shoot| shoot.verdict != doc::Verdict::Safe);
    let fallen = fallen.map(|shoot| doc::FallenShootDoc { name: shoot.name, verdict: shoot.verdict });
    document.shoots = fallen.collect();
    Ok(Outcome::done(document))
}

/// What changes something is refused on a node that was removed: it would come to nothing, and look as if it had.
pub(super) async fn refuse_if_removed(shell: &Arc<Shell>, command: &Command) -> Result<(), Failure> {
    let harmless = matches!(
        command,
        Command::Status { .. }
            | Command::Shoots
            | Command::Files { .. }
            | Command::Nodes
            | Command::Volumes
            | Command::Restore { .. }
            | Command::Verify { .. }
            | Command::Plan { .. }
            | Command::Trash
            | Command::RuleShow { .. }
            | Command::ConfigGet { .. }
            | Command::ConfigSet { .. }
    );
    match harmless || !shell.core.ask(Node::is_removed).await? {
        true => Ok(()),
        false => Err(Failure::new("this node was removed from the library: nothing it says counts any more")
            .next("`safelight status` says more; to belong again, set this machine up anew")),
    }
}

async fn node_to_remove(shell: &Arc<Shell>, text: &str) -> Result<NodeId, Failure> {
    let what = Casualty::Node(text.to_owned());
    let found = shell.core.ask(move |node| {
        casualties(node, &what).map_err(|failure| {
            let was = Prefix::parse(text_of(&what)).filter(|prefix| was_removed(node, prefix));
            match was {
                Some(_) => Failure::new("that node was removed before").next("safelight nodes"),
                None => failure,
            }
        })
    });
    let id = found.await??.first().copied().ok_or_else(|| super::unknown("node", text))?;
    if id == shell.me {
        return Err(Failure::new("a node does not remove itself; nothing was changed").next(
            "remove it on another studio; to give this machine away in order, `safelight retire` empties it first",
        ));
    }
    Ok(id)
}

fn text_of(what: &Casualty) -> &str {
    match what {
        Casualty::Node(text) | Casualty::Site(text) => text,
    }
}

fn was_removed(node: &Node, prefix: &Prefix) -> bool {
    node.manifest().members().removed().any(|id| prefix.matches(id))
}

fn role_and_right(node: &Node, id: &NodeId) -> (Role, bool) {
    let members = node.manifest().members();
    (members.get(id).map_or(Role::Vault, |member| member.role), members.is_delegate(&node.id()))
}

fn describe(
    node: &Node,
    id: &NodeId,
    role: Role,
    here: &view::library::Local,
) -> Result<doc::RemovalDoc, Failure> {
    let manifest = node.manifest();
    let removed = view::library::nodes(node, here).into_iter().find(|doc| doc.id == id.to_string());
    let removed = removed.ok_or_else(|| super::unknown("node", &id.short()))?;
    let legacy = manifest.legacy(id);
    let own = || legacy.iter().filter(|record| record.author == *id);
    let let_in: BTreeSet<NodeId> = own().filter_map(admitted).collect();
    let had_removed: BTreeSet<NodeId> = own().filter_map(ended).collect();
    let (shards, bytes) = on_volumes_of(node, id);
    let members = manifest.members();
    let studios =
        members.iter().filter(|(other, member)| member.role == Role::Studio && *other != id).count();
    let (can, cannot) = plainly(role, shards, bytes);
    Ok(doc::RemovalDoc {
        removed,
        preview: false,
        adopted: legacy.len() as u64,
        shards,
        bytes,
        can,
        cannot,
        let_in: let_in.iter().filter(|id| members.get(id).is_some()).map(|id| name_of(node, id)).collect(),
        had_removed: had_removed.iter().map(ToString::to_string).collect(),
        deletions: own().filter(|record| deletes(record)).count() as u64,
        studios: studios as u64,
        verdict: doc::Verdict::Safe,
        shoots: Vec::new(),
    })
}

fn admitted(record: &Record) -> Option<NodeId> {
    match &record.body {
        Body::Admit(admit) => Some(admit.node),
        _ => None,
    }
}

fn ended(record: &Record) -> Option<NodeId> {
    match &record.body {
        Body::Remove(remove) => Some(remove.node),
        _ => None,
    }
}

fn deletes(record: &Record) -> bool {
    matches!(&record.body, Body::Trash(trash) if trash.all || !trash.hidden.is_empty())
}

/// Shards on the volumes of `id` by its own word, and their bytes.
fn on_volumes_of(node: &Node, id: &NodeId) -> (u64, u64) {
    let manifest = node.manifest();
    let (mut shards, mut bytes) = (0, 0);
    for (roll, _) in manifest.rolls() {
        for (coding, held) in manifest.holdings(&roll.roll) {
            let of_it = held.iter().filter(|(volume, _)| manifest.host_of(volume) == Some(*id));
            let count: u64 = of_it.map(|(_, indexes)| indexes.len() as u64).sum();
            shards += count;
            bytes += count * manifest.coding(&roll.roll, &coding).map_or(0, |coding| coding.shard_bytes);
        }
    }
    (shards, bytes)
}

/// What whoever has the machine can still do, and what not.
fn plainly(role: Role, shards: u64, bytes: u64) -> (Vec<String>, Vec<String>) {
    let holds = format!("{} ({})", units::counted(shards, "shard", "shards"), units::bytes(bytes));
    let can = match role {
        Role::Vault => vec![
            format!("keep {holds}, which it cannot read: they are sealed, and the key was never on it"),
            "see how much there is in the library and when it came, and the names and addresses of its nodes"
                .into(),
        ],
        Role::Studio => vec![
            format!(
                "read every photo that can be rebuilt from the {holds} on its drives, and every list of files: the \
                 library's reading key is on it, and no removal takes that back"
            ),
            "open with that key any other shards they get hold of: a stolen drive, a copy of a vault's disk"
                .into(),
        ],
    };
    let mut cannot = vec![
        "fetch anything from the other nodes, write, change or delete anything: they do not talk to it any more, and \
         nothing it says counts"
            .into(),
        "come back: its key is refused for ever".into(),
    ];
    if role == Role::Studio {
        cannot.push("own the library or let anybody in: the recovery phrase is not on it".into());
    }
    (can, cannot)
}
