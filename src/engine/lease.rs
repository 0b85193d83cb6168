//! Lease calls: of one queue or several, waiting or not.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::command::{Command, LeaseJob, Watch};
use super::{Engine, Failure, Granted, SettleOutcome};
use crate::domain::gate::Reason;
use crate::domain::settle::Settle;
use crate::domain::{QueueName, TaskName, limits};
use crate::store::ops::lease::Wish;

/// Tasks were granted, and given back because their leases were over when Redis's answer came.
const LATE: Failure = Failure::NotApplied("Redis answered when the leases were over");

/// What a lease call asks for.
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
    /// Repeating a call with the same one within the lease time gives the same grants.
    pub request_id: Option<String>,
}

#[derive(Debug, Clone)]
pub enum LeaseFrom {
    One(QueueName),
    /// Asked in this order.
    Strict(Vec<QueueName>),
    /// Asked in an order drawn by weight, per call.
    Weighted(Vec<(QueueName, f64)>),
}

/// Why a lease answer is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmptyReason {
    Empty,
    /// Leases are paused, or ready tasks are kept back.
    Shut(Reason),
}

impl EmptyReason {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Shut(reason) => reason.word(),
        }
    }
}

/// Answer to a lease call.
#[derive(Debug)]
pub enum Leased {
    Tasks(Granted),
    Empty {
        reason: EmptyReason,
        retry_after: Option<Duration>,
    },
}

impl Engine {
    /// Leases tasks, waiting for the first as long as the request says.
    ///
    /// # Errors
    /// As [`Failure`] says. After [`Failure::Unknown`] tasks may be leased to nobody until their leases run out.
    pub async fn lease(&self, request: LeaseRequest) -> Result<Leased, Failure> {
        let deadline = (!request.wait.is_zero()).then(|| Instant::now() + request.wait);
        self.lease_until(&request, deadline).await
    }

