//! Lease calls: on one queue or several, waiting or not.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::commit::{self, Command, LeaseCaller, LeaseJob, RawGrants, SettleOutcome, Watch};
use super::{Engine, Failure, Granted};
use crate::domain::gate::{EmptyReason, Reason};
use crate::domain::settle::Settle;
use crate::domain::{QueueName, TaskName, limits};
use crate::store::Why;
use crate::store::ops::lease::Wish;

/// Redis granted tasks, and they were given back because its reply came when their leases were over.
const LATE: Failure = Failure::NotApplied(Why::LeasesOver);

/// A lease call.
#[derive(Debug, Clone)]
pub struct LeaseRequest {
    pub queues: LeaseFrom,
    /// 1..=`LEASE_TASKS_MAX`.
    pub max_tasks: usize,
    /// At most `WAIT_SECONDS_MAX`.
    pub wait: Duration,
    pub lease_ms: Option<u64>,
    pub worker: Option<String>,
    /// Empty: all names.
    pub names: Vec<TaskName>,
    /// A repeat with the same one within the lease time gets the same grants.
    pub request_id: Option<String>,
}

#[derive(Debug, Clone)]
pub enum LeaseFrom {
    One(QueueName),
    /// Asked in this order.
    Strict(Vec<QueueName>),
    /// Asked in an order drawn by weight for each call.
    Weighted(Vec<(QueueName, f64)>),
}

/// The outcome of a lease call.
pub type Leased = commit::Leased<Granted>;

/// Sends the outcome of one script call's part of a lease call.
type Replied = oneshot::Receiver<Result<commit::Leased<RawGrants>, Failure>>;

impl Engine {
    /// Leases tasks, and waits for the first as long as the request says.
    ///
    /// # Errors As [`Failure`] lists. After [`Failure::Unknown`] tasks may be leased to nobody until their
    /// leases expire.
    pub async fn lease(&self, request: LeaseRequest) -> Result<Leased, Failure> {
        let deadline = (!request.wait.is_zero()).then(|| Instant::now() + request.wait);
        self.lease_until(&request, deadline).await
    }

    /// Settles first, then leases. Does not wait for tasks if a settle failed.
    pub async fn settle_and_lease(
        &self,
        settle: Vec<Settle>,
        request: LeaseRequest,
    ) -> (Vec<SettleOutcome>, Result<Leased, Failure>) {
        let deadline = (!request.wait.is_zero()).then(|| Instant::now() + request.wait);
        // Both go into one flush, settles before the lease, so that one request is one round trip to Redis.
        let (settled, leased) = tokio::join!(self.settle_many(settle), self.lease_until(&request, None));
        let failed = settled.iter().any(|outcome| !matches!(outcome, Ok(Ok(_))));
        match leased {
            Ok(Leased::Empty { .. }) if !failed && deadline.is_some() => {
                let leased = self.lease_until(&request, deadline).await;
                (settled, leased)
            }
            leased => (settled, leased),
        }
    }

    async fn lease_until(
        &self,
        request: &LeaseRequest,
        deadline: Option<Instant>,
    ) -> Result<Leased, Failure> {
        match &request.queues {
            LeaseFrom::One(queue) => self.lease_from_one(queue, request, deadline).await,
            LeaseFrom::Strict(queues) => self.lease_from_many(queues, request, deadline).await,
            LeaseFrom::Weighted(queues) => self.lease_from_many(&drawn(queues), request, deadline).await,
        }
    }

    /// Leases tasks of one queue whose leases have time left when the reply comes. Calls again while the wait
    /// lasts.
    async fn lease_from_one(
        &self,
        queue: &QueueName,
        request: &LeaseRequest,
        deadline: Option<Instant>,
    ) -> Result<Leased, Failure> {
        loop {
            let granted = match self.lease_in_parts(queue, request, deadline).await? {
                Leased::Tasks(granted) => granted,
                empty @ Leased::Empty { .. } => return Ok(empty),
            };
            if let Some(granted) = granted.in_time() {
                return Ok(Leased::Tasks(granted));
            }
            // Redis remembers the grants of a call with a `request_id`, so a second call would get none.
            if request.request_id.is_some() || deadline.is_none_or(|deadline| deadline <= Instant::now()) {
                return Err(LATE);
            }
        }
    }

