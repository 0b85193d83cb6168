//! Lease ids: one opaque value that proves a grant and contains everything needed to settle it.

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use rand::RngCore;
use sha2::Sha256;

use super::{Millis, QueueName, TaskId};

/// The content of a `lease_id`. It is genuine once [`LeaseKey::open`] has returned it, and current only if
/// Redis agrees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub queue: QueueName,
    pub task: TaskId,
    /// Rises with every grant of the task and is never reused.
    pub grant: u32,
    pub granted_at: Millis,
    /// Random per grant, below 2048; kept beside the lease in Redis and compared on every settle.
    pub nonce: u16,
    /// Milliseconds from acceptance to this grant, for the end-to-end latency.
    pub age_ms: u64,
    /// Bytes of the task's record and payload, for the retention's accounting.
    pub size: u32,
    /// The task holds a unique key until it is finished, so an ack must look for it.
    pub holds_key: bool,
}

/// The deployment's key, kept in Redis so that every replica knows every lease. Debug hides it.
#[derive(Clone)]
pub struct LeaseKey {
    secret: [u8; Self::BYTES],
    /// Keyed in advance, which saves half of the work of a MAC.
    mac: Hmac<Sha256>,
}

impl PartialEq for LeaseKey {
    fn eq(&self, other: &Self) -> bool {
        self.secret == other.secret
    }
}

/// The error for a `lease_id` that was truncated, altered, or made with another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a lease_id of this service")]
pub struct ForgedLease;

impl std::fmt::Debug for LeaseKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LeaseKey(…)")
    }
}

const FORMAT: u8 = 1;
const MAC_BYTES: usize = 16;
const FIXED_BYTES: usize = 1 + 1 + TaskId::BYTES + 4 + 6 + 2 + 6 + 4 + 1;

impl LeaseKey {
    pub const BYTES: usize = 32;

    pub fn new(secret: &[u8; Self::BYTES]) -> Self {
        Self {
            secret: *secret,
            mac: Hmac::new_from_slice(secret).expect("HMAC takes keys of any length"),
        }
    }

    /// Creates a random key.
    pub fn random() -> Self {
        let mut secret = [0; Self::BYTES];
        rand::rng().fill_bytes(&mut secret);
        Self::new(&secret)
    }

    /// Returns the secret. Keep it where only the replicas can read it.
    pub fn secret(&self) -> &[u8; Self::BYTES] {
        &self.secret
    }

    /// Writes the `lease_id` of a grant: base64url of its fields and a 128-bit HMAC-SHA-256 over them.
    pub fn seal(&self, lease: &Lease) -> String {
        let queue = lease.queue.as_str().as_bytes();
        let mut out = Vec::with_capacity(FIXED_BYTES + queue.len() + MAC_BYTES);
        out.push(FORMAT);
        out.push(u8::try_from(queue.len()).expect("queue names have at most 80 bytes"));
        out.extend_from_slice(queue);
        out.extend_from_slice(lease.task.as_bytes());
        out.extend_from_slice(&lease.grant.to_be_bytes());
        out.extend_from_slice(&lease.granted_at.get().to_be_bytes()[2..]);
        out.extend_from_slice(&lease.nonce.to_be_bytes());
        out.extend_from_slice(&lease.age_ms.to_be_bytes()[2..]);
        out.extend_from_slice(&lease.size.to_be_bytes());
        out.push(u8::from(lease.holds_key));
        let mac = self.mac.clone().chain_update(&out).finalize().into_bytes();
        out.extend_from_slice(&mac[..MAC_BYTES]);
        BASE64URL_NOPAD.encode(&out)
    }

    /// # Errors
    /// [`ForgedLease`] for every text that [`Self::seal`] with this key did not write.
    pub fn open(&self, text: &str) -> Result<Lease, ForgedLease> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| ForgedLease)?;
        let (facts, mac) = bytes.split_last_chunk::<MAC_BYTES>().ok_or(ForgedLease)?;
        self.mac
            .clone()
            .chain_update(facts)
            .verify_truncated_left(mac)
            .map_err(|_| ForgedLease)?;
        read(facts).ok_or(ForgedLease)
    }
}

fn read(facts: &[u8]) -> Option<Lease> {
    let (&[format, queue_bytes], rest) = facts.split_first_chunk::<2>()?;
    let (queue, rest) = rest.split_at_checked(queue_bytes.into())?;
    if format != FORMAT || rest.len() != FIXED_BYTES - 2 {
        return None;
    }
    let number = |from: usize, len: usize| {
        rest[from..from + len]
            .iter()
            .fold(0u64, |n, b| n << 8 | u64::from(*b))
    };
    Some(Lease {
        queue: QueueName::parse(std::str::from_utf8(queue).ok()?).ok()?,
        task: TaskId::from_slice(&rest[..14]).ok()?,
        grant: u32::try_from(number(14, 4)).ok()?,
        granted_at: Millis::new(number(18, 6)),
        nonce: u16::try_from(number(24, 2)).ok()?,
        age_ms: number(26, 6),
        size: u32::try_from(number(32, 4)).ok()?,
        holds_key: number(36, 1) == 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease() -> Lease {
        Lease {
            queue: QueueName::parse("emails").unwrap(),
            task: TaskId::new(Millis::local()),
            grant: 7,
            granted_at: Millis::new(1_800_000_000_000),
            nonce: 2047,
            age_ms: 12,
            size: 230,
            holds_key: true,
        }
    }

    #[test]
    fn a_lease_id_reads_back() {
        let (key, lease) = (LeaseKey::new(&[7; 32]), lease());
        assert_eq!(key.open(&key.seal(&lease)), Ok(lease));
    }

    #[test]
    fn a_forged_truncated_or_foreign_lease_id_is_refused() {
        let key = LeaseKey::new(&[7; 32]);
        let id = key.seal(&lease());
        for cut in 0..id.len() {
            assert_eq!(key.open(&id[..cut]), Err(ForgedLease));
        }
        for at in 0..id.len() {
            let mut other = id.clone().into_bytes();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(other).unwrap();
            assert_eq!(key.open(&other), Err(ForgedLease), "changed at {at}");
        }
        assert_eq!(LeaseKey::new(&[8; 32]).open(&id), Err(ForgedLease));
    }
}
