//! The kinds of fields there are.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Display;

use serde_json::value::RawValue;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, KnownFormat, ObjectBuilder, OneOfBuilder, SchemaFormat, SchemaType,
    Type,
};
use utoipa::openapi::{Ref, RefOr, Schema};

use super::{Code, Described, Kind, Refusal};
use crate::domain::limits::{HEADER_BYTES_MAX, HEADERS_MAX};
use crate::domain::time::seconds_to_ms;

/// A whole number; `10.0` is one too, as in JSON schema.
#[derive(Debug)]
pub(in crate::http) struct Integer {
    pub(in crate::http) min: u64,
    pub(in crate::http) max: u64,
}

impl Kind for Integer {
    type Value<'a> = u64;

    fn read(&self, text: &RawValue) -> Result<u64, Refusal> {
        let text = text.get();
        let value = text.parse().ok().or_else(|| {
            let value = number(text)?;
            // Exact: the range check keeps the value an integer below 2^53.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            (value.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&value)).then_some(value as u64)
        });
        value
            .filter(|value| (self.min..=self.max).contains(value))
            .ok_or_else(|| format!("must be an integer from {} to {}", self.min, self.max).into())
    }
}

impl Described for Integer {
    #[allow(clippy::cast_precision_loss)]
    fn schema(&self) -> Option<RefOr<Schema>> {
        described(
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .minimum(Some(self.min))
                .maximum(Some(self.max)),
        )
    }
}

/// A duration in seconds, decimals allowed; read as milliseconds.
#[derive(Debug)]
pub(in crate::http) struct Seconds {
    pub(in crate::http) min_ms: u64,
    pub(in crate::http) max_ms: u64,
}

impl Kind for Seconds {
    type Value<'a> = u64;

    fn read(&self, text: &RawValue) -> Result<u64, Refusal> {
        number(text.get())
            .and_then(seconds_to_ms)
            .filter(|ms| (self.min_ms..=self.max_ms).contains(ms))
            .ok_or_else(|| {
                let (min, max) = (seconds(self.min_ms), seconds(self.max_ms));
                format!("must be a number of seconds from {min} to {max}").into()
            })
    }
}

impl Described for Seconds {
    fn schema(&self) -> Option<RefOr<Schema>> {
        described(
            ObjectBuilder::new()
                .schema_type(Type::Number)
                .minimum(Some(seconds(self.min_ms)))
                .maximum(Some(seconds(self.max_ms))),
        )
    }
}

#[allow(clippy::cast_precision_loss)]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

/// A JSON number as a float; `None` for other values.
pub(in crate::http) fn number(text: &str) -> Option<f64> {
    // `parse` alone would also take `inf`, `NaN` and `+1`, which the JSON pass has already ruled out.
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

#[derive(Debug)]
pub(in crate::http) struct Flag;

impl Kind for Flag {
    type Value<'a> = bool;

    fn read(&self, text: &RawValue) -> Result<bool, Refusal> {
        match text.get() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("must be true or false".into()),
        }
    }
}

impl Described for Flag {
    fn schema(&self) -> Option<RefOr<Schema>> {
        described(ObjectBuilder::new().schema_type(Type::Boolean))
    }
}

/// A JSON string, borrowed from the body unless it has escapes.
pub(in crate::http) fn string(text: &RawValue) -> Option<Cow<'_, str>> {
    let inner = text.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str(text.get()).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

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
    fn schema(&self) -> Option<RefOr<Schema>> {
        described(
            ObjectBuilder::new()
                .schema_type(Type::String)
                .min_length(Some(1))
                .max_length(Some(self.bytes_max)),
        )
    }
}

/// Text that a type of the domain reads, or refuses with a sentence.
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
    fn schema(&self) -> Option<RefOr<Schema>> {
        described((self.schema)())
    }
}

/// A domain error as the sentence of a [`Parsed`] field.
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
    fn schema(&self) -> Option<RefOr<Schema>> {
        described(
            ObjectBuilder::new()
                .schema_type(Type::String)
                .enum_values(Some(self.words.iter().map(|(word, _)| *word))),
        )
    }
}

/// Any JSON value, kept as text.
#[derive(Debug)]
pub(in crate::http) struct Any {
    pub(in crate::http) bytes_max: usize,
    pub(in crate::http) too_large: Code,
}

impl Kind for Any {
    type Value<'a> = &'a RawValue;

    fn read<'a>(&self, text: &'a RawValue) -> Result<&'a RawValue, Refusal> {
        let bytes = text.get().len();
        if bytes > self.bytes_max {
            return Err(Refusal {
                code: self.too_large,
                detail: format!("has {bytes} bytes of JSON, {} are allowed", self.bytes_max).into(),
            });
        }
        Ok(text)
    }
}

impl Described for Any {
    fn schema(&self) -> Option<RefOr<Schema>> {
        described(ObjectBuilder::new().schema_type(SchemaType::AnyValue))
    }
}

/// Text by name, for the producer's own use.
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
    fn schema(&self) -> Option<RefOr<Schema>> {
        let value = ObjectBuilder::new()
            .schema_type(Type::String)
            .max_length(Some(HEADER_BYTES_MAX));
        described(
            ObjectBuilder::new()
                .schema_type(Type::Object)
                .max_properties(Some(HEADERS_MAX))
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
    fn schema(&self) -> Option<RefOr<Schema>> {
        let list = ArrayBuilder::new()
            .items(self.of.schema()?)
            .min_items(Some(1))
            .max_items(Some(self.items_max));
        Some(Schema::from(list).into())
    }
}

/// A list of objects, opened together with the object it stands in; see [`super::Object::items`].
#[derive(Debug)]
pub(in crate::http) struct ListOf {
    /// The schemas that an item may have.
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
    fn schema(&self) -> Option<RefOr<Schema>> {
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
        Some(Schema::from(list).into())
    }
}

/// What the API will have, but this version has not.
#[derive(Debug)]
pub(in crate::http) struct Later;

impl Later {
    pub(in crate::http) fn refusal() -> Refusal {
        Refusal {
            code: Code::NotAvailable,
            detail: "is not available in this version".into(),
        }
    }
}

impl Described for Later {
    fn schema(&self) -> Option<RefOr<Schema>> {
        None
    }
}

/// An RFC 3339 instant.
pub(in crate::http) fn instant_schema() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
}

pub(in crate::http) fn described(object: ObjectBuilder) -> Option<RefOr<Schema>> {
    Some(Schema::from(object.build()).into())
}
