//! I5: a script that meets a key of the wrong type says so before it has written anything. Lua does not roll
//! back.

use std::collections::BTreeMap;

use deadpool_redis::redis::cmd;
use leaseq::domain::change::{Change, When};
use leaseq::domain::dead::{DeadFilter, Replay};
use leaseq::domain::gate::{Scope, Set};
use leaseq::domain::idempotency::Repeatable;
use leaseq::domain::latency::Latencies;
use leaseq::domain::pause::Pause;
use leaseq::domain::queue::{Keep, QueueConfig};
use leaseq::domain::settle::{Ack, Extend, Hold, Nack, RetryAfter};
use leaseq::domain::task::Json;
use leaseq::domain::unique::{OnDuplicate, UniqueScope};
use leaseq::domain::{Expiry, Lease, Millis, NewTask, Priority, Start, TaskId};
use leaseq::store::ops::ack::AckOp;
use leaseq::store::ops::beat::BeatOp;
use leaseq::store::ops::cancel::CancelOp;
use leaseq::store::ops::configure::ConfigureOp;
use leaseq::store::ops::dead::{DeadLetter, DeadOp};
use leaseq::store::ops::delete::{DeleteOp, What};
use leaseq::store::ops::discard::DiscardOp;
use leaseq::store::ops::extend::ExtendOp;
use leaseq::store::ops::follow::FollowOp;
use leaseq::store::ops::hold::HoldOp;
use leaseq::store::ops::lease::Wish;
use leaseq::store::ops::nack::NackOp;
use leaseq::store::ops::patch::PatchOp;
use leaseq::store::ops::pause::PauseOp;
use leaseq::store::ops::purge::PurgeOp;
use leaseq::store::ops::purge_dead::PurgeDeadOp;
use leaseq::store::ops::recall::RecallOp;
use leaseq::store::ops::release::{ReleaseOp, Returned};
use leaseq::store::ops::reorder::ReorderOp;
use leaseq::store::ops::replay::{Item, ReplayOp};
use leaseq::store::ops::set_breaker::SetBreakerOp;
use leaseq::store::ops::sweep::SweepOp;
use leaseq::store::{QueueKeys, StoreError};

use crate::support::queue::{
    HALF, Queue, REPLICA, T0, delayed, failure, failure_after, grouped, or_else, rejection, task, task_name,
    unique,
};

/// Keys that scripts name from lanes: of the one lane that all tests here use.
const LANE_KEYS: [&str; 4] = ["fresh:10/default/", "back:10/default/", "heads:", "names:default"];

/// Everything that writes, in the ways that touch different keys.
#[derive(Debug, Clone, Copy)]
enum Call {
    Enqueue,
    EnqueueToNewLane,
    EnqueueToExpire,
    EnqueueAgain,
    EnqueueUnique,
    EnqueueDuplicate,
    EnqueueRepeatable,
    Replace,
    Lease,
    LeaseByName,
    LeaseForRequest,
    Recall,
    Ack,
    AckLate,
    NackForLater,
    NackForNow,
    NackForGood,
    Release,
    ReleaseForLater,
    GiveBack,
    Extend,
    Sweep,
    Follow,
    AckFollowed,
    NackFollowedForGood,
    Replay,
    ReplayForLater,
    PurgeDead,
    Configure,
    Reorder,
    CancelReady,
    CancelScheduled,
    CancelLeased,
    Prioritise,
    PutOff,
    RunNow,
    Pause,
    Resume,
    HoldGroup,
    OpenBreaker,
    CloseBreaker,
    Purge,
    Discard,
    Delete,
    Beat,
}

/// A queue with a task in every state, some that expire and one that has, and retention so small that every
/// ending makes room.
struct Scene {
    leased: Lease,
    /// Ran out and was taken back, but granted to nobody since.
    swept: Lease,
    ready: TaskId,
    scheduled: TaskId,
    dead: DeadLetter,
}

