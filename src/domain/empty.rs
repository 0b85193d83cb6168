//! Why a lease answer is empty.

/// Of a queue that is paused it is that, whether there are tasks or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EmptyReason {
    /// There is no ready task, or none of the names that were asked for.
    #[default]
    Empty,
    Paused,
    RateLimited,
    Held,
    ConcurrencyLimited,
    BreakerOpen,
}

impl EmptyReason {
    const ALL: [Self; 6] = [
        Self::Empty,
        Self::Paused,
        Self::RateLimited,
        Self::Held,
        Self::ConcurrencyLimited,
        Self::BreakerOpen,
    ];

    pub const fn word(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Paused => "paused",
            Self::RateLimited => "rate_limited",
            Self::Held => "held",
            Self::ConcurrencyLimited => "concurrency_limited",
            Self::BreakerOpen => "breaker_open",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.word() == word)
    }
}
