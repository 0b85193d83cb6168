//! Dead letters by error fingerprint.

use super::{Engine, Failure};
use crate::domain::QueueName;
use crate::domain::fingerprint::DeadGroup;
use crate::domain::limits::DEAD_GROUPS_MAX;
use crate::store::QueueKeys;
use crate::store::ops::dead_groups::DeadGroupsOp;

/// Groups that one script call reads: less than a millisecond of Redis's time.
const PAGE: usize = 100;

impl Engine {
    /// Returns all groups, the largest first, each as of some moment of the call; `None` if there is no such
    /// queue.
    ///
    /// # Errors
    /// As [`Failure`] lists.
    pub async fn dead_groups(&self, queue: &QueueName) -> Result<Option<Vec<DeadGroup>>, Failure> {
        let keys = QueueKeys::new(queue);
        let (mut groups, mut after) = (Vec::new(), String::new());
        // The group `other` comes on top of the bound.
        while groups.len() <= DEAD_GROUPS_MAX {
            let op = DeadGroupsOp {
                after: &after,
                limit: PAGE,
            };
            let Ok(page) = self.store().call(&keys, &op).await? else {
                return Ok(None);
            };
            groups.extend(page.groups);
            match page.next {
                Some(next) => after = next,
                None => break,
            }
        }
        groups.sort_by_key(|group| std::cmp::Reverse((group.count, group.last_at)));
        Ok(Some(groups))
    }
}
