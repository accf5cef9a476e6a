//! Letting newcomers in: by an invite's secret, or by the authority's own word for the very peer that asks.
//!
//! A studio that comes by invite gets the reading key. So before it is let in, both sides compare a short code: the
//! newcomer asks again and again, and says what its own people found; the owner here says so by an event.

use safelight_proto::id::{Hash, NodeId};
use safelight_proto::invite::ShortCode;
use safelight_proto::message::{Comparison, JoinReply, JoinRequest, Proof};
use safelight_proto::record::{Admit, Body, Delegate, Record};
use safelight_proto::vocabulary::Role;

use super::Node;
use crate::event::{Effect, Ending, InviteState, Newcomer, Step, Token, Write};
use crate::time::Now;

/// What a removed node is told: its key never returns.
const REMOVED: &str =
    "this machine was removed from the library, for good; set it up anew, with a new home and a new invite";

impl Node {
    pub(super) fn invite(&mut self, hash: Hash, state: InviteState, step: &mut Step) {
        step.writes.push(write(hash, &state));
        self.invites.insert(hash, state);
    }

    /// Whether this node may invite a newcomer with `role`: any delegate a vault, the authority alone a studio.
    pub fn may_invite(&self, role: Role) -> bool {
        role == Role::Studio || self.manifest.members().is_delegate(&self.me)
    }

    pub(super) fn join(
        &mut self,
        from: NodeId,
        request: JoinRequest,
        token: Token,
        now: Now,
        step: &mut Step,
    ) {
        let reply = match &request.proof {
            _ if request.library != self.identity.library => {
                Err("this node belongs to another library".to_owned())
            }
            _ if self.is_removed() => {
                Err("the node that gave this invite was removed from the library; ask for one elsewhere"
                    .to_owned())
            }
            Proof::Invite(_) if self.manifest.members().is_removed(&from) => Err(REMOVED.to_owned()),
            // One that took itself for a member, and is shown why it is none.
            Proof::Admit(_) if self.manifest.members().is_removed(&from) => {
                Ok(JoinReply::Welcome { records: self.manifest.members().ending(&from), reading_key: None })
            }
            Proof::Admit(record) => self.admit_by_authority(from, record, now, step),
            Proof::Invite(secret) => self.redeem(from, secret, &request, now, step),
        };
        step.effects.push(Effect::Welcome(token, reply.unwrap_or_else(JoinReply::Refused)));
    }

    fn admit_by_authority(
        &mut self,
        from: NodeId,
        bytes: &[u8],
        now: Now,
        step: &mut Step,
    ) -> Result<JoinReply, String> {
        let record = Record::parse(self.identity.library, bytes).map_err(|error| error.to_string())?;
        let admits = matches!(&record.body, Body::Admit(admit) if admit.node == from);
        if !admits || !self.manifest.members().is_authority(&record.author) {
            return Err("the admission is not the authority's, or not for this node".into());
        }
        self.clock.observe(record.hlc, now);
        step.effects.push(Effect::Publish(record.bytes.clone()));
        self.take(record, step);
        let records = self.manifest.members().proofs([&self.me, &from]);
        Ok(JoinReply::Welcome { records, reading_key: None })
    }

    /// Lets in the bearer of a secret; the same newcomer may come again with it, nobody else.
    fn redeem(
        &mut self,
        from: NodeId,
        secret: &[u8; 16],
        request: &JoinRequest,
        now: Now,
        step: &mut Step,
    ) -> Result<JoinReply, String> {
        let hash = Hash::of(secret);
        let invite = self.invites.get(&hash).ok_or("this invite is not known here; ask for a new one")?;
        let studio = invite.role == Role::Studio;
        match invite.used_by {
            Some(user) if user == from => {
                if studio && request.comparison != Comparison::Equal {
                    return self.compare(false);
                }
            }
            Some(_) => return Err("this invite was used already; ask for a new one".into()),
            None if invite.expires <= now.wall => {
                return Err("this invite has expired; ask for a new one".into());
            }
            None => {
                if studio && !self.is_compared(from, hash, secret, request, step)? {
                    return self.compare(self.invites[&hash].attended);
                }
                self.admit_by_invite(from, hash, request, now, step)?;
            }
        }
        let reading_key = self.identity.reading_key.filter(|_| studio);
        Ok(JoinReply::Welcome { records: self.manifest.members().proofs([&self.me, &from]), reading_key })
    }

    /// Sends a newcomer back to its people with the short code.
    fn compare(&self, attended: bool) -> Result<JoinReply, String> {
        let me =
            self.manifest.members().get(&self.me).ok_or("this node does not belong to the library yet")?;
        Ok(JoinReply::Confirm { attended, site: me.site.clone() })
    }

