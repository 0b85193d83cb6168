//! The Lua scripts: one library of Redis Functions, made of the parts in `lua/` and the operations in `ops/`.
//!
//! Redis makes a library's functions once, when it loads it; a plain script makes all its functions anew with every
//! call, which costs more than most calls do (ADR 6). Where there are no functions (Redis 6.2) or the service may not
//! load any, the same text goes out as one plain script per operation.

use std::collections::BTreeSet;
use std::sync::{LazyLock, OnceLock};

use deadpool_redis::redis;

use super::keys::{self, QueueKeys};
use super::literals::{Literals, literals_in, written_out};
use super::state;
use crate::domain::RetryPolicy;
use crate::domain::limits;
use crate::domain::pause::PauseMode;
use crate::domain::pulse::{self, Chart};
use crate::domain::queue::{Keep, OnFull, Order, defaults};

/// What ends the lines that are run again with every call.
const PER_CALL: &str = " -- per call";
/// What ends the lines that are run again when a call is on another queue than the one before.
const PER_QUEUE: &str = " -- per queue";
/// What ends the lines that are run by the first call.
const ONCE: &str = " -- once";

/// Stands for the hash in the text that is hashed.
const HASH: &str = "<hash>";

/// Every library's name begins so; the rest tells versions of its text apart.
pub(crate) const LIBRARY: &str = "leaseq_";

/// One operation, both ways to call it.
pub struct Script {
    pub name: &'static str,
    /// Whether it may change anything.
    pub(crate) writes: bool,
    /// For `FCALL`.
    pub(crate) function: String,
    source: &'static str,
    clock: Clock,
    plain: OnceLock<Plain>,
}

/// An operation as a script by itself.
pub(crate) struct Plain {
    /// For `SCRIPT LOAD`.
    pub(crate) text: String,
    /// For `EVALSHA`.
    pub(crate) sha: String,
}

impl Script {
    /// Made when it is first asked for: most services never do.
    pub(crate) fn plain(&self) -> &Plain {
        self.plain.get_or_init(|| {
            let text = text(plain_pieces(&(self.name, self.source), self.clock));
            let sha = redis::Script::new(&text).get_hash().to_owned();
            Plain { text, sha }
        })
    }
}

/// All operations on one clock.
pub struct Library {
    /// For `FUNCTION LOAD`.
    pub(crate) code: String,
    pub scripts: Vec<Script>,
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

macro_rules! files {
    ($name:ident, $folder:literal: $($file:ident)*) => {
        /// Lua files by name, each after those that it uses.
        pub const $name: &[(&str, &str)] =
            &[$((stringify!($file), include_str!(concat!($folder, stringify!($file), ".lua"))),)*];
    };
}
files!(PARTS, "lua/": events paused intake rotation naming task unique breaker gates holds counts blocked lanes expiry waiting clear history requests grant draw plain candidates moves parked several
    marks settle followed finish deaths bury retry overdue late repeats replace guard examine latency charts walk standing);
files!(SOURCES, "ops/": enqueue lease pause recall ack nack release extend sweep cancel patch purge discard configure delete hold set_breaker reorder overview show
    list follow dead dead_groups replay purge_dead explain verify_tasks verify_index verify_lane verify_done verify_counts beat pulse workers names groups);

const PRELUDE: &str = include_str!("lua/prelude.lua");

/// The words that a file's header has behind `word`.
fn named<'a>(source: &'a str, word: &str) -> Vec<&'a str> {
    let mark = format!("-- {word} ");
    source
        .lines()
        .take_while(|line| line.starts_with("--"))
        .filter_map(|line| line.strip_prefix(&mark))
        .flat_map(str::split_whitespace)
        .collect()
}

/// A part as it stands in every operation that reaches it.
struct Part {
    name: &'static str,
    /// Itself, and what it uses.
    reaches: BTreeSet<&'static str>,
    literals: Literals,
    /// What a call of an operation with this part begins with.
    resets: String,
    text: String,
}

