//! Query strings, read field by field like bodies.

use std::borrow::Cow;

use axum::extract::{FromRequestParts, Query as Pairs};
use http::Uri;
use http::request::Parts;

use super::field::{Field, Parsed, Shape, Shaped, Wrong};
use super::json::FIELDS_MAX;
use super::problem::Problem;

/// A query string with a shape, and the value that its parameters form.
pub(super) trait QueryRequest: Shaped {
    type Value;

    /// Takes the parameters and notes every mistake. Returns `None` only after a mistake.
    fn read(query: &mut QueryFields) -> Option<Self::Value>;
}

/// A query string, read by its shape.
pub(super) struct Query<Q: QueryRequest>(pub(super) Q::Value);

impl<S: Sync, Q: QueryRequest> FromRequestParts<S> for Query<Q> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut query = QueryFields::open(&parts.uri, Q::SHAPE)?;
        let value = Q::read(&mut query);
        query.finish()?;
        Ok(Self(value.expect("a query without mistakes has a value")))
    }
}

/// The query string of a path that takes none.
pub(super) struct NoQuery;

impl<S: Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        QueryFields::open(&parts.uri, &[])?.finish().map(|()| Self)
    }
}

/// A query string that is read field by field. Unknown parameters are refused, as in bodies, so that typos
/// are noticed.
pub(super) struct QueryFields {
    pairs: Vec<(String, String)>,
    wrong: Wrong,
}

impl QueryFields {
    pub(super) fn open(uri: &Uri, shape: &'static Shape) -> Result<Self, Problem> {
        let pairs = Pairs::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| Problem::at("query:", "must be name=value pairs joined by &"))?
            .0;
        if pairs.len() > FIELDS_MAX {
            return Err(Problem::at(
                "query:",
                format!("has more than {FIELDS_MAX} parameters"),
            ));
        }
        let mut wrong = Wrong::default();
        for (index, (name, _)) in pairs.iter().enumerate() {
            match shape.iter().find(|field| field.name() == name) {
                None => wrong.add_named("query", name, unknown(shape)),
                Some(_) if pairs[..index].iter().any(|(earlier, _)| earlier == name) => {
                    wrong.add_named("query", name, "is given twice");
                }
                Some(_) => {}
            }
        }
        Ok(Self { pairs, wrong })
    }

    pub(super) fn take<T>(&mut self, field: &Field<Parsed<T>>) -> Option<T> {
        let Some((_, value)) = self.pairs.iter().find(|(name, _)| name == field.name) else {
            if field.required {
                self.wrong.add_named("query", field.name, "is required");
            }
            return None;
        };
        match (field.kind.parse)(value) {
            Ok(value) => Some(value),
            Err(detail) => {
                self.wrong.add_named("query", field.name, detail);
                None
            }
        }
    }

    /// Notes parameters that exclude each other.
    pub(super) fn refuse(&mut self, name: &str, detail: &'static str) {
        self.wrong.add_named("query", name, detail);
    }

    pub(super) fn finish(self) -> Result<(), Problem> {
        self.wrong.into_result()
    }
}

fn unknown(shape: &Shape) -> String {
    let known = shape.iter().map(|field| field.name());
    match &known.collect::<Vec<_>>()[..] {
        [] => "is not a parameter of this path, which has none".to_owned(),
        known => format!("is not a parameter of this path; it has {}", known.join(", ")),
    }
}

/// Reads a whole number for a [`Parsed`] field of a query.
pub(super) fn whole_number(text: &str, min: usize, max: usize) -> Result<usize, Cow<'static, str>> {
    text.parse()
        .ok()
        .filter(|value| (min..=max).contains(value))
        .ok_or_else(|| format!("must be an integer from {min} to {max}").into())
}
