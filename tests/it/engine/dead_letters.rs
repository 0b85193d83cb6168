//! Bulk work whose caller leaves: at every point where it can be left.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use leaseq::domain::dead::Replay;
use leaseq::domain::settle::{Nack, Settle, SettleOp};
use leaseq::domain::task::TaskError;
use leaseq::engine::{Bulk, Engine, EngineSettings, Failure, Handled, Leased};
use leaseq::store::Store;
use leaseq::store::conn::StoreSettings;
use std::time::{Duration, Instant};

use super::{engine, lease, queue, task};
use crate::histories::proxy::{Proxy, Rule};
use crate::support::audit::assert_sound;
use crate::support::redis::Redis;

const COUNT: usize = 80;

async fn die(engine: &Engine, count: usize) {
    let tasks = (0..count).map(|_| task("1")).collect();
    engine.enqueue_many(&queue("q"), tasks).await;
    kill(engine, count).await;
}

/// Leases all there is and rejects it.
async fn kill(engine: &Engine, count: usize) {
    let mut killed = 0;
    while killed < count {
        let leased = engine
            .lease(lease("q", 1000, Duration::ZERO))
            .await
            .expect("Redis answers");
        let Leased::Tasks(granted) = leased else {
            panic!("{killed} of {count}")
        };
        let leases: Vec<_> = granted
            .tasks()
            .iter()
            .map(|task| engine.open_lease(&task.lease_id).expect("its own lease"))
            .collect();
        granted.delivered();
        let nack = Nack {
            error: TaskError::default(),
            retry: false,
            delay_ms: None,
        };
        let nacks = leases
            .into_iter()
            .map(|lease| Settle {
                lease,
                op: SettleOp::Nack(nack.clone()),
            })
            .collect();
        for settled in engine.settle_many(nacks).await {
            settled.expect("Redis answers").expect("the lease is held");
            killed += 1;
        }
    }
}

fn everything() -> Bulk {
    Bulk {
        limit: 1000,
        ..Bulk::default()
    }
}

async fn replay(engine: &Engine) -> Handled {
    let handled = engine
        .replay_dead_letters(&queue("q"), &everything(), &Replay::default(), None)
        .await;
    handled.expect("Redis answers").expect("there is no cursor")
}

async fn replay_until(engine: &Engine, polls: usize) -> bool {
    let mut left = polls;
    let mut replaying = pin!(replay(engine));
    let done = poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        replaying.as_mut().poll(context).map(|_| true)
    });
    done.await
}

/// I1 I14
#[tokio::test]
async fn a_replay_that_is_left_at_any_point_loses_and_doubles_nothing() {
    let redis = Redis::start();
    let engine = engine(&redis).await;
    die(&engine, COUNT).await;
    let mut polls = 1;
    loop {
        let before = engine.stats(&queue("q")).await.unwrap().unwrap();
        assert_eq!(before.counts.dead, COUNT as u64);
        let whole = replay_until(&engine, polls).await;
        // A call that was left may still be on its way to Redis: the next one waits behind nothing, and
        // counts its own.
        let rest = replay(&engine).await;
        assert!(rest.done <= COUNT as u64 && rest.next_cursor.is_none());
        let after = engine.stats(&queue("q")).await.unwrap().unwrap();
        assert_eq!(
            (after.counts.dead, after.counts.ready),
            (0, COUNT as u64),
            "left after {polls} polls"
        );
        assert_eq!(
            after.counts.replayed_total - before.counts.replayed_total,
            COUNT as u64
        );
        assert_sound(&redis, "q");
        if whole {
            break;
        }
        kill(&engine, COUNT).await;
        polls += 1;
    }
    assert!(polls > 8, "it was never left in its midst");
    engine.stop().await;
}

/// I26: news of replayed tasks reaches those who wait also when the caller left before his answer.
#[tokio::test]
async fn who_waits_is_told_of_a_replay_whose_caller_left() {
    let redis = Redis::start();
    let engine = engine(&redis).await;
    die(&engine, 1).await;
    let waiting = tokio::spawn({
        let engine = engine.clone();
        async move { engine.lease(lease("q", 1, Duration::from_secs(10))).await }
    });
    while engine.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    let started = Instant::now();
    for polls in 1.. {
        if replay_until(&engine, polls).await {
            break;
        }
    }
    let Leased::Tasks(granted) = waiting.await.unwrap().unwrap() else {
        panic!("empty")
    };
    assert!(
        started.elapsed() < Duration::from_millis(900),
        "told, not found by the look of each second"
    );
    granted.delivered();
    engine.stop().await;
}

/// I14 I16: the first try is done and its reply is lost, and the service itself tries again.
#[tokio::test]
async fn a_replay_whose_reply_is_lost_is_done_once_and_told_as_done() {
    let redis = Redis::start();
    let socket = redis.dir().join("proxy.sock");
    let proxy = Proxy::start(&socket, &redis.socket());
    let url = format!("redis+unix://{}", socket.display());
    let store = Store::new(&StoreSettings::new(url)).expect("the URL is one");
    let engine = Engine::start(store, EngineSettings::default())
        .await
        .expect("Redis answers");
    die(&engine, 3).await;
    // Once without harm, so that Redis knows the scripts.
    let dead = replay(&engine).await;
    assert_eq!(dead.done, 3);
    kill(&engine, 3).await;

    proxy.rule(Rule::CutReplyTo("lq_replay_"));
    let replayed = replay(&engine).await;
    assert_eq!((replayed.matched, replayed.done, replayed.skipped), (3, 3, 0));
    let stats = engine.stats(&queue("q")).await.unwrap().unwrap();
    assert_eq!(
        (stats.counts.replayed_total, stats.counts.ready, stats.counts.dead),
        (6, 3, 0)
    );
    kill(&engine, 3).await;

    // A purge is not tried again: it could not tell what the first try deleted.
    let purge = engine.purge_dead_letters(&queue("q"), &everything()).await;
    assert_eq!(purge.unwrap().unwrap().done, 3);
    die(&engine, 3).await;
    proxy.rule(Rule::CutReplyTo("lq_purge_dead_"));
    let purge = engine.purge_dead_letters(&queue("q"), &everything()).await;
    assert_eq!(purge, Err(Failure::Unknown));
    let stats = engine.stats(&queue("q")).await.unwrap().unwrap();
    assert_eq!((stats.counts.purged_total, stats.counts.dead), (6, 0));
    engine.stop().await;
    assert_sound(&redis, "q");
}
