//! Errors between this process and Redis, sorted by the question that matters: did it happen?

use deadpool_redis::redis::{ErrorKind, RedisError, ServerErrorKind};

/// A failed call. Expected outcomes are values instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Nothing was written. Safe to retry.
    #[error("not applied: {0}")]
    NotApplied(&'static str),
    /// The call was sent without a reply: it may or may not have happened.
    #[error("outcome unknown: {0}")]
    Unknown(String),
    /// Redis is at `maxmemory`. Operations that free memory still work.
    #[error("the store is full")]
    Full,
    /// A script failed, or its reply makes no sense: a defect, or somebody changed the data.
    #[error("broken: {0}")]
    Broken(String),
}

impl StoreError {
    /// Redis lost the scripts: the connection loads them and sends the call again.
    pub(crate) const FORGOTTEN: Self = Self::NotApplied("Redis forgot the scripts");

    /// Classifies the error of a command that was sent.
    pub(crate) fn of_sent(error: &RedisError) -> Self {
        match error.kind() {
            ErrorKind::Server(kind) => Self::of_server(kind, error),
            ErrorKind::Extension => Self::of_code(error),
            ErrorKind::AuthenticationFailed => Self::NotApplied("Redis refused the credentials"),
            _ => Self::Unknown(error.to_string()),
        }
    }

    /// Classifies an error before anything was sent.
    pub(crate) fn of_unsent() -> Self {
        Self::NotApplied("Redis is not reachable")
    }

    fn of_server(kind: ServerErrorKind, error: &RedisError) -> Self {
        Self::NotApplied(match kind {
            ServerErrorKind::BusyLoading => "Redis is loading its data",
            ServerErrorKind::NoScript => return Self::FORGOTTEN,
            ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::TryAgain => {
                "the queue is moving to another node"
            }
            ServerErrorKind::ClusterDown | ServerErrorKind::MasterDown => {
                "the cluster has no primary for the queue"
            }
            ServerErrorKind::ReadOnly => "the node became a replica",
            _ => return Self::of_code(error),
        })
    }

    fn of_code(error: &RedisError) -> Self {
        match error.code() {
            Some("OOM") => Self::Full,
            Some("BUSY") => Self::NotApplied("Redis is busy with another script"),
            Some("MISCONF") => Self::NotApplied("Redis cannot write to its disk"),
            Some("NOREPLICAS") => Self::NotApplied("Redis has too few replicas"),
            Some("NOAUTH" | "WRONGPASS") => Self::NotApplied("Redis refused the credentials"),
            _ => Self::Broken(error.to_string()),
        }
    }

    /// Returns the class as one word, for metrics.
    pub fn class(&self) -> &'static str {
        match self {
            Self::NotApplied(_) => "not_applied",
            Self::Unknown(_) => "unknown",
            Self::Full => "full",
            Self::Broken(_) => "broken",
        }
    }

    /// Returns whether the connection must not be used again.
    pub(crate) fn spoils_connection(&self) -> bool {
        matches!(self, Self::Unknown(_))
            || matches!(self, Self::NotApplied(why) if *why == "the node became a replica" || *why == "Redis is not reachable")
    }
}
