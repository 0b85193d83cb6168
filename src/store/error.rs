//! Errors between this process and Redis, sorted by the question that matters: did it happen?

use deadpool_redis::redis::{ErrorKind, RedisError, ServerErrorKind};

/// A failed call. Expected outcomes are values instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Nothing was written. Safe to retry.
    #[error("not applied: {0}")]
    NotApplied(Why),
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

/// The reason why a call was not applied. The texts are for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    #[error("Redis is not reachable")]
    Unreachable,
    #[error("Redis lost the scripts")]
    ScriptsLost,
    #[error("Redis is loading its data")]
    Loading,
    #[error("Redis is busy with another script")]
    Busy,
    #[error("Redis cannot write to its disk")]
    DiskFailing,
    #[error("Redis has too few replicas")]
    TooFewReplicas,
    #[error("Redis refused the credentials")]
    CredentialsRefused,
    #[error("the queue is moving to another node")]
    Moving,
    #[error("the cluster has no primary for the queue")]
    NoPrimary,
    #[error("the node became a replica")]
    BecameReplica,
    #[error("the lease key disappeared between two commands")]
    LeaseKeyGone,
    /// Redis granted tasks, and they were given back because its reply came too late.
    #[error("the leases had expired when the reply of Redis came")]
    LeasesOver,
}

impl StoreError {
    /// Redis lost the scripts: the connection loads them and sends the call again.
    pub(crate) const SCRIPTS_LOST: Self = Self::NotApplied(Why::ScriptsLost);

    /// Classifies the error of a command that was sent.
    pub(crate) fn of_sent(error: &RedisError) -> Self {
        match error.kind() {
            ErrorKind::Server(kind) => Self::of_server(kind, error),
            ErrorKind::Extension => Self::of_code(error),
            ErrorKind::AuthenticationFailed => Self::NotApplied(Why::CredentialsRefused),
            _ => Self::Unknown(error.to_string()),
        }
    }

    /// Classifies an error before anything was sent.
    pub(crate) fn of_unsent() -> Self {
        Self::NotApplied(Why::Unreachable)
    }

    fn of_server(kind: ServerErrorKind, error: &RedisError) -> Self {
        Self::NotApplied(match kind {
            ServerErrorKind::BusyLoading => Why::Loading,
            ServerErrorKind::NoScript => return Self::SCRIPTS_LOST,
            ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::TryAgain => Why::Moving,
            ServerErrorKind::ClusterDown | ServerErrorKind::MasterDown => Why::NoPrimary,
            ServerErrorKind::ReadOnly => Why::BecameReplica,
            _ => return Self::of_code(error),
        })
    }

    fn of_code(error: &RedisError) -> Self {
        match error.code() {
            Some("OOM") => Self::Full,
            Some("BUSY") => Self::NotApplied(Why::Busy),
            Some("MISCONF") => Self::NotApplied(Why::DiskFailing),
            Some("NOREPLICAS") => Self::NotApplied(Why::TooFewReplicas),
            Some("NOAUTH" | "WRONGPASS") => Self::NotApplied(Why::CredentialsRefused),
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
        matches!(
            self,
            Self::Unknown(_) | Self::NotApplied(Why::BecameReplica | Why::Unreachable)
        )
    }
}
