//! Claims: tasks that must be in the fresh list of their lane, because no other index has them. A list cannot
//! be searched, so one reading settles many claims.
//!
//! Safe on a live queue: a task leaves the fresh list in the same step in which it stops being fresh. A claim
//! that still holds after the reading held all the time, and the reading found every entry that was there all
//! the time.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::{Auditor, IDS_PAGE, PAGE, Stop};
use crate::domain::TaskId;
use crate::domain::audit::{Disagreement, Kind};
use crate::store::ops::verify_lane::VerifyLaneOp;
use crate::store::ops::verify_tasks::VerifyTasksOp;

/// Claims that one reading settles: a few megabytes of memory, instead of reading long lists often.
const CLAIMS_MAX: usize = 100_000;
/// Missing tasks are searched once more, in case the list was compacted during the reading.
const READS: usize = 2;

#[derive(Default)]
pub(super) struct Claims {
    lanes: HashMap<Bytes, HashSet<TaskId>>,
    count: usize,
}

impl Claims {
    pub(super) fn add(&mut self, claims: Vec<(Bytes, Vec<TaskId>)>) {
        for (lane, ids) in claims {
            self.count += ids.len();
            self.lanes.entry(lane).or_default().extend(ids);
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.count >= CLAIMS_MAX
    }
}

impl Auditor {
    pub(super) async fn settle_claims(&mut self) -> Result<(), Stop> {
        for (lane, mut claimed) in std::mem::take(&mut self.claims).lanes {
            for _ in 0..READS {
                self.strike(&lane, &mut claimed).await?;
                if claimed.is_empty() {
                    break;
                }
                claimed = self.still_claimed(&claimed).await?;
            }
            let lost = claimed.into_iter().map(|id| Disagreement {
                kind: Kind::Lost,
                id: Some(id),
                detail: format!(
                    "it has a record, is in no state index, and not in its lane {}",
                    String::from_utf8_lossy(&lane)
                ),
            });
            let lost = lost.collect();
            self.tell(lost);
        }
        Ok(())
    }

    /// Reads the fresh list of a lane and removes the claims that it finds there.
    async fn strike(&mut self, lane: &[u8], claimed: &mut HashSet<TaskId>) -> Result<(), Stop> {
        let mut cursor = "0".to_owned();
        while !claimed.is_empty() && !cursor.is_empty() {
            let op = VerifyLaneOp {
                lane,
                back: false,
                cursor: &cursor,
                limit: IDS_PAGE,
                examine: false,
            };
            let page = self.ask(&op).await?;
            for id in &page.ids {
                claimed.remove(id);
            }
            cursor = page.page.cursor;
        }
        Ok(())
    }

    /// Returns the claims of tasks that are still fresh.
    async fn still_claimed(&mut self, claimed: &HashSet<TaskId>) -> Result<HashSet<TaskId>, Stop> {
        let mut still = HashSet::new();
        let ids: Vec<TaskId> = claimed.iter().copied().collect();
        for ids in ids.chunks(PAGE) {
            let again = self.ask(&VerifyTasksOp::These(ids)).await?;
            still.extend(again.claims.into_iter().flat_map(|(_, ids)| ids));
        }
        Ok(still)
    }
}
