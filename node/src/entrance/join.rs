//! `join`: into a library by an invite.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use safelight_core::manifest::{Change, Manifest};
use safelight_proto::id::{LibraryId, NodeId};
use safelight_proto::invite::{Invite, ShortCode};
use safelight_proto::message::{Comparison, JoinReply, JoinRequest, Proof};
use safelight_proto::record::{Body, Hlc, Record, Seeding};
use safelight_proto::vocabulary::{Role, Site};

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
/// Between two looks at whether people on the inviting side have compared the short code.
const LOOK: Duration = Duration::from_secs(1);
/// They get so long at least: it takes a telephone call.
const PEOPLE: Duration = Duration::from_secs(600);
/// The key of a joining that is under way, beside the database that is to come: an invite is good for one node, so a
/// second attempt must come as the same one.
const KEY: &str = "node.redb.joining";

/// A machine on its way into the library that an invite opens.
pub struct Joining {
    home: PathBuf,
    plan: NodePlan,
    invite: Invite,
    secret: [u8; 32],
    /// The home was not there before.
    fresh: bool,
}

/// What people compare before a studio is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compare {
    /// What both screens show.
    pub code: ShortCode,
    /// Whether someone on the inviting side is asked, too.
    pub attended: bool,
    /// Where the inviting node stands.
    pub site: Site,
}

impl Joining {
    /// Ready to join with `code`: nothing but the key of this attempt is written.
    pub fn begin(home: PathBuf, plan: NodePlan, code: &str) -> Result<Self, Failure> {
        let invite: Invite = code.parse().map_err(|error: safelight_proto::invite::InviteError| {
            Failure::new(error.to_string())
                .next("ask for the whole code again; it was made by `safelight invite`")
        })?;
        if invite.expires <= wall_millis() {
            return Err(refused("this invite has expired; ask for a new one"));
        }
        check(&home, &plan)?;
        let fresh = !home.exists();
        let secret = joining_key(&home, &invite)?;
        Ok(Self { home, plan, invite, secret, fresh })
    }

    /// Comes to the inviting node's door. A studio is sent back with a short code to compare; a vault need not knock.
    pub async fn knock(&self, reporter: &Reporter) -> Result<Option<Compare>, Failure> {
        if self.invite.role != Role::Studio {
            return Ok(None);
        }
        match self.call(Comparison::Open, reporter).await? {
            JoinReply::Confirm { attended, site } => {
                Ok(Some(Compare { code: self.short_code(), attended, site }))
            }
            JoinReply::Refused(reason) => Err(refused(&reason)),
            JoinReply::Welcome { .. } => Err(Failure::new(
                "the other node let this one in before the short code was compared; nothing was made",
            )),
        }
    }

    /// Wants nothing more to do with the invite, because the other screen shows another short code: nothing is left
    /// here, and the inviting side hears of it if it can be reached.
    pub async fn decline(self, reporter: &Reporter) {
        if let Err(failure) = self.call(Comparison::Different, reporter).await {
            reporter.notice(format!("the inviting side was not told: {failure}"));
        }
        // What cannot be removed is the key of a node that does not exist.
        let _ = std::fs::remove_file(self.home.join(KEY));
        if self.fresh {
            let _ = std::fs::remove_dir(&self.home);
        }
    }

    /// Goes in and makes the home; for a studio, after its people found the short code to be the same. Waits for those
    /// on the inviting side.
    pub async fn finish(self, reporter: &Reporter) -> Result<MemberDoc, Failure> {
        let Self { home, plan, invite, secret, .. } = &self;
        let (records, reading_key) = welcomed(invite.library, self.call(Comparison::Equal, reporter).await?)?;
        let manifest = checked(invite.library, &records)?;
        let role = manifest.members().get(&node_id(secret)).map(|member| member.role);
        if role != Some(invite.role) || manifest.members().get(&invite.inviter).is_none() {
            return Err(Failure::new(
                "the other node let this one in, but not as the invite says; nothing was made",
            ));
        }
        if invite.role == Role::Studio && reading_key.is_none() {
            return Err(Failure::new("the other node did not hand over the reading key; nothing was made"));
        }
        let keys = Keys { secret: *secret, library: invite.library, reading_key };
        let inviter = manifest.members().get(&invite.inviter).map(|member| member.site.clone());
        let mut records = records;
        if plan.seeding {
            let standing = Body::Seeding(Seeding { node: node_id(secret), at: inviter });
            let key = SigningKey::from_bytes(secret);
            records.push(Record::sign(invite.library, Hlc::at(wall_millis()), standing, &key));
        }
        make(home, plan, keys, &records, invite.addresses.clone()).await?;
        // The home is complete; what is left of the attempt has no use, and does no harm either.
        let _ = std::fs::remove_file(home.join(KEY));
        Ok(MemberDoc { library: invite.library.to_string(), node: node_id(secret).to_string() })
    }

