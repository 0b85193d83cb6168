//! Pause: an operator stops what producers or workers may do with a queue, for a while.

use super::Millis;

/// What is stopped. All else goes on: settles, due times, expiries, and what operators do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PauseMode {
    /// Nothing is granted.
    #[default]
    Lease,
    /// No new task is accepted.
    Enqueue,
    Both,
}

impl PauseMode {
    pub const ALL: [Self; 3] = [Self::Lease, Self::Enqueue, Self::Both];

    pub const fn word(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::Enqueue => "enqueue",
            Self::Both => "both",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.word() == word)
    }

    /// As Redis keeps it: a bit for leases, and one for enqueues.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Lease => 1,
            Self::Enqueue => 2,
            Self::Both => 3,
        }
    }

    pub fn of_bits(bits: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.bits() == bits)
    }
}

/// A pause as an operator asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pause {
    pub mode: PauseMode,
    /// It ends then by itself, on Redis's clock; `None`: somebody resumes the queue.
    pub until: Option<Millis>,
    /// For people; at most [`super::limits::PAUSE_REASON_BYTES_MAX`].
    pub reason: Option<String>,
}

/// A pause in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paused {
    pub mode: PauseMode,
    /// Since when something of the queue has been stopped, however often that was changed since.
    pub since: Millis,
    pub until: Option<Millis>,
    pub reason: Option<String>,
}
