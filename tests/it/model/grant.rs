//! Lease: which tasks are handed out, to whom, and what a repeated call is told.

use std::collections::BTreeMap;

use leaseq::domain::pause::PauseMode;
use leaseq::domain::{Millis, TaskId, TaskName};

use super::answer::{Answer, Grant};
use super::queue::Queue;
use super::task::{Lease, State, Task};

/// The wish of one caller. Callers of one script call have the same `names`.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    pub tasks: usize,
    pub lease_ms: Option<u64>,
    pub worker: Option<String>,
    pub request_id: Option<String>,
}

/// The grants of lease calls with a `request_id`, and how long these may be repeated.
#[derive(Debug, Clone, Default)]
pub struct Requests(BTreeMap<String, (Millis, Vec<(TaskId, u32)>)>);

impl Queue {
    /// Hands out as many tasks as the wishes want and `names` allow (empty: all): groups take turns, and
    /// inside a group the order decides. The first wish is served first.
    pub fn lease(&mut self, names: &[TaskName], wishes: &[Wish], seed: u16) -> Answer {
        let next_at = self.next_at();
        let is_open = !self.is_paused(PauseMode::Lease);
        let mut grants = Vec::new();
        let mut recalled = Vec::new();
        let mut line = self
            .turns
            .line(|group| is_open && self.next_of(group, names).is_some());
        for (wish_index, wish) in wishes.iter().enumerate() {
            if let Some(given) = self.requests.within_lease_time(wish, self.now) {
                recalled.push((wish_index, self.still_leased(wish_index, given)));
                continue;
            }
            let first = grants.len();
            while grants.len() - first < wish.tasks
                && let Some(group) = line.first().map(str::to_owned)
            {
                let Some(id) = self.next_of(&group, names) else {
                    line.skip();
                    continue;
                };
                if self.leaves_lane_unseen(id) {
                    continue;
                }
                let cost = self.turn_cost(&group);
                let pass = line.turn(cost);
                self.turns.took(&group, pass, cost);
                let nonce = nonce(seed, grants.len());
                let grant = self.grant(wish_index, id, wish, nonce);
                grants.push(grant);
                self.depart(&group);
            }
            self.requests.remember(wish, &grants[first..]);
        }
        Answer::Leased {
            next_at,
            grants,
            recalled,
        }
    }

    /// The best task in the lanes of a group that `names` allow.
    fn next_of(&self, group: &str, names: &[TaskName]) -> Option<TaskId> {
        self.tasks
            .values()
            .filter(|task| task.is_in_lane() && task.group == group)
            .filter(|task| names.is_empty() || names.contains(&task.name))
            .filter(|task| self.may_pass(task))
            .min_by_key(|task| self.order_key(task))
            .map(|task| task.id)
    }

    fn grant(&mut self, wish_index: usize, id: TaskId, wish: &Wish, nonce: u16) -> Grant {
        let now = self.now;
        let passing = self.tasks[&id].clone();
        self.pass(&passing);
        let task = self.tasks.get_mut(&id).expect("chosen among the tasks");
        let lease_ms = wish.lease_ms.unwrap_or(task.lease_ms);
        task.grants += 1;
        task.nonce = Some(nonce);
        task.worker.clone_from(&wish.worker);
        task.state = State::Leased(Lease {
            nonce,
            granted_at: now,
            expires_at: now.plus(lease_ms),
            lease_ms,
        });
        let grant = seen_grant(wish_index, task);
        self.free_at_grant(id);
        grant
    }

    /// A repeated call gets the same grants, as far as they are still leased.
    fn still_leased(&self, wish_index: usize, given: &[(TaskId, u32)]) -> Vec<Grant> {
        given
            .iter()
            .filter_map(|(id, grant)| self.tasks.get(id).filter(|task| task.grants == *grant))
            .filter(|task| task.lease().is_some_and(|lease| lease.expires_at > self.now))
            .map(|task| seen_grant(wish_index, task))
            .collect()
    }

    /// When something is due, a lease runs out, a task that waits expires, or leases go on by themselves.
    pub fn next_at(&self) -> Option<Millis> {
        let at = |task: &Task| match &task.state {
            State::Scheduled { due, .. } => Some(task.expires_at.map_or(*due, |at| at.min(*due))),
            State::Ready { .. } => task.expires_at,
            State::Leased(lease) => Some(lease.expires_at),
            _ => None,
        };
        let reopens = self.paused.as_ref().filter(|_| self.is_paused(PauseMode::Lease));
        let reopens = reopens.and_then(|paused| paused.until);
        self.tasks.values().filter_map(at).chain(reopens).min()
    }
}

/// Nonces of one call differ; tests set the seed that is random otherwise.
fn nonce(seed: u16, nth: usize) -> u16 {
    ((usize::from(seed) + (nth + 1) * 797) % 2048) as u16
}

fn seen_grant(wish: usize, task: &Task) -> Grant {
    let lease = task.lease().expect("just granted");
    Grant {
        wish,
        id: task.id,
        grant: task.grants,
        nonce: lease.nonce,
        attempt: task.failed + 1,
        deferrals: task.deferrals,
        granted_at: lease.granted_at,
        expires_at: lease.expires_at,
        lease_ms: lease.lease_ms,
        ready_at: Millis::new(task.place / super::task::PLACES),
        task_expires_at: task.expires_at,
        payload: task.payload.clone(),
        last_error: task.attempts.last().map(|attempt| attempt.error_type.clone()),
    }
}

impl Requests {
    fn within_lease_time(&self, wish: &Wish, now: Millis) -> Option<&[(TaskId, u32)]> {
        let (until, given) = self.0.get(wish.request_id.as_ref()?)?;
        (*until > now).then_some(given)
    }

    /// An empty answer leaves no mark.
    fn remember(&mut self, wish: &Wish, grants: &[Grant]) {
        if let (Some(key), Some(until)) = (
            &wish.request_id,
            grants.iter().map(|grant| grant.expires_at).max(),
        ) {
            let given = grants.iter().map(|grant| (grant.id, grant.grant)).collect();
            self.0.insert(key.clone(), (until, given));
        }
    }
}
