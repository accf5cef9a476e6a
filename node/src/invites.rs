//! Invites, as their owner meets them: made, waited for, answered.

use std::sync::Arc;
use std::time::Duration;

use safelight_core::event::{Ending, Event, InviteState, Newcomer};
use safelight_core::seal::RecoveryPhrase;
use safelight_proto::id::{Hash, NodeId};
use safelight_proto::invite::Invite;
use safelight_proto::limit;
use safelight_proto::vocabulary::Role;

use crate::admin::command::PhraseText;
use crate::admin::doc;
use crate::admin::operator::{Failure, Outcome, Progress, Reporter};
use crate::driver::wall_millis;
use crate::shell::Shell;

/// Between two looks at whether somebody came with an invite.
const LOOK: Duration = Duration::from_millis(250);

/// Makes an invite. When it is `attended`, its studio is let in only after [`answer`].
pub async fn invite(
    shell: &Arc<Shell>,
    role: Role,
    expires_seconds: u64,
    phrase: Option<PhraseText>,
    attended: bool,
) -> Result<Outcome, Failure> {
    let authority = match (role, phrase) {
        (Role::Vault, _) => None,
        (Role::Studio, None) => {
            return Err(Failure::usage(
                "a studio can read everything, so its invite needs the recovery phrase",
            )
            .next("safelight invite --role studio --phrase-file FILE"));
        }
        (Role::Studio, Some(text)) => Some(Box::new(phrase_of(&text, shell)?.authority())),
    };
    if role == Role::Studio && shell.reading_key.is_none() {
        return Err(Failure::new("this node is a vault: it has no reading key to hand to a studio")
            .next("invite the studio from a studio node"));
    }
    if !shell.core.ask(move |node| node.may_invite(role)).await? {
        return Err(Failure::new("this node may not let others in").next("invite from a studio node"));
    }
    let mut secret = [0; 16];
    getrandom::fill(&mut secret).map_err(|error| Failure::new(format!("no randomness: {error}")))?;
    let life = (expires_seconds.saturating_mul(1000)).min(limit::INVITE_MILLIS);
    let expires = wall_millis() + life;
    let state = InviteState { authority, attended, ..InviteState::new(role, expires) };
    shell.core.settle(Event::Invite(Hash::of(&secret), state)).await?;
    let addresses = shell.net.addresses().iter().map(ToString::to_string).collect();
    let code = Invite { library: shell.library, inviter: shell.me, addresses, secret, role, expires };
    let expires = std::time::UNIX_EPOCH + Duration::from_millis(expires);
    Ok(Outcome::done(doc::InviteDoc {
        code: code.to_string(),
        role: role.to_string(),
        expires: humantime::format_rfc3339_seconds(expires).to_string(),
    }))
}

/// The phrase in `text`, if it is this library's.
pub fn phrase_of(text: &PhraseText, shell: &Shell) -> Result<RecoveryPhrase, Failure> {
    let phrase = crate::cli::local::parse_phrase(text)?;
    if phrase.library() == shell.library {
        Ok(phrase)
    } else {
        Err(Failure::new("this recovery phrase belongs to another library"))
    }
}

/// Waits until a newcomer comes with a studio's invite; with `newcomer`, until it is let in. Says on the way if another
/// comes with the same code. When the caller leaves, nobody is there to be asked any more, and the invite ends.
pub async fn wait(
    shell: &Arc<Shell>,
    invite: &str,
    newcomer: Option<&str>,
    reporter: &Reporter,
) -> Result<Outcome, Failure> {
    let hash = invite_of(invite)?;
    reporter.progress(Progress { phase: "waiting for the new studio".into(), ..Progress::default() });
    let mut told = false;
    loop {
        let state = state_of(shell, hash).await?;
        if let Some(found) = &state.newcomer
            && (state.used_by.is_some() || newcomer.is_none())
        {
            return Ok(Outcome::done(document(found, state.used_by.is_some())));
        }
        if let Some((name, site)) = state.rival.filter(|_| !told) {
            told = true;
            reporter.notice(format!(
                "Careful: {name} at {site} came with the same code, and was refused. Somebody else has the code; \
                 say yes only if the short codes are the same."
            ));
        }
        if let Some(ending) = state.ended {
            return Err(ended(ending, state.newcomer.as_ref()));
        }
        if state.expires <= wall_millis() {
            return Err(Failure::new("the code expired, and nobody was let in").next(AGAIN));
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = reporter.cancelled() => {
                shell.core.settle(Event::EndInvite(hash, Ending::Withdrawn)).await?;
                return Err(ended(Ending::Withdrawn, None));
            }
        }
    }
}

/// Lets in the newcomer whose screen shows the same short code, or ends the invite.
pub async fn answer(
    shell: &Arc<Shell>,
    invite: &str,
    newcomer: &str,
    same: bool,
) -> Result<Outcome, Failure> {
    let hash = invite_of(invite)?;
    let node: NodeId = newcomer.parse().map_err(|_| Failure::usage(format!("'{newcomer}' is no node id")))?;
    let of_this = |state: &InviteState| state.newcomer.clone().filter(|found| found.node == node);
    let unknown = || Failure::new("nobody of this id came with the invite").next(AGAIN);
    of_this(&state_of(shell, hash).await?).ok_or_else(unknown)?;
    let event = match same {
        true => Event::Confirmed { invite: hash, newcomer: node },
        false => Event::EndInvite(hash, Ending::Refused),
    };
    shell.core.settle(event).await?;
    let state = state_of(shell, hash).await?;
    let found = of_this(&state).ok_or_else(unknown)?;
    match state.ended {
        Some(ending) if same || ending != Ending::Refused => Err(ended(ending, Some(&found))),
        None if !same => Err(Failure::new(format!("{} at {} was let in before", found.name, found.site))
            .next("see who belongs to the library with `safelight nodes`")),
        _ => Ok(Outcome::done(document(&found, state.used_by.is_some()))),
    }
}

/// What to do after an invite that came to nothing.
const AGAIN: &str = "safelight invite --role studio --phrase-file FILE";

fn invite_of(text: &str) -> Result<Hash, Failure> {
    text.parse().map_err(|_| Failure::usage(format!("'{text}' names no invite")))
}

async fn state_of(shell: &Arc<Shell>, hash: Hash) -> Result<InviteState, Failure> {
    let state = shell.core.ask(move |node| node.invited(&hash).cloned()).await?;
    state
        .filter(|state| state.attended)
        .ok_or_else(|| Failure::new("nobody needs to be asked about this invite").next(AGAIN))
}

fn ended(ending: Ending, newcomer: Option<&Newcomer>) -> Failure {
    let who = newcomer.map_or("the newcomer".to_owned(), |found| format!("{} at {}", found.name, found.site));
    let why = match ending {
        Ending::Refused => format!("{who} was not let in, and the invite is ended"),
        Ending::Withdrawn => "the invite was taken back".to_owned(),
        Ending::Declined => {
            format!("at {who} the short code was not confirmed; it was not let in, and the invite is ended")
        }
    };
    Failure::new(why).next(AGAIN)
}

fn document(newcomer: &Newcomer, admitted: bool) -> doc::NewcomerDoc {
    doc::NewcomerDoc {
        node: newcomer.node.to_string(),
        name: newcomer.name.clone(),
        site: newcomer.site.to_string(),
        short_code: newcomer.code.to_string(),
        admitted,
    }
}