async fn scene(queue: &mut Queue, keep: Keep) -> Scene {
    let config = QueueConfig {
        keep: Some(keep),
        completed_max: Some(1),
        dead_max_size: Some(1),
        ..QueueConfig::default()
    };
    queue.reset(config).await;
    let holder = |key| NewTask {
        unique: unique(key, UniqueScope::UntilFinished).unique,
        ..big()
    };
    let tasks = [
        big(),
        holder("dead"),
        expiring(100_000, big()),
        expiring(100_000, holder("finished")),
        big(),
        expiring(2_000, task()),
        task(),
        unique("leased", UniqueScope::UntilLeased),
        delayed(2_000),
    ];
    queue.enqueue(&tasks).await;
    let held = queue.lease_as(wish(2, 60_000), &[]).await;
    queue.ack(&held[0].lease).await;
    queue.nack_with(&held[1].lease, rejection()).await;
    let swept = queue.lease_as(wish(1, 1_000), &[]).await.remove(0).lease;
    let leased = queue.lease_as(wish(1, 60_000), &[]).await.remove(0).lease;
    queue.lease_as(wish(1, 2_000), &[]).await; // Runs out, and no sweep comes by.
    queue.at(1_000);
    queue.sweep().await;
    queue.at(2_000);
    let look = DeadOp {
        filter: &DeadFilter::default(),
        only: None,
        newest_first: false,
        look: 1,
        limit: 1,
        behind: None,
        records: true,
    };
    let dead = queue
        .call(&look)
        .await
        .expect("the queue exists")
        .letters
        .remove(0);
    Scene {
        leased,
        swept,
        ready: tasks[7].id,
        scheduled: tasks[8].id,
        dead,
    }
}

/// The request of the task that is leased.
const LEASED_FOR: &str = "k/1/60000";

fn wish(tasks: usize, lease_ms: u64) -> Wish {
    Wish {
        tasks,
        lease_ms: Some(lease_ms),
        worker: Some("w".to_owned()),
        request_key: Some(format!("k/{tasks}/{lease_ms}")),
    }
}

fn big() -> NewTask {
    NewTask::new(Json::from_checked(format!("\"{}\"", "x".repeat(3_000)).into()))
}

fn expiring(ms: u64, task: NewTask) -> NewTask {
    NewTask {
        expiry: Some(Expiry::After(ms)),
        ..task
    }
}

