//! Query strings.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All bytes but the unreserved ones of RFC 3986.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Appends to a path the parameters that have a value.
pub(super) fn path(path: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let mut text = path.to_owned();
    let given = parameters
        .iter()
        .filter_map(|(name, value)| Some((*name, (*value)?)));
    for (index, (name, value)) in given.enumerate() {
        text.push(if index == 0 { '?' } else { '&' });
        text.push_str(name);
        text.push('=');
        text.push_str(&escaped(value));
    }
    text
}

/// Escapes `text` for a query or for one segment of a path.
pub(super) fn escaped(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_parameters_are_not_sent_and_any_text_is_escaped() {
        let parameters = [
            ("state", Some("ready")),
            ("name", None),
            ("group", Some("Müller & Co")),
        ];
        assert_eq!(
            path("/x", &parameters),
            "/x?state=ready&group=M%C3%BCller%20%26%20Co"
        );
        assert_eq!(path("/x", &[("cursor", None)]), "/x");
    }
}
