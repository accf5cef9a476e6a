use clap::CommandFactory;

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("safelight").chain(line.split(' ')))
}

#[test]
fn the_definition_holds_together() {
    Cli::command().debug_assert();
}

#[test]
fn every_line_of_the_contract() {
    for line in [
        "demo",
        "demo --photos /photos --json",
        "init --name lena --site studio --volume /a,media=ssd --volume /b,capacity=4TB --phrase-out f",
        "run",
        "run --listen 127.0.0.1:0 --dashboard 127.0.0.1:0",
        "invite",
        "invite --role vault --expires 1h",
        "invite --role studio --phrase-file -",
        "join code --name tom --site friend --volume /a",
        "join code --name tom --site friend --volume /a --seeding",
        "volume add /b,media=ssd,capacity=4TB",
        "volume retire /b",
        "volume checkin 0a1b2c",
        "retire tom",
        "moved tom",
        "ingest /card /other --shoot wedding --wait safe",
        "status",
        "status wedding --json",
        "shoots",
        "files wedding",
        "nodes",
        "volumes",
        "restore wedding --to /back --include *.CR3 --exclude *.xmp --without studio --without friend",
        "restore --all --to /back",
        "recover --phrase-file f --peer /ip4/127.0.0.1/tcp/1 --name n --site s --volume /v --to /back",
        "verify",
        "verify --volume /a --json",
        "drill --without studio",
        "drill --without studio --sample 20 --json",
        "drill --without studio --all",
        "delete wedding",
        "delete wedding DCIM/a.CR3 *.xmp",
        "trash --json",
        "undelete wedding",
        "undelete wedding DCIM/a.CR3",
        "lost tom",
        "plan add /a /b,media=usb,capacity=2TB --site friend",
        "plan lose tom --json",
        "plan lose --site friend",
        "plan retire /a",
        "remove tom",
        "remove tom --phrase-file - --json",
        "lost --site friend",
        "salvage /a /b --phrase-file - --to /back",
        "rule show",
        "rule show --shoot wedding",
        "rule set 3-2-1",
        "rule set 3-2-1 full --spend 2.0x --shoot wedding",
        "kit --phrase-file f --out page",
        "config",
        "config limit.up",
        "config limit.up 5MB",
        "completions zsh",
        "man",
        "--home /h --json --timeout 5s -vv nodes",
        "nodes --home /h --timeout 5s -v",
    ] {
        assert!(parse(line).is_ok(), "{line}: {}", parse(line).expect_err("printed"));
    }
}

#[test]
fn what_is_not_understood_exits_2() {
    for line in [
        "format-card",
        "init --name lena --site studio",
        "init --site studio --volume /a",
        "init --name lena --site studio --volume",
        "invite --role owner",
        "invite --role studio",
        "invite --expires 48h",
        "ingest --shoot wedding",
        "ingest /card",
        "ingest /card --shoot wedding --wait maybe",
        "restore --to /back",
        "restore wedding",
        "restore wedding --all --to /back",
        "restore wedding --to /back --include [",
        "recover --phrase-file f --peer nonsense --name n --site s --volume /v",
        "recover --phrase-file f --name n --site s --volume /v",
        "lost",
        "lost tom --site friend",
        "plan",
        "plan add",
        "plan lose",
        "plan lose tom --site friend",
        "plan retire --site friend",
        "remove",
        "remove tom --phrase-file",
        "salvage --phrase-file f --to /back",
        "rule set 9-9-9",
        "rule set 3-2-1 fully",
        "rule set 3-2-1 --spend 0.1x",
        "run --listen nowhere",
        "nodes --timeout soon",
        "drill",
        "drill --all",
        "drill --without studio --sample 0",
        "drill --without studio --sample 5 --all",
    ] {
        let error = parse(line).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn a_rule_and_its_full() {
    let Verb::Rule(RuleVerb::Set(set)) = parse("rule set 3-2-1 full --spend 2.0x").expect("valid").verb
    else {
        panic!("another verb");
    };
    assert_eq!((set.rule, set.full, set.spend), (Rule::default(), Some(FullWord::Full), Some(200)));
}

#[test]
fn every_command_says_what_it_is_for() {
    for command in Cli::command().get_subcommands() {
        assert!(command.get_about().is_some(), "{}", command.get_name());
    }
}
