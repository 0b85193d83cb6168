//! Operators hold a queue, a name or a group back, and set breakers.

use super::{Engine, Failure};
use crate::domain::gate::{Scope, Set};
use crate::domain::{Millis, QueueName, TaskName};
use crate::store::QueueKeys;
use crate::store::ops::hold::HoldOp;
use crate::store::ops::set_breaker::SetBreakerOp;

impl Engine {
    /// Holds for so many ms from now, in place of an earlier hold; 0 ends it. Who waits is told by a message of the script. `None`: no
    /// such queue; inside, until when it is held.
    ///
    /// # Errors
    /// As [`Failure`] says.
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

    /// As [`Self::hold`]; inside, until when the breaker is open, if somebody said.
    ///
    /// # Errors
    /// As [`Failure`] says.
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
