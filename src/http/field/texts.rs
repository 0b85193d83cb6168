//! Fields that are text.

use std::borrow::Cow;
use std::fmt::Display;

use serde_json::value::RawValue;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

use super::kind::{Described, Kind, Refusal, described};

/// A JSON string, borrowed from the body unless it has escapes.
pub(in crate::http) fn string(text: &RawValue) -> Option<Cow<'_, str>> {
    let inner = text.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str(text.get()).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

/// Returns the longest prefix of at most this many bytes that ends between characters.
pub(in crate::http) fn prefix(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A regular expression for OpenAPI.
pub(in crate::http) const NO_CONTROLS: &str = r"^[^\x00-\x1f\x7f-\x9f]*$";

/// Short printable text, such as a worker's name.
#[derive(Debug)]
pub(in crate::http) struct Label {
    pub(in crate::http) bytes_max: usize,
}

impl Kind for Label {
    type Value<'a> = Cow<'a, str>;

    fn read<'a>(&self, text: &'a RawValue) -> Result<Cow<'a, str>, Refusal> {
        string(text)
            .filter(|s| (1..=self.bytes_max).contains(&s.len()) && !s.chars().any(char::is_control))
            .ok_or_else(|| {
                format!(
                    "must be text of 1 to {} bytes without control characters",
                    self.bytes_max
                )
                .into()
            })
    }
}

impl Described for Label {
    fn schema(&self) -> RefOr<Schema> {
        described(
            ObjectBuilder::new()
                .schema_type(Type::String)
                .min_length(Some(1))
                .max_length(Some(self.bytes_max))
                .pattern(Some(NO_CONTROLS)),
        )
    }
}

/// Text that a domain type parses, or refuses with a sentence.
pub(in crate::http) struct Parsed<T> {
    pub(in crate::http) parse: fn(&str) -> Result<T, Cow<'static, str>>,
    pub(in crate::http) schema: fn() -> ObjectBuilder,
}

impl<T> Kind for Parsed<T> {
    type Value<'a> = T;

    fn read(&self, text: &RawValue) -> Result<T, Refusal> {
        let text = string(text).ok_or("must be a string")?;
        (self.parse)(&text).map_err(Refusal::from)
    }
}

impl<T> Described for Parsed<T> {
    fn schema(&self) -> RefOr<Schema> {
        described((self.schema)())
    }
}

/// Turns a domain error into the sentence of a [`Parsed`] field.
pub(in crate::http) fn sentence(error: impl Display) -> Cow<'static, str> {
    error.to_string().into()
}

/// One of a few words.
pub(in crate::http) struct Word<T: 'static> {
    pub(in crate::http) words: &'static [(&'static str, T)],
}

impl<T: Copy + Sync> Kind for Word<T> {
    type Value<'a> = T;

    fn read(&self, text: &RawValue) -> Result<T, Refusal> {
        string(text)
            .and_then(|text| self.words.iter().find(|(word, _)| *word == text))
            .map(|(_, value)| *value)
            .ok_or_else(|| {
                let words: Vec<_> = self.words.iter().map(|(word, _)| *word).collect();
                format!("must be one of {}", words.join(", ")).into()
            })
    }
}

impl<T: Sync> Described for Word<T> {
    fn schema(&self) -> RefOr<Schema> {
        described(
            ObjectBuilder::new()
                .schema_type(Type::String)
                .enum_values(Some(self.words.iter().map(|(word, _)| *word))),
        )
    }
}
