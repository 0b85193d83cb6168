//! The memory of a shard between two beats.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::QueueName;

/// An unchanged number of waiting calls is sent again this often. Redis believes one for `WAITING_MS_MAX`,
/// which is longer.
const SEND_AGAIN: Duration = Duration::from_secs(5);

/// The part of a shard that remembers one beat until the next.
#[derive(Default)]
pub(super) struct Gathering {
    /// Queues with observations, which their pending work holds.
    pub(super) seen: Vec<QueueName>,
    /// The number of waiting calls that was sent last, and when.
    pub(super) sent: HashMap<QueueName, (u32, Instant)>,
}

impl Gathering {
    /// Returns whether the number of waiting calls must be sent.
    pub(super) fn is_news(&self, queue: &QueueName, waiting: u32, now: Instant) -> bool {
        match self.sent.get(queue) {
            None => waiting > 0,
            Some((sent, at)) => *sent != waiting || now.duration_since(*at) >= SEND_AGAIN,
        }
    }

    pub(super) fn remember(&mut self, queue: &QueueName, waiting: u32, now: Instant) {
        if waiting == 0 {
            self.sent.remove(queue);
        } else {
            self.sent.insert(queue.clone(), (waiting, now));
        }
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
