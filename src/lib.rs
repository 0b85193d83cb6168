//! LeaseQ: a task queue that any language can use over plain HTTP.
//!
//! Four rooms, and imports point one way (`http → engine → store → domain`):
//!
//! - [`domain`] is what words mean.
//! - [`store`] is what Redis remembers.
//! - [`engine`] is what this process remembers.
//! - [`http`] is what the wire says.

pub mod app;
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
