//! The process: the embedded redis-server, `serve` as an operator meets it, and the client verbs
//! against a service that follows the API's shapes.

// A panic is how a test fails.
#![allow(clippy::unwrap_used)]

mod dlq;
mod embedded;
mod manage;
mod operate;
pub(crate) mod running;
mod serve;
pub(crate) mod service;
mod stub;
mod verbs;
mod watch;
mod work;