    /// Sends as many script calls as the request needs, one after the other.
    async fn lease_in_parts(
        &self,
        queue: &QueueName,
        request: &LeaseRequest,
        deadline: Option<Instant>,
    ) -> Result<Leased, Failure> {
        let mut granted = match self.send_lease(queue, request, deadline, (0, 0))?.await {
            Ok(Ok(commit::Leased::Tasks(grants))) => match self.open(grants) {
                Some(granted) => granted,
                None => return Ok(Leased::EMPTY),
            },
            Ok(Ok(commit::Leased::Empty { reason, retry_after })) => {
                return Ok(Leased::Empty { reason, retry_after });
            }
            Ok(Err(failure)) => return Err(failure),
            Err(_) => return Err(Failure::Draining),
        };
        let mut last_part = granted.tasks().len();
        while self.wants_more(&granted, last_part, request) {
            let got = (granted.tasks().len(), granted.bytes());
            // The earlier parts must reach the caller, whatever becomes of this one.
            let Ok(replied) = self.send_lease(queue, request, None, got) else {
                break;
            };
            let Ok(Ok(commit::Leased::Tasks(grants))) = replied.await else {
                break;
            };
            let Some(more) = self.open(grants) else { break };
            last_part = more.tasks().len();
            granted.append(more);
        }
        Ok(Leased::Tasks(granted))
    }

    /// Returns whether another script call may add tasks to a response whose last call granted `last_part`.
    fn wants_more(&self, granted: &Granted, last_part: usize, request: &LeaseRequest) -> bool {
        let (tasks, items_max) = (granted.tasks().len(), self.settings().script_items);
        let wanted = (request.max_tasks - (tasks - last_part)).min(items_max);
        last_part == wanted
            && tasks < request.max_tasks
            // A script grants at least one task, whatever its size: that one must fit, too.
            && granted.bytes() + limits::PAYLOAD_BYTES_MAX <= limits::LEASE_BYTES_MAX
            // Redis remembers the grants of one script call per `request_id`.
            && request.request_id.is_none()
    }

    /// Sends one part of a lease call, of which `got` tasks and bytes are granted already.
    fn send_lease(
        &self,
        queue: &QueueName,
        request: &LeaseRequest,
        deadline: Option<Instant>,
        (got_tasks, got_bytes): (usize, usize),
    ) -> Result<Replied, Failure> {
        let wish = Wish {
            tasks: (request.max_tasks - got_tasks).min(self.settings().script_items),
            lease_ms: request.lease_ms,
            worker: request.worker.clone(),
            request_key: request.request_id.clone(),
        };
        let bytes_max = limits::LEASE_BYTES_MAX.saturating_sub(got_bytes);
        self.send_wish(queue, wish, bytes_max, &request.names, deadline, false)
    }

    fn send_wish(
        &self,
        queue: &QueueName,
        wish: Wish,
        bytes_max: usize,
        names: &[TaskName],
        deadline: Option<Instant>,
        recall: bool,
    ) -> Result<Replied, Failure> {
        let (reply, replied) = oneshot::channel();
        let caller = LeaseCaller {
            bytes_max,
            names: names.to_vec(),
            deadline,
            recall,
            reply,
        };
        let job = LeaseJob { wish, caller };
        self.inner.routes.ask(queue, Command::Lease(queue.clone(), job))?;
        Ok(replied)
    }

    /// Returns what an earlier call with the same `request_id` was granted, by any of its queues: a repeat
    /// must not get tasks of another queue.
    async fn recalled(
        &self,
        queues: &[QueueName],
        request: &LeaseRequest,
    ) -> Result<Option<Granted>, Failure> {
        if request.request_id.is_none() {
            return Ok(None);
        }
        let mut sent = Vec::new();
        for queue in queues {
            let wish = Wish {
                request_key: request.request_id.clone(),
                ..Wish::default()
            };
            sent.push(self.send_wish(queue, wish, limits::LEASE_BYTES_MAX, &[], None, true)?);
        }
        let mut recalled = None;
        for replied in sent {
            if let commit::Leased::Tasks(grants) = replied.await.unwrap_or(Err(Failure::Draining))? {
                recalled = recalled.or(self.open(grants).and_then(Granted::in_time));
            }
        }
        Ok(recalled)
    }

