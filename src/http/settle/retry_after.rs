//! `retry_after` in the forms that upstreams send.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::value::RawValue;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

use crate::domain::Millis;
use crate::domain::limits::RETRY_AFTER_MS_MAX;
use crate::domain::settle::RetryAfter;
use crate::domain::time::seconds_to_ms;
use crate::http::field::{Described, Kind, Refusal, number, string};

/// The value of a `Retry-After` header (RFC 9110): a number, its digits, or a date.
#[derive(Debug)]
pub(super) struct RetryAfterKind;

impl Kind for RetryAfterKind {
    type Value<'a> = RetryAfter;

    fn read(&self, text: &RawValue) -> Result<RetryAfter, Refusal> {
        let words = string(text);
        let text = words.as_deref().unwrap_or(text.get());
        let allowed = || Refusal::from("must be a number of seconds or an HTTP date, at most 24 hours ahead");
        if let Some(seconds) = number(text) {
            let ms = seconds_to_ms(seconds);
            return ms
                .filter(|ms| *ms <= RETRY_AFTER_MS_MAX)
                .map(RetryAfter::Ms)
                .ok_or_else(allowed);
        }
        let date = words
            .as_deref()
            .and_then(|words| httpdate::parse_http_date(words).ok())
            .ok_or_else(allowed)?;
        // The local clock is exact enough for a bound of a day. Redis's clock decides when the task is due.
        if date > SystemTime::now() + Duration::from_millis(RETRY_AFTER_MS_MAX) {
            return Err(allowed());
        }
        let since_epoch = date.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(RetryAfter::At(Millis::new(
            u64::try_from(since_epoch.as_millis()).unwrap_or_default(),
        )))
    }
}

impl Described for RetryAfterKind {
    fn schema(&self) -> RefOr<Schema> {
        let seconds = ObjectBuilder::new()
            .schema_type(Type::Number)
            .minimum(Some(0))
            .maximum(Some(RETRY_AFTER_MS_MAX / 1000));
        let date = ObjectBuilder::new()
            .schema_type(Type::String)
            .examples(["Fri, 15 Jan 2027 08:00:00 GMT", "30"]);
        Schema::from(OneOfBuilder::new().item(seconds).item(date)).into()
    }
}
