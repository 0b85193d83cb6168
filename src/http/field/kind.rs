//! Fields, the kinds of value that they take, and the shapes that they form.

use std::borrow::Cow;

use serde_json::value::RawValue;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};

use crate::http::problem::Code;

/// The reason why a value was refused, and the code of the problem.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::http) struct Refusal {
    pub(in crate::http) code: Code,
    pub(in crate::http) detail: Cow<'static, str>,
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
pub(in crate::http) trait Described: Sync {
    fn schema(&self) -> RefOr<Schema>;
}

/// Reads the text of a field into a value.
pub(in crate::http) trait Kind: Described {
    type Value<'a>;

    fn read<'a>(&self, text: &'a RawValue) -> Result<Self::Value<'a>, Refusal>;
}

/// One field of a request.
#[derive(Debug)]
pub(in crate::http) struct Field<K> {
    pub(in crate::http) name: &'static str,
    pub(in crate::http) kind: K,
    /// The description for the OpenAPI document.
    pub(in crate::http) about: &'static str,
    /// The default as JSON; `None` if the field has none.
    pub(in crate::http) default: Option<&'static str>,
    pub(in crate::http) required: bool,
}

impl<K> Field<K> {
    pub(in crate::http) const fn new(name: &'static str, kind: K, about: &'static str) -> Self {
        Self {
            name,
            kind,
            about,
            default: None,
            required: false,
        }
    }

    pub(in crate::http) const fn required(name: &'static str, kind: K, about: &'static str) -> Self {
        Self {
            name,
            kind,
            about,
            default: None,
            required: true,
        }
    }

    pub(in crate::http) const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }
}

/// A field of any kind.
pub(in crate::http) trait AnyField: Sync {
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

pub(super) fn described(object: ObjectBuilder) -> RefOr<Schema> {
    Schema::from(object.build()).into()
}

/// A kind of object with a name of its own; `shape!` writes it.
pub(in crate::http) trait Shaped {
    const SHAPE: &'static Shape;
}

/// All fields of one kind of object. Any other field is refused.
pub(in crate::http) type Shape = [&'static dyn AnyField];
