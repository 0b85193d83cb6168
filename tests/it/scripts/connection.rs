//! The layer between an operation and its script.

use deadpool_redis::redis::cmd;
use leaseq::domain::settle::Ack;
use leaseq::domain::{NewTask, TaskState};
use leaseq::store::StoreError;
use leaseq::store::ops::ack::{AckOp, Acked};
use leaseq::store::ops::lease::Wish;
use leaseq::store::ops::overview::OverviewOp;
use leaseq::store::ops::{Answer, Op};

use crate::support::queue::{Queue, task};

fn forget_scripts(queue: &Queue) {
    let _: () = queue.redis.command(cmd("SCRIPT").arg("FLUSH"));
    let _: () = queue.redis.command(cmd("FUNCTION").arg("FLUSH"));
}

/// I24: replicas share nothing but Redis.
#[tokio::test]
async fn what_one_replica_wrote_another_reads_and_settles() {
    let queue = Queue::start().await;
    let id = queue.put(task()).await;
    let other = queue.redis.store_on_set_clock();
    let overview = other.call(&queue.keys, &OverviewOp).await.unwrap().unwrap();
    assert_eq!(overview.counts.ready, 1);
    let held = queue.lease_one().await;
    let acks = AckOp(vec![(held.lease, Ack::default())]);
    let told = other.call(&queue.keys, &acks).await.unwrap().unwrap().answers;
    assert_eq!(told, [Answer::Done(Acked::Done)]);
    assert_eq!(queue.see(id).await.state, TaskState::Completed);
}

/// The one clock is that of Redis, read in the script.
#[tokio::test]
async fn scripts_read_the_clock_of_redis() {
    let queue = Queue::start().await;
    let millis = || -> u64 {
        let (seconds, micros): (u64, u64) = queue.redis.command(&cmd("TIME"));
        seconds * 1000 + micros / 1000
    };
    let before = millis();
    let overview = queue.redis.store().call(&queue.keys, &OverviewOp).await;
    let now = overview.unwrap().unwrap().now.get();
    assert!((before..=millis()).contains(&now));
}

/// I5: a Redis that forgot the scripts is told them, and nothing is done twice.
#[tokio::test]
async fn a_call_outlives_that_redis_forgets_the_scripts() {
    let queue = Queue::start().await;
    for n in 1..=3 {
        forget_scripts(&queue);
        queue.put(task()).await;
        forget_scripts(&queue);
        let held = queue.lease_one().await;
        forget_scripts(&queue);
        queue.ack(&held.lease).await;
        let overview = queue.overview().await;
        assert_eq!(
            (overview.counts.accepted_total, overview.counts.completed_total),
            (n, n)
        );
    }
}

/// A user that may not load functions is served all the same, and one that loses the right meanwhile, too.
#[tokio::test]
async fn a_user_without_the_right_to_functions_gets_plain_scripts() {
    let queue = Queue::start().await;
    let rules = ["SETUSER", "default", "+@all", "-function", "-fcall"];
    let _: () = queue.redis.command(cmd("ACL").arg(&rules));
    for n in 1..=3 {
        queue.put(task()).await;
        let held = queue.lease_one().await;
        queue.ack(&held.lease).await;
        assert_eq!(queue.overview().await.counts.completed_total, n);
        let _: () = queue.redis.command(cmd("SCRIPT").arg("FLUSH"));
    }
}

/// Versions of the library do not pile up in a Redis that outlives many of them.
#[tokio::test]
async fn old_libraries_are_removed_when_there_are_many() {
    let queue = Queue::start().await;
    let libraries = || -> usize {
        let listed: Vec<deadpool_redis::redis::Value> = queue.redis.command(cmd("FUNCTION").arg("LIST"));
        listed.len()
    };
    let foreign = "#!lua name=somebodys\nredis.register_function('theirs', function() return 1 end)";
    let _: String = queue.redis.command(cmd("FUNCTION").arg("LOAD").arg(foreign));
    for n in 0..20 {
        let old =
            format!("#!lua name=leaseq_old{n}\nredis.register_function('old{n}', function() return 1 end)");
        let _: String = queue.redis.command(cmd("FUNCTION").arg("LOAD").arg(old));
    }
    let other_replica = queue.redis.store();
    let overview = other_replica
        .call(&queue.keys, &OverviewOp)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(overview.counts.accepted_total, 0);
    assert_eq!(libraries(), 2, "ours and somebody's");
    queue.put(task()).await;
    assert_eq!(libraries(), 3, "on another clock it is another library");
}

