//! Fields that are numbers.

use serde_json::value::RawValue;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

use super::kind::{Described, Kind, Refusal, described};
use crate::domain::time::seconds_to_ms;

/// A whole number; `10.0` is one too, as in JSON schema.
#[derive(Debug)]
pub(in crate::http) struct Integer {
    pub(in crate::http) min: u64,
    pub(in crate::http) max: u64,
}

impl Kind for Integer {
    type Value<'a> = u64;

    fn read(&self, text: &RawValue) -> Result<u64, Refusal> {
        let text = text.get();
        let value = text.parse().ok().or_else(|| {
            let value = number(text)?;
            // The range check keeps the value an integer below 2^53, so the cast is exact.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            (value.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&value)).then_some(value as u64)
        });
        value
            .filter(|value| (self.min..=self.max).contains(value))
            .ok_or_else(|| format!("must be an integer from {} to {}", self.min, self.max).into())
    }
}

impl Described for Integer {
    fn schema(&self) -> RefOr<Schema> {
        described(
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .minimum(Some(self.min))
                .maximum(Some(self.max)),
        )
    }
}

/// A number that need not be whole.
#[derive(Debug)]
pub(in crate::http) struct Decimal {
    pub(in crate::http) min: f64,
    pub(in crate::http) max: f64,
}

impl Kind for Decimal {
    type Value<'a> = f64;

    fn read(&self, text: &RawValue) -> Result<f64, Refusal> {
        number(text.get())
            .filter(|given| (self.min..=self.max).contains(given))
            .ok_or_else(|| format!("must be a number from {} to {}", self.min, self.max).into())
    }
}

impl Described for Decimal {
    fn schema(&self) -> RefOr<Schema> {
        described(
            ObjectBuilder::new()
                .schema_type(Type::Number)
                .minimum(Some(self.min))
                .maximum(Some(self.max)),
        )
    }
}

/// A duration in seconds, decimals allowed; read as milliseconds.
#[derive(Debug)]
pub(in crate::http) struct Seconds {
    pub(in crate::http) min_ms: u64,
    pub(in crate::http) max_ms: u64,
}

impl Seconds {
    /// Returns milliseconds, or a sentence on the allowed values.
    pub(in crate::http) fn parse(&self, text: &str) -> Result<u64, String> {
        let (min, max) = (seconds(self.min_ms), seconds(self.max_ms));
        number(text)
            // Compared before rounding, so that rounding cannot move a value into the limits.
            .filter(|given| (min..=max).contains(given))
            .and_then(seconds_to_ms)
            .ok_or_else(|| format!("must be a number of seconds from {min} to {max}"))
    }
}

impl Kind for Seconds {
    type Value<'a> = u64;

    fn read(&self, text: &RawValue) -> Result<u64, Refusal> {
        self.parse(text.get()).map_err(Refusal::from)
    }
}

impl Described for Seconds {
    fn schema(&self) -> RefOr<Schema> {
        described(
            ObjectBuilder::new()
                .schema_type(Type::Number)
                .minimum(Some(seconds(self.min_ms)))
                .maximum(Some(seconds(self.max_ms))),
        )
    }
}

#[allow(clippy::cast_precision_loss)]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

/// Reads a JSON number as a float; `None` for other values.
pub(in crate::http) fn number(text: &str) -> Option<f64> {
    // `parse` alone would accept `inf`, `NaN` and `+1`, which the JSON pass has already refused.
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}
