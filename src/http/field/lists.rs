//! Fields that hold several values.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{Ref, RefOr, Schema};

use super::kind::{Described, Kind, Refusal, described};
use crate::domain::limits::{HEADER_BYTES_MAX, HEADERS_MAX};
use crate::http::problem::Code;

/// Text by name, for the use of the producer.
#[derive(Debug)]
pub(in crate::http) struct Headers;

impl Kind for Headers {
    type Value<'a> = BTreeMap<String, String>;

    fn read(&self, text: &RawValue) -> Result<Self::Value<'static>, Refusal> {
        let headers: BTreeMap<String, String> =
            serde_json::from_str(text.get()).map_err(|_| "must be an object of strings")?;
        if headers.len() > HEADERS_MAX {
            return Err(format!("has {} headers, {HEADERS_MAX} are allowed", headers.len()).into());
        }
        for (name, value) in &headers {
            if name.is_empty() || name.len() + value.len() > HEADER_BYTES_MAX {
                return Err(format!(
                    "a header's name must not be empty, and with its value at most {HEADER_BYTES_MAX} bytes"
                )
                .into());
            }
        }
        Ok(headers)
    }
}

impl Described for Headers {
    fn schema(&self) -> RefOr<Schema> {
        let value = ObjectBuilder::new()
            .schema_type(Type::String)
            .max_length(Some(HEADER_BYTES_MAX));
        described(
            ObjectBuilder::new()
                .schema_type(Type::Object)
                .max_properties(Some(HEADERS_MAX))
                .property_names(Some(
                    ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)),
                ))
                .additional_properties(Some(AdditionalProperties::RefOr(value.into()))),
        )
    }
}

/// A list whose items are of one kind.
pub(in crate::http) struct Several<K> {
    pub(in crate::http) of: K,
    pub(in crate::http) items_max: usize,
}

impl<K: for<'a> Kind> Kind for Several<K> {
    type Value<'a> = Vec<K::Value<'a>>;

    fn read<'a>(&self, text: &'a RawValue) -> Result<Self::Value<'a>, Refusal> {
        let items: Vec<&RawValue> = serde_json::from_str(text.get()).map_err(|_| self.allowed())?;
        if !(1..=self.items_max).contains(&items.len()) {
            return Err(self.allowed().into());
        }
        let read = |(index, item)| {
            self.of
                .read(item)
                .map_err(|refusal| format!("item {index}: {}", refusal.detail).into())
        };
        items.into_iter().enumerate().map(read).collect()
    }
}

impl<K> Several<K> {
    fn allowed(&self) -> String {
        format!("must be a list of 1 to {} items", self.items_max)
    }
}

impl<K: Described> Described for Several<K> {
    fn schema(&self) -> RefOr<Schema> {
        let list = ArrayBuilder::new()
            .items(self.of.schema())
            .min_items(Some(1))
            .max_items(Some(self.items_max));
        Schema::from(list).into()
    }
}

/// A list of objects, opened together with the object it stands in; see
/// [`Object::items`](super::Object::items).
#[derive(Debug)]
pub(in crate::http) struct ListOf {
    /// The possible schemas of an item.
    pub(in crate::http) of: &'static [&'static str],
    pub(in crate::http) items_max: usize,
    pub(in crate::http) too_many: Code,
}

impl ListOf {
    pub(super) fn too_many(&self) -> Refusal {
        Refusal {
            code: self.too_many,
            detail: format!("has more than {} items", self.items_max).into(),
        }
    }
}

impl Described for ListOf {
    fn schema(&self) -> RefOr<Schema> {
        let item: RefOr<Schema> = match self.of {
            [one] => Ref::from_schema_name(*one).into(),
            many => {
                let one_of = many.iter().fold(OneOfBuilder::new(), |all, name| {
                    all.item(Ref::from_schema_name(*name))
                });
                Schema::from(one_of).into()
            }
        };
        let list = ArrayBuilder::new().items(item).max_items(Some(self.items_max));
        Schema::from(list).into()
    }
}
