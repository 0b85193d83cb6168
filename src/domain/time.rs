//! Points in time by Redis's clock: whole milliseconds since 1970.

use std::fmt;

/// Milliseconds since 1970-01-01T00:00:00Z. Displayed as RFC 3339 in UTC with three decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Millis(u64);

impl Millis {
    /// 9999-12-31T23:59:59.999Z, the last instant RFC 3339 can write.
    pub const MAX: Self = Self(253_402_300_799_999);

    pub const fn new(ms: u64) -> Self {
        Self(ms)
    }

    pub const fn get(self) -> u64 {
        self.0
    }

    pub const fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Returns the milliseconds since `earlier`; a negative time counts as zero.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Reads the clock of this process. Used for ids and logs only, and never compared with Redis's.
    pub fn local() -> Self {
        let elapsed = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Self(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
    }

    /// Parses an RFC 3339 instant with any offset; digits after the milliseconds are cut.
    ///
    /// # Errors
    /// For other texts, and for instants before 1970.
    pub fn parse(text: &str) -> Result<Self, BadInstant> {
        let instant: jiff::Timestamp = text.parse().map_err(|_| BadInstant)?;
        u64::try_from(instant.as_millisecond())
            .map(Self)
            .map_err(|_| BadInstant)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an RFC 3339 instant such as 2027-01-31T08:00:00Z")]
pub struct BadInstant;

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = i64::try_from(self.0.min(Self::MAX.0)).unwrap_or(i64::MAX);
        match jiff::Timestamp::from_millisecond(ms) {
            Ok(instant) => write!(f, "{instant:.3}"),
            Err(_) => f.write_str("9999-12-31T23:59:59.999Z"),
        }
    }
}

impl serde::Serialize for Millis {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// Converts seconds of the wire (a JSON number, decimals allowed) to milliseconds, rounded to the nearest.
/// Returns `None` for negative and infinite numbers and those beyond 2^53 ms.
pub fn seconds_to_ms(seconds: f64) -> Option<u64> {
    let ms = (seconds * 1000.0).round();
    // Exact: the range check keeps the value an integer below 2^53.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    (0.0..9_007_199_254_740_992.0).contains(&ms).then_some(ms as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_shown_with_milliseconds_and_read_back() {
        let at = Millis::new(1_800_000_000_120);
        assert_eq!(at.to_string(), "2027-01-15T08:00:00.120Z");
        assert_eq!(Millis::parse("2027-01-15T09:00:00.12+01:00"), Ok(at));
        assert!(Millis::parse("tomorrow").is_err());
        assert_eq!(Millis::new(u64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn seconds_that_are_no_duration_are_refused() {
        assert_eq!(seconds_to_ms(0.5), Some(500));
        for bad in [-0.1, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(seconds_to_ms(bad), None);
        }
    }
}
