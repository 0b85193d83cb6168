//! What words mean. Pure: knows no Redis, no tokio, no HTTP.

pub mod audit;
pub mod change;
pub mod checkup;
pub mod dead;
pub mod durability;
pub mod event;
pub mod explain;
pub mod id;
pub mod latency;
pub mod lease;
pub mod limits;
pub mod names;
pub mod pulse;
pub mod queue;
pub mod settle;
pub mod task;
pub mod time;

pub use id::TaskId;
pub use lease::{Lease, LeaseKey};
pub use names::{Group, QueueName, TaskName};
pub use task::{LeasedTask, NewTask, Priority, Start, TaskState};
pub use time::Millis;
