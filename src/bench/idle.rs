//! The idle mode: the cost of many waiting workers, and whether a task still reaches one of them.

use super::payload::sent_marks;
use super::requests::Request;
use super::responses;
use super::stage::Stage;
use super::tally::{Op, Tally};
use super::watch::{self, RedisAddress};
use super::wire::Connection;
use serde::Serialize;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::Result;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::LocalSet;

/// The longest wait of the API. A worker whose request ends earlier sends another.
const WAIT_SECONDS: u64 = 60;
/// How many connections are opened at the same time.
const CONNECTING_MAX: usize = 64;
/// The time between the last request and the measurement, in which the service reads all requests.
const SETTLING: Duration = Duration::from_secs(2);
const PROBE_EVERY: Duration = Duration::from_millis(50);
/// How long the last probe may take to be delivered.
const PROBE_WAIT: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Plan {
    pub(super) waiters: usize,
    pub(super) measured: Duration,
    /// Tasks that are enqueued at the end. Each should reach one waiter.
    pub(super) probes: u64,
    pub(super) server_pid: Option<u32>,
    pub(super) redis: Option<RedisAddress>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct IdleReport {
    pub(super) waiters: usize,
    /// The workers that had sent their request when the measurement began.
    pub(super) parked: usize,
    pub(super) parking_seconds: f64,
    pub(super) rss_before_bytes: Option<u64>,
    pub(super) rss_parked_bytes: Option<u64>,
    pub(super) rss_per_waiter_bytes: Option<f64>,
    pub(super) watched_seconds: f64,
    /// The commands that Redis received from its clients during the measurement, by name.
    pub(super) redis_commands: Option<BTreeMap<String, u64>>,
    pub(super) redis_commands_per_second: Option<f64>,
    pub(super) redis_commands_per_second_and_queue: Option<f64>,
    pub(super) probes_sent: u64,
    pub(super) probes_arrived: u64,
}

/// Runs the idle mode.
///
/// # Errors
/// The service cannot be reached, or its memory or Redis cannot be watched.
pub(super) fn run(plan: &Plan, stage: &Arc<Stage>) -> Result<(Tally, IdleReport)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let tally = Rc::new(RefCell::new(Tally::new()));
    let local = LocalSet::new();
    let report = local.block_on(&runtime, watch_waiters(plan, stage, &tally))?;
    drop(local);
    Ok((tally.replace(Tally::new()), report))
}

/// The state that all waiters share.
#[derive(Clone)]
struct Waiters {
    stage: Arc<Stage>,
    tally: Rc<RefCell<Tally>>,
    parked: Rc<Cell<usize>>,
    connecting: Rc<Semaphore>,
}

async fn watch_waiters(plan: &Plan, stage: &Arc<Stage>, tally: &Rc<RefCell<Tally>>) -> Result<IdleReport> {
    let mut report = IdleReport {
        waiters: plan.waiters,
        ..IdleReport::default()
    };
    let resident = || plan.server_pid.map(watch::resident_bytes).transpose();
    let mut producer = Connection::open(stage.address).await?;
    let mut request = Request::default();
    request.lease(&stage.recipe, stage.queue(0, 0), 1, 0, &[]);
    producer.call(request.bytes()).await?;

    report.rss_before_bytes = resident()?;
    let started = Instant::now();
    let waiters = Waiters {
        stage: Arc::clone(stage),
        tally: Rc::clone(tally),
        parked: Rc::default(),
        connecting: Rc::new(Semaphore::new(CONNECTING_MAX)),
    };
    for number in 0..plan.waiters {
        tokio::task::spawn_local(wait(waiters.clone(), number));
    }
    let until = started + Duration::from_secs(WAIT_SECONDS / 2);
    while waiters.parked.get() < plan.waiters && tally.borrow().error_count() == 0 && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    report.parking_seconds = started.elapsed().as_secs_f64();
    report.parked = waiters.parked.get();
    tokio::time::sleep(SETTLING).await;

    match &plan.redis {
        Some(redis) => {
            let commands = watch::commands(redis, plan.measured).await?;
            let per_second = commands.values().sum::<u64>() as f64 / plan.measured.as_secs_f64();
            report.redis_commands = Some(commands);
            report.redis_commands_per_second = Some(per_second);
            report.redis_commands_per_second_and_queue = Some(per_second / stage.queues.len() as f64);
        }
        None => tokio::time::sleep(plan.measured).await,
    }
    report.watched_seconds = plan.measured.as_secs_f64();
    report.rss_parked_bytes = resident()?;
    report.rss_per_waiter_bytes = report
        .rss_before_bytes
        .zip(report.rss_parked_bytes)
        .map(|(before, parked)| parked.saturating_sub(before) as f64 / report.parked.max(1) as f64);

    for number in 0..plan.probes {
        request.enqueue(
            &stage.recipe,
            stage.queue(0, number as usize),
            number,
            1,
            stage.now_ns(),
        );
        if producer.call(request.bytes()).await?.is_success() {
            report.probes_sent += 1;
        }
        tokio::time::sleep(PROBE_EVERY).await;
    }
    let until = Instant::now() + PROBE_WAIT;
    while tally.borrow().tasks < report.probes_sent && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    report.probes_arrived = tally.borrow().tasks;
    Ok(report)
}

/// Sends lease requests until the run drops it.
async fn wait(waiters: Waiters, number: usize) {
    if let Err(error) = wait_on_connection(&waiters, number).await {
        waiters.tally.borrow_mut().error(format!("waiter: {error}"));
    }
}

async fn wait_on_connection(waiters: &Waiters, number: usize) -> Result<()> {
    let stage = &waiters.stage;
    let permit = waiters
        .connecting
        .acquire()
        .await
        .map_err(std::io::Error::other)?;
    let mut connection = Connection::open(stage.address).await?;
    let mut permit = Some(permit);
    let (mut request, mut lease_ids) = (Request::default(), Vec::new());
    loop {
        request.lease(&stage.recipe, stage.queue(number, 0), 1, WAIT_SECONDS, &[]);
        connection.send(request.bytes()).await?;
        if permit.take().is_some() {
            waiters.parked.set(waiters.parked.get() + 1);
        }
        let response = connection.receive().await?;
        if !response.is_success() {
            return Err(std::io::Error::other(format!(
                "a lease request failed with status {}",
                response.status
            )));
        }
        let arrived_ns = stage.now_ns();
        let leased = responses::leased(response.body);
        for sent_ns in sent_marks(leased.tasks) {
            let mut tally = waiters.tally.borrow_mut();
            tally.tasks += 1;
            tally.timed(
                Op::Delivery,
                Duration::from_nanos(arrived_ns.saturating_sub(sent_ns)),
            );
        }
        responses::push_lease_ids(leased.tasks, &mut lease_ids);
        if !lease_ids.is_empty() {
            request.ack(&stage.recipe, &lease_ids);
            lease_ids.clear();
            connection.call(request.bytes()).await?;
        }
    }
}
