//! Durability levels: the failures that a confirmed write survives.

/// The durability step that write responses wait for, and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Redis accepted the write. A power cut may lose about a second.
    Memory,
    /// The append-only file contains the write and is synced.
    Fsync,
    /// Replicas confirmed the write.
    Replicated,
}

impl Level {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Fsync => "fsync",
            Self::Replicated => "replicated",
        }
    }

    /// Returns the weaker of two levels: the honest one if either may have been in force.
    #[must_use]
    pub fn or_else(self, other: Self) -> Self {
        if self == other { self } else { Self::Memory }
    }
}
