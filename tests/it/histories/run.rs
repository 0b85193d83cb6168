//! A history from its first call to its checks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use super::check;
use super::crew::{self, Manners, Shift};
use super::fleet::Fleet;
use super::history::{History, Verb};
use super::phone::{Clock, Phone, Plan, QUEUES};
use crate::process::running::PATIENCE;
use crate::support::audit::audit;

const PRODUCERS: usize = 3;
const WORKERS: usize = 5;
/// How long clients work while something breaks, unless the environment says how long.
const SECONDS: u64 = 3;

/// Says what to set to make the same choices again, when a test fails.
pub(super) struct Seed(u64);

impl Seed {
    pub(super) fn new() -> Self {
        let given = std::env::var("LEASEQ_HISTORY_SEED").ok();
        Self(given.map_or_else(|| rand::rng().random(), |seed| seed.parse().unwrap()))
    }

    /// Choices of their own for each of many.
    pub(super) fn rng(&self, who: usize) -> StdRng {
        StdRng::seed_from_u64(self.0.wrapping_add(u64::try_from(who).unwrap()))
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("LEASEQ_HISTORY_SEED={} makes the same choices again", self.0);
        }
    }
}

pub(super) fn length() -> Duration {
    let given = std::env::var("LEASEQ_HISTORY_SECONDS").ok();
    Duration::from_secs(given.map_or(SECONDS, |seconds| seconds.parse().unwrap()))
}

/// A fleet, its clients, and who breaks it.
pub(super) struct Run {
    pub(super) fleet: Fleet,
    pub(super) clock: Clock,
    pub(super) seed: Seed,
    manners: Manners,
}

impl Run {
    pub(super) fn start(replicas: usize, durability: &'static str, manners: Manners) -> Self {
        let run = Self {
            fleet: Fleet::start(replicas, durability),
            clock: Clock::start(),
            seed: Seed::new(),
            manners,
        };
        // Everything is kept: what is not there at the end was lost.
        let config = json!({
            "dead_letter": {"max_size": 1_000_000},
            "retention": {"completed_max": 1_000_000, "completed_bytes": 1_000_000_000},
        })
        .to_string();
        for queue in QUEUES {
            run.fleet.replicas[0]
                .api
                .send("PUT", &format!("/v1/queues/{queue}"), "", &config)
                .expect(201);
        }
        run
    }

    pub(super) fn phone(&self, who: usize) -> Phone {
        Phone::new(Arc::clone(&self.fleet.doors), self.clock, self.seed.rng(who))
    }

    /// Clients work, `nemesis` breaks and mends again and again; then everything is healed and the queue
    /// drained.
    pub(super) fn history(&mut self, nemesis: impl FnMut(&mut Fleet, &mut StdRng)) -> History {
        let mut history = self.worked(
            PRODUCERS + WORKERS,
            nemesis,
            |phone, who, shift, manners| match who {
                0..PRODUCERS => crew::producer(phone, who, shift, manners),
                _ => crew::worker(phone, who, shift, manners),
            },
        );
        history.add(self.drain());
        history
    }

    /// Records what `clients` see while `nemesis` breaks and mends. At the end everything is healed, and no
    /// queue is drained.
    pub(super) fn worked(
        &mut self,
        clients: usize,
        mut nemesis: impl FnMut(&mut Fleet, &mut StdRng),
        client: fn(Phone, usize, &Arc<Shift>, Manners) -> History,
    ) -> History {
        let shift = Arc::new(Shift::default());
        let start = |who: usize| {
            let (phone, shift, manners) = (self.phone(who), Arc::clone(&shift), self.manners);
            std::thread::spawn(move || client(phone, who, &shift, manners))
        };
        let crew: Vec<_> = (0..clients).map(start).collect();
        let mut rng = self.seed.rng(clients);
        let end = Instant::now() + length();
        while Instant::now() < end {
            // Faults have no signal to wait for: they come when they come.
            std::thread::sleep(Duration::from_millis(rng.random_range(50..400)));
            nemesis(&mut self.fleet, &mut rng);
        }
        self.fleet.heal();
        self.fleet.assert_serves();
        shift.end();
        let mut history = History::default();
        for client in crew {
            history.add(client.join().unwrap());
        }
        history
    }

    /// Works on what is left until nothing is, and looks at what became of everything.
    pub(super) fn drain(&self) -> History {
        let mut phone = self.phone(PRODUCERS + WORKERS + 1);
        let deadline = Instant::now() + PATIENCE;
        while !Self::is_empty(&mut phone) {
            let mut left = || {
                QUEUES.map(|queue| {
                    let stats = phone.ask("GET", &format!("/v1/queues/{queue}/stats"), "");
                    (stats, audit(&self.fleet.powered.redis, queue))
                })
            };
            assert!(Instant::now() < deadline, "not drained: {:?}", left());
        }
        for state in ["ready", "scheduled", "leased", "completed", "cancelled", "dead"] {
            phone.list(state);
        }
        phone.history
    }

    /// Acks what there is to lease; whether nothing is left.
    fn is_empty(phone: &mut Phone) -> bool {
        let lease = json!({"queues": QUEUES, "max_tasks": 100, "wait_seconds": 0.5, "lease_seconds": 30});
        let acks: Vec<Plan> = phone
            .lease(None, lease, &[])
            .into_iter()
            .map(|grant| Plan {
                verb: Verb::Ack,
                task: grant.task,
                lease_id: grant.lease_id,
                fields: json!({}),
            })
            .collect();
        if !acks.is_empty() {
            phone.settle(&acks);
        }
        QUEUES.iter().all(|queue| {
            let stats = phone
                .ask("GET", &format!("/v1/queues/{queue}/stats"), "")
                .expect("all replicas serve");
            ["ready", "scheduled", "leased"]
                .iter()
                .all(|state| stats[state] == 0)
        })
    }

    /// Fails with every breach, of the history and of what lies in Redis.
    #[track_caller]
    pub(super) fn judge(&self, history: &History) {
        self.judge_with(history, check::breaches_of_order(history));
    }

    /// As [`Self::judge`], with breaches that were found by what only some histories promise.
    #[track_caller]
    pub(super) fn judge_with(&self, history: &History, mut breaches: Vec<String>) {
        breaches.extend(check::breaches(history));
        breaches.extend(check::one_time(history));
        for queue in QUEUES.into_iter().chain(["probe"]) {
            breaches.extend(audit(&self.fleet.powered.redis, queue));
        }
        breaches.extend(self.fleet.complaints());
        let acks = history.settles.iter().filter(|settle| settle.verb == Verb::Ack);
        let acked = acks.filter(|ack| ack.outcome.done().is_some()).count();
        let accepted = history
            .enqueues
            .iter()
            .filter(|enqueue| enqueue.outcome.done().is_some());
        let (sent, granted, accepted) = (history.enqueues.len(), history.grants.len(), accepted.count());
        let repeated = history.repeats.len();
        eprintln!(
            "{accepted} of {sent} accepted, {granted} granted, {acked} acked, {repeated} calls repeated"
        );
        assert!(acked > 50, "a history in which nothing happened shows nothing");
        let shown = breaches.len().min(8);
        assert!(
            breaches.is_empty(),
            "{} breaches:\n  {}",
            breaches.len(),
            breaches[..shown].join("\n  ")
        );
    }
}
