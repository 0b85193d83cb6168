//! The Lua scripts: each is the prelude, the constants, the parts it uses, and its own file.

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
parts!(task, lanes, draw, history, requests, settle, endings, retry);

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

/// The parts that a script's header names behind `Uses`.
fn uses(source: &str) -> impl Iterator<Item = &str> {
    source
        .lines()
        .take_while(|line| line.starts_with("--"))
        .filter_map(|line| line.strip_prefix("-- Uses"))
        .flat_map(str::split_whitespace)
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

fn assemble(source: &str, clock: Clock) -> String {
    let now = match clock {
        Clock::Redis => {
            "(function() local t = call('TIME') return t[1] * 1000 + floor(t[2] / 1000) end)()".to_owned()
        }
        Clock::Test => format!("tonumber(call('GET', '{}'))", keys::TEST_CLOCK),
    };
    let mut code = PRELUDE.replace("--[[clock]]", &now);
    code.push_str(&constants());
    for name in uses(source) {
        code.push_str(part(name));
    }
    code.push_str(source);
    code
}

fn all(clock: Clock) -> Vec<Script> {
    SOURCES
        .iter()
        .map(|&(name, source)| {
            let code = assemble(source, clock);
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
    let Some((_, source)) = SOURCES.iter().find(|(n, _)| *n == name) else {
        return format!("{name}:{line}");
    };
    let mut left = line;
    let constants_lines = constants();
    let files = [("prelude", PRELUDE), ("constants", constants_lines.as_str())]
        .into_iter()
        .chain(uses(source).map(|used| (used, part(used))))
        .chain([(name, *source)]);
    for (file, text) in files {
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
        let prelude = PRELUDE.lines().count() + constants().lines().count();
        assert_eq!(locate("show", prelude + 3), "show.lua:3");
        assert_eq!(locate("lease", prelude + 1), "task.lua:1");
    }
}
