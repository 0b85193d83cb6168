//! What Redis remembers. The only room that knows a key or sends a command.
//!
//! One atomic script per kind of transition, and the batch is the general case: each takes N items of one
//! queue. An operation is a pair of files in `ops/`: the Lua that changes state and the Rust that gives it types.

mod checkup;
mod confirm;
pub mod conn;
pub mod embedded;
pub mod error;
mod gates;
mod keyring;
pub mod keys;
pub mod latency;
pub mod ops;
mod permissions;
pub mod record;
pub mod registry;
pub mod reply;
pub mod script;
pub mod state;

pub use conn::{Answers, Batch, Conn, Store, StoreSettings};
pub use error::StoreError;
pub use keys::QueueKeys;
