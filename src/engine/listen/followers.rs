//! Followers: calls that wait for the end of a task. Pure: time is passed in.

use std::collections::HashMap;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::domain::{QueueName, TaskId};

/// One call that waits for the end of a task. Dropping it makes the call read the task.
pub(in crate::engine) struct Follower {
    pub(in crate::engine) until: Instant,
    pub(in crate::engine) look: oneshot::Sender<()>,
}

impl Follower {
    fn is_there(&self, now: Instant) -> bool {
        self.until > now && !self.look.is_closed()
    }
}

/// Followers by queue and task.
#[derive(Default)]
pub(in crate::engine) struct Followers {
    by_queue: HashMap<QueueName, HashMap<TaskId, Vec<Follower>>>,
    count: usize,
}

impl Followers {
    pub(in crate::engine) fn len(&self) -> usize {
        self.count
    }

    pub(in crate::engine) fn add(&mut self, queue: &QueueName, id: TaskId, follower: Follower) {
        let tasks = match self.by_queue.get_mut(queue) {
            Some(tasks) => tasks,
            None => self.by_queue.entry(queue.clone()).or_default(),
        };
        tasks.entry(id).or_default().push(follower);
        self.count += 1;
    }

    /// Drops the followers of these tasks, which may have ended, so that they read them.
    pub(in crate::engine) fn tell(&mut self, queue: &QueueName, ids: impl IntoIterator<Item = TaskId>) {
        let Some(tasks) = self.by_queue.get_mut(queue) else {
            return;
        };
        for id in ids {
            self.count -= tasks.remove(&id).map_or(0, |told| told.len());
        }
        if tasks.is_empty() {
            self.by_queue.remove(queue);
        }
    }

    /// Returns the followed tasks, each with the rest of its wait in ms. Drops followers whose callers left
    /// or whose wait is over.
    pub(in crate::engine) fn asked_for(&mut self, now: Instant) -> Vec<(QueueName, Vec<(TaskId, u64)>)> {
        let mut asked = Vec::new();
        self.count = 0;
        self.by_queue.retain(|queue, tasks| {
            let mut ids = Vec::new();
            tasks.retain(|id, followers| {
                followers.retain(|follower| follower.is_there(now));
                self.count += followers.len();
                let left = followers.iter().map(|follower| follower.until - now).max();
                ids.extend(left.map(|left| (*id, u64::try_from(left.as_millis()).unwrap_or(u64::MAX))));
                left.is_some()
            });
            if !ids.is_empty() {
                asked.push((queue.clone(), ids));
            }
            !tasks.is_empty()
        });
        asked
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::Millis;

    fn queue(name: &str) -> QueueName {
        QueueName::parse(name).unwrap()
    }

    #[test]
    fn all_who_follow_a_task_are_told_of_it_and_nobody_else() {
        let (mut followers, until) = (Followers::default(), Instant::now() + Duration::from_secs(1));
        let ids = [(); 2].map(|()| TaskId::new(Millis::local()));
        let mut heard = Vec::new();
        for id in [ids[0], ids[0], ids[1]] {
            let (look, told) = oneshot::channel();
            followers.add(&queue("a"), id, Follower { until, look });
            heard.push(told);
        }
        followers.tell(&queue("b"), [ids[0]]);
        assert_eq!(followers.len(), 3);
        followers.tell(&queue("a"), [ids[0], TaskId::new(Millis::local())]);
        let told: Vec<_> = heard
            .iter_mut()
            .map(|told| told.try_recv() == Err(oneshot::error::TryRecvError::Closed))
            .collect();
        assert_eq!((told, followers.len()), (vec![true, true, false], 1));
    }

    #[test]
    fn who_left_or_whose_time_is_over_is_not_asked_for() {
        let (mut followers, now) = (Followers::default(), Instant::now());
        let ids = [(); 3].map(|()| TaskId::new(Millis::local()));
        let mut heard = Vec::new();
        for (id, seconds) in ids.into_iter().zip([1, 5, 9]) {
            let (look, told) = oneshot::channel();
            let until = now + Duration::from_secs(seconds);
            followers.add(&queue("a"), id, Follower { until, look });
            heard.push(told);
        }
        heard.remove(1);
        let asked = followers.asked_for(now + Duration::from_secs(1));
        assert_eq!(asked, [(queue("a"), vec![(ids[2], 8_000)])]);
        assert_eq!(followers.len(), 1);
    }
}
