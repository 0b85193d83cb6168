//! Errors that workers report: a text, or an object with type, message and stack.

use std::borrow::Cow;

use serde_json::value::RawValue;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{Ref, RefOr, Schema};

use crate::domain::limits::{ERROR_MESSAGE_BYTES_MAX, ERROR_STACK_BYTES_MAX, ERROR_TYPE_BYTES_MAX};
use crate::domain::task::TaskError;
use crate::http::field::{At, Described, Field, Kind, Object, Refusal, Wrong, prefix, shape, string};
use crate::http::json;

const TYPE: Field<Text> = Field::new("type", Text, "Type of the error, for grouping.").or("\"error\"");
const MESSAGE: Field<Text> = Field::new("message", Text, "Message, cut and marked beyond 8 KiB.").or("\"\"");
const STACK: Field<Text> = Field::new("stack", Text, "Stack trace, cut and marked beyond 32 KiB.");

shape! {
    /// An error with type, message and stack.
    ErrorRequest: TYPE, MESSAGE, STACK
}

/// Reads an error at `at`.
pub(super) fn read(text: &RawValue, at: At<'_>, wrong: &mut Wrong) -> TaskError {
    if let Some(message) = string(text) {
        return cut("", &message, None);
    }
    let Ok(fields) = json::open(text.get(), None) else {
        wrong.add(at, "must be text or an object");
        return TaskError::default();
    };
    let mut object = Object::new(fields, ErrorRequest::SHAPE, at, wrong);
    let mut take = |field| object.take(field, wrong).unwrap_or_default();
    let (kind, message, stack) = (take(&TYPE), take(&MESSAGE), take(&STACK));
    cut(&kind, &message, (!stack.is_empty()).then_some(&*stack))
}

/// Cuts an error to the kept lengths and marks it, so that a worker can report a failure of any length.
pub(super) fn cut(kind: &str, message: &str, stack: Option<&str>) -> TaskError {
    let mut was_cut = false;
    let mut fit = |text: &str, bytes_max: usize| {
        let fitting = prefix(text, bytes_max);
        was_cut |= fitting.len() < text.len();
        fitting.to_owned()
    };
    let kind = fit(if kind.is_empty() { "error" } else { kind }, ERROR_TYPE_BYTES_MAX);
    let message = fit(message, ERROR_MESSAGE_BYTES_MAX);
    let stack = stack.map(|stack| fit(stack, ERROR_STACK_BYTES_MAX));
    TaskError {
        kind,
        message,
        stack,
        cut: was_cut,
    }
}

/// Text of any length.
#[derive(Debug)]
pub(super) struct Text;

impl Kind for Text {
    type Value<'a> = Cow<'a, str>;

    fn read<'a>(&self, text: &'a RawValue) -> Result<Cow<'a, str>, Refusal> {
        string(text).ok_or_else(|| "must be a string".into())
    }
}

impl Described for Text {
    fn schema(&self) -> RefOr<Schema> {
        Schema::from(ObjectBuilder::new().schema_type(Type::String)).into()
    }
}

/// A text, or an object that [`read`] reads.
#[derive(Debug)]
pub(super) struct ErrorKind;

impl Kind for ErrorKind {
    type Value<'a> = &'a RawValue;

    fn read<'a>(&self, text: &'a RawValue) -> Result<&'a RawValue, Refusal> {
        Ok(text)
    }
}

impl Described for ErrorKind {
    fn schema(&self) -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String);
        let one_of = OneOfBuilder::new()
            .item(text)
            .item(Ref::from_schema_name("ErrorRequest"));
        Schema::from(one_of).into()
    }
}
