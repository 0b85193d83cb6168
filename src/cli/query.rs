//! Query strings.

/// Returns a path with the parameters that have a value.
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

/// Escapes a value for a query or a segment of a path.
pub(super) fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_given_is_not_sent_and_any_text_is_escaped() {
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
