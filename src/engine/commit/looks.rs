//! Planned looks: when a queue is looked at although no command asks for it.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::QueueName;

/// Waiters of a queue look at least this often, in case every hint is lost.
pub(super) const FALLBACK: Duration = Duration::from_secs(1);

/// One planned look per queue at most.
#[derive(Debug, Default)]
pub(super) struct Looks {
    planned: HashMap<QueueName, Look>,
    order: BTreeSet<(Instant, QueueName)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    at: Instant,
    /// An entry of the queue is due by then, so the look begins with a sweep.
    due: bool,
}

impl Looks {
    /// Plans a look at `at`, unless an earlier one is planned already.
    pub(super) fn plan(&mut self, queue: &QueueName, at: Instant, due: bool) {
        let planned = self.planned.get(queue).copied();
        let next = match planned {
            Some(look) if look.at <= at => Look {
                at: look.at,
                due: look.due || (due && look.at == at),
            },
            _ => Look { at, due },
        };
        if planned == Some(next) {
            return;
        }
        if let Some(look) = planned {
            self.order.remove(&(look.at, queue.clone()));
        }
        self.planned.insert(queue.clone(), next);
        self.order.insert((next.at, queue.clone()));
    }

    /// Takes a look whose time has come. Returns its queue and whether an entry is due.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(QueueName, bool)> {
        self.next().filter(|at| *at <= now)?;
        let (_, queue) = self.order.pop_first()?;
        let look = self.planned.remove(&queue)?;
        Some((queue, look.due))
    }

    /// Returns the time of the next look.
    pub(super) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    pub(super) fn is_planned(&self, queue: &QueueName) -> bool {
        self.planned.contains_key(queue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(name: &str) -> QueueName {
        QueueName::parse(name).unwrap()
    }

    #[test]
    fn a_queue_is_looked_at_once_at_the_earliest_planned_time() {
        let (start, mut looks) = (Instant::now(), Looks::default());
        let at = |seconds| start + Duration::from_secs(seconds);
        looks.plan(&queue("a"), at(3), true);
        looks.plan(&queue("b"), at(2), false);
        looks.plan(&queue("a"), at(1), false);
        looks.plan(&queue("a"), at(9), true);
        assert_eq!(looks.next(), Some(at(1)));
        assert_eq!(looks.take_due(at(0)), None);
        assert_eq!(looks.take_due(at(5)), Some((queue("a"), false)));
        assert_eq!(looks.take_due(at(5)), Some((queue("b"), false)));
        assert_eq!(looks.take_due(at(99)), None);
        assert!(!looks.is_planned(&queue("a")));
    }

    #[test]
    fn a_look_sweeps_if_any_plan_for_its_time_knows_of_a_due_entry() {
        let (now, mut looks) = (Instant::now(), Looks::default());
        looks.plan(&queue("a"), now, false);
        looks.plan(&queue("a"), now, true);
        looks.plan(&queue("a"), now, false);
        assert_eq!(looks.take_due(now), Some((queue("a"), true)));
    }
}
