//! The meaning of the words: names, ids, tasks, settles, config, bounds. Pure: it knows no Redis, no tokio,
//! no HTTP.

pub mod audit;
pub mod change;
pub mod checkup;
pub mod counts;
pub mod dead;
pub mod durability;
pub mod event;
pub mod explain;
pub mod fingerprint;
pub mod full;
pub mod gate;
pub mod id;
pub mod idempotency;
pub mod latency;
pub mod lease;
pub mod limits;
pub mod names;
pub mod pause;
pub mod pulse;
pub mod queue;
pub mod retry;
pub mod settle;
pub mod standing;
pub mod task;
pub mod time;
pub mod unique;

pub use id::TaskId;
pub use lease::{Lease, LeaseKey};
pub use names::{Group, QueueName, TaskName, UniqueKey};
pub use retry::RetryPolicy;
pub use task::{Expiry, LeasedTask, NewTask, Priority, Start, TaskState};
pub use time::Millis;