async fn make(call: Call, queue: &Queue, scene: &Scene) -> Result<(), StoreError> {
    let enqueue =
        async |tasks: &[NewTask], again| queue.try_call(&queue.enqueue_op(tasks, again)).await.map(drop);
    let lease = async |wish: Wish, names: &[&str]| {
        let names: Vec<_> = names.iter().map(|name| task_name(name)).collect();
        queue.try_call(&queue.lease_op(&names, &[wish])).await.map(drop)
    };
    let ack = async |lease: &Lease| {
        queue
            .try_call(&AckOp(vec![(lease.clone(), Ack::default())]))
            .await
            .map(drop)
    };
    let nack = async |nack: Nack| {
        let op = NackOp {
            replica: REPLICA.into(),
            items: vec![(scene.leased.clone(), nack)],
            chances: vec![HALF],
        };
        queue.try_call(&op).await.map(drop)
    };
    let release = async |how: Returned| {
        let op = ReleaseOp {
            replica: REPLICA.into(),
            items: vec![(scene.leased.clone(), how)],
            chances: vec![HALF],
        };
        queue.try_call(&op).await.map(drop)
    };
    let cancel = async |ids: &[TaskId]| queue.try_call(&CancelOp { only: None, ids }).await.map(drop);
    let patch = async |id: TaskId, priority: Option<Priority>, when: When| {
        let op = PatchOp {
            replica: REPLICA,
            id,
            change: Change { priority, when },
        };
        queue.try_call(&op).await.map(drop)
    };
    let any = |tasks| Wish {
        tasks,
        ..Wish::default()
    };
    match call {
        Call::Enqueue => enqueue(&[task(), big(), delayed(500)], false).await,
        Call::EnqueueToNewLane => enqueue(&[grouped("acme")], false).await,
        Call::EnqueueToExpire => enqueue(&[expiring(9, task()), expiring(9, delayed(500))], false).await,
        Call::EnqueueAgain => enqueue(&[task()], true).await,
        Call::EnqueueUnique => {
            let one = || unique("new", UniqueScope::Ttl(1_000));
            enqueue(&[one(), one()], false).await
        }
        Call::EnqueueDuplicate => enqueue(&[unique("leased", UniqueScope::UntilLeased)], false).await,
        Call::EnqueueRepeatable => {
            let repeat_mark = Some(Repeatable::new("", "key", "task", b"{}").mark());
            enqueue(
                &[NewTask {
                    repeat_mark,
                    ..task()
                }],
                false,
            )
            .await
        }
        Call::Replace => {
            let with = NewTask {
                name: task_name("report"),
                ..or_else(OnDuplicate::Replace, "leased", UniqueScope::UntilLeased)
            };
            enqueue(&[with], false).await
        }
        Call::Lease => lease(any(9), &[]).await,
        Call::LeaseByName => lease(any(1), &["default"]).await,
        Call::LeaseForRequest => lease(wish(1, 5_000), &[]).await,
        Call::Recall => queue.try_call(&RecallOp(LEASED_FOR.to_owned())).await.map(drop),
        Call::Ack | Call::AckFollowed => ack(&scene.leased).await,
        Call::AckLate => ack(&scene.swept).await,
        Call::NackForLater => nack(failure()).await,
        Call::NackForNow => nack(failure_after(0)).await,
        Call::NackForGood | Call::NackFollowedForGood => nack(rejection()).await,
        Call::Release => release(Returned::Release(RetryAfter::None, Hold::None)).await,
        Call::ReleaseForLater => release(Returned::Release(RetryAfter::Ms(500), Hold::Name)).await,
        Call::GiveBack => release(Returned::GiveBack(Some(LEASED_FOR.to_owned()))).await,
        Call::Extend => {
            let op = ExtendOp(vec![(scene.leased.clone(), Extend::default())]);
            queue.try_call(&op).await.map(drop)
        }
        Call::Sweep => {
            let op = SweepOp {
                replica: REPLICA.into(),
                limit: 10,
            };
            queue.try_call(&op).await.map(drop)
        }
        Call::Follow => {
            let op = FollowOp(&[(scene.leased.task, 5_000)]);
            queue.try_call(&op).await.map(drop)
        }
        Call::Replay | Call::ReplayForLater => {
            let start = match call {
                Call::Replay => Start::Now,
                _ => Start::After(500),
            };
            let anew = Replay::default();
            let item = Item::new(&scene.dead, task().id, start, &anew).expect("a record");
            let op = ReplayOp {
                replica: REPLICA,
                again: false,
                replay: &anew,
                items: &[item],
            };
            queue.try_call(&op).await.map(drop)
        }
        Call::PurgeDead => queue
            .try_call(&PurgeDeadOp(&[scene.dead.place.id]))
            .await
            .map(drop),
        Call::Configure => {
            let op = ConfigureOp {
                expected: None,
                create: true,
                config: &QueueConfig::default(),
            };
            queue.try_call(&op).await.map(drop)
        }
        Call::Pause | Call::Resume => {
            let pause = Pause::default();
            let op = PauseOp {
                replica: REPLICA,
                pause: matches!(call, Call::Pause).then_some(&pause),
            };
            queue.try_call(&op).await.map(drop)
        }
        Call::HoldGroup => {
            let op = HoldOp {
                scope: &Scope::Group("acme".to_owned()),
                ms: 500,
            };
            queue.try_call(&op).await.map(drop)
        }
        Call::OpenBreaker | Call::CloseBreaker => {
            let op = SetBreakerOp {
                name: &task_name("default"),
                set: match call {
                    Call::OpenBreaker => Set::Open { ms: None },
                    _ => Set::Closed,
                },
            };
            queue.try_call(&op).await.map(drop)
        }
        Call::CancelReady => cancel(&[scene.ready]).await,
        Call::CancelScheduled => cancel(&[scene.scheduled]).await,
        Call::CancelLeased => cancel(&[scene.leased.task]).await,
        Call::Prioritise => patch(scene.ready, Priority::new(50), When::AsItWas).await,
        Call::PutOff => patch(scene.ready, None, When::At(Millis::new(T0 + 5_000))).await,
        Call::RunNow => patch(scene.scheduled, None, When::Now).await,
        Call::Purge => {
            let op = PurgeOp {
                only: None,
                ids: &[
                    scene.ready,
                    scene.scheduled,
                    scene.dead.place.id,
                    scene.leased.task,
                ],
            };
            queue.try_call(&op).await.map(drop)
        }
        Call::Discard => {
            let op = DiscardOp {
                only: None,
                skip: 0,
                limit: 10,
            };
            queue.try_call(&op).await.map(drop)
        }
        Call::Delete => {
            let op = DeleteOp {
                what: What::Filled,
                lanes: 10,
            };
            queue.try_call(&op).await.map(drop)
        }
        Call::Beat => {
            let mut latencies = Latencies::default();
            latencies.wait.add(1);
            let op = BeatOp {
                replica: REPLICA,
                waiting: 1,
                moved: true,
                latencies: &latencies,
                workers: &["w".to_owned()],
            };
            queue.try_call(&op).await.map(drop)
        }
        Call::Reorder => {
            let op = ReorderOp {
                cursor: "0",
                groups: 10,
            };
            queue.try_call(&op).await.map(drop)
        }
    }
}

