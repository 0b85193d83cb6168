//! The real thing beside the model: scripts on a private Redis, made to take the same steps.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use deadpool_redis::redis::cmd;
use leaseq::domain::gate::{Scope, Set, Shut};
use leaseq::domain::queue::QueueConfig;
use leaseq::domain::settle::{Ack, Extend, Hold, Nack, RetryAfter};
use leaseq::domain::task::{Json, TaskError};
use leaseq::domain::{Lease, Millis, NewTask, TaskId, TaskName};
use leaseq::store::ops::ack::{self, AckOp};
use leaseq::store::ops::configure::{ConfigureOp, Configured};
use leaseq::store::ops::enqueue::{self, EnqueueOp};
use leaseq::store::ops::extend::ExtendOp;
use leaseq::store::ops::follow::FollowOp;
use leaseq::store::ops::hold::HoldOp;
use leaseq::store::ops::lease::{Grants, LeaseOp, LeaseReply};
use leaseq::store::ops::nack::NackOp;
use leaseq::store::ops::recall::RecallOp;
use leaseq::store::ops::release::{ReleaseOp, Returned};
use leaseq::store::ops::reorder::ReorderOp;
use leaseq::store::ops::set_breaker::SetBreakerOp;
use leaseq::store::ops::sweep::SweepOp;
use leaseq::store::ops::{self, Op};
use leaseq::store::{Conn, QueueKeys, Store};

use super::answer::{Accepted, Answer, Grant, Told};
use super::grant::Wish;
use super::settle::After;
use super::task::{Fault, Proof};
use crate::support::queue::{BYTES_MAX, REPLICA};
use crate::support::redis::{Redis, queue};

/// One Redis and one runtime for all cases of a test; each case begins with an empty store.
pub struct World {
    pub redis: Redis,
    runtime: tokio::runtime::Runtime,
    pub keys: QueueKeys,
    conn: Conn,
    config: QueueConfig,
    pub(super) version: u64,
    /// The `lease_id`s by the facts that they prove.
    leases: BTreeMap<(TaskId, u32), Lease>,
    /// A call was answered with less than the model's: nothing that follows can be compared.
    pub is_lost: bool,
    /// The response for the latest lease that fell short; `None` inside: nothing is blocked. None outside: it
    /// got what it wanted.
    pub told_short: Option<Option<Shut>>,
    /// How often what happened.
    pub met: BTreeMap<&'static str, usize>,
}

pub const QUEUE: &str = "modelled";

