//! The modes of `leaseq bench`.

use clap::ValueEnum;
use serde::Serialize;

/// The mode of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Producers only.
    Enqueue,
    /// Lease and leave leased.
    Lease,
    /// Lease and ack until the queues are empty.
    Drain,
    /// Enqueue, lease and ack: in turn on each connection, or separately with --producers and --workers.
    Cycle,
    /// Enqueue at a fixed rate, and measure the time until a waiting worker has the task.
    Latency,
    /// Many waiting workers and no tasks.
    Idle,
}
