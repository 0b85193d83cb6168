//! Nested objects.

use serde_json::value::RawValue;
use utoipa::openapi::{Ref, RefOr, Schema};

use super::kind::{Described, Field, Kind, Refusal, Shape};
use super::object::Object;
use super::wrong::{At, Wrong};
use crate::http::json;

/// An object with a shape of its own.
#[derive(Debug)]
pub(in crate::http) struct Nested {
    /// The name of its schema.
    pub(in crate::http) of: &'static str,
}

impl Kind for Nested {
    type Value<'a> = &'a RawValue;

    fn read<'a>(&self, text: &'a RawValue) -> Result<&'a RawValue, Refusal> {
        Ok(text)
    }
}

impl Described for Nested {
    fn schema(&self) -> RefOr<Schema> {
        Ref::from_schema_name(self.of).into()
    }
}

/// Takes the field and opens it. Returns `None` if it is absent or null, or is not an object, which is noted.
pub(in crate::http) fn nested<'a, 'p>(
    object: &mut Object<'a, '_>,
    field: &Field<Nested>,
    shape: &'static Shape,
    at: At<'p>,
    wrong: &mut Wrong,
) -> Option<Object<'a, 'p>> {
    let fields = json::open(object.take(field, wrong)?.get(), None);
    match fields {
        Ok(fields) => Some(Object::new(fields, shape, at, wrong)),
        Err(_) => {
            wrong.add(at, "must be an object");
            None
        }
    }
}
