//! Pages of lists.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::field::{Field, Parsed};
use super::problem::Problem;
use super::query::whole_number;
use super::wire;
use crate::domain::limits::PAGE_MAX;
use crate::engine::{self, BadCursor};

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// Pass it as `cursor` to get the next page; null on the last page.
    #[schema(required = true)]
    pub(super) next_cursor: Option<String>,
}

impl<T> Page<T> {
    pub(super) fn of<U>(page: engine::Page<U>, show: impl FnMut(U) -> T) -> Self {
        Self {
            items: page.items.into_iter().map(show).collect(),
            next_cursor: page.next_cursor,
        }
    }
}

impl<T: Serialize> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

pub(super) const LIMIT: Field<Parsed<usize>> = Field::new(
    "limit",
    Parsed {
        parse: |text| whole_number(text, 1, PAGE_MAX),
        schema: wire::page_limit_schema,
    },
    "Items of a page at most. A page may be shorter or empty although `next_cursor` is present.",
);
pub(super) const CURSOR: Field<Parsed<String>> = Field::new(
    "cursor",
    Parsed {
        parse: |text| {
            let sound = (1..=512).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
            sound
                .then(|| text.to_owned())
                .ok_or("must be the `next_cursor` of an earlier page".into())
        },
        schema: wire::cursor_schema,
    },
    "The `next_cursor` of the previous page.",
);

pub(super) fn bad_cursor(_: BadCursor) -> Problem {
    Problem::at(
        "query:cursor",
        "must be the `next_cursor` of an earlier page of the same list",
    )
}
