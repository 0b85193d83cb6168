//! Lists of the API, page after page.

use serde::Deserialize;

use super::client::{self, Api};
use super::exit::Failure;

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
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = api.get(&format!("/v1/queues?limit=500{cursor}")).await?;
        let page: Page = client::decode(&answer)?;
        names.extend(page.items.into_iter().map(|item| item.queue));
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={}", escaped(&next)),
            None => break,
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// A cursor is opaque; what is not plain in a query is escaped.
pub(super) fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
