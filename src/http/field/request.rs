//! Requests: bodies that are one JSON object, and the values that are read from them.

use bytes::Bytes;

use super::kind::Shaped;
use super::object::Object;
use super::wrong::{At, Wrong};
use crate::http::json::{self, List};
use crate::http::problem::Problem;

/// A body with a shape, and the value that its fields form.
pub(in crate::http) trait Request: Shaped {
    type Value;

    /// The list of objects that is opened in the same pass as the body.
    const LIST: Option<List> = None;

    /// Takes the fields and notes every mistake. Returns `None` only after a mistake, such as a missing
    /// field.
    ///
    /// `body` holds the bytes that `object` was opened from: payloads are slices of it, not copies.
    fn read(object: &mut Object<'_, '_>, body: &Bytes, wrong: &mut Wrong) -> Option<Self::Value>;
}

/// Reads a whole body.
///
/// # Errors
/// When it is not one JSON object, or with everything that is wrong in it.
pub(in crate::http) fn read_request<R: Request>(body: &Bytes) -> Result<R::Value, Problem> {
    let fields = json::open(json::text(body)?, R::LIST)?;
    let mut wrong = Wrong::default();
    let mut object = Object::new(fields, R::SHAPE, At::Root, &mut wrong);
    let value = R::read(&mut object, body, &mut wrong);
    wrong.into_result()?;
    Ok(value.expect("a body without mistakes has a value"))
}