/// I24: what travels together happens in its order, also when the scripts have to be loaded first.
#[tokio::test]
async fn a_batch_keeps_its_order_when_redis_forgot_the_scripts() {
    let queue = Queue::start().await;
    queue.put(task()).await;
    let held = queue.lease_one().await;
    let tasks: Vec<NewTask> = vec![task(), task()];
    let wishes = [Wish {
        tasks: 9,
        ..Wish::default()
    }];
    let acks = vec![(held.lease, Ack::default())];
    let (enqueue, lease, ack) = (
        queue.enqueue_op(&tasks, false),
        queue.lease_op(&[], &wishes),
        AckOp(acks),
    );
    let mut batch = queue.store.batch();
    batch.push(&queue.keys, &enqueue);
    batch.push(&queue.keys, &ack);
    batch.push(&queue.keys, &lease);
    batch.push(&queue.keys, &OverviewOp);
    forget_scripts(&queue);
    let mut answers = queue.store.conn().send(batch).await.replies;
    let overview = OverviewOp
        .outcome(answers.pop().unwrap().unwrap())
        .unwrap()
        .unwrap();
    assert_eq!(
        (
            overview.counts.leased,
            overview.counts.completed_total,
            overview.counts.ready
        ),
        (2, 1, 0)
    );
    assert_eq!(answers.len(), 3);
    assert!(answers.iter().all(Result::is_ok));
}

/// I29: a call that fails takes none of those with it that travel in the same pipeline.
#[tokio::test]
async fn a_broken_queue_fails_alone_in_a_batch() {
    let queue = Queue::start().await;
    let (_, broken) = crate::support::redis::queue("broken");
    let _: () = queue
        .redis
        .command(cmd("SET").arg("lq:1:{broken}:state").arg("x"));
    let mut batch = queue.store.batch();
    batch.push(&queue.keys, &OverviewOp);
    batch.push(&broken, &OverviewOp);
    batch.push(&queue.keys, &OverviewOp);
    let answers = queue.store.conn().send(batch).await.replies;
    assert!(answers[0].is_ok() && answers[2].is_ok());
    let Err(StoreError::Broken(why)) = &answers[1] else {
        panic!("{:?}", answers[1])
    };
    assert!(why.contains(".lua:"), "says where: {why}");
}

/// I27: a connection that was cut is made again; what was sent on it has an unknown outcome, what was not has
/// none.
#[tokio::test]
async fn a_cut_connection_is_made_again() {
    let queue = Queue::start().await;
    let mut conn = queue.store.conn();
    conn.call(&queue.keys, &OverviewOp).await.unwrap().unwrap();
    let _: i64 = queue.redis.command(
        cmd("CLIENT")
            .arg("KILL")
            .arg("TYPE")
            .arg("normal")
            .arg("SKIPME")
            .arg("yes"),
    );
    let first = conn.call(&queue.keys, &OverviewOp).await;
    assert!(
        matches!(
            first,
            Err(StoreError::Unknown(_) | StoreError::NotApplied(_)) | Ok(_)
        ),
        "{first:?}"
    );
    conn.call(&queue.keys, &OverviewOp).await.unwrap().unwrap();
}

/// I7: who comes later takes over the key that Redis has, before its first lease.
#[tokio::test]
async fn replicas_that_asked_seal_leases_with_one_key() {
    let queue = Queue::start().await;
    let (first, second) = (queue.redis.store_on_set_clock(), queue.redis.store_on_set_clock());
    assert!(first.lease_key() != second.lease_key());
    for store in [&first, &second] {
        store.agree_on_lease_key().await.unwrap();
    }
    assert!(first.lease_key() == second.lease_key());
}
