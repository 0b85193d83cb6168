//! The data plane over real HTTP: the binary, its Redis, and a client that sends bytes.

// A panic is how a test fails.
#![allow(clippy::unwrap_used)]

pub(crate) mod api;
mod bounds;
mod breakers;
mod crash;
mod dead_bounds;
pub(crate) mod dead_letters;
mod durability;
mod enqueue;
mod explain;
mod gates;
mod lease;
mod leave;
mod operate;
mod outage;
mod pause;
mod queues;
mod refused;
mod repeats;
mod replicas;
mod results;
mod retry;
mod settle;
mod shipped;
mod standing;
mod unique;
mod watch;
