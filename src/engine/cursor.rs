//! Cursors of lists and bulk work: opaque to callers, and valid only for the list that they continue.

use data_encoding::BASE64URL_NOPAD;

/// Writes a cursor; `None` at the end of the list. The first two letters of `list` distinguish the lists.
pub(super) fn write(at: &[u8], list: &str) -> Option<String> {
    let tag = &list.as_bytes()[..2];
    (!at.is_empty()).then(|| BASE64URL_NOPAD.encode(&[tag, at].concat()))
}

/// Reads a cursor; `None` if no such list wrote it. Parts that a script reads as numbers are numbers.
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
