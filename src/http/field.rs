//! Request fields: what each may be, said once. The parser reads by it and the OpenAPI document shows it.

use std::borrow::Cow;
use std::fmt;

use serde_json::value::RawValue;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};

use super::json::{FIELDS_MAX, Fields, Items, Value};
use super::problem::{Code, FieldError, Problem};

mod lists;
mod numbers;
mod plain;
mod shape;
mod texts;

pub(super) use lists::{Headers, ListOf, Several};
pub(super) use numbers::{Integer, Seconds, number};
pub(super) use plain::{Any, Flag, Later};
pub(super) use shape::{object_schema, shape};
pub(super) use texts::{Label, Parsed, Word, prefix, sentence, string};

/// Why a value was refused, and under which code.
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

/// What a field may be, as a JSON schema.
pub(super) trait Described: Sync {
    /// Whether the API will have it, but this version has not.
    const LATER: bool = false;

    /// `None` for what the API will have only later.
    fn schema(&self) -> Option<RefOr<Schema>>;
}

/// How a field's text becomes a value.
pub(super) trait Kind: Described {
    type Value<'a>;

    fn read<'a>(&self, text: &'a RawValue) -> Result<Self::Value<'a>, Refusal>;
}

/// One field of a request.
#[derive(Debug)]
pub(super) struct Field<K> {
    pub(super) name: &'static str,
    pub(super) kind: K,
    /// What it does, for the OpenAPI document.
    pub(super) about: &'static str,
    /// As JSON; `None` where nothing stands for the field's absence.
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

/// A field, whatever its kind.
pub(super) trait AnyField: Sync {
    fn name(&self) -> &'static str;
    fn about(&self) -> &'static str;
    fn default(&self) -> Option<&'static str>;
    fn is_required(&self) -> bool;
    fn schema(&self) -> Option<RefOr<Schema>>;
    fn is_later(&self) -> bool;
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
    fn schema(&self) -> Option<RefOr<Schema>> {
        self.kind.schema()
    }
    fn is_later(&self) -> bool {
        K::LATER
    }
}

fn described(object: ObjectBuilder) -> Option<RefOr<Schema>> {
    Some(Schema::from(object.build()).into())
}

/// All fields of one kind of object; any other is refused.
pub(super) type Shape = [&'static dyn AnyField];

/// Where in the body: rendered as a JSON pointer (RFC 6901) only when something is wrong there.
#[derive(Clone, Copy)]
pub(super) enum At<'p> {
    Root,
    Field(&'p At<'p>, &'p str),
    Item(&'p At<'p>, usize),
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Item(parent, index) => write!(f, "{parent}/{index}"),
            Self::Field(parent, key) if key.contains(['~', '/']) => {
                write!(f, "{parent}/{}", key.replace('~', "~0").replace('/', "~1"))
            }
            Self::Field(parent, key) => write!(f, "{parent}/{key}"),
        }
    }
}

/// Everything that is wrong with a request, so that one answer tells all of it.
#[derive(Debug, Default)]
pub(super) struct Wrong {
    errors: Vec<FieldError>,
    code: Option<Code>,
}

impl Wrong {
    /// More than this many are of no use to a reader, and a batch of bad tasks must not be answered with megabytes.
    const SHOWN_MAX: usize = 20;
    /// Keys are the caller's to invent; what is repeated of them is not.
    const POINTER_BYTES_MAX: usize = 200;

    pub(super) fn add(&mut self, at: At<'_>, refusal: impl Into<Refusal>) {
        self.push(|| at.to_string(), refusal.into());
    }

    /// Something wrong outside the body: `query` and a parameter's name, for example.
    pub(super) fn add_named(&mut self, place: &str, name: &str, refusal: impl Into<Refusal>) {
        self.push(|| format!("{place}:{name}"), refusal.into());
    }

