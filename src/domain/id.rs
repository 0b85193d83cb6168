//! Task ids. The service creates them before its first write, so that its own retry cannot double a task.

use std::fmt;

use data_encoding::BASE32_DNSSEC;
use rand::RngCore;

use super::Millis;

/// 48 bits of the maker's clock and 64 random bits; 23 characters of lower-case base32hex that sort by time.
///
/// Fourteen bytes and not a UUID's sixteen: with its header and terminator such a key still fits
/// the 16-byte allocator class of Redis, which saves 16 bytes per task and index.
/// The clock part is for people reading lists; nothing compares it with another clock.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId([u8; TaskId::BYTES]);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a task id: 23 characters of 0-9 and a-v")]
pub struct BadTaskId;

impl TaskId {
    pub const BYTES: usize = 14;

    /// Creates an id at `now` of the local clock.
    pub fn new(now: Millis) -> Self {
        let mut bytes = [0; Self::BYTES];
        bytes[..6].copy_from_slice(&now.get().to_be_bytes()[2..]);
        rand::rng().fill_bytes(&mut bytes[6..]);
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// # Errors
    /// If the slice is not [`Self::BYTES`] long.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, BadTaskId> {
        bytes.try_into().map(Self).map_err(|_| BadTaskId)
    }

    /// # Errors
    /// If [`fmt::Display`] cannot have written the text.
    pub fn parse(text: &str) -> Result<Self, BadTaskId> {
        if text.len() != 23 || text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(BadTaskId);
        }
        let bytes = BASE32_DNSSEC.decode(text.as_bytes()).map_err(|_| BadTaskId)?;
        Self::from_slice(&bytes)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        BASE32_DNSSEC.encode_display(&self.0).fmt(f)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for TaskId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for TaskId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_sorts_by_time() {
        let early = TaskId::new(Millis::new(1_700_000_000_000));
        let late = TaskId::new(Millis::new(1_700_000_000_001));
        assert_eq!(TaskId::parse(&early.to_string()), Ok(early));
        assert_eq!(early.to_string().len(), 23);
        assert!(early < late && early.to_string() < late.to_string());
    }

    #[test]
    fn what_no_service_made_is_refused() {
        for bad in ["", "x", &"w".repeat(23), &"0".repeat(24), &"V".repeat(23)] {
            assert_eq!(TaskId::parse(bad), Err(BadTaskId), "{bad:?}");
        }
    }
}
