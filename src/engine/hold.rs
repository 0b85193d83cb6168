//! Operators hold a queue, a name or a group back.

use super::{Engine, Failure};
use crate::domain::gate::Scope;
use crate::domain::{Millis, QueueName};
use crate::store::QueueKeys;
use crate::store::ops::hold::HoldOp;

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
}
