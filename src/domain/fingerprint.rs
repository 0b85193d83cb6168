//! Fingerprints of failures: name, error type, and the message with numbers, ids and values masked.

use super::limits::FINGERPRINT_MESSAGE_BYTES_MAX;
use super::{Millis, TaskId};

/// Dead letters of one fingerprint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadGroup {
    /// Twelve hexadecimal digits, or `other`.
    pub fingerprint: String,
    /// The common part; `None` for `other`, which counts everything past [`super::limits::DEAD_GROUPS_MAX`]
    /// groups.
    pub error: Option<GroupError>,
    pub count: u64,
    /// The times of the oldest and the newest death.
    pub first_at: Millis,
    pub last_at: Millis,
    /// The id of the newest dead letter.
    pub sample: TaskId,
}

/// The common part of dead letters with one fingerprint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupError {
    /// The task's name.
    pub name: String,
    pub kind: String,
    /// The masked message.
    pub message: String,
}

/// Bytes of a message that are read. The rest of a longer one rarely names the failure.
const READ_BYTES_MAX: usize = 2048;
/// A word of letters and digits of this length counts as an id. Hexadecimal words count from a shorter
/// length.
const ID_BYTES_MIN: usize = 16;
const HEX_BYTES_MIN: usize = 8;
/// A word in which letters and digits alternate this often counts as an id.
const ID_TURNS_MIN: usize = 3;

