//! One connection: a producer, a worker, or both in turn.

use super::payload::sent_marks;
use super::requests::Request;
use super::responses;
use super::stage::Stage;
use super::tally::{Op, Tally, Window};
use super::threads::{self, SharedTally};
use super::wire::{Connection, Response};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The pause of a connection after an error, so that a server that refuses requests is not flooded.
const REST_AFTER_ERROR: Duration = Duration::from_millis(10);
/// Bytes of a problem document that are kept.
const PROBLEM_BYTES_MAX: usize = 300;

/// The connection is broken.
#[derive(Debug)]
pub(super) struct Broken;

pub(super) struct Client {
    pub(super) stage: Arc<Stage>,
    pub(super) tally: SharedTally,
    pub(super) window: Window,
    /// Leases that are not settled yet.
    pub(super) lease_ids: Vec<String>,
    /// Whether the delivery of tasks is timed, from the moment in their payload.
    pub(super) times_delivery: bool,
    connection: Connection,
    request: Request,
}

impl Client {
    /// Runs `work` on each connection, with its number, and merges the tallies.
    ///
    /// # Errors
    /// A thread could not be created.
    pub(super) fn run_all<W>(
        stage: &Arc<Stage>,
        threads: usize,
        connections: usize,
        time_max: Duration,
        work: W,
    ) -> std::io::Result<Tally>
    where
        W: AsyncFn(&mut Self, usize) -> Result<(), Broken> + Copy + Sync + 'static,
    {
        threads::run(threads, connections, time_max, |connection, tally| {
            let stage = Arc::clone(stage);
            Self::run(stage, tally, async move |client: &mut Self| {
                work(client, connection).await
            })
        })
    }

    /// Connects, waits for the other connections, and runs `work`.
    async fn run(
        stage: Arc<Stage>,
        tally: SharedTally,
        work: impl AsyncFnOnce(&mut Self) -> Result<(), Broken>,
    ) {
        let connection = Connection::open(stage.address).await;
        let window = stage.start().await;
        match connection {
            Ok(connection) => {
                let (lease_ids, request) = (Vec::new(), Request::default());
                let mut client = Self {
                    stage,
                    tally,
                    window,
                    lease_ids,
                    times_delivery: false,
                    connection,
                    request,
                };
                // A broken connection has already recorded its error.
                let _ = work(&mut client).await;
            }
            Err(error) => {
                stage.errors.fetch_add(1, Ordering::Relaxed);
                tally.borrow_mut().error(format!("connect: {error}"));
            }
        }
    }

    /// Enqueues tasks. Returns the number of accepted ones.
    pub(super) async fn enqueue(&mut self, queue: usize, turn: usize, count: u64) -> Result<u64, Broken> {
        self.enqueue_as_sent(queue, turn, count, self.stage.now_ns())
            .await
    }

    /// Enqueues tasks whose payload contains `sent_ns` as the moment of sending.
    pub(super) async fn enqueue_as_sent(
        &mut self,
        queue: usize,
        turn: usize,
        count: u64,
        sent_ns: u64,
    ) -> Result<u64, Broken> {
        let stage = Arc::clone(&self.stage);
        let first = stage.numbers(count);
        self.request
            .enqueue(&stage.recipe, stage.queue(queue, turn), first, count, sent_ns);
        let accepted = self.call(Op::Enqueue, |response| match count {
            1 => Some(1),
            _ => responses::accepted(response.body),
        });
        let accepted = accepted.await?.unwrap_or_default();
        self.record_error(count - accepted.min(count), "enqueued tasks were not accepted");
        Ok(accepted)
    }

    /// Leases tasks into `lease_ids`, and settles the leases that were there before. Returns the numbers of
    /// leased tasks and of successful settles.
    pub(super) async fn lease(
        &mut self,
        queue: usize,
        turn: usize,
        max_tasks: u64,
        wait_seconds: u64,
    ) -> Result<(u64, u64), Broken> {
        let stage = Arc::clone(&self.stage);
        let settled = std::mem::take(&mut self.lease_ids);
        self.request.lease(
            &stage.recipe,
            stage.queue(queue, turn),
            max_tasks,
            wait_seconds,
            &settled,
        );
        let mut lease_ids = Vec::with_capacity(max_tasks as usize);
        let (times_delivery, tally, window) = (self.times_delivery, Rc::clone(&self.tally), self.window);
        let completed = self.call(Op::Lease, |response| {
            let arrived = Instant::now();
            let leased = responses::leased(response.body);
            responses::push_lease_ids(leased.tasks, &mut lease_ids);
            if times_delivery {
                for mark in sent_marks(leased.tasks) {
                    let sent = stage.epoch + Duration::from_nanos(mark);
                    if sent >= window.from && sent <= window.until {
                        tally
                            .borrow_mut()
                            .timed(Op::Delivery, arrived.saturating_duration_since(sent));
                    }
                }
            }
            leased.completed
        });
        let completed = completed.await?;
        self.record_error(
            settled.len() as u64 - completed.min(settled.len() as u64),
            "settles were refused",
        );
        self.lease_ids = lease_ids;
        if self.lease_ids.is_empty() {
            self.tally.borrow_mut().empty += 1;
        }
        Ok((self.lease_ids.len() as u64, completed))
    }

    /// Acks all of `lease_ids`. Returns the number of completed tasks.
    pub(super) async fn ack(&mut self) -> Result<u64, Broken> {
        if self.lease_ids.is_empty() {
            return Ok(0);
        }
        let stage = Arc::clone(&self.stage);
        let lease_ids = std::mem::take(&mut self.lease_ids);
        self.request.ack(&stage.recipe, &lease_ids);
        let completed = self.call(Op::Settle, |response| {
            responses::completed(std::str::from_utf8(response.body).unwrap_or_default())
        });
        let completed = completed.await?;
        self.record_error(
            lease_ids.len() as u64 - completed.min(lease_ids.len() as u64),
            "settles were refused",
        );
        Ok(completed)
    }

    pub(super) fn finished(&mut self, tasks: u64) {
        self.stage
            .finished(&mut self.tally.borrow_mut(), tasks, Instant::now(), self.window);
    }

    /// Sends the prepared request. A refusal is recorded in the tally and returned as the default value.
    async fn call<T: Default>(&mut self, op: Op, read: impl FnOnce(Response<'_>) -> T) -> Result<T, Broken> {
        let started = Instant::now();
        let response = self.connection.call(self.request.bytes()).await;
        let now = Instant::now();
        let refusal = match response {
            Ok(response) if response.is_success() => {
                self.tally.borrow_mut().responded(op, started, now, self.window);
                return Ok(read(response));
            }
            Ok(response) => {
                let problem =
                    String::from_utf8_lossy(&response.body[..response.body.len().min(PROBLEM_BYTES_MAX)]);
                format!("{}: {} {problem}", op.word(), response.status)
            }
            Err(error) => {
                self.record_error(1, &format!("{}: {error}", op.word()));
                return Err(Broken);
            }
        };
        self.record_error(1, &refusal);
        tokio::time::sleep(REST_AFTER_ERROR).await;
        Ok(T::default())
    }

    fn record_error(&self, count: u64, text: &str) {
        if count > 0 {
            self.stage.errors.fetch_add(count, Ordering::Relaxed);
            self.tally.borrow_mut().error(text.to_owned());
        }
    }
}