    fn push(&mut self, pointer: impl FnOnce() -> String, refusal: Refusal) {
        let Refusal { code, detail } = refusal;
        // A plain mistake outranks a size or an option that is not there yet: it must be mended in any case.
        if self.code != Some(Code::ValidationFailed) {
            self.code = Some(if code == Code::ValidationFailed {
                code
            } else {
                self.code.unwrap_or(code)
            });
        }
        if self.errors.len() < Self::SHOWN_MAX {
            let mut pointer = pointer();
            if pointer.len() > Self::POINTER_BYTES_MAX {
                pointer.truncate(prefix(&pointer, Self::POINTER_BYTES_MAX).len());
                pointer.push('…');
            }
            self.errors.push(FieldError { pointer, detail });
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.code.is_none()
    }

    /// The problem of a request that has no value to go on with.
    pub(super) fn into_problem(self) -> Problem {
        Problem::of_fields(self.code.unwrap_or(Code::ValidationFailed), self.errors)
    }

    /// # Errors
    /// When anything was wrong.
    pub(super) fn into_result(self) -> Result<(), Problem> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(self.into_problem())
        }
    }
}

/// An object being read: fields are taken by name, and what nobody takes is wrong.
pub(super) struct Object<'a, 'p> {
    fields: Fields<'a>,
    at: At<'p>,
    shape: &'static Shape,
}

impl<'a, 'p> Object<'a, 'p> {
    /// Notes each field that the shape does not have or has only later, or that is there twice.
    pub(super) fn new(fields: Fields<'a>, shape: &'static Shape, at: At<'p>, wrong: &mut Wrong) -> Self {
        if fields.has_more {
            wrong.add(at, format!("has more than {FIELDS_MAX} fields"));
        }
        for (index, (key, _)) in fields.entries.iter().enumerate() {
            let here = At::Field(&at, key);
            match shape.iter().find(|field| field.name() == key) {
                None => wrong.add(here, unknown(shape)),
                Some(_) if fields.entries[..index].iter().any(|(earlier, _)| earlier == key) => {
                    wrong.add(here, "is given twice");
                }
                // What the API will have must not be ignored until it has.
                Some(field) if field.is_later() && fields.text(key).is_some() => {
                    wrong.add(here, Later::refusal())
                }
                Some(_) => {}
            }
        }
        Self { fields, at, shape }
    }

    pub(super) fn at(&self) -> At<'p> {
        self.at
    }

    /// The field's value. `None` where it is absent, null, or wrong; the latter is noted.
    pub(super) fn take<K: Kind>(&mut self, field: &Field<K>, wrong: &mut Wrong) -> Option<K::Value<'a>> {
        let text = self.text(field.name);
        if text.is_none() && field.required {
            wrong.add(At::Field(&self.at, field.name), "is required");
        }
        field
            .kind
            .read(text?)
            .map_err(|refusal| wrong.add(At::Field(&self.at, field.name), refusal))
            .ok()
    }

    /// The items of the list that was opened with the object. `None` where absent, null, no list,
    /// or longer than the limit; the latter two are noted.
    pub(super) fn items(&mut self, field: &Field<ListOf>, wrong: &mut Wrong) -> Option<Items<'a>> {
        let at = At::Field(&self.at, field.name);
        let found = self.fields.entries.iter_mut().find(|(key, _)| key == field.name);
        match found.map(|(_, value)| std::mem::replace(value, Value::NoItems { null: true })) {
            Some(Value::Items(items)) if items.count > field.kind.items_max => {
                wrong.add(at, field.kind.too_many());
                None
            }
            Some(Value::Items(items)) => Some(items),
            Some(Value::NoItems { null: true }) if !field.required => None,
            Some(_) => {
                wrong.add(at, "must be a list of objects");
                None
            }
            None => {
                if field.required {
                    wrong.add(at, "is required");
                }
                None
            }
        }
    }

    fn text(&self, name: &str) -> Option<&'a RawValue> {
        debug_assert!(
            self.shape.iter().any(|field| field.name() == name),
            "{name} is read but not in its shape"
        );
        self.fields.text(name)
    }
}

fn unknown(shape: &Shape) -> String {
    let names: Vec<_> = shape
        .iter()
        .filter(|field| !field.is_later())
        .map(|field| field.name())
        .collect();
    if names.is_empty() {
        return "is not a field of this request, which has none".to_owned();
    }
    format!(
        "is not a field of this request; its fields are {}",
        names.join(", ")
    )
}
