//! The state that handlers share: the engine, metrics, and the rules of this process.

use std::sync::{Arc, OnceLock};

use super::failure_log::FailureLog;
use super::origin::OriginRule;
use super::problem::{Code, Problem};
use crate::domain::checkup::Check;
use crate::domain::durability::Level;
use crate::engine::Engine;
use crate::metrics::Metrics;

/// The state that handlers share. Cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Shared>);

struct Shared {
    metrics: Arc<Metrics>,
    origin: OriginRule,
    failure_log: FailureLog,
    /// Absent until Redis is ready, which may take minutes: until then the service is alive and not ready.
    ready: OnceLock<Engine>,
    process: OnceLock<ProcessChecks>,
}

/// Checks that only the owner of the process can make.
type ProcessChecks = Box<dyn Fn() -> Vec<Check> + Send + Sync>;

impl Api {
    pub fn new(metrics: Arc<Metrics>, origin: OriginRule) -> Self {
        Self(Arc::new(Shared {
            metrics,
            origin,
            failure_log: FailureLog::new(),
            ready: OnceLock::new(),
            process: OnceLock::new(),
        }))
    }

    /// Lets requests reach the engine from now on. Only the first call has an effect.
    pub fn open(&self, engine: Engine) {
        let _ = self.0.ready.set(engine);
    }

    /// Adds these checks to those of the doctor. Only the first call has an effect.
    pub fn looks_after(&self, checks: impl Fn() -> Vec<Check> + Send + Sync + 'static) {
        let _ = self.0.process.set(Box::new(checks));
    }

    pub(super) fn process_checks(&self) -> Vec<Check> {
        self.0.process.get().map_or_else(Vec::new, |checks| checks())
    }

    pub(super) fn engine(&self) -> Result<&Engine, Problem> {
        self.0.ready.get().ok_or_else(|| Code::NotReady.problem())
    }

    /// Returns the level in force, as in [`crate::engine::Health`]. Every write response names it.
    pub(super) fn durability(&self) -> Option<Level> {
        self.0.ready.get().map(Engine::durability)
    }

    pub(super) fn metrics(&self) -> &Arc<Metrics> {
        &self.0.metrics
    }

    pub(super) fn failure_log(&self) -> &FailureLog {
        &self.0.failure_log
    }

    pub(super) fn origin(&self) -> OriginRule {
        self.0.origin
    }
}
