//! The auditor is a checker, so it is checked: on queues with one thing wrong, done by hand.

use deadpool_redis::redis::{Cmd, cmd};
use leaseq::domain::unique::UniqueScope;

use crate::support::audit::audit;
use crate::support::queue::{Queue, T0, delayed, grouped, task, unique};

/// A queue with a task in every state: fresh, returned, scheduled, leased, dead, completed.
pub async fn varied() -> Queue {
    let queue = Queue::start().await;
    queue.enqueue(&[task(), task(), task(), task(), task()]).await;
    let held = queue.lease(4).await;
    queue.enqueue(&[grouped("acme"), delayed(60_000)]).await;
    queue.ack(&held[0].lease).await;
    queue
        .nack_with(&held[1].lease, crate::support::queue::rejection())
        .await;
    queue.give_back(&held[2].lease).await;
    queue
}

fn key(role: &str) -> String {
    format!("lq:1:{{emails}}:{role}")
}

/// Does one harm and says what the auditor then says; undoes it, so that the queue can end as a sound one.
async fn harmed(harm: &Cmd, of_key: &str) -> Vec<String> {
    let queue = varied().await;
    let key = key(of_key);
    let _: () = queue.redis.command(cmd("COPY").arg(&key).arg("kept"));
    let _: () = queue.redis.command(harm);
    let problems = audit(&queue.redis, "emails");
    let _: () = queue.redis.command(cmd("DEL").arg(&key));
    let _: () = queue.redis.command(cmd("RENAME").arg("kept").arg(&key));
    problems
}

#[track_caller]
fn assert_named(problems: &[String], invariant: &str) {
    assert!(
        problems.iter().any(|problem| problem.starts_with(invariant)),
        "expected a breach of {invariant}, got {problems:?}"
    );
}

#[tokio::test]
async fn a_sound_queue_has_no_problems() {
    let queue = varied().await;
    assert_eq!(audit(&queue.redis, "emails"), Vec::<String>::new());
    assert_eq!(audit(&queue.redis, "nobody"), Vec::<String>::new());
}

#[tokio::test]
async fn a_lost_task_is_seen() {
    let problems = harmed(cmd("DEL").arg(key("due")), "due").await;
    assert_named(&problems, "I1");
    assert_named(&problems, "I3");
}

#[tokio::test]
async fn a_miscounted_task_is_seen() {
    let queue = varied().await;
    for counter in ["completed_total", "ready"] {
        queue.redis.add_to_state("emails", counter, 1.0);
        assert_named(&audit(&queue.redis, "emails"), "I3");
        queue.redis.add_to_state("emails", counter, -1.0);
    }
}

#[tokio::test]
async fn a_task_in_two_states_is_seen() {
    let queue = varied().await;
    let held = queue.lease_one().await;
    let dead = key("dead");
    let _: () = queue
        .redis
        .command(cmd("ZADD").arg(&dead).arg(T0).arg(held.task.id.as_bytes()));
    assert_named(&audit(&queue.redis, "emails"), "I4");
    let _: () = queue
        .redis
        .command(cmd("ZREM").arg(&dead).arg(held.task.id.as_bytes()));
}

#[tokio::test]
async fn an_index_element_without_a_record_is_seen() {
    let problems = harmed(
        cmd("ZADD").arg(key("leased")).arg(T0).arg("fourteen bytes"),
        "leased",
    )
    .await;
    assert_named(&problems, "I4");
}

#[tokio::test]
async fn a_lane_that_lost_its_head_its_name_or_its_turn_is_seen() {
    assert_named(
        &harmed(cmd("DEL").arg(key("heads:acme")), "heads:acme").await,
        "I4",
    );
    assert_named(
        &harmed(cmd("DEL").arg(key("names:default")), "names:default").await,
        "I4",
    );
    assert_named(
        &harmed(cmd("ZREM").arg(key("turn")).arg("acme"), "turn").await,
        "I18",
    );
}

#[tokio::test]
async fn a_head_that_hides_its_task_is_seen() {
    let harm = cmd("ZADD")
        .arg(key("heads:acme"))
        .arg(9e15)
        .arg("10/default")
        .to_owned();
    assert_named(&harmed(&harm, "heads:acme").await, "I17");
}

#[tokio::test]
async fn what_is_left_of_an_empty_lane_is_seen() {
    let harm = cmd("ZADD")
        .arg(key("heads:acme"))
        .arg(1)
        .arg("11/default")
        .to_owned();
    assert_named(&harmed(&harm, "heads:acme").await, "I4");
    let harm = cmd("ZADD").arg(key("turn")).arg(1).arg("nobody").to_owned();
    assert_named(&harmed(&harm, "turn").await, "I18");
}

#[tokio::test]
async fn a_result_that_disagrees_with_what_is_kept_is_seen() {
    assert_named(&harmed(cmd("DEL").arg(key("done")), "done").await, "I25");
    assert_named(&harmed(cmd("DEL").arg(key("res")), "res").await, "I25");
    let queue = varied().await;
    for (field, harm) in [("done_bytes", 1.0), ("done_since", 1e12)] {
        queue.redis.add_to_state("emails", field, harm);
        assert_named(&audit(&queue.redis, "emails"), "I25");
        queue.redis.add_to_state("emails", field, -harm);
    }
}

#[tokio::test]
async fn parts_that_no_record_calls_for_are_seen() {
    let harm = cmd("HSET")
        .arg(key("pay"))
        .arg("fourteen bytes")
        .arg("{}")
        .to_owned();
    let queue = varied().await;
    let _: () = queue.redis.command(&harm);
    assert_named(&audit(&queue.redis, "emails"), "I4");
    let _: () = queue.redis.command(cmd("DEL").arg(key("pay")));
    assert_named(&harmed(cmd("DEL").arg(key("hist")), "hist").await, "I12");
}

#[tokio::test]
async fn a_key_that_nobody_frees_and_one_that_nobody_holds_are_seen() {
    for (scope, harm) in [
        (
            UniqueScope::UntilFinished,
            cmd("HDEL").arg(key("uniq")).arg("k").clone(),
        ),
        (
            UniqueScope::UntilLeased,
            cmd("HDEL").arg(key("uniq")).arg("k").clone(),
        ),
        (UniqueScope::Ttl(60_000), cmd("DEL").arg(key("uniq_at")).clone()),
    ] {
        let queue = Queue::start().await;
        queue.put(unique("k", scope)).await;
        let before = queue.snapshot();
        let _: () = queue.redis.command(&harm);
        assert_named(
            &audit(&queue.redis, "emails"),
            if scope == UniqueScope::Ttl(60_000) {
                "I28"
            } else {
                "I15"
            },
        );
        queue.restore(&before);
    }
    let queue = Queue::start().await;
    let held = queue.snapshot();
    let orphan = [[7u8; 14].as_slice(), &[0; 6]].concat();
    let _: () = queue
        .redis
        .command(cmd("HSET").arg(key("uniq")).arg("k").arg(&orphan[..]));
    assert_named(&audit(&queue.redis, "emails"), "I15");
    queue.restore(&held);
}
