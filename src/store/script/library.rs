//! Generates the library, and the plain scripts: puts constants, prelude, parts and operations together.

use std::collections::BTreeSet;
use std::sync::{LazyLock, OnceLock};

use deadpool_redis::redis;

use super::dialect::{ONCE, PER_CALL, PER_QUEUE, assignments, declarations, header_words};
use super::literals::{Literals, literals_in, written_out};
use super::{Clock, Library, Script, constants};
use crate::store::state;

/// Stands for the hash in the text that is hashed.
const HASH: &str = "<hash>";

/// The beginning of every library's name; the rest tells versions of its text apart.
pub(crate) const LIBRARY: &str = "leaseq_";

macro_rules! files {
    ($name:ident, $folder:literal: $($file:ident)*) => {
        /// Lua files by name, each after those that it uses.
        pub const $name: &[(&str, &str)] =
            &[$((stringify!($file), include_str!(concat!("../", $folder, stringify!($file), ".lua"))),)*];
    };
}
files!(PARTS, "lua/": events paused intake rotation naming task unique breaker gates holds counts blocked
    lanes expiry waiting clear history requests grant draw plain candidates moves parked several marks
    settle followed finish deaths bury retry overdue late repeats replace guard examine latency charts walk
    standing);
files!(SOURCES, "ops/": enqueue lease pause recall ack nack release extend sweep cancel patch purge discard
    configure delete hold set_breaker reorder overview show list follow dead dead_groups replay purge_dead
    explain verify_tasks verify_index verify_lane verify_done verify_counts beat pulse workers names groups);

pub(super) const PRELUDE: &str = include_str!("../lua/prelude.lua");

/// Files of a script with their generated texts, in order.
pub(super) type Pieces = Vec<(&'static str, String)>;

/// A part as it is in every operation that reaches it.
pub(super) struct Part {
    name: &'static str,
    /// The part itself, and the parts that it uses.
    reaches: BTreeSet<&'static str>,
    literals: Literals,
    /// The assignments at the start of each call of an operation with this part.
    resets: String,
    text: String,
}

/// The parts in the order of [`PARTS`]. Each is generated once, not once for every operation.
pub(super) static WRITTEN: LazyLock<Vec<Part>> = LazyLock::new(|| {
    let mut written = Vec::new();
    for &(name, source) in PARTS {
        let reaches = reach(&written, source);
        let declared = declarations(source);
        let mut known = known_to(&written, &reaches);
        let text = written_out(&mut known, [(name, declared.clone())]).remove(0).1;
        written.push(Part {
            name,
            reaches: reaches.into_iter().chain([name]).collect(),
            literals: literals_in(&declared),
            resets: assignments(source, PER_CALL),
            text,
        });
    }
    written
});

/// The literals of the foundation, which are the same on both clocks.
static FOUNDATION_LITERALS: LazyLock<Literals> = LazyLock::new(|| {
    let foundation = foundation(Clock::Redis);
    foundation
        .iter()
        .flat_map(|(_, text)| literals_in(text))
        .collect()
});

/// Returns the parts that a file uses, and those that these use.
pub(super) fn reach(parts: &[Part], source: &str) -> BTreeSet<&'static str> {
    let uses = header_words(source, "Uses");
    let used = parts.iter().filter(|part| uses.contains(&part.name));
    used.flat_map(|part| part.reaches.iter().copied()).collect()
}

/// Returns the literals that are known after the foundation and these parts.
fn known_to(parts: &[Part], reached: &BTreeSet<&str>) -> Literals {
    let mut known = FOUNDATION_LITERALS.clone();
    for part in parts.iter().filter(|part| reached.contains(part.name)) {
        known.extend(part.literals.clone());
    }
    known
}