/// Masks numbers, ids, hexadecimal words, e-mail addresses and quoted values, and folds white space. Returns
/// at most [`FINGERPRINT_MESSAGE_BYTES_MAX`] bytes.
pub fn mask(message: &str) -> String {
    let mut out = String::new();
    let mut rest = prefix(message, READ_BYTES_MAX);
    let mut before = ' ';
    while let Some(c) = rest.chars().next()
        && out.len() < FINGERPRINT_MESSAGE_BYTES_MAX
    {
        let taken = if c.is_whitespace() || c.is_control() {
            if !out.is_empty() && !out.ends_with(' ') {
                out.push(' ');
            }
            c.len_utf8()
        } else if let Some(quoted) = quoted_value(rest, before) {
            out.push_str("<quoted>");
            quoted
        } else if is_word(c) {
            word(rest, &mut out)
        } else {
            out.push(c);
            c.len_utf8()
        };
        before = rest[..taken].chars().next_back().unwrap_or(' ');
        rest = &rest[taken..];
    }
    prefix(out.trim_end(), FINGERPRINT_MESSAGE_BYTES_MAX).to_owned()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

/// Returns the length of a quoted text that contains a value: one with a digit or an `@`. Quoted names stay,
/// because they distinguish failures.
fn quoted_value(text: &str, before: char) -> Option<usize> {
    let quote = text
        .chars()
        .next()
        .filter(|c| matches!(c, '\'' | '"' | '`') && !is_word(before))?;
    let inner = text[1..].split(quote).next()?;
    let closed = 1 + inner.len() < text.len();
    let holds_value = inner.contains(|c: char| c.is_ascii_digit() || c == '@');
    (closed && holds_value && !inner.contains('\n')).then_some(inner.len() + 2)
}

/// Writes the first word of `text`, masked. Returns the length of the word.
fn word(text: &str, out: &mut String) -> usize {
    let address = run(text, |c| is_word(c) || matches!(c, '.' | '+' | '@'));
    if address.trim_matches('@').contains('@') {
        out.push_str("<address>");
        return address.len();
    }
    let word = run(text, is_word);
    if is_hex(word) {
        out.push_str("<id>");
        return word.len();
    }
    let mut at = 0;
    while at < word.len() {
        let part = run(&word[at..], |c| !matches!(c, '-' | '_'));
        if part.is_empty() {
            out.push_str(&word[at..=at]);
            at += 1;
        } else if is_hex(part) || is_id(part) {
            out.push_str("<id>");
            at += part.len();
        } else {
            at += numbers(&text[at..], part.len(), out);
        }
    }
    at
}

/// Returns whether a word is surely hexadecimal: it has a prefix, or is long and has both letters and digits.
/// Dashes are allowed.
fn is_hex(word: &str) -> bool {
    let digits = word.strip_prefix("0x").unwrap_or(word);
    let has = |is: fn(&u8) -> bool| digits.bytes().any(|b| is(&b));
    let long = digits.len() >= HEX_BYTES_MIN && has(u8::is_ascii_alphabetic) && has(u8::is_ascii_digit);
    digits.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') && (long || digits.len() < word.len())
}

/// Returns whether letters and digits alternate, or are many: people do not choose such names.
fn is_id(part: &str) -> bool {
    let is_digit = |b: &u8| b.is_ascii_digit();
    let turns = part
        .as_bytes()
        .windows(2)
        .filter(|pair| is_digit(&pair[0]) != is_digit(&pair[1]))
        .count();
    turns >= ID_TURNS_MIN || (turns > 0 && part.len() >= ID_BYTES_MIN)
}

/// Writes a part of `length` bytes with a mask for each number. Points and commas between digits belong to
/// the number.
fn numbers(text: &str, length: usize, out: &mut String) -> usize {
    let mut at = 0;
    while at < length {
        let digits = number(&text[at..]);
        if digits > 0 {
            out.push_str("<n>");
            at += digits;
        } else {
            let letters = run(&text[at..length], |c| !c.is_ascii_digit());
            out.push_str(letters);
            at += letters.len();
        }
    }
    at
}

/// Returns the length of the number at the start of `text`; 0 if there is none.
fn number(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut at = 0;
    while digit(at) || (at > 0 && matches!(bytes.get(at), Some(b'.' | b',')) && digit(at + 1)) {
        at += 1;
    }
    at
}

fn run(text: &str, is_in: impl Fn(char) -> bool) -> &str {
    &text[..text.find(|c| !is_in(c)).unwrap_or(text.len())]
}

fn prefix(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_task_to_task_is_masked() {
        for (message, masked) in [
            ("smtp timeout", "smtp timeout"),
            ("timeout after 30 s", "timeout after <n> s"),
            ("timeout after 29.75 s", "timeout after <n> s"),
            ("10.0.0.7:5432 refused", "<n>:<n> refused"),
            (
                "order 7f9c2b1e-8d1b-4c0a-9e6f-2b7d1c3a4e5f is gone",
                "order <id> is gone",
            ),
            ("object 0xdeadbeef", "object <id>"),
            ("commit 9fceb02d0ae598e9 lost", "commit <id> lost"),
            ("user_42 is blocked", "user_<n> is blocked"),
            ("task 02MZcPKj8sJ0hL4xQ2vN9aB is late", "task <id> is late"),
            ("request req_9aF3kd82 failed", "request req_<id> failed"),
            ("utf-8, http2, E1234", "utf-<n>, http<n>, E<n>"),
            ("a.b+c@example.com bounced", "<address> bounced"),
            ("no user 'u 17'", "no user <quoted>"),
            ("KeyError: 'amount'", "KeyError: 'amount'"),
            ("can't read host's 2 files", "can't read host's <n> files"),
            ("at 2026-11-21T07:50:57.123Z", "at <n>-<n>-<n>T<n>:<n>:<n>Z"),
            ("line\n\n  two\t3 ", "line two <n>"),
            ("façade Ünïcode 7", "façade Ünïcode <n>"),
            ("", ""),
        ] {
            assert_eq!(mask(message), masked, "{message}");
        }
    }

    #[test]
    fn what_tells_failures_apart_stays() {
        for (one, other) in [
            ("no such column", "no such table"),
            ("KeyError: 'a'", "KeyError: 'b'"),
            ("status <1>", "state <1>"),
        ] {
            assert_ne!(mask(one), mask(other));
        }
    }

    #[test]
    fn any_text_is_masked_within_the_bound() {
        for text in ["'", "\"1", "0x", "-", "@", "a@", "é'9'", "\u{0}\u{7f}", "`1`"] {
            for times in [1, 7, 5_000] {
                let masked = mask(&text.repeat(times));
                assert!(masked.len() <= FINGERPRINT_MESSAGE_BYTES_MAX, "{text}");
            }
        }
    }
}
