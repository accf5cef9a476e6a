//! Volumes as people name them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use safelight_core::node::Node;
use safelight_proto::id::{Prefix, VolumeId};

use crate::admin::command::VolumeName;
use crate::admin::operator::Failure;
use crate::volumes::State;

/// The volume that a person means: by the folder that it is in on this machine, or by the first digits of its id.
pub fn find_volume(
    node: &Node,
    here: &BTreeMap<VolumeId, (PathBuf, State)>,
    name: &VolumeName,
) -> Result<VolumeId, Failure> {
    let found = volumes_named(node, here, name);
    let text = &name.text;
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(Failure::new(format!("there is no volume '{text}' on this node, and no such id"))
            .next("safelight volumes")),
        _ => Err(Failure::new(format!("'{text}' fits several volumes; give more digits of the id"))
            .next("safelight volumes")),
    }
}

/// Every volume that a person may mean: the one in that folder on this machine, else all whose id begins so.
pub fn volumes_named(
    node: &Node,
    here: &BTreeMap<VolumeId, (PathBuf, State)>,
    name: &VolumeName,
) -> Vec<VolumeId> {
    let same = |path: &Path| path == name.path.as_path() || is_same_folder(path, name.path.as_path());
    if let Some((id, _)) = here.iter().find(|(_, (path, _))| same(path)) {
        return vec![*id];
    }
    let prefix = Prefix::parse(&name.text);
    let known = node.manifest().volumes().into_keys().chain(here.keys().copied());
    let found: BTreeSet<VolumeId> =
        known.filter(|id| prefix.as_ref().is_some_and(|prefix| prefix.matches(id))).collect();
    found.into_iter().collect()
}

fn is_same_folder(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use safelight_core::node::Identity;
    use safelight_proto::id::LibraryId;

    use super::*;

    #[test]
    fn by_folder_or_id_and_never_by_guess() {
        let who = Identity {
            key: SigningKey::from_bytes(&[1; 32]),
            library: LibraryId([2; 32]),
            reading_key: None,
        };
        let (node, _step) = Node::new(who, [], BTreeMap::new(), Default::default(), [3; 32]);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ids =
            [VolumeId([0xab; 16]), VolumeId([&[0xab; 8][..], &[1; 8]].concat().try_into().expect("16"))];
        let paths = [folder.path().join("."), PathBuf::from("/gone")];
        let state = || State::Unavailable("unplugged".into());
        let here = ids.into_iter().zip(paths.map(|path| (path, state()))).collect();
        let find = |text: &str, path: &Path| {
            find_volume(&node, &here, &VolumeName { text: text.into(), path: path.to_owned().into() })
        };
        assert_eq!(find("x", folder.path()), Ok(ids[0]));
        assert_eq!(find("x", Path::new("/gone")), Ok(ids[1]));
        assert_eq!(find(&ids[0].to_string(), Path::new("/x")), Ok(ids[0]));
        assert!(find("abab", Path::new("/x")).is_err_and(|error| error.message.contains("several")));
        assert!(find("aba", Path::new("/x")).is_err_and(|error| error.message.contains("no volume")));
    }
}
