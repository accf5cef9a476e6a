//! `join`: into a library by an invite.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use safelight_core::manifest::{Change, Manifest};
use safelight_proto::id::{LibraryId, NodeId};
use safelight_proto::invite::Invite;
use safelight_proto::message::{JoinReply, JoinRequest, Proof};
use safelight_proto::record::Record;
use safelight_proto::vocabulary::Role;

use super::make::{Keys, NodePlan, check, make};
use super::{node_id, random};
use crate::admin::doc::MemberDoc;
use crate::admin::operator::{Failure, Progress, Reporter};
use crate::disk::durable;
use crate::driver::wall_millis;
use crate::net::{Address, Channel, Net, NetConfig, NetHandle};

/// Between two attempts to reach the other node.
const PAUSE: Duration = Duration::from_millis(500);
/// An answer to a join request is waited for so long.
const ANSWER: Duration = Duration::from_secs(30);
/// The key of a joining that is under way, beside the database that is to come: an invite is good for one node, so a
/// second attempt must come as the same one.
const KEY: &str = "node.redb.joining";

/// Joins the library that `code` opens.
pub async fn join(
    home: &Path,
    plan: &NodePlan,
    code: &str,
    reporter: &Reporter,
) -> Result<MemberDoc, Failure> {
    let invite: Invite = code.parse().map_err(|error: safelight_proto::invite::InviteError| {
        Failure::new(error.to_string())
            .next("ask for the whole code again; it was made by `safelight invite`")
    })?;
    if invite.expires <= wall_millis() {
        return Err(refused("this invite has expired; ask for a new one"));
    }
    check(home, plan)?;
    let secret = joining_key(home, &invite)?;
    let request = JoinRequest {
        library: invite.library,
        proof: Proof::Invite(invite.secret),
        site: plan.site.clone(),
        name: plan.name.clone(),
    };
    let (records, reading_key) =
        ask_in(secret, &invite.addresses, Some(invite.inviter), &request, reporter).await?;
    let manifest = checked(invite.library, &records)?;
    let role = manifest.members().get(&node_id(&secret)).map(|member| member.role);
    if role != Some(invite.role) || manifest.members().get(&invite.inviter).is_none() {
        return Err(Failure::new(
            "the other node let this one in, but not as the invite says; nothing was made",
        ));
    }
    if invite.role == Role::Studio && reading_key.is_none() {
        return Err(Failure::new("the other node did not hand over the reading key; nothing was made"));
    }
    let keys = Keys { secret, library: invite.library, reading_key };
    make(home, plan, keys, &records, invite.addresses.clone()).await?;
    // The home is complete; what is left of the attempt has no use, and does no harm either.
    let _ = std::fs::remove_file(home.join(KEY));
    Ok(MemberDoc { library: invite.library.to_string(), node: node_id(&secret).to_string() })
}

/// The key to join with: that of an attempt with the same invite that broke off, or a new one, durably noted.
fn joining_key(home: &Path, invite: &Invite) -> Result<[u8; 32], Failure> {
    let path: PathBuf = home.join(KEY);
    let failed = |error: std::io::Error| {
        Failure::new(format!("the home {} cannot be written: {error}", home.display()))
    };
    let mark = blake3::derive_key("safelight joining mark v1", &invite.secret);
    if let Ok(kept) = std::fs::read(&path)
        && let (Some(found), Some(secret)) =
            (kept.get(..32), kept.get(32..).and_then(|rest| rest.try_into().ok()))
        && found == mark
    {
        return Ok(secret);
    }
    let secret: [u8; 32] = random()?;
    crate::home::Home::create(home).map_err(|error| crate::cli::client::explain(error, home))?;
    durable::replace(&path, &[mark, secret].concat()).map_err(failed)?;
    Ok(secret)
}

/// Asks a member to be let in; gives the records that prove membership of both, and the reading key for a studio.
pub(super) async fn ask_in(
    secret: [u8; 32],
    addresses: &[String],
    expected: Option<NodeId>,
    request: &JoinRequest,
    reporter: &Reporter,
) -> Result<(Vec<Record>, Option<[u8; 32]>), Failure> {
    let addresses: Vec<Address> = addresses.iter().filter_map(|text| text.parse().ok()).collect();
    if addresses.is_empty() {
        return Err(Failure::new("there is no address to reach the other node at"));
    }
    let config = NetConfig {
        secret,
        listen: vec![([0, 0, 0, 0], 0).into()],
        announce: Vec::new(),
        library: request.library,
        mdns: false,
        upnp: false,
    };
    let (net, _events) = Net::start(config).await.map_err(|error| Failure::new(error.to_string()))?;
    let answer = converse(&net, &addresses, expected, request, reporter).await;
    net.shutdown().await;
    match answer? {
        JoinReply::Refused(reason) => Err(refused(&reason)),
        JoinReply::Welcome { records, reading_key } => {
            let parse = |bytes: &Vec<u8>| Record::parse(request.library, bytes);
            let records = records.iter().map(parse).collect::<Result<Vec<_>, _>>();
            let records = records.map_err(|error| {
                Failure::new(format!("the other node proves nothing: {error}; nothing was made"))
            })?;
            Ok((records, reading_key))
        }
    }
}

async fn converse(
    net: &NetHandle,
    addresses: &[Address],
    expected: Option<NodeId>,
    request: &JoinRequest,
    reporter: &Reporter,
) -> Result<JoinReply, Failure> {
    let deadline = Instant::now() + reporter.patience();
    reporter.progress(Progress { phase: "reaching the other node".into(), ..Progress::default() });
    let peer = loop {
        match net.dial(addresses.to_vec()).await {
            Ok(peer) => break peer,
            Err(_) if Instant::now() < deadline && !reporter.is_cancelled() => {
                tokio::time::sleep(PAUSE).await
            }
            Err(error) => {
                return Err(Failure::new(format!("the other node cannot be reached: {error}"))
                    .next("check that it runs and that this machine can reach its address, then try again"));
            }
        }
    };
    if expected.is_some_and(|expected| expected != peer) {
        return Err(Failure::new("another node answers at that address; nothing was made"));
    }
    let answer = net.request(peer, Channel::Join, Bytes::from(request.encode()), ANSWER).await;
    let answer = answer.map_err(|error| {
        Failure::new(format!("the other node did not answer: {error}")).next("give the same command again")
    })?;
    JoinReply::decode(&answer)
        .map_err(|error| Failure::new(format!("the other node answers nonsense: {error}")))
}

/// The membership that records prove.
pub(super) fn checked(library: LibraryId, records: &[Record]) -> Result<Manifest, Failure> {
    let mut manifest = Manifest::new(library);
    for record in records {
        manifest.merge(record.clone(), &mut Change::default());
    }
    match manifest.members().reading_public() {
        Some(_) => Ok(manifest),
        None => {
            Err(Failure::new("the other node cannot prove that it belongs to the library; nothing was made"))
        }
    }
}

fn refused(reason: &str) -> Failure {
    Failure::new(format!("not let in: {reason}")).next("on a studio node: safelight invite")
}
