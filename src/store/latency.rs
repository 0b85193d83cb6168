//! The form of latencies and waiting lease calls in Redis: the Rust twin of `lua/latency.lua` and
//! `ops/beat.lua`.

use bytes::Buf;

use super::reply::BadReply;
use crate::domain::Millis;
use crate::domain::latency::Latencies;
use crate::domain::pulse::WAITING_MS_MAX;

const SUM_MAX: u64 = (1 << 48) - 1;
const COUNT_MAX: u32 = (1 << 24) - 1;
/// Bytes of the name of a replica, and of its entry.
const REPLICA_BYTES: usize = 9;
const ENTRY_BYTES: usize = REPLICA_BYTES + 6 + 4;

/// Writes latencies; empty if nothing was counted.
pub fn write(latencies: &Latencies) -> Vec<u8> {
    let mut out = Vec::new();
    if latencies.is_empty() {
        return out;
    }
    for kind in latencies.kinds() {
        out.extend_from_slice(&kind.sum_ms.min(SUM_MAX).to_be_bytes()[2..]);
        out.push(u8::try_from(kind.counts().len()).expect("there are 255 buckets"));
        for (bucket, count) in kind.counts() {
            out.push(*bucket);
            out.extend_from_slice(&(*count).min(COUNT_MAX).to_be_bytes()[1..]);
        }
    }
    out
}

/// # Errors
/// If neither [`write()`] nor a script can have written the bytes.
pub fn read(mut bytes: &[u8]) -> Result<Latencies, BadReply> {
    let mut latencies = Latencies::default();
    for kind in latencies.kinds_mut() {
        if bytes.len() < 7 {
            return Err(BadReply("latencies"));
        }
        kind.sum_ms = bytes.get_uint(6);
        let buckets = usize::from(bytes.get_u8());
        if bytes.len() < buckets * 4 {
            return Err(BadReply("latencies"));
        }
        for _ in 0..buckets {
            let bucket = bytes.get_u8();
            let count = u32::try_from(bytes.get_uint(3)).expect("three bytes");
            if bucket != crate::domain::latency::NO_BUCKET {
                kind.add_counts(bucket, count);
            }
        }
    }
    Ok(latencies)
}

/// Adds up the waiting lease calls of replicas that reported recently.
pub(super) fn waiting(said: &[u8], now: Millis) -> u64 {
    let entries = said.chunks_exact(ENTRY_BYTES);
    let counts = entries.map(|entry| {
        let mut entry = &entry[REPLICA_BYTES..];
        let said_at = Millis::new(entry.get_uint(6));
        let count = u64::from(entry.get_u32());
        if now.since(said_at) < WAITING_MS_MAX {
            count
        } else {
            0
        }
    });
    counts.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_read_back() {
        let mut latencies = Latencies::default();
        assert!(write(&latencies).is_empty());
        for ms in [0, 1, 30, 31, 86_400_000] {
            latencies.wait.add(ms);
            latencies.end_to_end.add(ms * 2);
        }
        let bytes = write(&latencies);
        assert_eq!(read(&bytes), Ok(latencies));
        for cut in 0..bytes.len() {
            assert!(read(&bytes[..cut]).is_err());
        }
    }

    #[test]
    fn who_did_not_say_again_that_it_waits_is_not_counted() {
        let mut said = Vec::new();
        for (replica, at, count) in [(b"aaaaaaaa,", 1_000_u64, 3_u32), (b"bbbbbbbb,", 20_000, 4)] {
            said.extend_from_slice(replica);
            said.extend_from_slice(&at.to_be_bytes()[2..]);
            said.extend_from_slice(&count.to_be_bytes());
        }
        assert_eq!(waiting(&said, Millis::new(15_999)), 7);
        assert_eq!(waiting(&said, Millis::new(16_000)), 4);
    }
}
