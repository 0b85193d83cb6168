//! Objects whose keys the client chooses: names, groups.

use std::borrow::Cow;

use serde_json::value::RawValue;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Type};
use utoipa::openapi::{Ref, RefOr, Schema};

use super::kind::{Described, Kind, Refusal};
use super::wrong::{At, Wrong};
use crate::http::json::{self, Fields, Value};

/// An object of values of one kind, by keys that the client chooses.
#[derive(Debug)]
pub(in crate::http) struct ByKey {
    pub(in crate::http) keys_max: usize,
    pub(in crate::http) of: Of,
}

/// The kind of the values.
#[derive(Debug)]
pub(in crate::http) enum Of {
    /// Objects with the schema of this name.
    Shape(&'static str),
    Numbers {
        min: f64,
        max: f64,
    },
}

impl Kind for ByKey {
    type Value<'a> = &'a RawValue;

    fn read<'a>(&self, text: &'a RawValue) -> Result<&'a RawValue, Refusal> {
        Ok(text)
    }
}

impl Described for ByKey {
    fn schema(&self) -> RefOr<Schema> {
        let value: RefOr<Schema> = match self.of {
            Of::Shape(name) => Ref::from_schema_name(name).into(),
            Of::Numbers { min, max } => {
                let number = ObjectBuilder::new()
                    .schema_type(Type::Number)
                    .minimum(Some(min))
                    .maximum(Some(max));
                Schema::from(number).into()
            }
        };
        let map = ObjectBuilder::new()
            .schema_type(Type::Object)
            .max_properties(Some(self.keys_max))
            .additional_properties(Some(AdditionalProperties::RefOr(value)));
        Schema::from(map).into()
    }
}

/// Takes the entries that are not null. Returns `None` if the object is absent, or has too many keys, which
/// is noted.
pub(in crate::http) fn open<'a>(
    text: &'a RawValue,
    kind: &ByKey,
    at: At<'_>,
    wrong: &mut Wrong,
) -> Vec<(Cow<'a, str>, &'a RawValue)> {
    let Ok(Fields { entries, has_more }) = json::open_map(text.get(), kind.keys_max) else {
        wrong.add(at, "must be an object");
        return Vec::new();
    };
    if has_more {
        wrong.add(at, format!("has more than {} entries", kind.keys_max));
        return Vec::new();
    }
    let texts = entries.into_iter().filter_map(|(key, value)| match value {
        Value::Text(text) if text.get() != "null" => Some((key, text)),
        _ => None,
    });
    texts.collect()
}
