//! The Lua scripts: each is the prelude, the constants, the parts it uses, and its own file.

use std::fmt::Write;
use std::sync::LazyLock;

use deadpool_redis::redis;

use super::keys;
use crate::domain::limits;
use crate::domain::queue::defaults;

/// One operation's script, assembled.
pub struct Script {
    pub name: &'static str,
    pub(crate) code: String,
    pub(crate) sha: String,
}

/// Whose time the scripts read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Clock {
    /// Redis `TIME`.
    #[default]
    Redis,
    /// The number at [`keys::TEST_CLOCK`]; for tests only, and no caller can reach it.
    Test,
}

macro_rules! parts {
    ($($part:ident),*) => {
        fn part(name: &str) -> &'static str {
            match name {
                $(stringify!($part) => include_str!(concat!("lua/", stringify!($part), ".lua")),)*
                other => unreachable!("a script uses the unknown part {other:?}"),
            }
        }
    };
}
parts!(
    bury, draw, finish, grant, history, lanes, late, marks, requests, retry, rotation, settle, several, task
);

macro_rules! scripts {
    ($($name:ident),* $(,)?) => {
        /// Every script by name, with its source.
        pub const SOURCES: &[(&str, &str)] = &[$((stringify!($name), include_str!(concat!("ops/", stringify!($name), ".lua"))),)*];
    };
}
scripts!(
    enqueue, lease, recall, ack, nack, release, extend, sweep, configure, reorder, overview, show, list
);

const PRELUDE: &str = include_str!("lua/prelude.lua");

/// The parts that a script's header names behind `word`.
fn named<'a>(source: &'a str, word: &str) -> Vec<&'a str> {
    let mark = format!("-- {word} ");
    source
        .lines()
        .take_while(|line| line.starts_with("--"))
        .filter_map(|line| line.strip_prefix(&mark))
        .flat_map(str::split_whitespace)
        .collect()
}

/// The facts that Lua takes from Rust, so that each is written once.
fn constants() -> String {
    format!(
        "local DEFAULT_LEASE_MS, DEFAULT_MAX_ATTEMPTS = {}, {}\n\
         local RETRY_BASE_MS, RETRY_FACTOR, RETRY_MAX_MS = {}, {}, {}\n\
         local HISTORY_ATTEMPTS_MAX, HISTORY_BYTES_MAX = {}, {}\n\
         local HINTS = '{}'\n",
        defaults::LEASE_MS,
        defaults::MAX_ATTEMPTS,
        defaults::RETRY_BASE_MS,
        defaults::RETRY_FACTOR,
        defaults::RETRY_MAX_MS,
        limits::HISTORY_ATTEMPTS_MAX,
        limits::HISTORY_BYTES_MAX,
        keys::WAKE,
    )
}

/// The files a script is made of, in order, as they stand in it: what `Later` names is wrapped into functions.
fn pieces(name: &'static str, source: &'static str, clock: Clock) -> Vec<(&'static str, String)> {
    let now = match clock {
        Clock::Redis => {
            "(function() local t = call('TIME') return t[1] * 1000 + floor(t[2] / 1000) end)()".to_owned()
        }
        Clock::Test => format!("tonumber(call('GET', '{}'))", keys::TEST_CLOCK),
    };
    let (uses, later) = (named(source, "Uses"), named(source, "Later"));
    let mut declared = constants();
    for part_name in &uses {
        let _ = writeln!(declared, "local load_{part_name} = nothing");
    }
    for part_name in &later {
        let _ = writeln!(declared, "local load_{part_name}");
        for names in part(part_name).lines().filter_map(local_names) {
            let _ = writeln!(declared, "local {names}");
        }
    }
    let mut pieces = vec![
        ("prelude", PRELUDE.replace("--[[clock]]", &now)),
        ("constants", declared),
    ];
    pieces.extend(uses.into_iter().map(|name| (name, part(name).to_owned())));
    for name in later {
        let mut lazy = format!("load_{name} = function() load_{name} = nothing ");
        for line in part(name).lines() {
            lazy.push_str(&assigned(line));
            lazy.push('\n');
        }
        lazy.push_str("end\n");
        pieces.push((name, lazy));
    }
    pieces.push((name, source.to_owned()));
    pieces
}

/// What a line at the left margin declares: `f` of `local function f(…)`, `a, b` of `local a, b = …`.
fn local_names(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("local ")?;
    match rest.strip_prefix("function ") {
        Some(function) => function.split('(').next(),
        None => rest.split('=').next().map(str::trim),
    }
}

/// The line with its declaration turned into an assignment to what was declared before.
fn assigned(line: &str) -> String {
    match line.strip_prefix("local ") {
        Some(rest) if rest.contains('=') || rest.starts_with("function ") => rest.to_owned(),
        Some(_) => String::new(),
        None => line.to_owned(),
    }
}

fn all(clock: Clock) -> Vec<Script> {
    SOURCES
        .iter()
        .map(|&(name, source)| {
            let code: String = pieces(name, source, clock)
                .into_iter()
                .map(|(_, text)| text)
                .collect();
            let sha = redis::Script::new(&code).get_hash().to_owned();
            Script { name, code, sha }
        })
        .collect()
}

static ON_REDIS_TIME: LazyLock<Vec<Script>> = LazyLock::new(|| all(Clock::Redis));
static ON_TEST_TIME: LazyLock<Vec<Script>> = LazyLock::new(|| all(Clock::Test));

/// All scripts on one clock.
pub fn scripts(clock: Clock) -> &'static [Script] {
    match clock {
        Clock::Redis => &ON_REDIS_TIME,
        Clock::Test => &ON_TEST_TIME,
    }
}

pub(crate) fn script(clock: Clock, name: &'static str) -> &'static Script {
    scripts(clock)
        .iter()
        .find(|script| script.name == name)
        .expect("operations name scripts of the list above")
}

/// A script error's line, counted from the top of the assembled source, as "part:line" of the file it is in.
pub(crate) fn locate(name: &str, line: usize) -> String {
    let Some(&(name, source)) = SOURCES.iter().find(|(n, _)| *n == name) else {
        return format!("{name}:{line}");
    };
    let mut left = line;
    for (file, text) in pieces(name, source, Clock::Redis) {
        let lines = text.lines().count();
        if left <= lines {
            return format!("{file}.lua:{left}");
        }
        left -= lines;
    }
    format!("{name}:{line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_says_what_it_takes_answers_and_keeps() {
        for (name, source) in SOURCES {
            let header: Vec<&str> = source.lines().take_while(|line| line.starts_with("--")).collect();
            assert!(header[0].starts_with(&format!("-- {name}: ")), "{name}");
            for part in ["-- ARGV", "-- Reply", "-- Keeps"] {
                assert!(
                    header.iter().any(|line| line.starts_with(part)),
                    "{name} lacks {part}"
                );
            }
        }
    }

    #[test]
    fn an_error_is_located_in_the_file_it_is_in() {
        let all = &scripts(Clock::Redis)
            .iter()
            .find(|script| script.name == "lease")
            .unwrap()
            .code;
        let line = |text: &str| 1 + all.lines().position(|line| line.contains(text)).unwrap();
        assert_eq!(locate("lease", line("-- House rules")), "prelude.lua:4");
        assert_eq!(locate("lease", line("-- lease: hands out")), "lease.lua:1");
        assert_eq!(locate("lease", line("A lane's two streams") + 1), "draw.lua:5");
    }
}
