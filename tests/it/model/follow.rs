//! Callers that wait for the end of a task, and groups of dead letters.

use std::collections::BTreeMap;

use leaseq::domain::TaskId;
use leaseq::domain::queue::{OnFull, defaults};
use leaseq::domain::task::DeadReason;
use leaseq::store::ops::follow::Followed;

use super::answer::{Answer, SeenGroup};
use super::queue::Queue;
use super::task::State;

/// How much longer than the wait its end is shown, for the last look.
const GRACE_MS: u64 = 2_000;

impl Queue {
    pub fn follow(&mut self, ids: &[TaskId], ms: u64) -> Answer {
        Answer::Followed(ids.iter().map(|id| self.follow_one(*id, ms)).collect())
    }

    fn follow_one(&mut self, id: TaskId, ms: u64) -> Followed {
        let until = self.now.plus(ms);
        match self.tasks.get(&id).map(|task| &task.state) {
            None => Followed::Gone,
            Some(State::Completed { .. } | State::Cancelled { .. } | State::Dead { .. }) => Followed::Ended,
            Some(_) => {
                let noted = self.followed.get(&id).copied().filter(|noted| *noted > self.now);
                if noted.is_none_or(|noted| noted < until) {
                    self.followed.insert(id, until.plus(GRACE_MS));
                }
                Followed::Waiting
            }
        }
    }

    /// Whether nothing is accepted until there is room among the dead letters.
    pub fn refuses(&self) -> bool {
        let max_size = self.config.dead_max_size.unwrap_or(defaults::DEAD_MAX_SIZE);
        self.config.dead_on_full == Some(OnFull::RejectEnqueue)
            && self.dead_letters().len() as u64 >= max_size
    }

    /// Dead letters by name, error type and masked message.
    pub fn groups(&self) -> Vec<SeenGroup> {
        let mut groups = BTreeMap::new();
        for id in self.dead_letters() {
            let task = &self.tasks[&id];
            let State::Dead { at, reason } = &task.state else {
                unreachable!("it is dead")
            };
            let (kind, message) = match (reason, task.attempts.last()) {
                (DeadReason::Expired, _) => ("expired", "its expires_at has passed"),
                (_, Some(last)) => (last.error_type.as_str(), last.masked()),
                (_, None) => unreachable!("it died of an attempt"),
            };
            let key = (task.name.to_string(), kind.to_owned(), message.to_owned());
            let group = groups.entry(key.clone()).or_insert_with(|| SeenGroup {
                name: key.0,
                error_type: key.1,
                message: key.2,
                count: 0,
                first_at: *at,
                last_at: *at,
                sample: id,
            });
            // They come in order of death.
            group.count += 1;
            (group.last_at, group.sample) = (*at, id);
        }
        groups.into_values().collect()
    }
}
