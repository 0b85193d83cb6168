//! The form of values in responses, and their OpenAPI schemas.

use serde::{Serialize, Serializer};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};

use super::field::NO_CONTROLS;
use crate::domain::TaskState;
use crate::domain::limits::{PAGE_DEFAULT, PAGE_MAX, UNIQUE_KEY_BYTES_MAX, WAIT_SECONDS_MAX};
use crate::domain::names::NAME_PATTERN;

/// Milliseconds, shown as a number of seconds: `30`, `0.25`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seconds(pub(super) u64);

impl Serialize for Seconds {
    #[allow(clippy::cast_precision_loss)]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(1000) {
            serializer.serialize_u64(self.0 / 1000)
        } else {
            serializer.serialize_f64(self.0 as f64 / 1000.0)
        }
    }
}

macro_rules! wire_types {
    ($($(#[doc = $about:literal])+ $name:ident = $schema:expr;)+) => {
        $(
            $(#[doc = $about])+
            pub(super) struct $name;

            impl utoipa::PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    Schema::from($schema.description(Some(concat!($($about),+).trim()))).into()
                }
            }

            impl utoipa::ToSchema for $name {
                fn name() -> std::borrow::Cow<'static, str> {
                    stringify!($name).into()
                }
            }
        )+
    };
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// An RFC 3339 instant.
pub(super) fn instant_schema() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
}

/// As in [`crate::domain::names`].
pub(super) fn name_schema() -> ObjectBuilder {
    text().pattern(Some(NAME_PATTERN))
}

pub(super) fn group_schema() -> ObjectBuilder {
    text()
        .min_length(Some(1))
        .max_length(Some(128))
        .pattern(Some(NO_CONTROLS))
}

pub(super) fn unique_key_schema() -> ObjectBuilder {
    text()
        .min_length(Some(1))
        .max_length(Some(UNIQUE_KEY_BYTES_MAX))
        .pattern(Some(NO_CONTROLS))
}

/// The states that an enqueue can report for an existing task.
const GONE: &str = "gone";

pub(super) fn state_or_gone(state: Option<TaskState>) -> &'static str {
    state.map_or(GONE, TaskState::word)
}

pub(super) fn state_schema() -> ObjectBuilder {
    text().enum_values(Some(TaskState::ALL.map(TaskState::word)))
}

pub(super) fn page_limit_schema() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
        .maximum(Some(PAGE_MAX))
        .default(Some(PAGE_DEFAULT.into()))
}

pub(super) fn wait_schema() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Number)
        .minimum(Some(0))
        .maximum(Some(WAIT_SECONDS_MAX))
        .default(Some(0.into()))
}

pub(super) fn cursor_schema() -> ObjectBuilder {
    text().max_length(Some(512))
}

wire_types! {
    /// Name of a queue or of a task.
    Name = name_schema().examples(["emails"]);
    /// Id of a task: 23 characters that sort by the time of acceptance.
    Id = text().pattern(Some("^[0-9a-v]{23}$"));
    /// RFC 3339 UTC with milliseconds.
    Instant = instant_schema().examples(["2027-01-15T08:00:00.120Z"]);
    /// Seconds, with decimals where needed.
    Duration = ObjectBuilder::new().schema_type(Type::Number).minimum(Some(0)).examples([30]);
    /// Any JSON value, byte for byte as it was sent.
    Json = ObjectBuilder::new().schema_type(SchemaType::AnyValue);
    /// State of a task.
    State = state_schema();
    /// State of a task; `gone` if it is no longer kept.
    StateOrGone = text().enum_values(Some(TaskState::ALL.map(TaskState::word).into_iter().chain([GONE])));
    /// The number of all items.
    Count = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_have_decimals_only_where_needed() {
        let text = |ms| serde_json::to_string(&Seconds(ms)).unwrap();
        assert_eq!(
            [text(30_000), text(250), text(0), text(1_001)],
            ["30", "0.25", "0", "1.001"]
        );
    }
}