impl World {
    pub fn on(redis: Redis) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let store: Store = redis.store_on_set_clock();
        Self {
            conn: store.conn(),
            keys: queue(QUEUE).1,
            redis,
            runtime,
            config: QueueConfig::default(),
            version: 0,
            leases: BTreeMap::new(),
            is_lost: false,
            told_short: None,
            met: BTreeMap::new(),
        }
    }

    /// An empty store with one new queue.
    pub fn reset(&mut self, now: Millis, config: &QueueConfig) {
        let _: () = self.redis.command(&cmd("FLUSHALL"));
        self.redis.set_clock(now.get());
        self.leases.clear();
        self.version = 0;
        self.is_lost = false;
        self.configure(config);
    }

    /// However it keeps them.
    pub fn flush_scripts(&self) {
        let _: () = self.redis.command(cmd("SCRIPT").arg("FLUSH"));
        let _ = self.redis.try_command::<()>(cmd("FUNCTION").arg("FLUSH"));
    }

    pub fn call<O: Op>(&mut self, op: &O) -> O::Outcome {
        let Self {
            runtime, conn, keys, ..
        } = self;
        runtime
            .block_on(conn.call(keys, op))
            .expect("Redis answers as the header says")
    }

    pub fn configure(&mut self, config: &QueueConfig) -> Answer {
        let op = ConfigureOp {
            expected: Some(self.version),
            create: true,
            config,
        };
        let (version, reorder) = loop {
            match self.call(&op) {
                Configured::Done { version, reorder, .. } => break (version, reorder),
                Configured::Clearing => {}
                Configured::Mismatch { .. } => panic!("the version is known"),
            }
        };
        let mut cursor = if reorder { "0".to_owned() } else { String::new() };
        while !cursor.is_empty() {
            let op = ReorderOp {
                cursor: &cursor,
                groups: 1,
            };
            cursor = self.call(&op).expect("the queue exists");
            if cursor == "0" {
                break;
            }
        }
        (self.version, self.config) = (version, config.clone());
        Answer::Configured { version }
    }

    pub fn enqueue(&mut self, tasks: &[NewTask], again: bool) -> Accepted {
        let (version, config) = (self.version, self.config.clone());
        let op = EnqueueOp {
            version,
            config: Arc::new(config),
            replica: REPLICA.into(),
            again,
            all_or_none: false,
            names_epoch: 0,
            asked_names: Vec::new(),
            tasks: tasks.to_vec(),
        };
        match self.call(&op) {
            enqueue::Accepted::Tasks { ready, outcomes, .. } => Accepted { ready, outcomes },
            other => panic!("{other:?}"),
        }
    }

    pub fn lease(&mut self, names: &[TaskName], wishes: &[Wish], seed: u16) -> Answer {
        let asked: Vec<_> = wishes.iter().map(real_wish).collect();
        let op = LeaseOp {
            replica: REPLICA.into(),
            tell_me: false,
            look: true,
            bytes_max: BYTES_MAX,
            seed,
            names: names.to_vec(),
            wishes: asked.clone(),
            not_after: None,
        };
        let mut granted = self.call(&op);
        // A caller that got nothing, or here a part, and has more to look at calls again, as the service
        // does.
        while let LeaseReply::Tasks(Grants {
            again: true, grants, ..
        }) = &granted
        {
            let got = grants.len();
            if got > 0 && asked.iter().any(|wish| wish.request_key.is_some()) {
                // A part is all that such a call gets, and remembers.
                self.is_lost = true;
                break;
            }
            let rest = rest_of(&asked, grants);
            let next = self.call(&LeaseOp {
                // As if all were of one call.
                seed: ((usize::from(seed) + got * 797) % 2048) as u16,
                wishes: rest,
                replica: op.replica.clone(),
                names: op.names.clone(),
                ..op
            });
            granted = joined(granted, next);
        }
        let LeaseReply::Tasks(Grants {
            next_at,
            recalled,
            shut,
            grants,
            ..
        }) = &granted
        else {
            panic!("{granted:?}")
        };
        let wanted: usize = (0..asked.len())
            .filter(|wish| !recalled.contains(wish))
            .map(|wish| asked[wish].tasks)
            .sum();
        self.told_short = (grants.len() < wanted).then_some(*shut);
        let (next_at, recalled) = (*next_at, recalled.clone());
        let grants = self.open(granted);
        let recall = |wish: usize, world: &mut Self| {
            let key = asked[wish]
                .request_key
                .clone()
                .expect("only named wishes are recalled");
            let granted = world.call(&RecallOp(key.clone()));
            let grants = world
                .open(granted)
                .into_iter()
                .map(|grant| Grant { wish, ..grant });
            (wish, grants.collect())
        };
        Answer::Leased {
            next_at,
            grants,
            recalled: recalled.into_iter().map(|wish| recall(wish, self)).collect(),
        }
    }

    fn open(&mut self, granted: LeaseReply) -> Vec<Grant> {
        let LeaseReply::Tasks(Grants { grants, now, .. }) = granted else {
            panic!("the queue exists")
        };
        let key = leaseq::domain::LeaseKey::new(&[1; 32]);
        let (name, _) = queue(QUEUE);
        let mut opened = Vec::new();
        for grant in grants {
            let wish = grant.wish;
            let (task, lease) = grant.open(&name, &key, now).expect("a task as it was written");
            opened.push(Grant {
                wish,
                id: task.id,
                grant: task.grant,
                nonce: lease.nonce,
                attempt: task.attempt,
                deferrals: task.deferrals,
                granted_at: lease.granted_at,
                expires_at: task.lease_expires_at,
                lease_ms: task.lease_ms,
                ready_at: task.ready_at,
                task_expires_at: task.expires_at,
                payload: task.payload.bytes().clone(),
                last_error: task.last_error.map(|error| error.kind),
            });
            self.leases.insert((task.id, task.grant), lease);
        }
        opened
    }

    /// The lease that a proof is of; a forged proof gives one with another nonce.
    fn lease_of(&self, proof: Proof) -> Lease {
        Lease {
            nonce: proof.nonce,
            ..self.leases[&(proof.task, proof.grant)].clone()
        }
    }

    fn items<T: Clone>(&self, proofs: &[Proof], what: T) -> Vec<(Lease, T)> {
        proofs
            .iter()
            .map(|proof| (self.lease_of(*proof), what.clone()))
            .collect()
    }

    pub fn ack(&mut self, proofs: &[Proof], result: Option<&Bytes>) -> Answer {
        let result = result.cloned().map(Json::from_checked);
        let items = self.items(proofs, Ack { result });
        settled(self.call(&AckOp(items)), |acked| Told::Acked {
            late: acked == ack::Acked::Late,
            already: acked == ack::Acked::Already,
        })
    }

    pub fn nack(&mut self, proofs: &[Proof], fault: Fault, after: After, chance: u32) -> Answer {
        let nack = Nack {
            error: TaskError {
                kind: fault.kind.to_owned(),
                message: fault.message.to_owned(),
                ..TaskError::default()
            },
            retry: after != After::Reject,
            delay_ms: match after {
                After::Delay(ms) => Some(ms),
                _ => None,
            },
        };
        let items = self.items(proofs, nack);
        let op = NackOp {
            replica: REPLICA.into(),
            chances: vec![chance; items.len()],
            items,
        };
        settled(self.call(&op), |nacked| Told::Nacked {
            state: nacked.state,
            attempt: nacked.attempt,
            attempts_left: nacked.attempts_left,
            next_at: nacked.next_at,
            already: nacked.already,
        })
    }

    pub fn extend(&mut self, proofs: &[Proof], lease_ms: Option<u64>, progress: Option<&Bytes>) -> Answer {
        let progress = progress.cloned().map(Json::from_checked);
        let items = self.items(proofs, Extend { lease_ms, progress });
        settled(self.call(&ExtendOp(items)), |extended| Told::Extended {
            until: extended.lease_expires_at,
            cancel_requested: extended.cancel_requested,
        })
    }

    pub fn release(&mut self, proofs: &[Proof], retry_after: RetryAfter, hold: Hold, chance: u32) -> Answer {
        self.end(proofs, Returned::Release(retry_after, hold), chance)
    }

    pub fn hold(&mut self, scope: &Scope, ms: u64) -> Answer {
        Answer::Held(self.call(&HoldOp { scope, ms }).expect("the queue exists"))
    }

    pub fn set_breaker(&mut self, name: &TaskName, set: Set) -> Answer {
        Answer::Held(self.call(&SetBreakerOp { name, set }).expect("the queue exists"))
    }

    pub fn give_back(&mut self, proofs: &[Proof]) -> Answer {
        self.end(proofs, Returned::GiveBack(None), 0)
    }

    fn end(&mut self, proofs: &[Proof], how: Returned, chance: u32) -> Answer {
        let items = self.items(proofs, how);
        let op = ReleaseOp {
            replica: REPLICA.into(),
            chances: vec![chance; items.len()],
            items,
        };
        settled(self.call(&op), |released| Told::Released {
            state: released.state,
            run_at: released.run_at,
            already: released.already,
        })
    }

    pub fn follow(&mut self, ids: &[TaskId], ms: u64) -> Answer {
        let items: Vec<_> = ids.iter().map(|id| (*id, ms)).collect();
        Answer::Followed(self.call(&FollowOp(&items)).expect("the queue exists").tasks)
    }

    pub fn sweep(&mut self, limit: usize) -> Answer {
        let op = SweepOp {
            replica: REPLICA.into(),
            limit,
        };
        let swept = self.call(&op).expect("the queue exists");
        Answer::Swept {
            next_at: swept.next_at,
            expired: swept.expired,
            came_due: swept.came_due,
        }
    }
}

