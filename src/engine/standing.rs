//! Lists names and groups of a queue, page by page.

use super::{BadCursor, Engine, Failure, Page, cursor};
use crate::domain::standing::{GroupStanding, NameStanding};
use crate::domain::{QueueName, limits};
use crate::store::QueueKeys;
use crate::store::ops::groups::GroupsOp;
use crate::store::ops::names::{NamesOp, Standings};

const NAMES: &str = "names";
const GROUPS: &str = "groups";

/// The outcome of a list of a queue: `None` if there is no such queue.
type Listed<T> = Result<Option<Page<T>>, BadCursor>;

impl Engine {
    /// Lists names in no order: names with recent or leased tasks, and names with settings, a hold, or a
    /// breaker that is not closed. A page may be short or empty although a cursor follows.
    ///
    /// # Errors
    /// As [`Failure`] lists. The inner error: a cursor that no such list wrote.
    pub async fn names(
        &self,
        queue: &QueueName,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Listed<NameStanding>, Failure> {
        let Some(cursor) = place(cursor, NAMES) else {
            return Ok(Err(BadCursor));
        };
        let op = NamesOp {
            limit: limit.clamp(1, limits::PAGE_MAX),
            cursor: &cursor,
        };
        let listed = self.store().call(&QueueKeys::new(queue), &op).await?;
        Ok(Ok(listed.ok().map(|listed| page(listed, NAMES))))
    }

    /// Lists groups with ready or leased tasks, a weight, limits or a hold, as [`Self::names`] does. The
    /// tasks without a group come first.
    ///
    /// # Errors
    /// As [`Failure`] lists. The inner error: a cursor that no such list wrote.
    pub async fn groups(
        &self,
        queue: &QueueName,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Listed<GroupStanding>, Failure> {
        let Some(cursor) = place(cursor, GROUPS) else {
            return Ok(Err(BadCursor));
        };
        let op = GroupsOp {
            limit: limit.clamp(1, limits::PAGE_MAX),
            cursor: &cursor,
        };
        let listed = self.store().call(&QueueKeys::new(queue), &op).await?;
        Ok(Ok(listed.ok().map(|listed| page(listed, GROUPS))))
    }
}

fn page<T>(listed: Standings<T>, list: &str) -> Page<T> {
    Page {
        items: listed.items,
        next_cursor: cursor::write(&listed.cursor, list),
    }
}

/// The next position of the script: an index, the cursor of its scan, and how many entries of that batch were
/// done.
fn place(cursor: Option<&str>, list: &str) -> Option<Vec<u8>> {
    let Some(text) = cursor else {
        return Some(Vec::new());
    };
    let at = cursor::read(text, list)?;
    let words: Vec<_> = at.split(|byte| *byte == b' ').collect();
    let is_number = |word: &&[u8]| (1..=20).contains(&word.len()) && word.iter().all(u8::is_ascii_digit);
    (words.len() == 3 && words.iter().all(is_number)).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_three_numbers_of_its_own_list() {
        let text = cursor::write(b"2 18446744073709551615 7", NAMES).unwrap();
        assert_eq!(place(Some(&text), NAMES).unwrap(), b"2 18446744073709551615 7");
        assert_eq!(place(Some(&text), GROUPS), None);
        assert_eq!(place(None, NAMES), Some(Vec::new()));
        for bad in ["1 2", "1 2 3 4", "1 -2 3", "1 2 x", "1e5", "1  2", "1 2 "] {
            let text = cursor::write(bad.as_bytes(), NAMES).unwrap();
            assert_eq!(place(Some(&text), NAMES), None, "{bad}");
        }
    }
}
