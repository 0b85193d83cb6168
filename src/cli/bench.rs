//! `leaseq bench`: a load generator for this API, as cheap in CPU as it can be, bounded in tasks and time.

mod crew;
mod hand;
mod idle;
mod latency;
mod payload;
mod progress;
mod report;
mod requests;
mod stage;
mod tally;
mod target;
mod throughput;
mod watch;
mod wire;

use clap::ValueEnum;
use payload::PayloadSize;
use report::{Report, Settings};
use serde::Serialize;
use stage::{Bounds, Stage, Time};
use std::io::{Error, Result};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use target::Target;
use throughput::Loop;
use watch::RedisAddress;

/// Tasks per request, connections and the longest time while a backlog is laid down; not measured.
const BACKLOG_BATCH: u64 = 250;
const BACKLOG_CONNECTIONS: usize = 4;
const BACKLOG_TIME_MAX: Duration = Duration::from_secs(1800);
/// How much longer than its window a run may take: connecting, and the last answers.
const GRACE: Duration = Duration::from_secs(90);
const LATENCY_PRODUCERS: usize = 4;
const LATENCY_WORKERS: usize = 8;

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Producers only.
    Enqueue,
    /// Lease and leave leased.
    Lease,
    /// Lease and ack until the queues are empty.
    Drain,
    /// Enqueue, lease and ack: on each connection in turn, or apart with --producers and --workers.
    Cycle,
    /// Enqueue at a fixed rate; the time until a waiting worker has the task.
    Latency,
    /// Many waiting workers and no tasks.
    Idle,
}

#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(value_enum, default_value_t = Mode::Cycle)]
    mode: Mode,
    /// The service, plain HTTP.
    #[arg(long, env = "LEASEQ_URL", default_value = "http://127.0.0.1:8080")]
    url: Target,
    /// A file with the API key; without it, the one in `LEASEQ_API_KEY`.
    #[arg(long)]
    api_key_file: Option<PathBuf>,
    /// The queue, or what the names of several begin with; by default a new one, deleted in the end.
    #[arg(long)]
    queue: Option<String>,
    /// How many queues the requests go round.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    queues: u32,
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    connections: u32,
    /// Connections that only enqueue (cycle, latency); --connections then does not count.
    #[arg(long, requires = "workers", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    producers: Option<u32>,
    /// Connections that only lease and ack (cycle, latency).
    #[arg(long, requires = "producers", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    workers: Option<u32>,
    /// Waiting workers (idle).
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    waiters: u32,
    /// Tasks per request.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    batch: u64,
    /// Size of a payload, such as 200, or 150..250 for an even spread.
    #[arg(long, default_value = "200")]
    payload_bytes: PayloadSize,
    /// Stop after so many tasks.
    #[arg(long, default_value_t = 1_000_000)]
    tasks: u64,
    /// Stop after so many seconds, not counting the warm-up.
    #[arg(long, default_value = "10", value_parser = seconds)]
    seconds: Duration,
    /// What happens in the first seconds is not counted.
    #[arg(long, default_value = "0.5", value_parser = seconds)]
    warmup_seconds: Duration,
    /// Tasks to lay down before the measurement.
    #[arg(long, default_value_t = 0)]
    backlog: u64,
    /// Tasks per second, sent on time whatever the answers take (latency).
    #[arg(long, default_value_t = 200.0)]
    rate: f64,
    /// Acks travel with the next lease.
    #[arg(long)]
    settle_in_lease: bool,
    /// Task names that the tasks go round.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    names: u64,
    /// Groups that the tasks go round; 0: tasks have none.
    #[arg(long, default_value_t = 0)]
    groups: u64,
    /// Enqueue scheduled tasks.
    #[arg(long)]
    delay_seconds: Option<f64>,
    /// Ask for leases of this length.
    #[arg(long)]
    lease_seconds: Option<f64>,
    /// Threads of the generator.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    threads: u32,
    /// The server's process, to measure its memory (idle).
    #[arg(long)]
    server_pid: Option<u32>,
    /// The server's Redis, to count the commands it gets (idle).
    #[arg(long)]
    redis: Option<RedisAddress>,
    /// Tasks enqueued at the end, to see that they reach a waiting worker (idle).
    #[arg(long, default_value_t = 10)]
    probes: u64,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

fn seconds(text: &str) -> std::result::Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    if !(0.0..=86_400.0).contains(&seconds) {
        return Err("at most a day".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// Runs the benchmark and prints its report; 1 when there was an error in it.
pub async fn run(args: Args) -> ExitCode {
    // The generator brings its own threads and runtimes; this one only waits for them.
    let measured = tokio::task::spawn_blocking(move || (args.json, measure(&args)));
    match measured.await {
        Ok((json, Ok(report))) => {
            if print(&if json {
                report.to_json() + "\n"
            } else {
                report.to_text()
            })
            .is_err()
                || !report.errors.is_empty()
            {
                return ExitCode::FAILURE;
            }
            ExitCode::SUCCESS
        }
        Ok((_, Err(error))) => {
            eprintln!("leaseq bench: {error}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("leaseq bench: the generator failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `println!` would panic on a closed pipe.
fn print(text: &str) -> Result<()> {
    use std::io::Write;
    std::io::stdout().lock().write_all(text.as_bytes())
}

fn measure(args: &Args) -> Result<Report> {
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
        let laid = progress::show("laying the backlog", &stage, args.backlog, || {
            throughput::run(Loop::Enqueue, &stage, 1, BACKLOG_CONNECTIONS, BACKLOG_TIME_MAX)
        })?;
        if laid.tasks < args.backlog {
            return Err(Error::other(format!(
                "only {} tasks of the backlog were accepted: {:?}",
                laid.tasks, laid.errors
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
    if named.is_none() {
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

impl Args {
    /// How many connections there are, and how many of the first only produce.
    fn connections(&self) -> (usize, usize) {
        match (self.mode, self.producers, self.workers) {
            (Mode::Cycle | Mode::Latency, Some(producers), Some(workers)) => {
                ((producers + workers) as usize, producers as usize)
            }
            (Mode::Latency, ..) => (LATENCY_PRODUCERS + LATENCY_WORKERS, LATENCY_PRODUCERS),
            _ => (self.connections as usize, 0),
        }
    }

    fn recipe(&self) -> Result<requests::Recipe> {
        let api_key = match &self.api_key_file {
            Some(file) => Some(std::fs::read_to_string(file)?.trim().to_owned()),
            None => std::env::var("LEASEQ_API_KEY").ok(),
        };
        Ok(requests::Recipe {
            host: self.url.host().to_owned(),
            api_key,
            payload: self.payload_bytes,
            names: self.names,
            groups: self.groups,
            delay_seconds: self.delay_seconds,
            lease_seconds: self.lease_seconds,
        })
    }

    fn settings(&self, connections: usize, producers: usize) -> Settings {
        Settings {
            url: self.url.to_string(),
            queues: self.queues as usize,
            connections,
            producers,
            workers: if producers > 0 { connections - producers } else { 0 },
            threads: self.threads as usize,
            batch: self.batch,
            settle_in_lease: self.settle_in_lease,
            payload_bytes: self.payload_bytes.to_string(),
            backlog: self.backlog,
            names: self.names,
            groups: self.groups,
            warmup_seconds: self.warmup_seconds.as_secs_f64(),
            tasks_per_second_asked: (self.mode == Mode::Latency).then_some(self.rate),
        }
    }
}
