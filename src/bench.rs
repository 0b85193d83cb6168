//! The load generator of `leaseq bench`: cheap in CPU, and bounded in tasks and time.

mod args;
mod client;
mod idle;
mod latency;
mod mode;
mod payload;
mod progress;
mod report;
mod requests;
mod responses;
mod stage;
mod tally;
mod target;
mod threads;
mod throughput;
mod watch;
mod wire;

pub use args::Args;
use mode::Mode;
pub use report::Report;
use stage::{Bounds, Stage, Time};
use std::io::{Error, Result};
use std::sync::Arc;
use std::time::Duration;
use throughput::Loop;

/// Tasks per request, connections and the longest time while the backlog is enqueued. That part is not
/// measured.
const BACKLOG_BATCH: u64 = 250;
const BACKLOG_CONNECTIONS: usize = 4;
const BACKLOG_TIME_MAX: Duration = Duration::from_secs(1800);
/// How much longer than its window a run may take, for connecting and for the last responses.
const GRACE: Duration = Duration::from_secs(90);

/// Runs a benchmark on threads and runtimes of its own.
///
/// # Errors
/// The service cannot be reached, or the benchmark cannot run to its end.
pub fn run(args: &Args) -> Result<Report> {
    target::raise_open_files()?;
    let address = args.url.resolve()?;
    let named = args.queue.clone();
    let prefix = named
        .clone()
        .unwrap_or_else(|| format!("bench-{:08x}", rand::random::<u32>()));
    let queues: Vec<String> = match args.queues {
        1 => vec![prefix],
        count => (0..count).map(|number| format!("{prefix}-{number}")).collect(),
    };
    let new_stage = |batch: u64, bounds: Bounds, recipe| {
        Arc::new(Stage::new(
            address,
            recipe,
            queues.clone(),
            batch,
            args.settle_in_lease,
            bounds,
        ))
    };
    if args.backlog > 0 {
        let time = Time {
            warmup: Duration::ZERO,
            measured: BACKLOG_TIME_MAX,
        };
        let bounds = Bounds {
            time,
            tasks_max: args.backlog,
            connections: BACKLOG_CONNECTIONS,
            tasks_ahead: 0,
        };
        let stage = new_stage(BACKLOG_BATCH, bounds, args.recipe()?);
        let backlog = progress::show("enqueuing the backlog", &stage, args.backlog, || {
            throughput::run(Loop::Enqueue, &stage, 1, BACKLOG_CONNECTIONS, BACKLOG_TIME_MAX)
        })?;
        if backlog.tasks < args.backlog {
            return Err(Error::other(format!(
                "the service accepted only {} tasks of the backlog: {:?}",
                backlog.tasks, backlog.errors
            )));
        }
    }

    let (connections, producers) = args.connections();
    let time = Time {
        warmup: args.warmup_seconds,
        measured: args.seconds,
    };
    let tasks_ahead = (connections as u64 * args.batch * 2).max(1_000) as usize;
    let stage = new_stage(
        args.batch,
        Bounds {
            time,
            tasks_max: args.tasks,
            connections,
            tasks_ahead,
        },
        args.recipe()?,
    );
    let (threads, time_max) = (args.threads as usize, args.warmup_seconds + args.seconds + GRACE);
    let close = |what: Loop| {
        let run = || throughput::run(what, &stage, threads, connections, time_max);
        progress::show("measuring", &stage, args.tasks, run).map(|tally| (tally, None))
    };
    let (tally, idle) = match args.mode {
        Mode::Enqueue => close(Loop::Enqueue)?,
        Mode::Lease => close(Loop::Lease)?,
        Mode::Drain => close(Loop::Drain)?,
        Mode::Cycle if producers > 0 => close(Loop::Apart { producers })?,
        Mode::Cycle => close(Loop::Cycle)?,
        Mode::Latency => {
            let schedule = latency::Schedule {
                tasks_per_second: args.rate.max(0.1),
                producers,
            };
            let run = || latency::run(schedule, &stage, threads, connections, time_max);
            (progress::show("measuring", &stage, args.tasks, run)?, None)
        }
        Mode::Idle => {
            let plan = idle::Plan {
                waiters: args.waiters as usize,
                measured: args.seconds,
                probes: args.probes,
                server_pid: args.server_pid,
                redis: args.redis.clone(),
            };
            let (tally, report) = idle::run(&plan, &stage)?;
            (tally, Some(report))
        }
    };
    if named.is_none() && tally.requests > 0 {
        target::delete_queues(&stage);
    }
    let elapsed = stage.elapsed(&tally);
    Ok(Report::new(
        args.mode,
        args.settings(connections, producers),
        &tally,
        elapsed,
        idle,
    ))
}
