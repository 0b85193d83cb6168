//! Pages of lists.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::field::{Field, Parsed, query_shape};
use super::problem::{Code, Problem};
use super::query::{QueryFields, QueryRequest, whole_number};
use super::wire;
use crate::domain::limits::{PAGE_DEFAULT, PAGE_MAX};
use crate::engine::{self, BadCursor};

pub(super) const LIMIT: Field<Parsed<usize>> = Field::new(
    "limit",
    Parsed {
        parse: |text| whole_number(text, 1, PAGE_MAX),
        schema: wire::page_limit_schema,
    },
    "Items per page at most. A page may be shorter or empty although `next_cursor` is present.",
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

query_shape! {
    /// A page of names or groups.
    PageQuery: LIMIT, CURSOR
}

/// The page that a caller asks for.
pub(super) struct Wanted {
    pub(super) limit: usize,
    pub(super) cursor: Option<String>,
}

impl Wanted {
    /// Takes [`LIMIT`] and [`CURSOR`].
    pub(super) fn take(query: &mut QueryFields) -> Self {
        Self {
            limit: query.take(&LIMIT).unwrap_or(PAGE_DEFAULT),
            cursor: query.take(&CURSOR),
        }
    }

    pub(super) fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }
}

impl QueryRequest for PageQuery {
    type Value = Wanted;

    fn read(query: &mut QueryFields) -> Option<Wanted> {
        Some(Wanted::take(query))
    }
}

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

impl<T: Serialize> Page<T> {
    /// The response to a list of one queue's things.
    pub(super) fn respond<U>(
        page: Result<Option<engine::Page<U>>, BadCursor>,
        show: impl FnMut(U) -> T,
    ) -> Result<Response, Problem> {
        let page = page
            .map_err(bad_cursor)?
            .ok_or_else(|| Code::QueueUnknown.problem())?;
        Ok(Self::of(page, show).into_response())
    }
}

impl<T: Serialize> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

pub(super) fn bad_cursor(_: BadCursor) -> Problem {
    Problem::at(
        "query:cursor",
        "must be the `next_cursor` of an earlier page of the same list",
    )
}

/// The problem of a cursor that no such call wrote.
pub(super) fn bad_body_cursor() -> Problem {
    Problem::at(
        "/cursor",
        "must be the `next_cursor` of an earlier call to the same path",
    )
}
