//! The Lua scripts: one library of Redis Functions, generated at start from the parts in `lua/`, the
//! operations in `ops/` and facts of the Rust code.
//!
//! Redis creates the functions of a library once, when it loads the library. A plain script creates all its
//! functions again with every call, which costs more than most calls do (ADR 6). Without functions (Redis
//! 6.2, or the service may not load any) the same text is sent as one plain script per operation.

use std::sync::OnceLock;

use deadpool_redis::redis;

mod constants;
mod dialect;
mod library;
mod literals;
mod locate;

pub(crate) use library::{LIBRARY, commands, script};
pub use library::{PARTS, SOURCES, library};
pub(crate) use locate::locate;

/// One operation, with both ways to call it.
pub struct Script {
    pub name: &'static str,
    /// Whether it may change anything.
    pub(crate) writes: bool,
    /// For `FCALL`.
    pub(crate) function: String,
    source: &'static str,
    clock: Clock,
    plain: OnceLock<Plain>,
}

/// An operation as a script by itself.
pub(crate) struct Plain {
    /// For `SCRIPT LOAD`.
    pub(crate) text: String,
    /// For `EVALSHA`.
    pub(crate) sha: String,
}

impl Script {
    /// Returns the plain script. Generated on first use, because most services never need it.
    pub(crate) fn plain(&self) -> &Plain {
        self.plain.get_or_init(|| {
            let text = library::text(library::plain_pieces((self.name, self.source), self.clock));
            let sha = redis::Script::new(&text).get_hash().to_owned();
            Plain { text, sha }
        })
    }
}

/// All operations on one clock.
pub struct Library {
    /// For `FUNCTION LOAD`.
    pub(crate) code: String,
    pub scripts: Vec<Script>,
}

/// The clock that the scripts read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Clock {
    /// Redis `TIME`.
    #[default]
    Redis,
    /// The number at [`TEST_CLOCK`](super::keys::TEST_CLOCK); for tests only, and no caller can reach it.
    Test,
}
