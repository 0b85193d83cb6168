//! What an audit of a queue finds.

use super::TaskId;

/// What does not hold. The words are a contract with scripts that read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A record that no state index knows: the task would never run again (I1, I4).
    Lost,
    /// A task in more than one state index, or twice in one (I4).
    TwoStates,
    /// An index knows a task without a record (I4).
    NoRecord,
    /// An entry in a lane that is not its task's, or with another tick (I4, I17).
    Misplaced,
    /// The lane of a ready task cannot be found as it should: by head, name and turn (I17, I18).
    Lane,
    /// Something is left of a lane without tasks (I4).
    EmptyLane,
    /// A payload that lies apart is gone, or lies there for nobody (I2, I4).
    Payload,
    /// The attempts kept are not those that were counted (I12).
    History,
    /// Bytes that no script writes.
    Unreadable,
    /// What is kept of finished tasks disagrees with itself (I25).
    Finished,
    /// A dead letter that is counted otherwise than it is, or not at all (I14).
    DeadLetter,
    /// Counters and sizes of indexes do not add up (I3).
    Counters,
}

impl Kind {
    pub const ALL: [Self; 12] = [
        Self::Lost,
        Self::TwoStates,
        Self::NoRecord,
        Self::Misplaced,
        Self::Lane,
        Self::EmptyLane,
        Self::Payload,
        Self::History,
        Self::Unreadable,
        Self::Finished,
        Self::DeadLetter,
        Self::Counters,
    ];

    pub const fn word(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::TwoStates => "two_states",
            Self::NoRecord => "no_record",
            Self::Misplaced => "misplaced",
            Self::Lane => "lane",
            Self::EmptyLane => "empty_lane",
            Self::Payload => "payload",
            Self::History => "history",
            Self::Unreadable => "unreadable",
            Self::Finished => "finished",
            Self::DeadLetter => "dead_letter",
            Self::Counters => "counters",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// One thing that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    pub kind: Kind,
    /// Where it is about one task.
    pub id: Option<TaskId>,
    pub detail: String,
}

/// What one part of an audit looked at and found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Audit {
    /// Tasks examined in this part.
    pub checked: u64,
    /// Tasks that the queue has, finished ones that are still kept included.
    pub tasks: u64,
    /// The first [`super::limits::PROBLEMS_MAX`].
    pub problems: Vec<Disagreement>,
    /// All of them.
    pub problems_total: u64,
    /// Where the next part goes on; `None`: this was the last.
    pub next_cursor: Option<String>,
}
