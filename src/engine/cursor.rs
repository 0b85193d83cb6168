//! Cursors of lists and bulk work: opaque to callers, but bound to what they go on with.

use data_encoding::BASE64URL_NOPAD;

/// The end of the list is no cursor. `list` is a word whose first two letters tell lists apart.
pub(super) fn write(at: &[u8], list: &str) -> Option<String> {
    let tag = &list.as_bytes()[..2];
    (!at.is_empty()).then(|| BASE64URL_NOPAD.encode(&[tag, at].concat()))
}

/// `None`: no such list handed it out. What a script reads as a number is one.
pub(super) fn read(text: &str, list: &str) -> Option<Vec<u8>> {
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
    let rest = bytes.strip_prefix(&list.as_bytes()[..2])?;
    let numeric = rest.split(|b| *b == b' ').next()?;
    let sane = !numeric.is_empty()
        && numeric.len() <= 24
        && std::str::from_utf8(numeric).ok()?.parse::<f64>().is_ok();
    (sane && rest.len() <= 64).then(|| rest.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_goes_on_with_its_own_list_only() {
        let text = write(b"12 0", "ready").unwrap();
        assert_eq!(read(&text, "ready"), Some(b"12 0".to_vec()));
        assert_eq!(read(&text, "dead"), None);
        assert_eq!(write(b"", "ready"), None);
        for bad in ["", "x", "!", &BASE64URL_NOPAD.encode(b"rex 0")] {
            assert_eq!(read(bad, "ready"), None, "{bad}");
        }
    }
}
