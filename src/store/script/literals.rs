//! Replaces named constants of the Lua files by their values: a function of Lua 5.1 has at most 200 local
//! names, and a number in the code costs no look-up.

use std::collections::HashMap;

/// Names of constants with their values, as in the code.
pub(super) type Literals = HashMap<String, String>;

/// Returns the texts with values in place of constants, and without indentation, comments on lines of their
/// own, and lines that only declare constants (`local NAME, OTHER = 1, 'word'`). Line numbers do not change.
/// Declared constants are added to `known`.
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

/// Returns the constants that a text declares.
pub(super) fn literals_in(text: &str) -> Literals {
    text.lines().filter_map(literals).flatten().collect()
}

/// Returns the constants that a line at the left margin declares, if it declares nothing else.
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

/// Writes a line with values in place of constants, except in strings and comments. A name that the line
/// declares is no constant from here on.
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
            at = end_of_string(bytes, at);
        } else if is_word_byte(byte) {
            let end = at + bytes[at..].iter().take_while(|byte| is_word_byte(**byte)).count();
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

const fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Returns the index after the string that begins `at` a quote. Skips escaped quotes.
fn end_of_string(bytes: &[u8], at: usize) -> usize {
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
    fn constants_are_replaced_by_their_values() {
        let text = "local MS, WORD = 5, 'w' -- why\nreturn x * MS, WORD, 'MS', MS_MAX -- MS\n";
        assert_eq!(written(text), "\nreturn x * 5, 'w', 'MS', MS_MAX -- MS\n");
    }

    #[test]
    fn a_comment_on_its_own_line_becomes_an_empty_line() {
        assert_eq!(
            written("-- why\n  -- how\nlocal s = '-- not' -- but\n"),
            "\n\nlocal s = '-- not' -- but\n"
        );
    }

    #[test]
    fn computed_values_and_redeclared_names_stay() {
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
    fn escaped_quotes_do_not_end_a_string() {
        let text = "local MS = 5\nreturn 'a\\'MS', MS\n";
        assert_eq!(written(text), "\nreturn 'a\\'MS', 5\n");
    }
}