/// Makes the call once for each key of the wrong type; says which it could not do without.
async fn keys_needed(
    queue: &Queue,
    scene: &Scene,
    store: &BTreeMap<String, Vec<u8>>,
    call: Call,
) -> Vec<&'static str> {
    let mut needed = Vec::new();
    for role in QueueKeys::ROLES.into_iter().chain(LANE_KEYS) {
        queue.restore(store);
        let key = queue.key(role);
        let _: () = queue.redis.command(cmd("DEL").arg(&key));
        // No key of a queue but its state is a string, and none is a stream.
        let mut wrong = cmd("XADD");
        let _: () = queue
            .redis
            .command(wrong.arg(&key).arg("*").arg("of").arg("the wrong type"));
        let before = queue.contents();
        match make(call, queue, scene).await {
            Ok(()) => continue,
            Err(StoreError::Broken(why)) => assert!(why.contains("WRONGTYPE"), "{call:?}, {role}: {why}"),
            Err(other) => panic!("{call:?}, {role}: {other}"),
        }
        let after = queue.contents();
        let changed: Vec<_> = before
            .keys()
            .chain(after.keys())
            .filter(|key| before.get(*key) != after.get(*key))
            .collect();
        assert!(
            changed.is_empty(),
            "{call:?} failed over {role} and left {changed:?} changed"
        );
        needed.push(role);
    }
    needed
}

