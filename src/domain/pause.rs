//! Pauses: an operator stops enqueues or leases of a queue for some time.

use super::Millis;

/// The operations that a pause stops. Settles, due times, expiries and operators proceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PauseMode {
    /// No task is granted.
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

    /// Returns the form that Redis keeps: one bit for leases, one for enqueues.
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

/// A pause as an operator requests it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pause {
    pub mode: PauseMode,
    /// The end of the pause by Redis's clock; `None`: an operator resumes the queue.
    pub until: Option<Millis>,
    /// For people; at most [`super::limits::PAUSE_REASON_BYTES_MAX`].
    pub reason: Option<String>,
}

/// A pause in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paused {
    pub mode: PauseMode,
    /// The start of the pause. Later changes of its mode keep it.
    pub since: Millis,
    pub until: Option<Millis>,
    pub reason: Option<String>,
}
