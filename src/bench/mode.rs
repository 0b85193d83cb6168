//! The modes of `leaseq bench`.

use clap::ValueEnum;
use serde::Serialize;

/// The kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Enqueue tasks
    Enqueue,
    /// Lease tasks and leave them leased
    Lease,
    /// Lease and ack tasks until the queues are empty
    Drain,
    /// Enqueue, lease and ack: in turn on each connection, or on separate ones with --producers and --workers
    Cycle,
    /// Enqueue at a fixed rate and measure the time until a waiting worker has the task
    Latency,
    /// Let many workers wait without tasks
    Idle,
}
