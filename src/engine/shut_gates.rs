//! Why leases come back empty though tasks are ready: what the latest one with the same `names` filter was told.

use tokio::time::Instant;

use crate::domain::TaskName;
use crate::domain::gate::Reason;

/// Filters remembered; of more, the oldest is forgotten, and its leases are told that the queue is empty.
const FILTERS_MAX: usize = 32;

#[derive(Default)]
pub(super) struct ShutGates(Vec<(Vec<TaskName>, Reason, Option<Instant>)>);

impl ShutGates {
    /// `None`: nothing is kept back from such leases.
    pub(super) fn told(&mut self, names: &[TaskName], shut: Option<(Reason, Option<Instant>)>) {
        self.0.retain(|(filter, ..)| filter != names);
        if let Some((reason, look_at)) = shut {
            if self.0.len() == FILTERS_MAX {
                self.0.remove(0);
            }
            self.0.push((names.to_vec(), reason, look_at));
        }
    }

    pub(super) fn of(&self, names: &[TaskName]) -> Option<(Reason, Option<Instant>)> {
        let told = self.0.iter().find(|(filter, ..)| filter == names);
        told.map(|(_, reason, look_at)| (*reason, *look_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_filter_has_a_reason_of_its_own_and_few_are_remembered() {
        let name = |n: usize| vec![TaskName::parse(&format!("n{n}")).unwrap()];
        let mut gates = ShutGates::default();
        gates.told(&[], Some((Reason::Held, None)));
        for n in 0..FILTERS_MAX - 1 {
            gates.told(&name(n), Some((Reason::RateLimited, None)));
        }
        assert_eq!(gates.of(&[]), Some((Reason::Held, None)));
        gates.told(&name(99), Some((Reason::RateLimited, None)));
        assert_eq!(gates.of(&[]), None, "the oldest is forgotten");
        gates.told(&name(99), None);
        assert_eq!(gates.of(&name(99)), None);
        assert_eq!(gates.of(&name(0)), Some((Reason::RateLimited, None)));
    }
}
