//! Circuit breakers: a name whose attempts keep failing gets no grants for a while, and then a few, to see.

use leaseq::domain::gate::{Breaker as Settings, Reason, Set};
use leaseq::domain::{Millis, TaskName};

use super::answer::Answer;
use super::queue::Queue;

/// Only grants made since its state began move a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Breaker {
    state: State,
    since: Millis,
    /// How long it is open if it opens again at once.
    reset_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed {
        failures: u64,
    },
    /// `None`: until somebody closes it.
    Open {
        until: Option<Millis>,
    },
    HalfOpen {
        probes: u64,
        successes: u64,
    },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

/// How a grant ended, as far as a breaker is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Success,
    Failure,
    None,
}

impl Breaker {
    /// Time alone makes one half-open; without settings there is nothing to try out.
    fn at(self, now: Millis, settings: Option<Settings>) -> Self {
        match self.state {
            State::Open { until: Some(until) } if until <= now => Self {
                state: match settings {
                    Some(_) => State::HalfOpen {
                        probes: 0,
                        successes: 0,
                    },
                    None => State::default(),
                },
                since: until,
                ..self
            },
            _ => self,
        }
    }

    fn open(&mut self, now: Millis, reset_ms: u64) {
        (self.state, self.since, self.reset_ms) = (
            State::Open {
                until: Some(now.plus(reset_ms)),
            },
            now,
            reset_ms,
        );
    }

    fn close(&mut self, now: Millis) {
        (self.state, self.since, self.reset_ms) = (State::default(), now, 0);
    }
}

impl Queue {
    /// With nothing left to defaults.
    fn breaker_settings(&self, name: &str) -> Option<Settings> {
        let named = self.config.names.get(name).or_else(|| self.config.names.get("*"));
        let own = named.and_then(|named| named.breaker).or(self.config.breaker);
        own.map(|breaker| breaker.effective())
    }

    /// Without settings there is none, but for one that is open: that ends as it was said.
    pub(super) fn breakers_configured(&mut self) {
        let gone = |queue: &Self, name: &str| queue.breaker_settings(name).is_none();
        let mut kept = std::mem::take(&mut self.gates.breakers);
        kept.retain(|name, breaker| matches!(breaker.state, State::Open { .. }) || !gone(self, name));
        self.gates.breakers = kept;
    }

    fn breaker(&self, name: &str) -> Breaker {
        let kept = self.gates.breakers.get(name).copied().unwrap_or_default();
        kept.at(self.now, self.breaker_settings(name))
    }

    /// Why it lets no more through, and until when.
    pub(super) fn broken(&self, name: &str) -> Option<(Reason, Option<Millis>)> {
        let most = self
            .breaker_settings(name)
            .and_then(|settings| settings.half_open_max);
        match self.breaker(name).state {
            State::Closed { .. } => None,
            State::Open { until } => Some((Reason::BreakerOpen, until)),
            State::HalfOpen { probes, .. } => {
                (probes >= most.unwrap_or(0)).then_some((Reason::BreakerOpen, None))
            }
        }
    }

    pub(super) fn probe(&mut self, name: &str) {
        let mut breaker = self.breaker(name);
        if let State::HalfOpen { probes, .. } = &mut breaker.state {
            *probes += 1;
            self.gates.breakers.insert(name.to_owned(), breaker);
        }
    }

    /// The end of a grant.
    pub(super) fn judge_breaker(&mut self, name: &str, granted_at: Millis, verdict: Verdict) {
        let Some(settings) = self.breaker_settings(name) else {
            return;
        };
        let (now, mut breaker) = (self.now, self.breaker(name));
        if granted_at < breaker.since {
            return;
        }
        let base = settings.reset_ms.expect("effective");
        match &mut breaker.state {
            State::Open { .. } => {}
            State::Closed { failures } => match verdict {
                Verdict::None => {}
                Verdict::Success => *failures = 0,
                Verdict::Failure => {
                    *failures += 1;
                    if *failures >= settings.failure_threshold.expect("effective") {
                        breaker.open(now, base);
                    }
                }
            },
            State::HalfOpen { probes, successes } => {
                *probes = probes.saturating_sub(1);
                match verdict {
                    Verdict::None => {}
                    Verdict::Success => {
                        *successes += 1;
                        if *successes >= settings.success_threshold.expect("effective") {
                            breaker.close(now);
                        }
                    }
                    Verdict::Failure => {
                        let reset_ms = (breaker.reset_ms.max(base) * 2).min(base * 10);
                        breaker.open(now, reset_ms);
                    }
                }
            }
        }
        self.gates.breakers.insert(name.to_owned(), breaker);
    }

    pub fn set_breaker(&mut self, name: &TaskName, set: Set) -> Answer {
        let base = self
            .breaker_settings(name.as_str())
            .and_then(|settings| settings.reset_ms);
        let mut breaker = self.breaker(name.as_str());
        let mut open_until = None;
        match set {
            Set::Closed => breaker.close(self.now),
            Set::Open { ms } => {
                open_until = ms.map(|ms| self.now.plus(ms));
                breaker.open(self.now, base.unwrap_or(0));
                breaker.state = State::Open { until: open_until };
            }
        }
        self.gates.breakers.insert(name.to_string(), breaker);
        Answer::Held(open_until)
    }
}
