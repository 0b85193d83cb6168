//! Task names that Redis is known to have for a queue, so that most enqueues need not ask for theirs.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::{NewTask, TaskName, limits};

/// Known names are sent again this often, so that Redis does not drop them as unused. Far below the time for
/// which Redis keeps an unused name.
const ASK_EVERY: Duration = Duration::from_secs(3600);

/// The known names of one queue; at most as many as a queue may have.
pub(super) struct KnownNames {
    /// Redis raises the epoch when it drops a name, so names of an older epoch are not known. Never 0 at
    /// Redis.
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

    /// Returns the epoch, and the names of these tasks that the enqueue must ask for, each once.
    pub(super) fn unknown<'a>(
        &mut self,
        tasks: impl IntoIterator<Item = &'a NewTask>,
        now: Instant,
    ) -> (u64, Vec<TaskName>) {
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

    /// Redis accepted a task of this name, and knows the name as of this epoch.
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
        let (epoch, ask) = known.unknown(&tasks, now);
        (epoch, ask.iter().map(ToString::to_string).collect())
    }

    fn asked(known: &mut KnownNames, names: &[&str]) -> (u64, Vec<String>) {
        asked_at(known, Instant::now(), names)
    }

    #[test]
    fn an_enqueue_asks_for_a_name_until_it_is_known_and_again_after_an_hour() {
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
            "Redis dropped a name"
        );
        let later = Instant::now() + ASK_EVERY;
        assert_eq!(asked_at(&mut known, later, &["b"]), (0, vec!["b".into()]));
    }
}
