//! The conventions of the Lua files: sections of a header, and lines that run at the start of a call.

/// The ending of lines that run at the start of each call.
pub(super) const PER_CALL: &str = " -- per call";
/// The ending of lines that run at the start of a call on another queue than the call before.
pub(super) const PER_QUEUE: &str = " -- per queue";
/// The ending of lines that run at the start of the first call.
pub(super) const ONCE: &str = " -- once";

/// Returns the words in the section `section` of a file's header.
pub(super) fn header_words<'a>(source: &'a str, section: &str) -> Vec<&'a str> {
    let mark = format!("-- {section} ");
    source
        .lines()
        .take_while(|line| line.starts_with("--"))
        .filter_map(|line| line.strip_prefix(&mark))
        .flat_map(str::split_whitespace)
        .collect()
}

/// Returns `a, b = x, y` for each line `local a, b = x, y` that ends in `mark`.
pub(super) fn assignments(text: &str, mark: &str) -> String {
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("local ")?.strip_suffix(mark));
    lines.flat_map(|line| [" ", line]).collect()
}

/// Returns the text as it is loaded: lines that run later only declare their names. Line numbers do not
/// change.
pub(super) fn declarations(text: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_run_later_only_declare_their_names() {
        let text = "local a, b = 1, {} -- per call\nlocal c = f() -- once\nlocal d = 4\n";
        assert_eq!(declarations(text), "local a, b\nlocal c\nlocal d = 4\n");
        assert_eq!(assignments(text, PER_CALL), " a, b = 1, {}");
        assert_eq!(assignments(text, ONCE), " c = f()");
        assert_eq!(assignments(text, PER_QUEUE), "");
    }

    #[test]
    fn a_section_ends_with_the_header() {
        let text = "-- x: a file\n-- Uses   one two\n-- Uses   three\nlocal y\n-- Uses   four\n";
        assert_eq!(header_words(text, "Uses"), ["one", "two", "three"]);
        assert!(header_words(text, "Flags").is_empty());
    }
}
