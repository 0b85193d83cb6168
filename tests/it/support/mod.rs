//! Fixtures: a private redis-server per test, one queue on it, and the auditor of what lies there.

pub mod audit;
pub mod queue;
pub mod redis;
