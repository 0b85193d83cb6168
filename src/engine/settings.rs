//! The settings of the engine.

use std::sync::Arc;

use rand::RngCore;

use crate::domain::durability::Level;
use crate::domain::limits;
use crate::metrics::Metrics;

/// How the engine works. The defaults suit almost every deployment.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Names this process among its replicas: eight characters and a comma.
    pub replica: String,
    /// Committers, each with a connection; queues are spread over them.
    pub committers: usize,
    /// Items of one script call at most.
    pub script_items: usize,
    /// Whether an enqueue creates its queue.
    pub auto_create: bool,
    /// Queues that may exist at most.
    pub max_queues: usize,
    /// The durability step that write operations wait for.
    pub durability: Level,
    /// Others may change the settings of this Redis, so `fsync` is in force only while a check each second
    /// confirms it. At the start it is assumed.
    pub durability_is_watched: bool,
    /// Counts store calls.
    pub metrics: Arc<Metrics>,
}

impl Default for EngineSettings {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            replica: format!("{:08x},", rand::rng().next_u32()),
            committers: cores.clamp(1, 8),
            script_items: limits::SCRIPT_ITEMS_MAX,
            auto_create: true,
            max_queues: limits::QUEUES_MAX_DEFAULT,
            durability: Level::Memory,
            durability_is_watched: false,
            metrics: Arc::default(),
        }
    }
}
