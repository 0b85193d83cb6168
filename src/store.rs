//! The memory in Redis. No other room knows a key or sends a command.
//!
//! There is one atomic script per kind of transition, and the batch is the general case: each takes N items
//! of one queue. An operation is a pair of files in `ops/`: the Lua that changes state and the Rust that
//! gives it types.

mod checkup;
mod confirm;
pub mod conn;
pub mod embedded;
pub mod error;
mod gates;
mod keyring;
pub mod keys;
pub mod latency;
mod lease_key;
mod listen;
pub mod ops;
mod permissions;
pub mod record;
pub mod registry;
pub mod reply;
pub mod script;
pub mod state;

pub use conn::{Answers, Batch, Conn, Store, StoreSettings};
pub use error::{StoreError, Why};
pub use keys::QueueKeys;
pub use listen::Message;
