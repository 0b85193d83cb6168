//! LeaseQ: a task queue that any language can use over plain HTTP.
//!
//! Four rooms, and imports point one way (`http → engine → store → domain`):
//!
//! - [`domain`]: the words and rules of the queue, without I/O.
//! - [`store`]: the state in Redis.
//! - [`engine`]: the state of this process.
//! - [`http`]: the public API.

pub mod app;
mod backoff;
#[cfg(feature = "bench")]
pub mod bench;
pub mod cli;
pub mod config;
pub mod domain;
pub mod engine;
pub mod http;
pub mod metrics;
pub mod own_binary;
pub mod store;
pub mod telemetry;