/// In the order of [`PARTS`]. Each is written once, not once for every operation.
static WRITTEN: LazyLock<Vec<Part>> = LazyLock::new(|| {
    let mut written = Vec::new();
    for &(name, source) in PARTS {
        let reaches = reach(&written, source);
        let declared = declared(source);
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

/// They are the same on both clocks.
static FOUNDATION_LITERALS: LazyLock<Literals> = LazyLock::new(|| {
    let foundation = foundation(Clock::Redis);
    foundation
        .iter()
        .flat_map(|(_, text)| literals_in(text))
        .collect()
});

/// The parts that a file uses, and those that these use.
fn reach(parts: &[Part], source: &str) -> BTreeSet<&'static str> {
    let uses = named(source, "Uses");
    let used = parts.iter().filter(|part| uses.contains(&part.name));
    used.flat_map(|part| part.reaches.iter().copied()).collect()
}

/// What names stand for behind the foundation and these parts.
fn known_to(parts: &[Part], reached: &BTreeSet<&str>) -> Literals {
    let mut known = FOUNDATION_LITERALS.clone();
    for part in parts.iter().filter(|part| reached.contains(part.name)) {
        known.extend(part.literals.clone());
    }
    known
}

/// The facts that Lua takes from Rust, so that each is written once.
fn constants(clock: Clock) -> String {
    const RETRY: RetryPolicy = RetryPolicy::DEFAULT;
    let now = match clock {
        Clock::Redis => {
            "local t = redis.call('TIME') return t[1] * 1000 + math.floor(t[2] / 1000)".to_owned()
        }
        Clock::Test => format!("return tonumber(redis.call('GET', '{}'))", keys::TEST_CLOCK),
    };
    format!(
        "local DEFAULT_LEASE_MS, DEFAULT_MAX_ATTEMPTS = {}, {}\n\
         local DEFAULT_RETRY = {{ strategy = {}, base_ms = {}, factor = {}, max_ms = {}, jitter = {} }}\n\
         local HISTORY_ATTEMPTS_MAX, HISTORY_BYTES_MAX = {}, {}\n\
         local AGED, FIFO, KEEP_RESULTS, KEEP_NONE = {}, {}, {}, {}\n\
         local LOOK_MAX, QUEUE_NAMES_MAX = {}, {}\n\
         local PAUSE_LEASE, PAUSE_ENQUEUE = {}, {}\n\
         local PAUSE_WORDS = {{ {} }} -- by their bits\n\
         local STEP_10S_MS, ROWS_10S_MAX, STEP_5M_MS, ROWS_5M_MAX = {}, {}, {}, {}\n\
         local WAITING_MS_MAX, WORKERS_MAX, WORKER_MS_MAX = {}, {}, {}\n\
         local HINTS, EVENTS = '{}', '{}'\n\
         local NONE = {{}} -- for lists that most calls leave empty; nobody writes to it\n\
         local DEAD_GROUPS_MAX, FOLLOWED_MAX, REJECT_ENQUEUE, ENDED = {}, {}, {}, '{}'\n\
         {}\
         local function clock() {now} end\n",
        defaults::LEASE_MS,
        defaults::MAX_ATTEMPTS,
        RETRY.strategy as u8,
        RETRY.base_ms,
        f64::from(RETRY.factor.0) / 1000.0,
        RETRY.max_ms,
        RETRY.jitter as u8,
        limits::HISTORY_ATTEMPTS_MAX,
        limits::HISTORY_BYTES_MAX,
        Order::Aged as u8,
        Order::Fifo as u8,
        Keep::Results as u8,
        Keep::None as u8,
        limits::PAGE_SCAN_MAX,
        limits::NAMES_MAX,
        PauseMode::Lease.bits(),
        PauseMode::Enqueue.bits(),
        pause_words(),
        Chart::Fine.step_ms(),
        Chart::Fine.rows_max(),
        Chart::Coarse.step_ms(),
        Chart::Coarse.rows_max(),
        pulse::WAITING_MS_MAX,
        pulse::WORKERS_MAX,
        pulse::WORKER_MS_MAX,
        keys::WAKE,
        keys::EVENTS,
        limits::DEAD_GROUPS_MAX,
        limits::FOLLOWED_MAX,
        OnFull::RejectEnqueue as u8,
        keys::ENDED,
        QueueKeys::lua(),
    )
}

/// What may be paused, each at the place that its bits say as a number.
fn pause_words() -> String {
    let words = (1..).map_while(PauseMode::of_bits).map(PauseMode::word);
    words
        .map(|word| format!("'{word}'"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// `a, b = x, y` of each line `local a, b = x, y` that ends in `mark`.
fn assignments(text: &str, mark: &str) -> String {
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("local ")?.strip_suffix(mark));
    lines.flat_map(|line| [" ", line]).collect()
}

/// The text as it is loaded: what is run later is only declared. Lines stay where they are.
fn declared(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let later = [PER_CALL, PER_QUEUE, ONCE]
            .into_iter()
            .find_map(|mark| line.strip_suffix(mark));
        out.push_str(later.and_then(|line| line.split(" = ").next()).unwrap_or(line));
        out.push('\n');
    }
    out
}

/// What all operations stand on, as files with their texts.
fn foundation(clock: Clock) -> [(&'static str, String); 4] {
    [
        ("constants", constants(clock)),
        ("prelude", declared(PRELUDE)),
        ("state", state::lua()),
        ("begin", beginning()),
    ]
}

/// What every call begins with. Apart from what the parts add, for a function of Lua 5.1 knows 60 outer names at most.
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

/// The parts that an operation reaches, what each call of it begins with, and itself as `run()`, as they stand in what is loaded.
fn operation(name: &'static str, source: &str) -> Vec<(&'static str, String)> {
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

/// The files a plain script is made of, in order, as they stand in it.
fn plain_pieces(source: &(&'static str, &'static str), clock: Clock) -> Vec<(&'static str, String)> {
    let &(name, source) = source;
    let mut pieces = vec![("start", "local keys, argv = KEYS, ARGV\n".to_owned())];
    pieces.extend(written_out(&mut Literals::new(), foundation(clock)));
    pieces.push(("define", "local function define()\n".to_owned()));
    pieces.extend(operation(name, source));
    // A plain script may not say that it is wanted on a full store; one whose first write frees is let through.
    let frees = if named(source, "Flags").contains(&"allow-oom") {
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

/// The files the library is made of, in order, as they stand in it. Each operation has parts of its own and is made by a
/// function of its own, for one of Lua 5.1 has 200 local names at most; of the foundation it may know 60.
fn library_pieces(hash: &str, clock: Clock) -> Vec<(&'static str, String)> {
    let mut pieces = vec![("start", format!("#!lua name={LIBRARY}{hash}\n"))];
    pieces.extend(written_out(&mut Literals::new(), foundation(clock)));
    for &(name, source) in SOURCES {
        let flags: Vec<_> = named(source, "Flags")
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

fn text(pieces: Vec<(&'static str, String)>) -> String {
    pieces.into_iter().map(|(_, text)| text).collect()
}

fn assemble(clock: Clock) -> Library {
    let code = text(library_pieces(HASH, clock));
    let hash = redis::Script::new(&code).get_hash()[..12].to_owned();
    let script = |&(name, source): &(&'static str, &'static str)| Script {
        name,
        writes: !named(source, "Flags").contains(&"no-writes"),
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

static ON_REDIS_TIME: LazyLock<Library> = LazyLock::new(|| assemble(Clock::Redis));
static ON_TEST_TIME: LazyLock<Library> = LazyLock::new(|| assemble(Clock::Test));

/// All operations on one clock.
pub fn library(clock: Clock) -> &'static Library {
    match clock {
        Clock::Redis => &ON_REDIS_TIME,
        Clock::Test => &ON_TEST_TIME,
    }
}

/// The commands that the Lua files send, by name.
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
    // Up to the key; an expression may choose between two.
    sent.filter_map(|rest| rest.split(',').next())
        .flat_map(|first| first.split('\'').skip(1).step_by(2))
        .filter(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase()))
        .collect()
}

pub(crate) fn script(clock: Clock, name: &'static str) -> &'static Script {
    let mut scripts = library(clock).scripts.iter();
    scripts
        .find(|script| script.name == name)
        .expect("operations name scripts of the list above")
}

/// Where an error is: Redis counts lines from the top of what it loaded, people read files.
pub(crate) fn locate(name: &str, error: &str) -> String {
    let line = |mark: &str| {
        let digits = error
            .split(mark)
            .nth(1)?
            .split(|c: char| !c.is_ascii_digit())
            .next()?;
        digits.parse::<usize>().ok()
    };
    let source = SOURCES.iter().find(|(script, _)| *script == name);
    let found = match (line("user_function:"), line("user_script:"), source) {
        (Some(line), _, _) => file_at(&LIBRARY_LINES, line),
        (None, Some(line), Some(source)) => file_at(&lines(plain_pieces(source, Clock::Redis)), line),
        _ => None,
    };
    found.unwrap_or_else(|| name.to_owned())
}

/// Files with their numbers of lines, in order.
type Lines = Vec<(&'static str, usize)>;

static LIBRARY_LINES: LazyLock<Lines> = LazyLock::new(|| lines(library_pieces("", Clock::Redis)));

fn lines(pieces: Vec<(&'static str, String)>) -> Lines {
    let counted = pieces.into_iter();
    counted.map(|(file, text)| (file, text.lines().count())).collect()
}

fn file_at(files: &Lines, line: usize) -> Option<String> {
    let mut left = line;
    for (file, lines) in files {
        if left <= *lines {
            return Some(format!("{file}.lua:{left}"));
        }
        left -= lines;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::EventKind;

    fn header(source: &str) -> Vec<&str> {
        source.lines().take_while(|line| line.starts_with("--")).collect()
    }

    #[test]
    fn every_script_says_what_it_takes_answers_and_keeps() {
        for (name, source) in SOURCES {
            let header = header(source);
            assert!(header[0].starts_with(&format!("-- {name}: ")), "{name}");
            for part in ["-- ARGV", "-- Reply", "-- Keeps"] {
                assert!(
                    header.iter().any(|line| line.starts_with(part)),
                    "{name} lacks {part}"
                );
            }
        }
    }

    /// What a file declares at its left margin.
    fn declares(text: &str) -> Vec<&str> {
        let names = text.lines().filter_map(|line| {
            let rest = line.strip_prefix("local ")?;
            Some(match rest.strip_prefix("function ") {
                Some(function) => function.split('(').next()?,
                None => rest.split(" = ").next()?,
            })
        });
        names.flat_map(|names| names.split(", ")).map(str::trim).collect()
    }

    /// Names in the code that are no texts, no fields, not assigned to, and no locals of a narrower scope.
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
    fn scripts_tell_only_what_is_known() {
        let mut told = 0;
        for (name, source) in SOURCES.iter().chain(PARTS) {
            for kind in source
                .split("publish_event('")
                .skip(1)
                .filter_map(|rest| rest.split('\'').next())
            {
                let known = EventKind::ALL.iter().any(|known| known.word() == kind);
                assert!(known, "{name} tells {kind}");
                told += 1;
            }
        }
        assert!(told >= 4);
    }

    #[test]
    fn no_two_parts_declare_one_name() {
        let mut seen = BTreeSet::new();
        for (part, text) in [("prelude", PRELUDE)].iter().chain(PARTS) {
            for name in declares(text) {
                assert!(seen.insert(name), "{name} of {part} is declared elsewhere too");
            }
        }
    }

    /// Else what belongs to one call would be left over from another.
    #[test]
    fn every_file_names_the_parts_it_uses() {
        for (file, source) in SOURCES.iter().chain(PARTS) {
            let (reached, own) = (reach(&WRITTEN, source), declares(source));
            let said = words(source);
            for (part, text) in PARTS
                .iter()
                .filter(|(part, _)| part != file && !reached.contains(part))
            {
                for name in declares(text) {
                    assert!(
                        own.contains(&name) || !said.contains(name),
                        "{file} says {name} of {part}, which it does not use"
                    );
                }
            }
        }
    }

    #[test]
    fn an_error_is_located_in_the_file_it_is_in() {
        let line_of = |code: &str, text: &str| 1 + code.lines().position(|line| line.contains(text)).unwrap();
        let library = library(Clock::Redis);
        let lease = library
            .scripts
            .iter()
            .find(|script| script.name == "lease")
            .unwrap();
        for (mark, code) in [
            ("user_function:", &library.code),
            ("user_script:", &lease.plain().text),
        ] {
            let at = |text: &str, more: usize| {
                locate("lease", &format!("ERR {mark}{}: no", more + line_of(code, text)))
            };
            assert_eq!(at("local function keys_of(declared)", 0), "prelude.lua:29");
            assert_eq!(at("local me, wants_wake, wants_next", 0), "lease.lua:23");
            assert_eq!(at("local function open_lane(", 1), "draw.lua:22");
        }
        assert_eq!(locate("lease", "ERR nobody knows where"), "lease");
    }
}
