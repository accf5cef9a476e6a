//! `init`: a new library with its first node.

use std::path::Path;

use safelight_core::seal::RecoveryPhrase;
use safelight_proto::id::NodeId;
use safelight_proto::record::{Admit, Body, Delegate, Founding, Hlc, Record};
use safelight_proto::vocabulary::{Role, Site};

use super::make::{Keys, NodePlan, check, make};
use super::{node_id, random};
use crate::admin::doc::MemberDoc;
use crate::admin::operator::Failure;
use crate::driver::wall_millis;

/// Founds the library of `phrase` with its first node, a studio, in `home`.
pub async fn found(home: &Path, plan: &NodePlan, phrase: &RecoveryPhrase) -> Result<MemberDoc, Failure> {
    check(home, plan)?;
    let secret = random()?;
    let node = node_id(&secret);
    let records = studio_records(phrase, node, &plan.site);
    let reading_key = *phrase.reading_key().to_secret();
    let keys = Keys { secret, library: phrase.library(), reading_key: Some(reading_key) };
    make(home, plan, keys, &records, Vec::new()).await?;
    Ok(MemberDoc { library: phrase.library().to_string(), node: node.to_string() })
}

/// What the authority says to make `node` a studio: the founding, its admission, and leave to admit vaults.
pub(super) fn studio_records(phrase: &RecoveryPhrase, node: NodeId, site: &Site) -> Vec<Record> {
    let authority = phrase.authority();
    let now = Hlc::at(wall_millis());
    let founding = Founding { reading_public: phrase.reading_key().public().0 };
    let say = |hlc, body| Record::sign(phrase.library(), hlc, body, &authority);
    vec![
        // At a fixed time, so that it is the same record whoever holds the phrase signs it.
        say(Hlc(1), Body::Founding(founding)),
        say(now, Body::Admit(Admit { node, role: Role::Studio, site: site.clone() })),
        say(now, Body::Delegate(Delegate { node })),
    ]
}
