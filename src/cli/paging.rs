//! Reading and printing of paged lists.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::client::{self, Api};
use super::exit::Failure;
use super::{output, query};
use crate::domain::limits::PAGE_MAX;

/// A list of the API and the number of items to read.
pub(super) struct List<'a> {
    pub(super) path: &'a str,
    pub(super) parameters: &'a [(&'a str, Option<&'a str>)],
    /// The most items to read; `None` reads all.
    pub(super) limit: Option<usize>,
}

#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

impl List<'_> {
    /// Calls `each` with every page, as bytes and as items. Returns whether there are more items.
    async fn walk<T: DeserializeOwned>(
        &self,
        api: &Api,
        mut each: impl FnMut(&Bytes, Vec<T>) -> Result<(), Failure>,
    ) -> Result<bool, Failure> {
        let (mut left, mut cursor) = (self.limit.unwrap_or(usize::MAX), None);
        while left > 0 {
            let limit = left.min(PAGE_MAX).to_string();
            let mut parameters = self.parameters.to_vec();
            parameters.extend([("limit", Some(limit.as_str())), ("cursor", cursor.as_deref())]);
            let response = api.get(&query::path(self.path, &parameters)).await?;
            let page: Page<T> = client::decode(&response)?;
            left -= page.items.len().min(left);
            each(&response, page.items)?;
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(false);
            }
        }
        Ok(cursor.is_some())
    }

    /// Prints a table, or with `json` the responses unchanged, one on each line. Returns whether there are
    /// more items.
    pub(super) async fn print<T: DeserializeOwned>(
        &self,
        api: &Api,
        json: bool,
        header: &[&str],
        row: impl Fn(T) -> Vec<String>,
    ) -> Result<bool, Failure> {
        let mut rows = Vec::new();
        let more = self
            .walk(api, |response, items| {
                if json {
                    return output::line(response);
                }
                rows.extend(items.into_iter().map(&row));
                Ok(())
            })
            .await?;
        if !json {
            output::table(header, rows)?;
        }
        Ok(more)
    }
}

/// Returns the names of all queues, sorted.
pub(super) async fn queues(api: &Api) -> Result<Vec<String>, Failure> {
    #[derive(Deserialize)]
    struct Item {
        queue: String,
    }

    let all = List {
        path: "/v1/queues",
        parameters: &[],
        limit: None,
    };
    let mut names = Vec::new();
    all.walk(api, |_, items: Vec<Item>| {
        names.extend(items.into_iter().map(|item| item.queue));
        Ok(())
    })
    .await?;
    names.sort();
    names.dedup();
    Ok(names)
}
