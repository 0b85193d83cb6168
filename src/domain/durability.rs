//! What an answered write survives.

/// What write answers wait for, and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Redis took it; a power cut may lose about a second.
    Memory,
    /// The append-only file has it and is synced.
    Fsync,
    /// Replicas confirmed it.
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

    /// What can be said of a write when it is not known which of two levels was in force.
    #[must_use]
    pub fn or_else(self, other: Self) -> Self {
        if self == other { self } else { Self::Memory }
    }
}