    /// Settles first, then leases; does not wait if one of the operations failed.
    pub async fn settle_and_lease(
        &self,
        settle: Vec<Settle>,
        request: LeaseRequest,
    ) -> (Vec<SettleOutcome>, Result<Leased, Failure>) {
        let deadline = (!request.wait.is_zero()).then(|| Instant::now() + request.wait);
        // Sent together, settles before the lease, so that a worker's turn is one flush.
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
            LeaseFrom::One(queue) => self.lease_one(queue, request, deadline).await,
            LeaseFrom::Strict(queues) => self.lease_first(queues, request, deadline).await,
            LeaseFrom::Weighted(queues) => self.lease_first(&drawn(queues), request, deadline).await,
        }
    }

    /// Leases of one queue that are not over when they come; asks again while the wait lasts.
    async fn lease_one(
        &self,
        queue: &QueueName,
        request: &LeaseRequest,
        deadline: Option<Instant>,
    ) -> Result<Leased, Failure> {
        loop {
            let granted = match self.lease_parts(queue, request, deadline).await? {
                Leased::Tasks(granted) => granted,
                empty @ Leased::Empty { .. } => return Ok(empty),
            };
            if let Some(granted) = granted.in_time() {
                return Ok(Leased::Tasks(granted));
            }
            // Redis remembers what a named request was granted, and would recall it as nothing.
            if request.request_id.is_some() || deadline.is_none_or(|deadline| deadline <= Instant::now()) {
                return Err(LATE);
            }
        }
    }

    /// As many script calls as it takes, one after the other, whatever time they take.
    async fn lease_parts(
        &self,
        queue: &QueueName,
        request: &LeaseRequest,
        deadline: Option<Instant>,
    ) -> Result<Leased, Failure> {
        let items_max = self.settings().script_items;
        let mut granted: Option<Granted> = None;
        let (mut reason, mut retry_after) = (EmptyReason::Empty, None);
        loop {
            let (tasks, bytes) = granted
                .as_ref()
                .map_or((0, 0), |granted| (granted.tasks().len(), granted.bytes()));
            let want = (request.max_tasks - tasks).min(items_max);
            let room = limits::LEASE_BYTES_MAX.saturating_sub(bytes);
            let (reply, answer) = oneshot::channel();
            let job = LeaseJob {
                wish: Wish {
                    tasks: want,
                    lease_ms: request.lease_ms,
                    worker: request.worker.clone(),
                    request_key: request.request_id.clone().filter(|_| granted.is_none()),
                },
                bytes_max: room,
                names: request.names.clone(),
                // Only the first part waits.
                deadline: deadline.filter(|_| granted.is_none()),
                recall: false,
                reply,
            };
            self.inner.routes.ask(queue, Command::Lease(queue.clone(), job))?;
            let answered = answer.await.unwrap_or(Err(Failure::Draining));
            let more = match (answered, &mut granted) {
                (Ok(grants), _) => {
                    (reason, retry_after) = (grants.reason, grants.retry_after);
                    self.open(grants)
                }
                // What was granted before must reach the caller.
                (Err(_), Some(_)) => None,
                (Err(failure), None) => return Err(failure),
            };
            let full = more.as_ref().is_some_and(|more| more.tasks().len() == want);
            match (&mut granted, more) {
                (Some(granted), Some(more)) => granted.append(more),
                (none @ None, more) => *none = more,
                (Some(_), None) => {}
            }
            let enough = granted.as_ref().is_none_or(|granted| {
                granted.tasks().len() >= request.max_tasks
                    // A script gives at least one task, whatever its size: that one must fit, too.
                    || granted.bytes() + limits::PAYLOAD_BYTES_MAX > limits::LEASE_BYTES_MAX
            });
            // A named request remembers one script call's grants, so it is one.
            if !full || enough || request.request_id.is_some() {
                break;
            }
        }
        Ok(granted.map_or(Leased::Empty { reason, retry_after }, Leased::Tasks))
    }

    /// What a named call was granted before, by whichever of its queues: a repeat must not get tasks of another.
    async fn recalled(
        &self,
        queues: &[QueueName],
        request: &LeaseRequest,
    ) -> Result<Option<Granted>, Failure> {
        if request.request_id.is_none() {
            return Ok(None);
        }
        let mut answers = Vec::new();
        for queue in queues {
            let (reply, answer) = oneshot::channel();
            let job = LeaseJob {
                wish: Wish {
                    request_key: request.request_id.clone(),
                    ..Wish::default()
                },
                bytes_max: limits::LEASE_BYTES_MAX,
                names: Vec::new(),
                deadline: None,
                recall: true,
                reply,
            };
            self.inner.routes.ask(queue, Command::Lease(queue.clone(), job))?;
            answers.push(answer);
        }
        let mut recalled = None;
        for answer in answers {
            let grants = answer.await.unwrap_or(Err(Failure::Draining))?;
            recalled = recalled.or(self.open(grants).and_then(Granted::in_time));
        }
        Ok(recalled)
    }

    /// Asks the queues in order; waits until one of them may have something, and asks again.
    async fn lease_first(
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
            // Watch before asking, so that nothing slips between.
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
                let leased = match self.lease_one(queue, request, None).await {
                    // What was given back wakes whoever watches.
                    Err(late) if late == LATE && deadline.is_some() => continue,
                    leased => leased?,
                };
                match leased {
                    Leased::Tasks(_) => {
                        if let Some(by) = woken_by.filter(|by| by != queue) {
                            // This wake was for a task that somebody else may take.
                            self.inner.routes.tell(&by, Command::Hint(by.clone(), 1));
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
            let _waits = self.inner.waiting.begin();
            match tokio::time::timeout_at(deadline, woken.recv()).await {
                Ok(Some(queue)) => woken_by = Some(queue),
                // All watches gone: shutting down. Or the wait is over.
                Ok(None) | Err(_) => return Ok(empty()),
            }
        }
    }
}

/// Of two empty queues the one that may have something first. Where nobody can tell: one that keeps tasks back may let them through with the
/// next lease that ends, an empty one may get a task, and one that is paused waits for an operator.
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

/// An order of the queues in which each comes first as often as its weight says (Efraimidis and Spirakis, 2006:
/// sort by `u^(1/weight)`), so that no tier starves another.
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
    fn of_several_queues_the_one_that_frees_soonest_gives_the_reason() {
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
