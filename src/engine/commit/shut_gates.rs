//! Why leases come back empty although tasks are ready, as replied to the latest call with the same `names`
//! filter.

use tokio::time::Instant;

use crate::domain::TaskName;
use crate::domain::gate::Reason;

/// Filters that are remembered. Past them the oldest is dropped, and its leases report an empty queue.
const FILTERS_MAX: usize = 32;

#[derive(Default)]
pub(super) struct ShutGates(Vec<(Vec<TaskName>, Reason, Option<Instant>)>);

impl ShutGates {
    /// Remembers why calls with this filter fall short; `None`: no gate blocks them.
    pub(super) fn remember(&mut self, names: &[TaskName], shut: Option<(Reason, Option<Instant>)>) {
        self.0.retain(|(filter, ..)| filter != names);
        if let Some((reason, look_at)) = shut {
            if self.0.len() == FILTERS_MAX {
                self.0.remove(0);
            }
            self.0.push((names.to_vec(), reason, look_at));
        }
    }

    pub(super) fn of(&self, names: &[TaskName]) -> Option<(Reason, Option<Instant>)> {
        let shut = self.0.iter().find(|(filter, ..)| filter == names);
        shut.map(|(_, reason, look_at)| (*reason, *look_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_filter_has_its_own_reason_and_the_oldest_filter_is_dropped_at_the_bound() {
        let name = |n: usize| vec![TaskName::parse(&format!("n{n}")).unwrap()];
        let mut gates = ShutGates::default();
        gates.remember(&[], Some((Reason::Held, None)));
        for n in 0..FILTERS_MAX - 1 {
            gates.remember(&name(n), Some((Reason::RateLimited, None)));
        }
        assert_eq!(gates.of(&[]), Some((Reason::Held, None)));
        gates.remember(&name(99), Some((Reason::RateLimited, None)));
        assert_eq!(gates.of(&[]), None, "the oldest filter was dropped");
        gates.remember(&name(99), None);
        assert_eq!(gates.of(&name(99)), None);
        assert_eq!(gates.of(&name(0)), Some((Reason::RateLimited, None)));
    }
}
