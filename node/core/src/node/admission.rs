//! Letting newcomers in: by an invite's secret, or by the authority's own word for the very peer that asks.

use ed25519_dalek::SigningKey;
use safelight_proto::id::{Hash, NodeId};
use safelight_proto::message::{JoinReply, JoinRequest, Proof};
use safelight_proto::record::{Admit, Body, Delegate, Record};
use safelight_proto::vocabulary::Role;

use super::Node;
use crate::event::{Effect, InviteState, Step, Token, Write};
use crate::time::Now;

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
        let admitted = match &request.proof {
            _ if request.library != self.identity.library => {
                Err("this node belongs to another library".to_owned())
            }
            Proof::Admit(record) => self.admit_by_authority(from, record, now, step).map(|()| None),
            Proof::Invite(secret) => self.redeem(from, Hash::of(secret), &request, now, step),
        };
        let reply = match admitted {
            Ok(reading_key) => {
                JoinReply::Welcome { records: self.manifest.members().proofs([&self.me, &from]), reading_key }
            }
            Err(reason) => JoinReply::Refused(reason),
        };
        step.effects.push(Effect::Welcome(token, reply));
    }

    fn admit_by_authority(
        &mut self,
        from: NodeId,
        bytes: &[u8],
        now: Now,
        step: &mut Step,
    ) -> Result<(), String> {
        let record = Record::parse(self.identity.library, bytes).map_err(|error| error.to_string())?;
        let admits = matches!(&record.body, Body::Admit(admit) if admit.node == from);
        if !admits || !self.manifest.members().is_authority(&record.author) {
            return Err("the admission is not the authority's, or not for this node".into());
        }
        self.clock.observe(record.hlc, now);
        step.effects.push(Effect::Publish(record.bytes.clone()));
        self.take(record, step);
        Ok(())
    }

    /// Lets in the bearer of a secret; the same newcomer may come again with it, nobody else.
    fn redeem(
        &mut self,
        from: NodeId,
        hash: Hash,
        request: &JoinRequest,
        now: Now,
        step: &mut Step,
    ) -> Result<Option<[u8; 32]>, String> {
        let invite =
            self.invites.get(&hash).cloned().ok_or("this invite is not known here; ask for a new one")?;
        match invite.used_by {
            Some(user) if user == from => {}
            Some(_) => return Err("this invite was used already; ask for a new one".into()),
            None if invite.expires <= now.wall => {
                return Err("this invite has expired; ask for a new one".into());
            }
            None => self.admit_by_invite(from, &invite, request, now, step)?,
        }
        let used = InviteState { used_by: Some(from), ..invite };
        step.writes.push(write(hash, &used));
        let studio = used.role == Role::Studio;
        self.invites.insert(hash, used);
        Ok(self.identity.reading_key.filter(|_| studio))
    }

    fn admit_by_invite(
        &mut self,
        from: NodeId,
        invite: &InviteState,
        request: &JoinRequest,
        now: Now,
        step: &mut Step,
    ) -> Result<(), String> {
        let admit = Body::Admit(Admit { node: from, role: invite.role, site: request.site.clone() });
        match (invite.role, &invite.authority) {
            (Role::Vault, _) => self.say(vec![admit], now, step),
            (Role::Studio, Some(authority)) => {
                let authority: SigningKey = (**authority).clone();
                self.say_as(&authority, vec![admit, Body::Delegate(Delegate { node: from })], now, step);
            }
            (Role::Studio, None) => {
                return Err(
                    "this invite ended when the node that gave it restarted; ask for a new one".into()
                );
            }
        }
        Ok(())
    }
}

fn write(hash: Hash, state: &InviteState) -> Write {
    Write::PutInvite { hash, role: state.role, expires: state.expires, used_by: state.used_by }
}