/// The keys that each call reads or writes.
const NEEDED: &[(Call, &str)] = &[
    (Call::Enqueue, "state rec pay due named fresh"),
    (Call::EnqueueToNewLane, "state rec turn named names"),
    (
        Call::EnqueueToExpire,
        "state rec due expiry turn named back heads",
    ),
    (Call::EnqueueAgain, "state rec mark mark_old named fresh"),
    (Call::EnqueueUnique, "state q rec uniq uniq_at named fresh"),
    (
        Call::EnqueueDuplicate,
        "state q rec due leased dead res uniq named",
    ),
    (Call::EnqueueRepeatable, "state q rec idem idem_at named fresh"),
    (
        Call::Replace,
        "state q rec pay mut due leased dead res turn uniq stale named fresh back heads names",
    ),
    (
        Call::Lease,
        "state rec pay mut hist due leased expiry turn uniq counts fresh back heads names",
    ),
    (
        Call::LeaseByName,
        "state rec mut due leased expiry turn counts fresh back heads names",
    ),
    (
        Call::LeaseForRequest,
        "state rec mut due leased expiry turn req req_at counts fresh back heads",
    ),
    (Call::Recall, "rec pay mut leased req"),
    (
        Call::Ack,
        "state rec pay mut hist leased done res mark uniq counts",
    ),
    (
        Call::AckLate,
        "state rec pay mut hist leased expiry done res turn mark fresh back heads names",
    ),
    (
        Call::NackForLater,
        "state q rec pay mut hist due leased dead expiry done res mark counts",
    ),
    (
        Call::NackForNow,
        "state q rec pay mut hist due leased dead expiry done res turn mark counts back heads",
    ),
    (
        Call::NackForGood,
        "state q rec pay mut hist due leased dead done res mark uniq letter alike print counts",
    ),
    (
        Call::Release,
        "state q rec pay mut hist due leased dead expiry done res turn mark counts back heads",
    ),
    (
        Call::ReleaseForLater,
        "state q rec pay mut hist due leased dead expiry done res mark gates gate breaker counts shut",
    ),
    (
        Call::GiveBack,
        "state q rec pay mut hist due leased dead expiry done res turn mark req counts back heads",
    ),
    (Call::Extend, "state mut leased"),
    (
        Call::Sweep,
        "state q rec pay mut hist due leased dead expiry done res turn uniq_at idem_at stale letter alike print linger gate counts fresh back heads names",
    ),
    (Call::Follow, "state rec due leased dead expiry res followed"),
    (
        Call::AckFollowed,
        "state rec pay mut hist leased done res mark uniq followed linger counts",
    ),
    (
        Call::NackFollowedForGood,
        "state q rec pay mut hist due leased dead done res mark uniq letter alike print followed linger counts",
    ),
    (
        Call::Replay,
        "state q rec pay mut hist due dead res turn mark uniq uniq_at named letter alike print back heads",
    ),
    (
        Call::ReplayForLater,
        "state q rec pay mut hist due dead res mark uniq uniq_at named letter alike print",
    ),
    (
        Call::PurgeDead,
        "state q rec pay mut hist dead res mark letter alike print",
    ),
    (Call::Configure, "state q shut"),
    (Call::Reorder, "state turn fresh back heads"),
    (
        Call::CancelReady,
        "state rec pay mut hist due leased dead done res turn mark uniq stale fresh back heads names",
    ),
    (
        Call::CancelScheduled,
        "state rec pay mut hist due leased done res turn mark",
    ),
    (Call::CancelLeased, "state rec pay mut hist due leased turn mark"),
    (
        Call::Prioritise,
        "state rec mut due leased dead res turn stale fresh back heads names",
    ),
    (
        Call::PutOff,
        "state rec mut due leased dead res turn stale fresh back heads names",
    ),
    (Call::RunNow, "state rec mut due leased turn back heads"),
    (
        Call::Purge,
        "state q rec pay mut hist due leased dead res turn mark uniq stale letter alike print fresh back heads names",
    ),
    (Call::Discard, "state rec pay mut hist done res"),
    (Call::Delete, "state due leased dead turn"),
    (Call::Pause, "state q"),
    (Call::Resume, "state q"),
    (Call::HoldGroup, "state gates gate breaker counts shut"),
    (Call::OpenBreaker, "state breaker shut"),
    (Call::CloseBreaker, "state breaker shut"),
    (
        Call::Beat,
        "state q due leased dead pulse pulse_10s pulse_5m workers",
    ),
];

/// I5
#[tokio::test]
async fn an_operation_that_meets_a_key_of_the_wrong_type_changes_nothing() {
    let mut queue = Queue::start().await;
    let mut wrong = Vec::new();
    for keep in [Keep::All, Keep::Results, Keep::None] {
        let scene = scene(&mut queue, keep).await;
        let store = queue.snapshot();
        make(Call::Follow, &queue, &scene)
            .await
            .expect("all keys are right yet");
        let followed = queue.snapshot();
        for &(call, expected) in NEEDED {
            if matches!((call, keep), (Call::Discard, Keep::None)) {
                continue; // Nothing is kept.
            }
            let store = match call {
                Call::AckFollowed | Call::NackFollowedForGood => &followed,
                _ => &store,
            };
            let needed = keys_needed(&queue, &scene, store, call).await;
            let needed: Vec<_> = needed.iter().filter_map(|key| key.split(':').next()).collect();
            if needed.join(" ") != expected {
                wrong.push(format!("{call:?} with {keep:?} needs {}", needed.join(" ")));
            }
        }
    }
    queue.clear();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
