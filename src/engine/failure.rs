//! Failures: why an operation has no outcome.

use crate::store::{StoreError, Why};

/// An operation without an outcome. Expected results, such as a lost lease or an empty queue, are values
/// instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("the queue does not exist and the service does not create queues by itself")]
    QueueUnknown,
    #[error("the service has reached its bound of queues")]
    QueuesFull,
    /// Nothing was written; retry freely.
    #[error("the store did not take the operation: {0}")]
    NotApplied(Why),
    /// It may or may not have happened; a retry with the same id, key or lease is safe.
    #[error("the store did not confirm whether the operation happened")]
    Unknown,
    #[error("the store is full")]
    StoreFull,
    /// A script failed, or its reply makes no sense. The log has the details.
    #[error("the reply of the store makes no sense")]
    Broken,
    /// More requests wait than this process accepts.
    #[error("too many requests are waiting")]
    Overloaded,
    /// The process is shutting down.
    #[error("the service is shutting down")]
    Draining,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotApplied(why) => Self::NotApplied(why),
            StoreError::Unknown(why) => {
                tracing::warn!(%why, "the outcome of a store operation is unknown");
                Self::Unknown
            }
            StoreError::Full => Self::StoreFull,
            StoreError::Broken(what) => {
                tracing::error!(%what, "the store is broken");
                Self::Broken
            }
        }
    }
}
