//! Filters of dead letters: the same fields in queries and in bodies.

use serde_json::value::RawValue;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Ref, RefOr, Schema};

use crate::domain::dead::DeadFilter;
use crate::domain::limits::{ERROR_FILTER_BYTES_MAX, ERROR_TYPE_BYTES_MAX};
use crate::domain::task::DeadReason;
use crate::domain::{Group, Millis, TaskName};
use crate::http::field::{At, Described, Field, Kind, Object, Parsed, Refusal, Wrong, shape};
use crate::http::json;
use crate::http::kinds::{GROUP_KIND, INSTANT_KIND, NAME_KIND};
use crate::http::query::QueryFields;

pub(super) const NAME: Field<Parsed<TaskName>> =
    Field::new("name", NAME_KIND, "Only dead letters of this name.");
pub(super) const GROUP: Field<Parsed<Group>> =
    Field::new("group", GROUP_KIND, "Only dead letters of this group.");
pub(super) const REASON: Field<Parsed<DeadReason>> = Field::new(
    "reason",
    Parsed {
        parse: |text| {
            let words = DeadReason::ALL.map(DeadReason::word).join(", ");
            DeadReason::parse(text).ok_or_else(|| format!("must be one of {words}").into())
        },
        schema: || text().enum_values(Some(DeadReason::ALL.map(DeadReason::word))),
    },
    "Only tasks that died for this reason.",
);
pub(super) const ERROR_TYPE: Field<Parsed<String>> = Field::new(
    "error_type",
    Parsed {
        parse: |text| bounded(text, ERROR_TYPE_BYTES_MAX),
        schema: || text().min_length(Some(1)).max_length(Some(ERROR_TYPE_BYTES_MAX)),
    },
    "Only tasks whose last error has this type.",
);
pub(super) const ERROR: Field<Parsed<String>> = Field::new(
    "error",
    Parsed {
        parse: |text| bounded(text, ERROR_FILTER_BYTES_MAX),
        schema: || {
            text()
                .min_length(Some(1))
                .max_length(Some(ERROR_FILTER_BYTES_MAX))
        },
    },
    "Only tasks whose last error contains this text in its message; case matters.",
);
pub(super) const DIED_AFTER: Field<Parsed<Millis>> = Field::new(
    "died_after",
    INSTANT_KIND,
    "Only tasks that died at this instant or later.",
);
pub(super) const DIED_BEFORE: Field<Parsed<Millis>> = Field::new(
    "died_before",
    INSTANT_KIND,
    "Only tasks that died before this instant.",
);

shape! {
    /// A filter of dead letters: all given conditions must hold.
    DeadLetterFilter: NAME, GROUP, REASON, ERROR_TYPE, ERROR, DIED_AFTER, DIED_BEFORE
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn bounded(text: &str, bytes_max: usize) -> Result<String, std::borrow::Cow<'static, str>> {
    let fits = (1..=bytes_max).contains(&text.len());
    fits.then(|| text.to_owned())
        .ok_or_else(|| format!("must be text of 1 to {bytes_max} bytes").into())
}

/// Reads the filter of a query.
pub(super) fn of_query(query: &mut QueryFields) -> DeadFilter {
    let filter = DeadFilter {
        name: query.take(&NAME),
        group: query.take(&GROUP),
        reason: query.take(&REASON),
        error_type: query.take(&ERROR_TYPE),
        error: query.take(&ERROR),
        died_after: query.take(&DIED_AFTER),
        died_before: query.take(&DIED_BEFORE),
    };
    if let Some(detail) = contradiction(&filter) {
        query.refuse(DIED_BEFORE.name, detail);
    }
    filter
}

/// Reads the filter at `at` of a body.
pub(super) fn read(given: &RawValue, at: At<'_>, wrong: &mut Wrong) -> DeadFilter {
    let Ok(fields) = json::open(given.get(), None) else {
        wrong.add(at, "must be an object");
        return DeadFilter::default();
    };
    let mut object = Object::new(fields, DeadLetterFilter::SHAPE, at, wrong);
    let filter = DeadFilter {
        name: object.take(&NAME, wrong),
        group: object.take(&GROUP, wrong),
        reason: object.take(&REASON, wrong),
        error_type: object.take(&ERROR_TYPE, wrong),
        error: object.take(&ERROR, wrong),
        died_after: object.take(&DIED_AFTER, wrong),
        died_before: object.take(&DIED_BEFORE, wrong),
    };
    if let Some(detail) = contradiction(&filter) {
        wrong.add(At::Field(&at, DIED_BEFORE.name), detail);
    }
    filter
}

fn contradiction(filter: &DeadFilter) -> Option<&'static str> {
    let (after, before) = (filter.died_after?, filter.died_before?);
    (before <= after).then_some("must be later than died_after")
}

/// The shape of the object that [`read`] reads.
#[derive(Debug)]
pub(super) struct FilterKind;

impl Kind for FilterKind {
    type Value<'a> = &'a RawValue;

    fn read<'a>(&self, text: &'a RawValue) -> Result<&'a RawValue, Refusal> {
        Ok(text)
    }
}

impl Described for FilterKind {
    fn schema(&self) -> RefOr<Schema> {
        Ref::from_schema_name("DeadLetterFilter").into()
    }
}
