//! Calls the scripts of the service directly, with N tasks in each call, to measure their cost in Redis
//! alone.
//!
//! The counterpart of `bench/bare`, through the store's own types. Over HTTP a call's size is up to group
//! commit; here it is exact. Prints one JSON object; how long Redis took, the caller asks Redis.

use clap::{Parser, ValueEnum};
use leaseq::domain::gate::{Limits, Positive, Scope};
use leaseq::domain::queue::{NameConfig, QueueConfig};
use leaseq::domain::settle::Ack;
use leaseq::domain::task::Json;
use leaseq::domain::{Group, Lease, LeaseKey, NewTask, QueueName, TaskName};
use leaseq::store::ops::ack::{AckOp, Acked};
use leaseq::store::ops::configure::{ConfigureOp, Configured};
use leaseq::store::ops::enqueue::{Accepted, EnqueueOp};
use leaseq::store::ops::hold::HoldOp;
use leaseq::store::ops::lease::{Grants, LeaseOp, LeaseReply, Wish};
use leaseq::store::ops::{Answer, Op};
use leaseq::store::{Conn, QueueKeys, Store, StoreError, StoreSettings};
use rand::Rng;
use std::cell::Cell;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::{JoinSet, LocalSet};

/// No other replica exists that would have to be notified of new tasks.
const REPLICA: &str = "bench000,";
/// Bounds of the API, which these calls keep as well.
const PAYLOAD_BYTES_OF_A_LEASE_MAX: usize = 8 * 1024 * 1024;
const SEEDS: u16 = 2048;
/// A rate per second that is never reached.
const FAR_RATE: f64 = 1e6;
/// A lease that is longer than any run.
const HOLD_MS: u64 = 86_400_000;

