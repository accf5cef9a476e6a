//! The code's own rules, so that no reader has to enforce them: lengths, what may be named where, nothing half done.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::disk;

/// Lines of a file, its tests not counted.
const MOST_LINES: usize = 400;

/// Lines of a function, from its name to its closing brace.
const MOST_FUNCTION_LINES: usize = 70;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace")
}

/// The Rust files of the workspace: paths relative to it, and their text.
fn sources() -> Vec<(String, String)> {
    let root = root();
    let mut sources = Vec::new();
    for part in ["proto", "node", "simulations", "tests"] {
        for path in disk::files(&root.join(part)) {
            if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(&root).expect("below the root").display().to_string();
                sources.push((name, fs::read_to_string(path).expect("UTF-8")));
            }
        }
    }
    sources.sort();
    assert!(sources.len() > 50, "the sources were found");
    sources
}

/// Whether a whole file is tests or benchmarks.
fn is_test(name: &str) -> bool {
    let parts = name.split('/').any(|part| matches!(part, "tests" | "benches"));
    parts || name.ends_with("tests.rs") || name.ends_with("testing.rs")
}

/// The lines of a file before its tests, which come last.
fn code(text: &str) -> Vec<&str> {
    let lines: Vec<_> = text.lines().collect();
    let test = |at: &usize| {
        let next = lines.get(at + 1..).unwrap_or_default().iter().find(|line| !line.starts_with("#["));
        lines[*at] == "#[cfg(test)]"
            && next.is_some_and(|line| line.starts_with("mod ") || line.starts_with("pub mod "))
    };
    let end = (0..lines.len()).find(test).unwrap_or(lines.len());
    lines[..end].to_vec()
}

/// A line without its comment. A `//` inside a text ends it early, which hides at most the rest of that line.
fn bare(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

/// Code lines that have one of `words` in them, as `file:line: text`.
fn lines_with(sources: &[(String, String)], within: &dyn Fn(&str) -> bool, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in sources.iter().filter(|(name, _)| within(name) && !is_test(name)) {
        for (at, line) in code(text).into_iter().enumerate() {
            if words.iter().any(|word| bare(line).contains(word)) {
                found.push(format!("{name}:{}: {}", at + 1, line.trim()));
            }
        }
    }
    found
}

fn assert_none(found: Vec<String>, why: &str) {
    assert!(found.is_empty(), "{why}:\n{}", found.join("\n"));
}

#[test]
fn files_are_short() {
    let long = sources().into_iter().filter(|(name, _)| !is_test(name) || name.starts_with("tests/"));
    let long = long.map(|(name, text)| (name, code(&text).len())).filter(|(_, lines)| *lines > MOST_LINES);
    assert_none(long.map(|(name, lines)| format!("{name}: {lines}")).collect(), "files that are too long");
}

#[test]
fn functions_are_short() {
    let mut long = Vec::new();
    for (name, text) in sources() {
        let lines: Vec<_> = text.lines().collect();
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| starts_function(line)) {
            let indent = line.len() - line.trim_start().len();
            let close = format!("{}}}", " ".repeat(indent));
            // A declaration without a body ends with a semicolon before any brace.
            let header = lines[at..].iter().position(|line| line.ends_with('{') || line.ends_with(';'));
            if header.is_none_or(|header| lines[at + header].ends_with(';')) {
                continue;
            }
            let length = lines[at..].iter().position(|line| *line == close).map_or(0, |end| end + 1);
            if length > MOST_FUNCTION_LINES {
                long.push(format!("{name}:{}: {length} lines: {}", at + 1, line.trim()));
            }
        }
    }
    assert_none(long, "functions that are too long");
}

fn starts_function(line: &str) -> bool {
    let mut words = line.split_whitespace().skip_while(|word| {
        word.starts_with("pub") || matches!(*word, "const" | "async" | "extern" | "in" | "super)" | "self)")
    });
    words.next() == Some("fn")
}

#[test]
fn nothing_is_half_done() {
    // In two pieces, so that this file is no finding.
    let words = ["todo", "unimplemented", "dbg"].map(|word| format!("{word}!("));
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let mut found = lines_with(&sources(), &|_| true, &words);
    found.extend(lines_with(&sources(), &|name| name.contains("/src/"), &["not available in this build"]));
    assert_none(found, "half done");
}

#[test]
fn the_core_is_pure() {
    let words = [
        "std::fs",
        "std::net",
        "std::process",
        "Instant::now",
        "SystemTime",
        "tokio",
        "HashMap",
        "HashSet",
        "thread_rng",
        "getrandom",
        "std::env",
    ];
    let core = |name: &str| name.starts_with("node/core/src/");
    assert_none(lines_with(&sources(), &core, &words), "the core does what only the shell may");
}

#[test]
fn every_foreign_library_has_one_home() {
    let sources = sources();
    let outside = |homes: &'static [&'static str]| {
        move |name: &str| name.contains("/src/") && !homes.iter().any(|home| name.starts_with(home))
    };
    let found = lines_with(&sources, &outside(&["node/src/blobs/"]), &["iroh_blobs"]);
    assert_none(found, "only blobs/ names iroh_blobs");
    let found = lines_with(&sources, &outside(&["node/src/store/"]), &["redb::"]);
    assert_none(found, "only store/ names redb");
    let found = lines_with(&sources, &outside(&["node/src/net/"]), &["libp2p_stream", "libp2p::"]);
    // An address is parsed where it is typed.
    let found = found.into_iter().filter(|line| !line.contains("Multiaddr")).collect();
    assert_none(found, "only net/ names libp2p");
}

#[test]
fn the_parts_depend_on_each_other_in_one_direction() {
    let manifest = |part: &str| fs::read_to_string(root().join(part).join("Cargo.toml")).unwrap_or_default();
    assert!(!manifest("proto").contains("safelight-core"), "proto does not know the core");
    for shell in ["tokio", "libp2p", "redb", "iroh-blobs", "axum"] {
        let core = manifest("node/core");
        assert!(!core.lines().any(|line| line.starts_with(shell)), "the core does not know {shell}");
    }
    assert!(!manifest("simulations").contains("path = \"../node\""), "simulations do not know the shell");
}
