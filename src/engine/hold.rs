//! Holds a queue, a name or a group, and sets breakers, for operators.

use super::{Engine, Failure};
use crate::domain::gate::{Scope, Set};
use crate::domain::{Millis, QueueName, TaskName};
use crate::store::QueueKeys;
use crate::store::ops::hold::HoldOp;
use crate::store::ops::set_breaker::SetBreakerOp;

impl Engine {
    /// Holds a scope for `ms` from now, replacing an earlier hold; 0 ends it. A message of the script wakes
    /// waiters. Returns until when the scope is held; `None` if there is no such queue.
    ///
    /// # Errors
    /// As [`Failure`] lists.
    pub async fn hold(
        &self,
        queue: &QueueName,
        scope: &Scope,
        ms: u64,
    ) -> Result<Option<Option<Millis>>, Failure> {
        let held = self
            .store()
            .call(&QueueKeys::new(queue), &HoldOp { scope, ms })
            .await?;
        Ok(held.ok())
    }

    /// Opens or closes a breaker. Returns until when it is open, if that is limited; `None` if there is no
    /// such queue.
    ///
    /// # Errors
    /// As [`Failure`] lists.
    pub async fn set_breaker(
        &self,
        queue: &QueueName,
        name: &TaskName,
        set: Set,
    ) -> Result<Option<Option<Millis>>, Failure> {
        let op = SetBreakerOp { name, set };
        Ok(self.store().call(&QueueKeys::new(queue), &op).await?.ok())
    }
}
