//! Pause: what an operator stops, until somebody resumes it or its time is over.

use leaseq::domain::Millis;
use leaseq::domain::pause::{Pause, PauseMode};
use leaseq::domain::task::NotEnqueued;
use leaseq::store::ops::pause::{PauseChanged, PauseOp};

use super::answer::Answer;
use super::queue::Queue;
use super::world::World;
use crate::support::queue::REPLICA;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paused {
    pub mode: PauseMode,
    pub since: Millis,
    pub until: Option<Millis>,
}

impl Queue {
    /// `None` resumes. One that would be over already is refused.
    pub fn pause(&mut self, pause: Option<&Pause>) -> Answer {
        if pause.is_some_and(|pause| pause.until.is_some_and(|until| until <= self.now)) {
            return Answer::Paused(PauseChanged::Past);
        }
        let was_closed = self.is_paused(PauseMode::Lease);
        let since = self.in_force().map_or(self.now, |paused| paused.since);
        self.paused = pause.map(|pause| Paused {
            mode: pause.mode,
            since,
            until: pause.until,
        });
        let ready = self.tasks.values().filter(|task| task.is_ready()).count() as u64;
        let reopened = was_closed && !self.is_paused(PauseMode::Lease);
        Answer::Paused(PauseChanged::Done {
            ready: if reopened { ready } else { 0 },
            since,
        })
    }

    pub fn in_force(&self) -> Option<&Paused> {
        let paused = self.paused.as_ref();
        paused.filter(|paused| paused.until.is_none_or(|until| until > self.now))
    }

    pub fn is_paused(&self, what: PauseMode) -> bool {
        self.in_force()
            .is_some_and(|paused| paused.mode == what || paused.mode == PauseMode::Both)
    }

    /// Only what would make a new task is refused.
    pub(super) fn refuse_while_paused(&self) -> Option<NotEnqueued> {
        self.is_paused(PauseMode::Enqueue).then(|| {
            let until = self.in_force().and_then(|paused| paused.until);
            NotEnqueued::Paused {
                ends_in_ms: until.map(|until| until.since(self.now)),
            }
        })
    }
}

impl World {
    pub fn pause(&mut self, pause: Option<&Pause>) -> Answer {
        let op = PauseOp {
            replica: REPLICA,
            pause,
        };
        Answer::Paused(self.call(&op).expect("the queue exists"))
    }
}
