//! The play with a program in the leading part that only pretends: it shows what the demonstration sees and what
//! it does not let pass.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::admin::doc::DemoDoc;
use crate::demo::stage::{Interrupt, Stage};

/// A program that answers as nodes would, and brings back the card; `spoil` happens just before it says so.
fn actor(dir: &Path, card: &Path, spoil: &str) -> PathBuf {
    let script = format!(
        r#"#!/bin/bash
verb=$1; home=; to=; phrase=
while [ $# -gt 0 ]; do case $1 in
  --home) home=$2; shift;; --to) to=$2; shift;; --phrase-out|--phrase-file) phrase=$2; shift;;
esac; shift; done
node() {{ printf '{{"id":"%s","name":"%s","site":"%s","role":"%s","state":"online","addresses":["/ip4/127.0.0.1/tcp/1"]}}' $1 $1 $1 $2; }}
case $verb in
  init) mkdir $home; echo words > $phrase; echo '{{"library":"11","node":"0a"}}';;
  join) mkdir $home; echo '{{"library":"11","node":"0b"}}';;
  run) exec sleep 60;;
  invite) echo '{{"code":"c","role":"vault","expires":"e"}}';;
  nodes) echo "{{\"nodes\":[$(node studio studio),$(node friend vault),$(node cloud vault)]}}";;
  ingest) echo '{{"stored":true}}';;
  status) echo '{{"library":"11","rule":"3-2-1","verdict":"safe","nodes":[],"volumes":[],"transfers":[],"shoots":[
    {{"id":"5a","name":"a","files":2,"bytes":9,"stored_bytes":14,"verdict":"safe","sites":[],"pending_bytes":0,"reason":null,"remedy":null,
    "rule":{{"copies":{{"met":true,"survives_volumes":2}},"media":{{"met":true}},"offsite":{{"met":true}}}}}}]}}'; exit 3;;
  recover) [ -s $phrase ] || exit 1; [ -e $home/../studio ] && exit 1; [ -e $home/../studio-ssd ] && exit 1
    mkdir -p $to; cp -r '{card}' "$to/a"; cd "$to/a"; {spoil}
    echo '{{"files":2,"bytes":9,"files_failed":[],"sources":[],"seconds":1,"library":"11","node":"0c"}}';;
esac
"#,
        card = card.display()
    );
    let program = dir.join("actor");
    fs::write(&program, script).expect("writable");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).expect("ours");
    program
}

fn played(spoil: &str) -> (Result<(), Failure>, DemoDoc) {
    let temp = tempfile::tempdir().expect("temp");
    let card = temp.path().join("card");
    fs::create_dir_all(card.join("DCIM")).expect("writable");
    fs::write(card.join("DCIM/a.JPG"), b"1234").expect("writable");
    fs::write(card.join("b.CR3"), b"12345").expect("writable");
    let program = actor(temp.path(), &card, spoil);
    let dir = temp.path().join("stage");
    let mut stage = Stage::of(dir.clone(), program, Interrupt::never(), true).expect("set");
    let mut script = Script { document: DemoDoc::default(), quiet: true };
    let result = play(&mut stage, &mut script, Some(card));
    stage.clear().expect("cleared");
    assert!(!dir.exists());
    (result, script.document)
}

#[test]
fn all_of_it_when_all_goes_well() {
    let (result, document) = played("true");
    result.expect("played");
    assert!(document.identical && document.steps.iter().all(|step| step.ok));
    assert_eq!((document.files, document.bytes, document.steps.len()), (2, 9, 10));
    assert_eq!(document.storage_factor, Some(14.0 / 9.0));
}

#[test]
fn nothing_wrong_passes() {
    for (spoil, seen) in [
        ("printf 12x4 > DCIM/a.JPG", "other bytes"),
        ("printf 123 > DCIM/a.JPG", "another size"),
        ("rm b.CR3", "did not come back"),
        ("touch extra", "never there"),
        ("mkdir ../second", "folders came back"),
        ("exit 3", "said nothing"),
        ("kill -9 $$", "was killed"),
        (r#"echo '{"error":{"message":"no peer","next":null}}'; exit 1"#, "no peer"),
    ] {
        let (result, document) = played(spoil);
        let failure = result.expect_err(spoil);
        assert!(failure.message.contains(seen), "{spoil}: {failure}");
        assert!(!document.identical, "{spoil}");
        assert!(document.steps.last().is_some_and(|step| !step.ok), "{spoil}");
    }
}
