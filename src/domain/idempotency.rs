//! Marks and digests of requests that may be repeated.

use sha2::{Digest as _, Sha256};

/// Half of a SHA-256: two different requests have different digests, even if an attacker chose them.
pub type Digest = [u8; 16];

/// A request that carried an `Idempotency-Key`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeatable {
    key: Digest,
    body: Digest,
}

/// The mark of one task of such a request, by which a repeat finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RepeatMark {
    /// Digest of the owner and the key of the request.
    pub request: Digest,
    /// The index of the task in its batch; `None` for a request with one task.
    pub index: Option<u16>,
    /// Digest of the whole body: a repeat must have the same.
    pub body: Digest,
}

impl Repeatable {
    /// `owner` is the owner of the API key, so that two callers never share a mark; `form` is the media type
    /// of the body.
    pub fn new(owner: &str, key: &str, form: &str, body: &[u8]) -> Self {
        Self {
            key: digest(owner, key.as_bytes()),
            body: digest(form, body),
        }
    }

    /// Returns the mark for the only task of the request.
    pub fn mark(self) -> RepeatMark {
        RepeatMark {
            request: self.key,
            index: None,
            body: self.body,
        }
    }

    /// Returns the mark for the task at this index of a batch.
    pub fn mark_of(self, index: u16) -> RepeatMark {
        RepeatMark {
            index: Some(index),
            ..self.mark()
        }
    }
}

/// The length goes first, so that no byte can move from one part to the other.
fn digest(part: &str, rest: &[u8]) -> Digest {
    let hash = Sha256::new()
        .chain_update((part.len() as u64).to_be_bytes())
        .chain_update(part)
        .chain_update(rest)
        .finalize();
    *hash.first_chunk().expect("a SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_differ_by_owner_key_form_and_body() {
        let mark = |owner, key, form, body: &str| Repeatable::new(owner, key, form, body.as_bytes()).mark();
        let one = mark("", "ab", "task", "{}");
        assert_eq!(one, mark("", "ab", "task", "{}"));
        for other in [mark("a", "b", "task", "{}"), mark("", "abc", "task", "{}")] {
            assert_ne!(one.request, other.request);
            assert_eq!(one.body, other.body);
        }
        for other in [mark("", "ab", "batch", "{}"), mark("", "ab", "task", "{ }")] {
            assert_eq!(one.request, other.request);
            assert_ne!(one.body, other.body);
        }
    }
}
