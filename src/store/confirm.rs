//! Level `replicated`: replicas confirm writes. `WAIT` covers the earlier writes of its own connection, so it
//! follows the scripts in their pipeline. On another connection it would succeed at once.

use std::num::NonZeroU8;
use std::time::Duration;

use deadpool_redis::redis::{Pipeline, Value};

use super::error::StoreError;

/// The limit for replicas. The service's own retry of an unknown outcome may take as long again.
const WITHIN: Duration = Duration::from_secs(1);

/// The number of replicas that must have a write; `None` asks none.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Confirm(Option<NonZeroU8>);

impl Confirm {
    pub(super) fn by(replicas: Option<NonZeroU8>) -> Self {
        Self(replicas)
    }

    pub(super) fn waits(self) -> bool {
        self.0.is_some()
    }

    /// Appends `WAIT` to the pipeline. Returns the number of replies that it adds.
    pub(super) fn ask(self, pipeline: &mut Pipeline) -> usize {
        let Some(replicas) = self.0 else { return 0 };
        let within_ms = u64::try_from(WITHIN.as_millis()).unwrap_or(u64::MAX);
        pipeline.cmd("WAIT").arg(replicas.get()).arg(within_ms);
        1
    }

    /// Reads the reply. The primary has the write in any case, so too few replicas make its outcome unknown:
    /// a failover may or may not keep it.
    pub(super) fn read(self, answer: Option<Value>) -> Result<(), StoreError> {
        let Some(replicas) = self.0 else { return Ok(()) };
        match answer {
            Some(Value::Int(have)) if have >= i64::from(replicas.get()) => Ok(()),
            Some(Value::Int(have)) => Err(StoreError::Unknown(format!(
                "{have} of {replicas} replicas have the write"
            ))),
            other => Err(StoreError::Unknown(format!(
                "replicas cannot be asked: {other:?}"
            ))),
        }
    }
}