    /// Whether the short code was found to be the same on both sides, as far as anybody is there to look.
    fn is_compared(
        &mut self,
        from: NodeId,
        hash: Hash,
        secret: &[u8; 16],
        request: &JoinRequest,
        step: &mut Step,
    ) -> Result<bool, String> {
        let code = ShortCode::of(&self.identity.library, secret, &self.me, &from);
        let Some(invite) = self.invites.get_mut(&hash) else { return Ok(false) };
        if let Some(ending) = invite.ended {
            return Err(sentence(ending).into());
        }
        if invite.authority.is_none() {
            return Err("this invite ended when the node that gave it restarted; ask for a new one".into());
        }
        let JoinRequest { name, site, .. } = request;
        let newcomer = invite.newcomer.get_or_insert_with(|| {
            step.effects.push(Effect::Tell(format!(
                "{name} at {site} asks to become a studio of this library; its screen shows the short code {code}"
            )));
            Newcomer { node: from, name: name.clone(), site: site.clone(), code, confirmed: false }
        });
        if newcomer.node != from {
            if invite.rival.is_none() {
                invite.rival = Some((name.clone(), site.clone()));
                step.effects.push(Effect::Tell(format!(
                    "{name} at {site} came with a studio's invite that another node had come with before, and was \
                     refused: somebody else has the code"
                )));
            }
            return Err(
                "another node came with this invite before, and the inviting side was told; ask for a new \
                        one, and see who else got the code"
                    .into(),
            );
        }
        if (&newcomer.name, &newcomer.site) != (name, site) {
            return Err(format!(
                "this node came as {} at {} before, and that is what people are asked about; give the same name and \
                 site, or ask for a new invite",
                newcomer.name, newcomer.site
            ));
        }
        match request.comparison {
            Comparison::Open => Ok(false),
            Comparison::Equal => Ok(newcomer.confirmed || !invite.attended),
            Comparison::Different => {
                step.effects.push(Effect::Tell(format!(
                    "{name} at {site} did not confirm the short code {code}; it was not let in"
                )));
                self.end_invite(hash, Ending::Declined);
                Err(sentence(Ending::Declined).into())
            }
        }
    }

    /// The invite of this secret's hash, if it was given out here.
    pub fn invited(&self, invite: &Hash) -> Option<&InviteState> {
        self.invites.get(invite)
    }

    pub(super) fn confirm_newcomer(&mut self, invite: Hash, newcomer: NodeId) {
        let found = self.invites.get_mut(&invite).filter(|invite| invite.ended.is_none());
        let found = found.and_then(|invite| invite.newcomer.as_mut());
        if let Some(found) = found.filter(|found| found.node == newcomer) {
            found.confirmed = true;
        }
    }

    /// Ends a studio's invite, and forgets the authority with it. One that was used stays used.
    pub(super) fn end_invite(&mut self, invite: Hash, ending: Ending) {
        let found = self.invites.get_mut(&invite);
        if let Some(found) = found.filter(|found| found.used_by.is_none() && found.ended.is_none()) {
            found.ended = Some(ending);
            found.authority = None;
        }
    }

    fn admit_by_invite(
        &mut self,
        from: NodeId,
        hash: Hash,
        request: &JoinRequest,
        now: Now,
        step: &mut Step,
    ) -> Result<(), String> {
        let invite = self.invites.get_mut(&hash).ok_or("this invite is not known here; ask for a new one")?;
        invite.used_by = Some(from);
        step.writes.push(write(hash, invite));
        let (role, authority) = (invite.role, invite.authority.take());
        let admit = Body::Admit(Admit { node: from, role, site: request.site.clone() });
        match authority {
            // A studio comes no further than to the comparing of its short code without the authority.
            Some(authority) if role == Role::Studio => {
                self.say_as(&authority, vec![admit, Body::Delegate(Delegate { node: from })], now, step);
            }
            _ => self.say(vec![admit], now, step),
        }
        Ok(())
    }
}

/// What a newcomer is told whose invite ended.
fn sentence(ending: Ending) -> &'static str {
    match ending {
        Ending::Refused => "this invite was refused there; ask for a new one",
        Ending::Withdrawn => "nobody waits for this invite any more; ask for a new one",
        Ending::Declined => "this invite ended when its short code was not confirmed here; ask for a new one",
    }
}

fn write(hash: Hash, state: &InviteState) -> Write {
    Write::PutInvite { hash, role: state.role, expires: state.expires, used_by: state.used_by }
}
