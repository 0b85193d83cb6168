//! Collects the observations of a shard for each beat.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use super::shard::Shard;
use crate::domain::QueueName;
use crate::engine::beat::Beat;

/// An unchanged number of waiting calls is sent again this often. Redis believes one for `WAITING_MS_MAX`, which is longer.
const SEND_AGAIN: Duration = Duration::from_secs(5);

/// The part of a shard that remembers one beat until the next.
#[derive(Default)]
pub(super) struct Gathering {
    /// Queues with observations, which their pending work holds.
    pub(super) seen: Vec<QueueName>,
    /// The number of waiting calls that was sent last, and when.
    sent: HashMap<QueueName, (u32, Instant)>,
}

impl Gathering {
    /// Returns whether the number of waiting calls must be sent.
    fn is_news(&self, queue: &QueueName, waiting: u32, now: Instant) -> bool {
        match self.sent.get(queue) {
            None => waiting > 0,
            Some((sent, at)) => *sent != waiting || now.duration_since(*at) >= SEND_AGAIN,
        }
    }

    fn remember(&mut self, queue: &QueueName, waiting: u32, now: Instant) {
        if waiting == 0 {
            self.sent.remove(queue);
        } else {
            self.sent.insert(queue.clone(), (waiting, now));
        }
    }
}

impl Shard {
    /// Takes the observations of all queues, each with the number of calls that wait for it now.
    pub(super) fn beats(&mut self, now: Instant) -> Vec<(QueueName, Beat)> {
        let mut beats = Vec::new();
        for queue in std::mem::take(&mut self.gathering.seen) {
            if let Some(beat) = self.pending(&queue).beat.take() {
                beats.push((queue, *beat));
            }
        }
        let seen: HashSet<&QueueName> = beats.iter().map(|(queue, _)| queue).collect();
        let others = self.awaited_queues().chain(self.gathering.sent.keys());
        let others: HashSet<QueueName> = others.filter(|queue| !seen.contains(queue)).cloned().collect();
        for queue in others {
            let waiting = self.waiting_now(&queue);
            if self.gathering.is_news(&queue, waiting, now) {
                beats.push((queue, Beat::default()));
            }
        }
        for (queue, beat) in &mut beats {
            beat.waiting = self.waiting_now(queue);
            self.gathering.remember(queue, beat.waiting, now);
        }
        beats
    }

    fn waiting_now(&self, queue: &QueueName) -> u32 {
        u32::try_from(self.waiting_calls(queue, None)).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_waiting_calls_is_sent_when_it_changes_and_again_after_five_seconds() {
        let mut gathering = Gathering::default();
        let (queue, start) = (QueueName::parse("q").unwrap(), Instant::now());
        let mut sends = |waiting, seconds| {
            let now = start + Duration::from_secs(seconds);
            let news = gathering.is_news(&queue, waiting, now);
            if news {
                gathering.remember(&queue, waiting, now);
            }
            news
        };
        let sent =
            [(0, 0), (3, 1), (3, 2), (2, 3), (2, 7), (2, 8), (0, 9), (0, 20)].map(|(n, at)| sends(n, at));
        assert_eq!(sent, [false, true, false, true, false, true, true, false]);
    }
}
