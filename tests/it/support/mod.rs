//! Fixtures: a private redis-server per test.

pub mod redis;
