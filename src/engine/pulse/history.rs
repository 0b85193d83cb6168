//! A queue's charts.

use crate::domain::pulse::{Chart, Point};
use crate::domain::{Millis, QueueName};
use crate::engine::{Engine, Failure};
use crate::store::QueueKeys;
use crate::store::ops::pulse::PulseOp;

/// The newest steps of a chart, the last of which still goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    pub chart: Chart,
    /// When the first step begins.
    pub begins_at: Millis,
    pub now: Millis,
    /// One for each step.
    pub points: Vec<Point>,
}

impl Engine {
    /// The last `steps` of a chart, at most as many as it has. `None`: no such queue.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn history(
        &self,
        queue: &QueueName,
        chart: Chart,
        steps: u64,
    ) -> Result<Option<History>, Failure> {
        let steps = steps.clamp(1, chart.rows_max());
        // One row more tells how the queue was when the first step began.
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
