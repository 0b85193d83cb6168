//! The findings of an audit of a queue.

use super::TaskId;

/// The kinds of problems. Scripts of operators read the words, so they are a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A record that no state index knows: the task would never run again (I1, I4).
    Lost,
    /// A task in more than one state index, or twice in one (I4).
    TwoStates,
    /// An index knows a task without a record (I4).
    NoRecord,
    /// An entry in another lane than that of its task, or with another tick (I4, I17).
    Misplaced,
    /// The lane of a ready task is missing in an index: of heads, names or turns (I17, I18).
    Lane,
    /// A lane without tasks left entries behind (I4).
    EmptyLane,
    /// A payload in the second hash is missing, or has no task (I2, I4).
    Payload,
    /// The kept attempts differ from the counted ones (I12).
    History,
    /// Bytes that no script writes.
    Unreadable,
    /// The records of finished tasks disagree with their index or counters (I25).
    Finished,
    /// A dead letter is counted wrongly, or not at all (I14).
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

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    pub kind: Kind,
    /// Present if the problem concerns one task.
    pub id: Option<TaskId>,
    pub detail: String,
}

/// The result of one part of an audit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Audit {
    /// Tasks examined in this part.
    pub checked: u64,
    /// Tasks of the queue, including finished ones that are still kept.
    pub tasks: u64,
    /// The first [`super::limits::PROBLEMS_MAX`].
    pub problems: Vec<Disagreement>,
    /// The number of all problems.
    pub problems_total: u64,
    /// Cursor of the next part; `None`: this was the last.
    pub next_cursor: Option<String>,
}
