//! The generator of `docs/cli.md`, from the definitions that parse the command line.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory};

use super::Cli;
use super::exit::Exit;

/// Returns the reference as Markdown.
fn markdown() -> String {
    let mut command = Cli::command();
    command.build();
    let mut text = String::from(
        "# The command line\n\n\
         Generated from the definitions in the code: `UPDATE=1 cargo test --lib cli::reference` writes this file.\n\n",
    );
    let verbs: Vec<&Command> = command
        .get_subcommands()
        .filter(|verb| !verb.is_hide_set())
        .collect();
    text.push_str("| Verb | |\n|---|---|\n");
    for verb in &verbs {
        let name = verb.get_name();
        let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
        writeln!(text, "| [`{name}`](#leaseq-{name}) | {about} |").unwrap();
    }
    text.push_str("\n## Exit codes\n\n| Code | Meaning |\n|---|---|\n");
    for exit in Exit::ALL {
        writeln!(text, "| {} | {} |", exit.code(), exit.meaning()).unwrap();
    }
    text.push_str(
        "\nWrite durations as `90s`, `5m`, `2h`, `1.5d`, `250ms`, or plain seconds. Data goes to stdout, everything \
         else to stderr. A terminal gets tables with lines, a pipe tab-separated rows without a header. `--json` \
         prints the responses of the API unchanged.\n",
    );
    for verb in verbs {
        describe(verb, verb.get_name(), &mut text);
    }
    text
}

/// Appends a verb and the verbs under it.
fn describe(verb: &Command, name: &str, text: &mut String) {
    let about = verb.get_long_about().or_else(|| verb.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    let usage = verb.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    writeln!(text, "\n## leaseq {name}\n\n{about}\n\n```\n{usage}\n```\n").unwrap();
    for inner in verb.get_subcommands().filter(|inner| inner.get_name() != "help") {
        describe(inner, &format!("{name} {}", inner.get_name()), text);
    }
    let args: Vec<&Arg> = verb
        .get_arguments()
        .filter(|arg| !arg.is_hide_set() && arg.get_id() != "help")
        .collect();
    if args.is_empty() {
        return;
    }
    text.push_str("| Option | |\n|---|---|\n");
    for arg in args {
        let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let defaults: Vec<_> = arg
            .get_default_values()
            .iter()
            .map(|value| value.to_string_lossy())
            .collect();
        if !defaults.is_empty() && arg.get_action().takes_values() {
            write!(help, " [default: {}]", defaults.join(", ")).unwrap();
        }
        let choices: Vec<String> = arg
            .get_possible_values()
            .iter()
            .filter(|_| arg.get_action().takes_values() && !arg.get_possible_values().is_empty())
            .map(|value| format!("`{}`", value.get_name()))
            .collect();
        if !choices.is_empty() {
            write!(help, " ({})", choices.join(", ")).unwrap();
        }
        let option = arg.to_string().replace('|', "\\|");
        writeln!(text, "| `{option}` | {} |", help.replace('|', "\\|")).unwrap();
    }
}

#[test]
fn the_reference_matches_the_definitions() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cli.md");
    let present = markdown();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/docs")).unwrap();
        std::fs::write(path, &present).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == present,
        "docs/cli.md is out of date: UPDATE=1 cargo test --lib cli::reference"
    );
}

#[test]
fn the_definitions_are_consistent() {
    Cli::command().debug_assert();
}
