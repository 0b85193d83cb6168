//! Request fields. One definition of each field serves the parser and the OpenAPI document.

pub(super) mod by_key;
pub(super) mod kind;
mod lists;
mod nested;
mod numbers;
mod object;
mod plain;
mod request;
pub(super) mod shape;
mod texts;
mod wrong;

pub(super) use by_key::{ByKey, Of};
pub(super) use kind::{Described, Field, Kind, Refusal, Shape, Shaped};
pub(super) use lists::{Headers, ListOf, Several};
pub(super) use nested::{Nested, nested};
pub(super) use numbers::{Decimal, Integer, Seconds, number};
pub(super) use object::Object;
pub(super) use plain::{Any, Flag};
pub(super) use request::{Request, read_request};
pub(super) use shape::{query_shape, shape};
pub(super) use texts::{Label, NO_CONTROLS, Parsed, Word, prefix, sentence, string};
pub(super) use wrong::{At, Wrong};
