//! The charts of a queue.

use crate::domain::pulse::{Chart, Point};
use crate::domain::{Millis, QueueName};
use crate::engine::{Engine, Failure};
use crate::store::QueueKeys;
use crate::store::ops::pulse::PulseOp;

/// The newest steps of a chart. The last step is not over yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    pub chart: Chart,
    /// The start of the first step.
    pub begins_at: Millis,
    pub now: Millis,
    /// One row per step.
    pub points: Vec<Point>,
}

impl Engine {
    /// Returns the last `steps` of a chart, or as many as it has; `None` if there is no such queue.
    ///
    /// # Errors
    /// As [`Failure`] lists.
    pub async fn history(
        &self,
        queue: &QueueName,
        chart: Chart,
        steps: u64,
    ) -> Result<Option<History>, Failure> {
        let steps = steps.clamp(1, chart.rows_max());
        // One more row contains the totals at the start of the first step.
        let op = PulseOp {
            chart,
            rows: steps + 1,
            latencies: true,
        };
        let Ok(pulse) = self.store().call(&QueueKeys::new(queue), &op).await? else {
            return Ok(None);
        };
        let (begins_at, points) = pulse.points(chart, steps);
        Ok(Some(History {
            chart,
            begins_at,
            now: pulse.now,
            points,
        }))
    }
}