#[derive(Parser)]
struct Args {
    /// Unix socket of a Redis that may be overwritten
    #[arg(long)]
    socket: PathBuf,
    #[arg(long, default_value = "scripts", value_parser = |name: &str| QueueName::parse(name).map_err(|bad| bad.to_string()))]
    queue: QueueName,
    #[arg(long, value_enum, default_value_t = Operation::Cycle)]
    operation: Operation,
    /// Tasks in each script call
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=256))]
    batch: u64,
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=64))]
    connections: u64,
    /// Stop after about this many tasks
    #[arg(long, default_value_t = 100_000)]
    tasks: u64,
    /// Stop after this many seconds at the latest
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(2..=65536))]
    payload_bytes: u64,
    /// The prefix of task names; with one name, the name itself.
    #[arg(long, default_value = "bench")]
    name: String,
    /// Lease only tasks of that name
    #[arg(long)]
    filter: bool,
    /// Give each name a rate that is never reached; the queue keeps it after its first run
    #[arg(long)]
    limited: bool,
    /// Numbers of names and groups, used in turn; with 0 groups, tasks have none
    #[arg(long, default_value_t = 1)]
    names: u64,
    #[arg(long, default_value_t = 0)]
    groups: u64,
    /// The flag that `cargo bench` passes to every target.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Operation {
    Enqueue,
    /// Lease tasks and leave them leased
    Lease,
    /// Enqueue, lease and ack in turn
    Cycle,
    /// Hold the name, and lease until all its lanes are parked
    Hold,
}

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let measured = runtime
        .map_err(Failure::from)
        .and_then(|runtime| LocalSet::new().block_on(&runtime, measure(Args::parse())));
    match measured {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("scripts: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(args: Args) -> Result<serde_json::Value, Failure> {
    let url = format!("redis+unix://{}", args.socket.canonicalize()?.display());
    let store = Store::new(&StoreSettings {
        connections: args.connections as usize + 1,
        ..StoreSettings::new(url)
    })?;
    store.agree_on_lease_key().await?;
    let key = store.lease_key();
    let config = args.config();
    let keys = QueueKeys::new(&args.queue);
    let make = ConfigureOp {
        expected: Some(0),
        create: true,
        config: &config,
    };
    let version = match store.call(&keys, &make).await? {
        // An earlier run has already created it.
        Configured::Done { version, .. } | Configured::Mismatch { version } => version,
        Configured::Clearing => return Err("the rest of a deleted queue still exists".into()),
    };

    let until = Instant::now() + Duration::from_secs_f64(args.seconds);
    let tasks_left = Cell::new(args.tasks);
    let args = Rc::new(Bench {
        args,
        keys,
        key,
        config: (version, Arc::new(config)),
        until,
        tasks_left,
    });
    let started = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..args.args.connections {
        let mut client = Client {
            bench: Rc::clone(&args),
            conn: store.conn(),
            number: 0,
            names_epoch: 0,
        };
        running.spawn_local(async move { client.work().await.map_err(|error| error.to_string()) });
    }
    let mut tasks = 0;
    while let Some(done) = running.join_next().await {
        tasks += done??;
    }
    let elapsed_seconds = started.elapsed().as_secs_f64();
    Ok(serde_json::json!({
        "batch": args.args.batch,
        "connections": args.args.connections,
        "tasks": tasks,
        "elapsed_seconds": elapsed_seconds,
        "tasks_per_second": tasks as f64 / elapsed_seconds,
    }))
}

impl Args {
    fn name(&self, number: u64) -> String {
        match self.names {
            0 | 1 => self.name.clone(),
            names => format!("{}-{}", self.name, number % names),
        }
    }

    fn config(&self) -> QueueConfig {
        let limits = Limits {
            rate_per_second: Positive::new(FAR_RATE),
            ..Limits::default()
        };
        let limited = NameConfig {
            limits,
            ..NameConfig::default()
        };
        let names = (0..self.names.max(1)).map(|number| (self.name(number), limited.clone()));
        QueueConfig {
            names: names.filter(|_| self.limited).collect(),
            ..QueueConfig::default()
        }
    }
}

struct Bench {
    args: Args,
    keys: QueueKeys,
    key: LeaseKey,
    config: (u64, Arc<QueueConfig>),
    until: Instant,
    tasks_left: Cell<u64>,
}

impl Bench {
    /// Returns the size of the next call; 0 ends the run.
    fn take(&self) -> u64 {
        if Instant::now() >= self.until {
            return 0;
        }
        let size = self.tasks_left.get().min(self.args.batch);
        self.tasks_left.set(self.tasks_left.get() - size);
        size
    }

    fn task(&self, number: u64) -> NewTask {
        let payload = format!("\"{}\"", "x".repeat(self.args.payload_bytes as usize - 2));
        let mut task = NewTask::new(Json::from_checked(payload.into()));
        let names = self.args.names.max(1);
        task.name = parsed_name(&self.args.name(number));
        if self.args.groups > 0 {
            let group = format!("group-{}", number / names % self.args.groups);
            task.group = Some(Group::parse(&group).expect("letters, digits and a hyphen"));
        }
        task
    }
}

fn parsed_name(name: &str) -> TaskName {
    TaskName::parse(name).expect("the command line has letters, digits and hyphens")
}

/// One connection.
struct Client {
    bench: Rc<Bench>,
    conn: Conn,
    /// The number of the next task.
    number: u64,
    /// The names epoch in which this connection sent the names of its first tasks.
    names_epoch: u64,
}

impl Client {
    /// Runs the operation. Returns the number of handled tasks.
    async fn work(&mut self) -> Result<u64, Failure> {
        let mut done = 0;
        if self.bench.args.operation == Operation::Hold {
            self.hold().await?;
            return Ok(0);
        }
        loop {
            let size = self.bench.take();
            if size == 0 {
                return Ok(done);
            }
            let operation = self.bench.args.operation;
            if matches!(operation, Operation::Enqueue | Operation::Cycle) {
                self.enqueue(size).await?;
            }
            done += match operation {
                Operation::Enqueue | Operation::Hold => size,
                Operation::Lease => match self.lease(size).await?.0.len() {
                    0 => return Ok(done),
                    leased => leased as u64,
                },
                Operation::Cycle => {
                    let (leases, _) = self.lease(size).await?;
                    self.ack(leases).await?
                }
            };
        }
    }

    async fn call<O: Op>(&mut self, op: &O) -> Result<O::Outcome, StoreError> {
        self.conn.call(&self.bench.keys, op).await
    }

    async fn enqueue(&mut self, size: u64) -> Result<(), Failure> {
        let tasks: Vec<NewTask> = (self.number..self.number + size)
            .map(|number| self.bench.task(number))
            .collect();
        // A sender includes the names that it has not sent before, which are those of its first tasks.
        let knows_all = self.number >= self.bench.args.names;
        self.number += size;
        let (version, config) = self.bench.config.clone();
        let op = EnqueueOp {
            version,
            config,
            replica: REPLICA.into(),
            again: false,
            all_or_none: false,
            names_epoch: if knows_all { self.names_epoch } else { 0 },
            asked_names: Vec::new(),
            tasks,
        };
        match self.call(&op).await? {
            Accepted::Tasks { names_epoch, .. } => {
                self.names_epoch = names_epoch;
                Ok(())
            }
            other => Err(format!("the reply to enqueue was {other:?}").into()),
        }
    }

    async fn hold(&mut self) -> Result<(), Failure> {
        let scope = Scope::Name(self.bench.args.name.clone());
        let op = HoldOp {
            scope: &scope,
            ms: HOLD_MS,
        };
        self.call(&op).await?.map_err(|_| "the queue is gone")?;
        while self.lease(1).await?.1 {}
        Ok(())
    }

    /// The grants, and whether to call again at once.
    async fn lease(&mut self, size: u64) -> Result<(Vec<(Lease, Ack)>, bool), Failure> {
        let wish = Wish {
            tasks: size as usize,
            ..Wish::default()
        };
        let args = &self.bench.args;
        let names: Vec<_> = args.filter.then(|| parsed_name(&args.name)).into_iter().collect();
        let op = LeaseOp {
            replica: REPLICA.into(),
            tell_me: false,
            // The service looks again every half second.
            look: false,
            bytes_max: PAYLOAD_BYTES_OF_A_LEASE_MAX,
            seed: rand::rng().random_range(0..SEEDS),
            names,
            wishes: vec![wish],
            not_after: None,
        };
        let LeaseReply::Tasks(Grants {
            now, grants, again, ..
        }) = self.call(&op).await?
        else {
            return Err("the queue is gone".into());
        };
        let bench = Rc::clone(&self.bench);
        let open = |grant: leaseq::store::ops::lease::Grant| {
            let (_, lease) = grant
                .open(&bench.args.queue, &bench.key, now)
                .map_err(|bad| bad.to_string())?;
            Ok((lease, Ack { result: None }))
        };
        let leases: Result<Vec<_>, Failure> = grants.into_iter().map(open).collect();
        Ok((leases?, again))
    }

    async fn ack(&mut self, leases: Vec<(Lease, Ack)>) -> Result<u64, Failure> {
        if leases.is_empty() {
            return Ok(0);
        }
        let count = leases.len();
        let settles = self
            .call(&AckOp(leases))
            .await?
            .map_err(|_| "the queue is gone")?;
        let done = settles
            .answers
            .iter()
            .filter(|answer| matches!(answer, Answer::Done(Acked::Done)))
            .count();
        if done < count {
            return Err(format!("{} of {count} acks were refused", count - done).into());
        }
        Ok(done as u64)
    }
}
