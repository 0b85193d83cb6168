//! The view of a reader on the real queue.

use bytes::Bytes;
use leaseq::domain::fingerprint::DeadGroup;
use leaseq::domain::task::{Json, TaskView};
use leaseq::domain::{TaskId, TaskState};
use leaseq::store::ops::dead_groups::DeadGroupsOp;
use leaseq::store::ops::list::ListOp;
use leaseq::store::ops::overview::OverviewOp;
use leaseq::store::ops::show::ShowOp;

use super::answer::{Counts, Seen, SeenGroup, SeenTask};
use super::pause::Paused;
use super::task::Attempt;
use super::world::World;

impl World {
    /// `page`: how many ids a list gives at a time.
    pub fn seen(&mut self, ever: &[TaskId], page: usize) -> Seen {
        Seen {
            counts: self.counts(),
            tasks: self
                .call(&ShowOp(ever))
                .expect("the queue exists")
                .into_iter()
                .map(|view| view.map(seen_task))
                .collect(),
            lists: TaskState::ALL
                .iter()
                .map(|state| (*state, self.listed(*state, page)))
                .collect(),
            groups: self.groups(page),
        }
    }

    fn counts(&mut self) -> Counts {
        let overview = self.call(&OverviewOp).expect("the queue exists");
        Counts {
            scheduled: overview.counts.scheduled,
            ready: overview.counts.ready,
            leased: overview.counts.leased,
            dead: overview.counts.dead,
            kept: overview.kept,
            oldest_ready_at: overview.oldest_ready_at,
            accepted_total: overview.counts.accepted_total,
            completed_total: overview.counts.completed_total,
            cancelled_total: overview.counts.cancelled_total,
            purged_total: overview.counts.purged_total,
            dead_evicted_total: overview.counts.dead_evicted_total,
            dead_aged_total: overview.counts.dead_aged_total,
            replayed_total: overview.counts.replayed_total,
            leases_expired_total: overview.counts.leases_expired_total,
            duplicates_total: overview.counts.duplicates_total,
            paused: overview.paused.map(|paused| Paused {
                mode: paused.mode,
                since: paused.since,
                until: paused.until,
            }),
        }
    }

    /// `page`: how many groups a call gives at a time.
    fn groups(&mut self, page: usize) -> Vec<SeenGroup> {
        let (mut groups, mut after) = (Vec::new(), String::new());
        loop {
            let op = DeadGroupsOp {
                after: &after,
                limit: page,
            };
            let found = self.call(&op).expect("the queue exists");
            groups.extend(found.groups.into_iter().map(seen_group));
            match found.next {
                Some(next) => after = next,
                None => break,
            }
        }
        groups.sort();
        groups
    }

    fn listed(&mut self, state: TaskState, page: usize) -> Vec<TaskId> {
        let (mut ids, mut cursor) = (Vec::new(), Vec::new());
        loop {
            let op = ListOp {
                state,
                limit: page,
                cursor: &cursor,
            };
            let listed = self.call(&op).expect("the queue exists");
            ids.extend(listed.ids);
            cursor = listed.cursor;
            if cursor.is_empty() {
                break;
            }
        }
        if state == TaskState::Ready {
            ids.sort(); // They are listed as they lie.
        }
        ids
    }
}

fn seen_group(group: DeadGroup) -> SeenGroup {
    let error = group.error.expect("there are few groups");
    SeenGroup {
        name: error.name,
        error_type: error.kind,
        message: error.message,
        count: group.count,
        first_at: group.first_at,
        last_at: group.last_at,
        sample: group.sample,
    }
}

fn seen_task(view: TaskView) -> SeenTask {
    let bytes = |json: Json| -> Bytes { json.bytes().clone() };
    SeenTask {
        id: view.id,
        name: view.name.to_string(),
        group: view.group.map_or_else(String::new, |group| group.to_string()),
        state: view.state,
        payload: bytes(view.payload),
        priority: view.priority.get(),
        attempt: view.attempt,
        max_attempts: view.max_attempts,
        deferrals: view.deferrals,
        grant: view.grant,
        lease_ms: view.lease_ms,
        retry: view.retry,
        enqueued_at: view.enqueued_at,
        expires_at: view.expires_at,
        ready_at: view.ready_at,
        lease_expires_at: view.lease_expires_at,
        cancel_requested: view.cancel_requested,
        worker: view.worker,
        progress: view.progress.map(bytes),
        finished_at: view.finished_at,
        result: view.result.map(bytes),
        reason: view.reason,
        unique_key: view.unique_key.map(|key| key.to_string()),
        attempts: view
            .attempts
            .into_iter()
            .map(|attempt| Attempt {
                number: attempt.number,
                grant: attempt.grant,
                worker: attempt.worker,
                started_at: attempt.started_at,
                ended_at: attempt.ended_at,
                outcome: attempt.outcome,
                error_type: attempt.error.kind,
                message: attempt.error.message,
            })
            .collect(),
    }
}