/// Returns the files in front of all operations.
fn foundation(clock: Clock) -> [(&'static str, String); 4] {
    [
        ("constants", constants::lua(clock)),
        ("prelude", declarations(PRELUDE)),
        ("state", state::lua()),
        ("begin", beginning()),
    ]
}

/// Returns the code at the start of every call. The assignments of the parts are not in it, because a
/// function of Lua 5.1 knows at most 60 outer names.
fn beginning() -> String {
    format!(
        "local declared\n\
         local function begin_call(keys, argv) if not call then{} end \
         if keys[1] ~= declared then declared = keys[1]{} end{} end\n",
        assignments(PRELUDE, ONCE),
        assignments(PRELUDE, PER_QUEUE),
        assignments(PRELUDE, PER_CALL)
    )
}

/// Returns an operation as it is loaded: the parts that it reaches, the start of each call, and its own code
/// as `run()`.
fn operation(name: &'static str, source: &str) -> Pieces {
    let reached = reach(&WRITTEN, source);
    let parts = || WRITTEN.iter().filter(|part| reached.contains(part.name));
    let resets: String = parts().map(|part| part.resets.as_str()).collect();
    let begin = format!(
        "local function begin(keys, argv) begin_call(keys, argv){resets} end\nlocal function run()\n"
    );
    let own = [("begin", begin), (name, format!("{source}end\n"))];
    let mut pieces: Vec<_> = parts().map(|part| (part.name, part.text.clone())).collect();
    pieces.extend(written_out(&mut known_to(&WRITTEN, &reached), own));
    pieces
}

/// Returns the files of a plain script.
pub(super) fn plain_pieces((name, source): (&'static str, &str), clock: Clock) -> Pieces {
    let mut pieces = vec![("start", "local keys, argv = KEYS, ARGV\n".to_owned())];
    pieces.extend(written_out(&mut Literals::new(), foundation(clock)));
    pieces.push(("define", "local function define()\n".to_owned()));
    pieces.extend(operation(name, source));
    // A plain script has no flag for a full store, but Redis lets one run whose first write frees memory.
    let frees = if header_words(source, "Flags").contains(&"allow-oom") {
        "call('HDEL', Q, '') "
    } else {
        ""
    };
    pieces.push((
        "call",
        format!("begin(keys, argv) {frees}return run() end return define()\n"),
    ));
    pieces
}

/// Returns the files of the library. Each operation has its own copy of the parts inside a function of its
/// own: a function of Lua 5.1 has at most 200 local names, and 60 names of the functions around it.
pub(super) fn library_pieces(hash: &str, clock: Clock) -> Pieces {
    let mut pieces = vec![("start", format!("#!lua name={LIBRARY}{hash}\n"))];
    pieces.extend(written_out(&mut Literals::new(), foundation(clock)));
    for &(name, source) in SOURCES {
        let flags: Vec<_> = header_words(source, "Flags")
            .iter()
            .map(|flag| format!("'{flag}'"))
            .collect();
        pieces.push(("define", "do local function define()\n".to_owned()));
        pieces.extend(operation(name, source));
        pieces.push((
            "register",
            format!(
                "redis.register_function{{ function_name = '{}', flags = {{ {} }}, \
                 callback = function(keys, argv) begin(keys, argv) return run() end }} end define() end\n",
                function(name, hash),
                flags.join(", "),
            ),
        ));
    }
    pieces
}

fn function(name: &str, hash: &str) -> String {
    format!("lq_{name}_{hash}")
}

pub(super) fn text(pieces: Pieces) -> String {
    pieces.into_iter().map(|(_, text)| text).collect()
}

fn generate(clock: Clock) -> Library {
    let code = text(library_pieces(HASH, clock));
    let hash = redis::Script::new(&code).get_hash()[..12].to_owned();
    let script = |&(name, source): &(&'static str, &'static str)| Script {
        name,
        writes: !header_words(source, "Flags").contains(&"no-writes"),
        function: function(name, &hash),
        source,
        clock,
        plain: OnceLock::new(),
    };
    Library {
        code: code.replace(HASH, &hash),
        scripts: SOURCES.iter().map(script).collect(),
    }
}

static ON_REDIS_TIME: LazyLock<Library> = LazyLock::new(|| generate(Clock::Redis));
static ON_TEST_TIME: LazyLock<Library> = LazyLock::new(|| generate(Clock::Test));

/// Returns all operations on one clock.
pub fn library(clock: Clock) -> &'static Library {
    match clock {
        Clock::Redis => &ON_REDIS_TIME,
        Clock::Test => &ON_TEST_TIME,
    }
}

/// Returns the names of the commands that the Lua files send.
pub(crate) fn commands() -> BTreeSet<&'static str> {
    let texts = PARTS
        .iter()
        .chain(SOURCES)
        .map(|(_, text)| *text)
        .chain([PRELUDE]);
    let sent = texts.flat_map(|text| {
        ["call(", "many("]
            .into_iter()
            .flat_map(|mark| text.split(mark).skip(1))
    });
    // Up to the key; an expression may choose between two commands.
    sent.filter_map(|rest| rest.split(',').next())
        .flat_map(|first| first.split('\'').skip(1).step_by(2))
        .filter(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase()))
        .collect()
}

