//! Request fields. One definition of each field serves the parser and the OpenAPI document.

use std::borrow::Cow;

use serde_json::value::RawValue;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};

use super::problem::Code;

pub(super) mod by_key;
mod lists;
mod nested;
mod numbers;
mod object;
mod plain;
mod shape;
mod texts;
mod wrong;

pub(super) use by_key::{ByKey, Of};
pub(super) use lists::{Headers, ListOf, Several};
pub(super) use nested::{Nested, nested};
pub(super) use numbers::{Decimal, Integer, Seconds, number};
pub(super) use object::Object;
pub(super) use plain::{Any, Flag};
pub(super) use shape::{object_schema, query_shape, shape};
pub(super) use texts::{Label, NO_CONTROLS, Parsed, Word, prefix, sentence, string};
pub(super) use wrong::{At, Wrong};

/// The reason why a value was refused, and the code of the problem.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: Code,
    pub(super) detail: Cow<'static, str>,
}

impl<T: Into<Cow<'static, str>>> From<T> for Refusal {
    fn from(detail: T) -> Self {
        Self {
            code: Code::ValidationFailed,
            detail: detail.into(),
        }
    }
}

/// Returns the allowed values of a field as a JSON schema.
pub(super) trait Described: Sync {
    fn schema(&self) -> RefOr<Schema>;
}

/// Reads the text of a field into a value.
pub(super) trait Kind: Described {
    type Value<'a>;

    fn read<'a>(&self, text: &'a RawValue) -> Result<Self::Value<'a>, Refusal>;
}

/// One field of a request.
#[derive(Debug)]
pub(super) struct Field<K> {
    pub(super) name: &'static str,
    pub(super) kind: K,
    /// The description for the OpenAPI document.
    pub(super) about: &'static str,
    /// The default as JSON; `None` if the field has none.
    pub(super) default: Option<&'static str>,
    pub(super) required: bool,
}

impl<K> Field<K> {
    pub(super) const fn new(name: &'static str, kind: K, about: &'static str) -> Self {
        Self {
            name,
            kind,
            about,
            default: None,
            required: false,
        }
    }

    pub(super) const fn required(name: &'static str, kind: K, about: &'static str) -> Self {
        Self {
            name,
            kind,
            about,
            default: None,
            required: true,
        }
    }

    pub(super) const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }
}

/// A field of any kind.
pub(super) trait AnyField: Sync {
    fn name(&self) -> &'static str;
    fn about(&self) -> &'static str;
    fn default(&self) -> Option<&'static str>;
    fn is_required(&self) -> bool;
    fn schema(&self) -> RefOr<Schema>;
}

impl<K: Described> AnyField for Field<K> {
    fn name(&self) -> &'static str {
        self.name
    }
    fn about(&self) -> &'static str {
        self.about
    }
    fn default(&self) -> Option<&'static str> {
        self.default
    }
    fn is_required(&self) -> bool {
        self.required
    }
    fn schema(&self) -> RefOr<Schema> {
        self.kind.schema()
    }
}

fn described(object: ObjectBuilder) -> RefOr<Schema> {
    Schema::from(object.build()).into()
}

/// All fields of one kind of object. Any other field is refused.
pub(super) type Shape = [&'static dyn AnyField];