    /// What both screens show. The channel proves the ids that it hangs on: this node's is its own key's, and whoever
    /// answers as another than the inviter is not talked to.
    fn short_code(&self) -> ShortCode {
        let Invite { library, secret, inviter, .. } = &self.invite;
        ShortCode::of(library, secret, inviter, &node_id(&self.secret))
    }

    async fn call(&self, comparison: Comparison, reporter: &Reporter) -> Result<JoinReply, Failure> {
        let request = JoinRequest {
            library: self.invite.library,
            proof: Proof::Invite(self.invite.secret),
            site: self.plan.site.clone(),
            name: self.plan.name.clone(),
            comparison,
        };
        call(self.secret, &self.invite.addresses, Some(self.invite.inviter), &request, reporter).await
    }
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
    welcomed(request.library, call(secret, addresses, expected, request, reporter).await?)
}

/// What a welcome brings.
fn welcomed(library: LibraryId, reply: JoinReply) -> Result<(Vec<Record>, Option<[u8; 32]>), Failure> {
    match reply {
        JoinReply::Refused(reason) => Err(refused(&reason)),
        JoinReply::Confirm { .. } => {
            Err(Failure::new("the other node asks for a short code where there is none; nothing was made"))
        }
        JoinReply::Welcome { records, reading_key } => {
            let parse = |bytes: &Vec<u8>| Record::parse(library, bytes);
            let records = records.iter().map(parse).collect::<Result<Vec<_>, _>>();
            let records = records.map_err(|error| {
                Failure::new(format!("the other node proves nothing: {error}; nothing was made"))
            })?;
            Ok((records, reading_key))
        }
    }
}

/// What a member answers to a join request, over a network of its own.
async fn call(
    secret: [u8; 32],
    addresses: &[String],
    expected: Option<NodeId>,
    request: &JoinRequest,
    reporter: &Reporter,
) -> Result<JoinReply, Failure> {
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
    answer
}

/// Asks, and asks again while the people on the inviting side have not answered yet.
async fn converse(
    net: &NetHandle,
    addresses: &[Address],
    expected: Option<NodeId>,
    request: &JoinRequest,
    reporter: &Reporter,
) -> Result<JoinReply, Failure> {
    let mut deadline = Instant::now() + reporter.patience();
    let mut waits_for = None;
    reporter.progress(Progress { phase: "reaching the other node".into(), ..Progress::default() });
    loop {
        let peer = reach(net, addresses, deadline, reporter).await?;
        if expected.is_some_and(|expected| expected != peer) {
            return Err(Failure::new("another node answers at that address; nothing was made"));
        }
        let answer = net.request(peer, Channel::Join, Bytes::from(request.encode()), ANSWER).await;
        match answer {
            Ok(answer) => match JoinReply::decode(&answer) {
                Ok(JoinReply::Confirm { site, .. }) if request.comparison == Comparison::Equal => {
                    if waits_for.is_none() {
                        deadline = Instant::now() + PEOPLE.max(reporter.patience());
                        let phase = format!("waiting for the people at {site} to compare the short code");
                        reporter.progress(Progress { phase, ..Progress::default() });
                    }
                    waits_for = Some(site);
                }
                Ok(reply) => return Ok(reply),
                Err(error) => {
                    return Err(Failure::new(format!("the other node answers nonsense: {error}")));
                }
            },
            // A stranger's connection is not kept for ever; while people think, it is made anew.
            Err(error) if waits_for.is_some() => tracing::debug!(%error, "asking again"),
            Err(error) => {
                return Err(Failure::new(format!("the other node did not answer: {error}"))
                    .next("give the same command again"));
            }
        }
        if let Some(site) = &waits_for
            && (Instant::now() >= deadline || reporter.is_cancelled())
        {
            return Err(Failure::new(format!(
                "nobody at {site} has said yet that the short code is the same"
            ))
            .next(
                "give the same command again when somebody is there; the code stays good until it expires",
            ));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The node at these addresses, connected.
async fn reach(
    net: &NetHandle,
    addresses: &[Address],
    deadline: Instant,
    reporter: &Reporter,
) -> Result<NodeId, Failure> {
    loop {
        match net.dial(addresses.to_vec()).await {
            Ok(peer) => return Ok(peer),
            Err(_) if Instant::now() < deadline && !reporter.is_cancelled() => {
                tokio::time::sleep(PAUSE).await
            }
            Err(error) => {
                return Err(Failure::new(format!("the other node cannot be reached: {error}"))
                    .next("check that it runs and that this machine can reach its address, then try again"));
            }
        }
    }
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
