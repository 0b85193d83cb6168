//! Audits the finished tasks that are kept, and their bytes (I25).
//!
//! They are appended at one end and leave at the other. A reading without a gap therefore knows the bytes of
//! those that are there at the end: the last ones that it read.

use super::{Auditor, PAGE, Stop};
use crate::domain::audit::{Disagreement, Kind};
use crate::store::ops::verify_done::{VerifiedDone, VerifyDoneOp};

/// Entries read at most (four megabytes); with more, the audit does not judge the bytes.
const WEIGHED_MAX: usize = 1_000_000;
/// Restarts of the reading, if the oldest entries leave faster than it reads.
const TRIES: usize = 3;

impl Auditor {
    pub(super) async fn finished(&mut self) -> Result<(), Stop> {
        for _ in 0..TRIES {
            if self.weighed().await? {
                break;
            }
        }
        Ok(())
    }

    /// `false`: the reading could not keep up.
    async fn weighed(&mut self) -> Result<bool, Stop> {
        let mut weights: Vec<u32> = Vec::new();
        let (mut at, mut end) = (0, bytes::Bytes::new());
        loop {
            let op = VerifyDoneOp {
                at,
                last: &end,
                limit: 2 * PAGE,
            };
            let VerifiedDone::Page {
                page,
                last,
                length,
                counted,
                bytes,
            } = self.ask(&op).await?
            else {
                return Ok(false);
            };
            weights.extend(bytes);
            self.tell(page.problems);
            if let Ok(next) = page.cursor.parse() {
                (at, end) = (next, last);
                if weights.len() > WEIGHED_MAX {
                    return Ok(true);
                }
                continue;
            }
            let kept = usize::try_from(length).unwrap_or(usize::MAX).min(weights.len());
            let weight: u64 = weights[weights.len() - kept..]
                .iter()
                .map(|&bytes| u64::from(bytes))
                .sum();
            if weight != counted {
                self.tell(vec![Disagreement {
                    kind: Kind::Finished,
                    id: None,
                    detail: format!(
                        "{length} finished tasks are kept with {weight} bytes, {counted} are counted"
                    ),
                }]);
            }
            return Ok(true);
        }
    }
}
