//! Replaces the constants of the scripts by their values: a function of Lua 5.1 has 200 local names at most,
//! and a literal costs no look-up.

use std::collections::HashMap;

/// The value of a constant.
pub(super) type Literals = HashMap<String, String>;

/// Returns the texts with constants replaced by their values, without indentation, comment lines and lines of
/// the form `local NAME, OTHER = 1, 'word'`. Line numbers stay. `known` gets the constants that are found.
pub(super) fn written_out<'a>(
    known: &mut Literals,
    pieces: impl IntoIterator<Item = (&'a str, String)>,
) -> Vec<(&'a str, String)> {
    let mut out = Vec::new();
    for (file, text) in pieces {
        let mut written = String::with_capacity(text.len());
        for line in text.lines() {
            if let Some(literals) = literals(line) {
                known.extend(literals);
            } else {
                write_line(line.trim_start(), known, &mut written);
            }
            written.push('\n');
        }
        out.push((file, written));
    }
    out
}

/// Returns the constants that a text defines.
pub(super) fn literals_in(text: &str) -> Literals {
    text.lines().filter_map(literals).flatten().collect()
}

/// Returns the constants that a line at the left margin defines.
fn literals(line: &str) -> Option<Vec<(String, String)>> {
    let code = line.split(" -- ").next()?;
    let (names, values) = code.strip_prefix("local ")?.split_once(" = ")?;
    let (names, values): (Vec<_>, Vec<_>) = (names.split(", ").collect(), values.split(", ").collect());
    let is_name = |name: &&str| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    let is_literal = |value: &&str| {
        let word = value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
        value.parse::<f64>().is_ok() || word.is_some_and(|word| !word.contains(['\'', '\\']))
    };
    let all = names.len() == values.len() && names.iter().all(is_name) && values.iter().all(is_literal);
    let pairs = names.into_iter().zip(values);
    all.then(|| {
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    })
}

/// Writes a line with values in place of constants, except in strings and comments, and where the name is
/// redefined.
fn write_line(line: &str, known: &mut Literals, out: &mut String) {
    if line.starts_with("--") {
        return;
    }
    if let Some((names, _)) = line
        .strip_prefix("local ")
        .and_then(|code| code.split_once(" = "))
        && !names.contains('(')
    {
        for name in names.split(", ") {
            known.remove(name);
        }
    }
    let bytes = line.as_bytes();
    let (mut at, mut copied) = (0, 0);
    while let Some(&byte) = bytes.get(at) {
        if byte == b'\'' {
            at = behind_text(bytes, at);
        } else if is_of_word(byte) {
            let end = at + bytes[at..].iter().take_while(|byte| is_of_word(**byte)).count();
            if let Some(literal) = byte
                .is_ascii_uppercase()
                .then(|| known.get(&line[at..end]))
                .flatten()
            {
                out.push_str(&line[copied..at]);
                out.push_str(literal);
                copied = end;
            }
            at = end;
        } else if bytes[at..].starts_with(b"--") {
            break;
        } else {
            at += 1;
        }
    }
    out.push_str(&line[copied..]);
}

const fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Returns the end of the string that begins at the quote `at`, past escaped quotes.
fn behind_text(bytes: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while end < bytes.len() && bytes[end] != b'\'' {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    bytes.len().min(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let mut out = written_out(&mut Literals::new(), [("x", text.to_owned())]);
        out.remove(0).1
    }

    #[test]
    fn names_that_stand_for_something_are_written_out() {
        let text = "local MS, WORD = 5, 'w' -- why\nreturn x * MS, WORD, 'MS', MS_MAX -- MS\n";
        assert_eq!(written(text), "\nreturn x * 5, 'w', 'MS', MS_MAX -- MS\n");
    }

    #[test]
    fn comments_that_have_a_line_of_their_own_leave_an_empty_one() {
        assert_eq!(
            written("-- why\n  -- how\nlocal s = '-- not' -- but\n"),
            "\n\nlocal s = '-- not' -- but\n"
        );
    }

    #[test]
    fn what_is_made_by_a_call_or_gets_another_meaning_stays() {
        for text in [
            "local NOW = clock()\nreturn NOW\n",
            "local NONE = {}\nreturn NONE\n",
            "local a = 1\nreturn a\n",
        ] {
            assert_eq!(written(text), text);
        }
        assert_eq!(
            written("  local MS = 5\n  return MS\n"),
            "local MS = 5\nreturn MS\n"
        );
        assert_eq!(
            written("local MS = 5\nlocal x, MS = MS, 7\nreturn MS\n"),
            "\nlocal x, MS = MS, 7\nreturn MS\n"
        );
    }

    #[test]
    fn quotes_in_texts_end_nothing() {
        let text = "local MS = 5\nreturn 'a\\'MS', MS\n";
        assert_eq!(written(text), "\nreturn 'a\\'MS', 5\n");
    }
}