    /// Asks the queues in order. Waits until one of them may have a task, and asks again.
    async fn lease_from_many(
        &self,
        queues: &[QueueName],
        request: &LeaseRequest,
        deadline: Option<Instant>,
    ) -> Result<Leased, Failure> {
        if let Some(granted) = self.recalled(queues, request).await? {
            return Ok(Leased::Tasks(granted));
        }
        let mut woken_by: Option<QueueName> = None;
        loop {
            // Watch before asking, so that no wake is missed in between.
            let (wake, mut woken) = mpsc::channel(1);
            if let Some(deadline) = deadline {
                for queue in queues {
                    let watch = Watch {
                        names: request.names.clone(),
                        deadline,
                        wake: wake.clone(),
                    };
                    self.inner
                        .routes
                        .ask(queue, Command::Watch(queue.clone(), watch))?;
                }
            }
            drop(wake);
            let mut soonest: Option<(EmptyReason, Option<Duration>)> = None;
            for queue in queues {
                let leased = match self.lease_from_one(queue, request, None).await {
                    // The give-back wakes the watches.
                    Err(late) if late == LATE && deadline.is_some() => continue,
                    leased => leased?,
                };
                match leased {
                    Leased::Tasks(_) => {
                        if let Some(by) = woken_by.filter(|by| by != queue) {
                            // This call used up a wake of another queue, whose task a second waiter may take.
                            self.inner.routes.hint(&by, Command::Hint(by.clone(), 1));
                        }
                        return Ok(leased);
                    }
                    Leased::Empty { reason, retry_after } => {
                        let this = (reason, retry_after);
                        soonest = Some(soonest.map_or(this, |other| sooner(other, this)));
                    }
                }
            }
            let asked = Instant::now();
            let (reason, opens_in) = soonest.unwrap_or((EmptyReason::Empty, None));
            let empty = || Leased::Empty {
                reason,
                retry_after: opens_in.map(|after| after.saturating_sub(asked.elapsed())),
            };
            let Some(deadline) = deadline else {
                return Ok(empty());
            };
            let _counted = self.inner.waiting.begin();
            match tokio::time::timeout_at(deadline, woken.recv()).await {
                Ok(Some(queue)) => woken_by = Some(queue),
                // The committers dropped all watches at shutdown, or the wait is over.
                Ok(None) | Err(_) => return Ok(empty()),
            }
        }
    }
}

/// Returns the empty queue that may have a task first. If neither time is known: a gate may open with the
/// next lease that ends, an empty queue may get a task, and a paused one waits for an operator.
fn sooner(
    one: (EmptyReason, Option<Duration>),
    other: (EmptyReason, Option<Duration>),
) -> (EmptyReason, Option<Duration>) {
    let rank = |(reason, after): (EmptyReason, Option<Duration>)| {
        let likely = match reason {
            EmptyReason::Shut(Reason::Paused) => 2,
            EmptyReason::Empty => 1,
            EmptyReason::Shut(_) => 0,
        };
        (after.unwrap_or(Duration::MAX), likely)
    };
    if rank(other) < rank(one) { other } else { one }
}

/// Draws an order of the queues in which each comes first in proportion to its weight, so that no tier
/// starves another (Efraimidis and Spirakis, 2006: sort by `u^(1/weight)`).
fn drawn(queues: &[(QueueName, f64)]) -> Vec<QueueName> {
    let mut keyed: Vec<(f64, &QueueName)> = queues
        .iter()
        .map(|(queue, weight)| (rand::random::<f64>().ln() / weight, queue))
        .collect();
    keyed.sort_by(|a, b| b.0.total_cmp(&a.0));
    keyed.into_iter().map(|(_, queue)| queue.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_that_frees_soonest_gives_the_reason_of_an_empty_response() {
        let after = |seconds| Some(Duration::from_secs(seconds));
        let (empty, paused) = (EmptyReason::Empty, EmptyReason::Shut(Reason::Paused));
        let held = EmptyReason::Shut(Reason::ConcurrencyLimited);
        for (one, other, expected) in [
            ((empty, after(9)), (paused, after(3)), (paused, after(3))),
            ((paused, None), (empty, None), (empty, None)),
            ((held, None), (empty, None), (held, None)),
            ((paused, after(60)), (empty, None), (paused, after(60))),
            ((paused, None), (empty, after(60)), (empty, after(60))),
        ] {
            assert_eq!(sooner(one, other), expected);
            assert_eq!(sooner(other, one), expected);
        }
    }
}
