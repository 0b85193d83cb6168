//! What a committer hands over at each beat.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use super::Beat;
use crate::domain::QueueName;
use crate::engine::committer::Committer;

/// Who still waits is told again so often that others believe it (`WAITING_MS_MAX`).
const TELL_AGAIN: Duration = Duration::from_secs(5);

/// What of it a committer remembers between two beats.
#[derive(Default)]
pub(in crate::engine) struct Gathering {
    /// Queues of which something was seen; their lines hold it.
    pub(super) seen: Vec<QueueName>,
    /// How many lease calls were last said to wait, and when.
    told: HashMap<QueueName, (u32, Instant)>,
}

impl Gathering {
    /// Whether it is time to say how many wait.
    fn is_news(&self, queue: &QueueName, waiting: u32, now: Instant) -> bool {
        match self.told.get(queue) {
            None => waiting > 0,
            Some((told, at)) => *told != waiting || now.duration_since(*at) >= TELL_AGAIN,
        }
    }

    fn tell(&mut self, queue: &QueueName, waiting: u32, now: Instant) {
        if waiting == 0 {
            self.told.remove(queue);
        } else {
            self.told.insert(queue.clone(), (waiting, now));
        }
    }
}

impl Committer {
    pub(in crate::engine) fn beats(&mut self, now: Instant) -> Vec<(QueueName, Beat)> {
        let mut beats = Vec::new();
        for queue in std::mem::take(&mut self.gathering.seen) {
            if let Some(beat) = self.lines.get_mut(&queue).and_then(|line| line.beat.take()) {
                beats.push((queue, *beat));
            }
        }
        let seen: HashSet<&QueueName> = beats.iter().map(|(queue, _)| queue).collect();
        let others = self.waiters.queues().chain(self.gathering.told.keys());
        let others: HashSet<QueueName> = others.filter(|queue| !seen.contains(queue)).cloned().collect();
        for queue in others {
            let waiting = self.waiting_calls(&queue);
            if self.gathering.is_news(&queue, waiting, now) {
                beats.push((queue, Beat::default()));
            }
        }
        for (queue, beat) in &mut beats {
            beat.waiting = self.waiting_calls(queue);
            self.gathering.tell(queue, beat.waiting, now);
        }
        beats
    }

    fn waiting_calls(&self, queue: &QueueName) -> u32 {
        u32::try_from(self.workers_waiting(queue, None)).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_told_when_it_changes_and_again_after_a_while() {
        let mut gathering = Gathering::default();
        let (queue, start) = (QueueName::parse("q").unwrap(), Instant::now());
        let mut says = |waiting, seconds| {
            let now = start + Duration::from_secs(seconds);
            let news = gathering.is_news(&queue, waiting, now);
            if news {
                gathering.tell(&queue, waiting, now);
            }
            news
        };
        let said =
            [(0, 0), (3, 1), (3, 2), (2, 3), (2, 7), (2, 8), (0, 9), (0, 20)].map(|(n, at)| says(n, at));
        assert_eq!(said, [false, true, false, true, false, true, true, false]);
    }
}
