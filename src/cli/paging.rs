//! Lists of the API, page after page.

use serde::Deserialize;

use super::client::{self, Api};
use super::exit::Failure;
use super::query;
use crate::domain::limits::PAGE_MAX;

#[derive(Deserialize)]
struct Page {
    items: Vec<Item>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    queue: String,
}

/// The names of all queues, in their order.
pub(super) async fn queues(api: &Api) -> Result<Vec<String>, Failure> {
    let limit = PAGE_MAX.to_string();
    let (mut names, mut cursor) = (Vec::new(), None);
    loop {
        let parameters = [("limit", Some(limit.as_str())), ("cursor", cursor.as_deref())];
        let answer = api.get(&query::path("/v1/queues", &parameters)).await?;
        let page: Page = client::decode(&answer)?;
        names.extend(page.items.into_iter().map(|item| item.queue));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}
