//! `init`: a new library with its first node.

use std::path::Path;

use safelight_core::seal::RecoveryPhrase;
use safelight_proto::id::{LibraryId, NodeId};
use safelight_proto::record::{Admit, Body, Delegate, Founding, Hlc, Record};
use safelight_proto::vocabulary::{Role, Site};

use super::make::{Keys, NodePlan, check, make};
use super::{node_id, random};
use crate::admin::doc::MemberDoc;
use crate::admin::operator::Failure;
use crate::blobs::FsVolume;
use crate::cli::client::explain;
use crate::disk::durable;
use crate::driver::wall_millis;
use crate::home::Home;

/// The libraries whose founding was begun in a home and not ended, beside the database that is to come.
const NOTE: &str = "node.redb.founding";

/// Founds the library of `phrase` with its first node, a studio, in `home`.
pub async fn found(home: &Path, plan: &NodePlan, phrase: &RecoveryPhrase) -> Result<MemberDoc, Failure> {
    check(home, plan)?;
    note(home, plan, phrase.library()).await?;
    let secret = random()?;
    let node = node_id(&secret);
    let records = studio_records(phrase, node, &plan.site);
    let reading_key = *phrase.reading_key().to_secret();
    let keys = Keys { secret, library: phrase.library(), reading_key: Some(reading_key) };
    make(home, plan, keys, &records, Vec::new()).await?;
    // The home is complete; what is left of the attempt has no use, and does no harm either.
    let _ = std::fs::remove_file(home.join(NOTE));
    Ok(MemberDoc { library: phrase.library().to_string(), node: node.to_string() })
}

/// Notes durably that `library` is being founded in `home`, and frees the volumes of an attempt that broke off there:
/// its library never came to be.
async fn note(home: &Path, plan: &NodePlan, library: LibraryId) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(format!("the home {} cannot be written: {error}", home.display()))
    };
    let path = home.join(NOTE);
    let mut noted = std::fs::read(&path).unwrap_or_default();
    for earlier in noted.chunks_exact(LibraryId::LEN).filter_map(|id| id.try_into().ok()).map(LibraryId) {
        // A folder that the attempt had not come to yet has nothing in it to be freed.
        for volume in plan.volumes.iter().filter(|volume| volume.path.exists()) {
            let unmade = FsVolume::unmake(&volume.path, earlier).await;
            unmade.map_err(|error| Failure::new(format!("the volume cannot be made: {error}")))?;
        }
    }
    Home::create(home).map_err(|error| explain(error, home))?;
    noted.extend(library.0);
    durable::replace(&path, &noted).map_err(|error| failed(&error))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::VolumeSpec;

    fn plan(volume: &Path) -> NodePlan {
        let site = Site::new("studio").expect("a name");
        NodePlan::parse("studio", &site, &[volume.display().to_string()]).expect("a plan")
    }

    #[tokio::test]
    async fn a_founding_that_broke_off_anywhere_is_simply_begun_again() {
        let temp = tempfile::tempdir().expect("temp");
        let phrase = |seed| RecoveryPhrase::from_entropy([seed; 32]);
        // With the note alone, before there was any volume; then once more with a volume of that attempt.
        for with_volume in [false, true] {
            let home = temp.path().join(format!("home {with_volume}"));
            let volume = temp.path().join(format!("volume {with_volume}"));
            note(&home, &plan(&volume), phrase(1).library()).await.expect("noted");
            if with_volume {
                let spec =
                    VolumeSpec { library: phrase(1).library(), media: None, capacity: None, site: None };
                FsVolume::create(&volume, spec).await.expect("made").shutdown().await;
            }
            found(&home, &plan(&volume), &phrase(2)).await.expect("founded at last");
            assert!(Home::open(&home).is_ok() && !home.join(NOTE).exists());
        }
    }
}
