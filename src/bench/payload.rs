//! Payloads of an exact size that contain the moment of sending.

use std::str::FromStr;

const BEFORE_MARK: &str = r#"{"at":""#;
const AFTER_MARK: &str = r#"","pad":""#;
const END: &str = r#""}"#;
const MARK_DIGITS: usize = 16;

/// The size of a payload without padding.
pub(super) const PAYLOAD_BYTES_MIN: usize = BEFORE_MARK.len() + MARK_DIGITS + AFTER_MARK.len() + END.len();
/// The largest payload that the service accepts.
pub(super) const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;

/// A size such as `200`, or a range such as `150..250` for evenly spread sizes, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PayloadSize {
    least: usize,
    most: usize,
}

impl PayloadSize {
    /// Returns the size of the payload with this number. Consecutive numbers spread evenly over the range.
    pub(super) const fn of(self, number: u64) -> usize {
        self.least + (number % (self.most - self.least + 1) as u64) as usize
    }
}

impl FromStr for PayloadSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (least, most) = text.split_once("..").unwrap_or((text, text));
        let bytes = |text: &str| {
            text.trim()
                .parse::<usize>()
                .map_err(|_| format!("{text:?} is not a number of bytes"))
        };
        let (least, most) = (bytes(least)?, bytes(most)?);
        if least < PAYLOAD_BYTES_MIN || most > PAYLOAD_BYTES_MAX || least > most {
            return Err(format!(
                "sizes must be from {PAYLOAD_BYTES_MIN} to {PAYLOAD_BYTES_MAX} bytes, the smaller one first"
            ));
        }
        Ok(Self { least, most })
    }
}

impl std::fmt::Display for PayloadSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.least == self.most {
            write!(f, "{}", self.least)
        } else {
            write!(f, "{}..{}", self.least, self.most)
        }
    }
}

/// Appends a JSON payload of exactly `bytes` bytes (at least [`PAYLOAD_BYTES_MIN`]) that contains `sent_ns`.
pub(super) fn push_payload(out: &mut Vec<u8>, bytes: usize, sent_ns: u64) {
    out.extend_from_slice(BEFORE_MARK.as_bytes());
    for digit in (0..MARK_DIGITS).rev() {
        out.push(b"0123456789abcdef"[(sent_ns >> (4 * digit)) as usize & 15]);
    }
    out.extend_from_slice(AFTER_MARK.as_bytes());
    out.resize(out.len() + bytes.saturating_sub(PAYLOAD_BYTES_MIN), b'x');
    out.extend_from_slice(END.as_bytes());
}

/// Returns the moments of sending in a lease response, in its order.
pub(super) fn sent_marks(body: &str) -> impl Iterator<Item = u64> + '_ {
    body.match_indices(BEFORE_MARK).filter_map(|(at, found)| {
        let digits = body.get(at + found.len()..at + found.len() + MARK_DIGITS)?;
        u64::from_str_radix(digits, 16).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::{PAYLOAD_BYTES_MIN, PayloadSize, push_payload, sent_marks};

    #[test]
    fn a_payload_is_json_of_exactly_the_requested_size_with_its_mark() {
        for bytes in [PAYLOAD_BYTES_MIN, 150, 200, 4096] {
            let mut out = Vec::new();
            push_payload(&mut out, bytes, 0x1234_5678_9abc);
            assert_eq!(out.len(), bytes);
            let text = String::from_utf8(out).unwrap();
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
            assert_eq!(sent_marks(&text).collect::<Vec<_>>(), [0x1234_5678_9abc]);
        }
    }

    #[test]
    fn sizes_are_spread_evenly_over_their_range() {
        let size: PayloadSize = "150..250".parse().unwrap();
        let sizes: Vec<_> = (0..101).map(|number| size.of(number)).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 101 * 200);
        assert_eq!((sizes.iter().min(), sizes.iter().max()), (Some(&150), Some(&250)));
        assert_eq!("200".parse::<PayloadSize>().unwrap().of(7), 200);
    }

    #[test]
    fn impossible_sizes_are_refused() {
        for text in ["", "10", "250..150", "150..", "2000000", "many"] {
            assert!(text.parse::<PayloadSize>().is_err(), "{text:?}");
        }
    }
}