fn real_wish(wish: &Wish) -> ops::lease::Wish {
    ops::lease::Wish {
        tasks: wish.tasks,
        lease_ms: wish.lease_ms,
        worker: wish.worker.clone(),
        request_key: wish.request_id.clone(),
    }
}

/// The number of tasks that the wishes still lack.
fn rest_of(wishes: &[ops::lease::Wish], grants: &[ops::lease::Grant]) -> Vec<ops::lease::Wish> {
    let rest = wishes.iter().enumerate().map(|(index, wish)| {
        let got = grants.iter().filter(|grant| grant.wish == index).count();
        ops::lease::Wish {
            tasks: wish.tasks - got,
            ..wish.clone()
        }
    });
    rest.collect()
}

/// The answer of both calls together; all but the grants is as the later one says.
fn joined(first: LeaseReply, mut next: LeaseReply) -> LeaseReply {
    if let (LeaseReply::Tasks(Grants { grants: mut all, .. }), LeaseReply::Tasks(Grants { grants, .. })) =
        (first, &mut next)
    {
        all.append(grants);
        *grants = all;
    }
    next
}

fn settled<T>(outcome: Result<ops::Settles<T>, ops::Absent>, told: impl Fn(T) -> Told) -> Answer {
    let told = |answer| match answer {
        ops::Answer::Done(done) => told(done),
        ops::Answer::Lost => Told::Lost,
        ops::Answer::Unknown => Told::Unknown,
    };
    let answers = outcome.expect("the queue exists").answers;
    Answer::Settled(answers.into_iter().map(told).collect())
}
