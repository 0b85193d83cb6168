//! Names that a queue is known to have, so that most enqueues need not ask Redis for theirs.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::{NewTask, TaskName, limits};

/// Also of a name that is known Redis is asked this often, which tells it that the name is in use. Far below the time for which Redis
/// keeps one that nobody asks for.
const ASK_EVERY: Duration = Duration::from_secs(3600);

/// Of one queue; at most as many as a queue may have.
pub(super) struct KnownNames {
    /// As of which these hold: Redis raises it when a name leaves. 0 is never one.
    epoch: u64,
    names: HashSet<TaskName>,
    since: Instant,
}

impl KnownNames {
    pub(super) fn none() -> Self {
        Self {
            epoch: 0,
            names: HashSet::new(),
            since: Instant::now(),
        }
    }

    /// The epoch, and the names of these tasks that are to be asked for, each once.
    pub(super) fn unknown(&mut self, tasks: &[&NewTask], now: Instant) -> (u64, Vec<TaskName>) {
        if now.saturating_duration_since(self.since) >= ASK_EVERY {
            *self = Self::none();
        }
        let mut ask: Vec<TaskName> = Vec::new();
        for task in tasks {
            if !self.names.contains(&task.name) && !ask.contains(&task.name) {
                ask.push(task.name.clone());
            }
        }
        (self.epoch, ask)
    }

    /// A task of this name was accepted; Redis knows the name as of this epoch.
    pub(super) fn learn(&mut self, epoch: u64, name: &TaskName) {
        if self.epoch != epoch {
            (self.epoch, self.names) = (epoch, HashSet::new());
        }
        if self.names.len() < limits::NAMES_MAX && !self.names.contains(name) {
            self.names.insert(name.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::task::Json;

    fn task(name: &str) -> NewTask {
        NewTask {
            name: TaskName::parse(name).unwrap(),
            ..NewTask::new(Json::null())
        }
    }

    fn asked_at(known: &mut KnownNames, now: Instant, names: &[&str]) -> (u64, Vec<String>) {
        let tasks: Vec<_> = names.iter().map(|name| task(name)).collect();
        let (epoch, ask) = known.unknown(&tasks.iter().collect::<Vec<_>>(), now);
        (epoch, ask.iter().map(ToString::to_string).collect())
    }

    fn asked(known: &mut KnownNames, names: &[&str]) -> (u64, Vec<String>) {
        asked_at(known, Instant::now(), names)
    }

    #[test]
    fn a_name_is_asked_for_until_it_is_known_and_again_after_a_while() {
        let mut known = KnownNames::none();
        assert_eq!(
            asked(&mut known, &["a", "b", "a"]),
            (0, vec!["a".into(), "b".into()])
        );
        known.learn(7, &task("a").name);
        assert_eq!(asked(&mut known, &["a", "b"]), (7, vec!["b".into()]));
        known.learn(7, &task("b").name);
        assert_eq!(asked(&mut known, &["a", "b"]), (7, vec![]));
        known.learn(8, &task("b").name);
        assert_eq!(
            asked(&mut known, &["a", "b"]),
            (8, vec!["a".into()]),
            "a name has left"
        );
        let later = Instant::now() + ASK_EVERY;
        assert_eq!(asked_at(&mut known, later, &["b"]), (0, vec!["b".into()]));
    }
}
