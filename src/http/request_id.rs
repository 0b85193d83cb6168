//! Request ids: that of the caller, or a new one.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use data_encoding::BASE32_DNSSEC;
use http::{HeaderMap, HeaderName, HeaderValue};

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Returns the id of the caller if it is 1 to 128 visible ASCII characters, which are safe in logs and
/// headers.
pub(super) fn of(headers: &HeaderMap) -> HeaderValue {
    match headers.get(&X_REQUEST_ID) {
        Some(id) if is_sound(id.as_bytes()) => id.clone(),
        _ => make(),
    }
}

fn is_sound(id: &[u8]) -> bool {
    (1..=128).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

/// Creates an id that is unique but not secret: a random number per process, then a counter, which is cheaper
/// than randomness per request.
fn make() -> HeaderValue {
    static PROCESS: LazyLock<u64> = LazyLock::new(rand::random);
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut id = [0; 15];
    id[..8].copy_from_slice(&PROCESS.to_be_bytes());
    id[8..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes()[1..]);
    let mut text = [0; 24];
    BASE32_DNSSEC.encode_mut(&id, &mut text);
    HeaderValue::from_bytes(&text).expect("base32 is visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callers_id_is_echoed_only_where_it_is_safe_to_print() {
        let echoed = |id: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, HeaderValue::from_bytes(id).unwrap());
            of(&headers).as_bytes() == id
        };
        assert!(echoed(b"job-7/a") && echoed(&[b'x'; 128]));
        assert!(!echoed(b"") && !echoed(&[b'x'; 129]) && !echoed(b"a b") && !echoed(b"\xc3\xa9"));
    }

    #[test]
    fn made_ids_differ() {
        assert_ne!(make(), make());
        assert_eq!(make().len(), 24);
    }
}
