//! The contract in a script's header, the words of the script, and those that its Rust file knows are the
//! same.

use std::collections::BTreeSet;
use std::path::Path;

use leaseq::store::script::SOURCES;

fn rust_of(operation: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/store/{operation}.rs"));
    std::fs::read_to_string(&path).expect("each operation is a pair of files")
}

/// Texts between two marks that are one word of small letters.
fn words(text: &str, mark: char) -> BTreeSet<String> {
    text.split(mark)
        .skip(1)
        .step_by(2)
        .filter(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()))
        .map(str::to_owned)
        .collect()
}

/// The part of a header after `Reply`.
fn promised(source: &str) -> BTreeSet<String> {
    let reply: Vec<_> = source
        .lines()
        .take_while(|line| line.starts_with("--"))
        .skip_while(|line| !line.starts_with("-- Reply"))
        .enumerate()
        .take_while(|(n, line)| *n == 0 || line.starts_with("--  "))
        .map(|(_, line)| line)
        .collect();
    words(&reply.join("\n"), '"')
}

/// A function's text, up to the next one at its depth.
fn function<'a>(rust: &'a str, name: &str) -> &'a str {
    let from = rust
        .find(&format!("fn {name}"))
        .unwrap_or_else(|| panic!("no fn {name}"));
    let line_start = rust[..from].rfind('\n').map_or(0, |at| at + 1);
    let indent = rust[line_start..].len() - rust[line_start..].trim_start().len();
    let end = format!("\n{}}}", " ".repeat(indent));
    let to = rust[from..].find(&end).map_or(rust.len(), |at| from + at);
    &rust[from..to]
}

/// The reply words that reading an operation's outcome knows, also in what it leaves to others.
fn known(operation: &str) -> BTreeSet<String> {
    let own = rust_of(&format!("ops/{operation}"));
    let outcome = function(&own, "outcome");
    let mut known = words(outcome, '"');
    for (helper, file, name) in [
        ("settled(", "ops", "settled"),
        ("already(", "ops/nack", "already"),
        ("recalled(", "ops/lease", "recalled"),
        ("enqueued(", "ops/enqueue", "enqueued"),
        ("verified(", "ops/verify", "verified"),
        ("standings(", "ops/names", "standings"),
    ] {
        if outcome.contains(helper) {
            known.extend(words(function(&rust_of(file), name), '"'));
        }
    }
    known
}

#[test]
fn the_words_that_a_header_promises_are_those_that_rust_knows() {
    for (name, source) in SOURCES {
        assert_eq!(
            promised(source),
            known(name),
            "{name}: header (left) and Rust (right)"
        );
    }
}

/// A script answers with words of its own or of the parts it uses, and with all that it promises.
#[test]
fn a_script_says_every_word_that_its_header_promises() {
    let parts = ["settle", "retry", "guard", "repeats"].map(|part| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/store/lua/{part}.lua"));
        std::fs::read_to_string(path).expect("a part")
    });
    for (name, source) in SOURCES {
        let code: Vec<_> = source.lines().filter(|line| !line.starts_with("--")).collect();
        let mut said = words(&code.join("\n"), '\'');
        for part in &parts {
            said.extend(words(part, '\''));
        }
        let promised = promised(source);
        assert!(
            promised.is_subset(&said),
            "{name} never says {:?}",
            promised.difference(&said)
        );
    }
}
