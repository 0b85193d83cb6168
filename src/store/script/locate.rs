//! Finds the file and the line of an error in a script.

use std::sync::LazyLock;

use super::Clock;
use super::library::{Pieces, SOURCES, library_pieces, plain_pieces};

/// Returns file and line of an error in the operation `name`. Redis counts lines from the top of the
/// generated text.
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
        (None, Some(line), Some(source)) => file_at(&lines(plain_pieces(*source, Clock::Redis)), line),
        _ => None,
    };
    found.unwrap_or_else(|| name.to_owned())
}

/// Files with their numbers of lines, in order.
type Lines = Vec<(&'static str, usize)>;

static LIBRARY_LINES: LazyLock<Lines> = LazyLock::new(|| lines(library_pieces("", Clock::Redis)));

fn lines(pieces: Pieces) -> Lines {
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
    use super::super::library::library;
    use super::*;

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
            for (file, text, more) in [
                ("lua/prelude.lua", "local function keys_of(declared)", 0),
                ("ops/lease.lua", "local me, wants_wake, wants_next", 0),
                ("lua/draw.lua", "local function open_lane(", 1),
            ] {
                let path = format!("{}/src/store/{file}", env!("CARGO_MANIFEST_DIR"));
                let line = more + line_of(&std::fs::read_to_string(path).unwrap(), text);
                let name = file.split('/').next_back().unwrap();
                assert_eq!(at(text, more), format!("{name}:{line}"));
            }
        }
        assert_eq!(locate("lease", "ERR without a line"), "lease");
    }
}