pub(crate) fn script(clock: Clock, name: &'static str) -> &'static Script {
    let mut scripts = library(clock).scripts.iter();
    scripts
        .find(|script| script.name == name)
        .expect("every operation names a script of `SOURCES`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::EventKind;

    #[test]
    fn a_header_states_arguments_replies_and_invariants() {
        for (name, source) in SOURCES {
            let header: Vec<_> = source.lines().take_while(|line| line.starts_with("--")).collect();
            assert!(header[0].starts_with(&format!("-- {name}: ")), "{name}");
            for section in ["-- ARGV", "-- Reply", "-- Keeps"] {
                assert!(
                    header.iter().any(|line| line.starts_with(section)),
                    "{name} lacks {section}"
                );
            }
        }
    }

    /// Returns the names that a file declares at its left margin.
    fn declared_names(text: &str) -> Vec<&str> {
        let names = text.lines().filter_map(|line| {
            let rest = line.strip_prefix("local ")?;
            Some(match rest.strip_prefix("function ") {
                Some(function) => function.split('(').next()?,
                None => rest.split(" = ").next()?,
            })
        });
        names.flat_map(|names| names.split(", ")).map(str::trim).collect()
    }

    /// Returns the words of the code, without texts, fields, assigned names, and locals of a narrower scope.
    fn words(text: &str) -> BTreeSet<&str> {
        let code = || text.lines().map(|line| line.split("--").next().unwrap_or(""));
        let narrow: BTreeSet<_> = code()
            .filter_map(|line| {
                let line = line.trim_start();
                let parameters = line
                    .split_once("function ")
                    .and_then(|(_, rest)| rest.split(['(', ')']).nth(1));
                let locals = || {
                    line.strip_prefix("local ")
                        .and_then(|rest| rest.split('=').next())
                };
                let loops = || {
                    line.strip_prefix("for ")
                        .and_then(|rest| rest.split(['=']).next()?.split(" in ").next())
                };
                parameters.or_else(locals).or_else(loops)
            })
            .flat_map(|names| names.split(", "))
            .map(str::trim)
            .collect();
        code()
            .flat_map(|line| line.split('\'').step_by(2))
            .flat_map(|code| code.split(['{', ',']))
            .map(|code| code.split_once(" = ").map_or(code, |(_, value)| value))
            .flat_map(|code| code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.'))
            .filter(|word| !narrow.contains(word))
            .collect()
    }

    #[test]
    fn scripts_publish_only_known_kinds_of_events() {
        let mut published = 0;
        for (name, source) in SOURCES.iter().chain(PARTS) {
            for kind in source
                .split("publish_event('")
                .skip(1)
                .filter_map(|rest| rest.split('\'').next())
            {
                let known = EventKind::ALL.iter().any(|known| known.word() == kind);
                assert!(known, "{name} publishes {kind}");
                published += 1;
            }
        }
        assert!(published >= 4);
    }

    #[test]
    fn no_two_parts_declare_one_name() {
        let mut seen = BTreeSet::new();
        for (part, text) in [("prelude", PRELUDE)].iter().chain(PARTS) {
            for name in declared_names(text) {
                assert!(seen.insert(name), "{name} of {part} is declared elsewhere, too");
            }
        }
    }

    /// A file that used a part without naming it would see values of an earlier call.
    #[test]
    fn every_file_names_the_parts_it_uses() {
        for (file, source) in SOURCES.iter().chain(PARTS) {
            let (reached, own) = (reach(&WRITTEN, source), declared_names(source));
            let used = words(source);
            for (part, text) in PARTS
                .iter()
                .filter(|(part, _)| part != file && !reached.contains(part))
            {
                for name in declared_names(text) {
                    assert!(
                        own.contains(&name) || !used.contains(name),
                        "{file} uses {name} of {part}, which its header does not name"
                    );
                }
            }
        }
    }
}
