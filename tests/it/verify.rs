//! The live audit: it finds each kind of damage, and nothing on a queue that is only busy.

// A panic is how a test fails.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use deadpool_redis::redis::{Cmd, cmd};
use leaseq::domain::audit::{Audit, Kind};
use leaseq::domain::{QueueName, TaskId};
use leaseq::engine::{Engine, EngineSettings, Verified};

use crate::auditor::varied;
use crate::support::queue::{Held, Queue, T0, grouped, task};

mod busy;

const PATIENCE: Duration = Duration::from_secs(30);
/// An id that no task has.
const NOBODY: &str = "fourteen bytes";

fn key(role: &str) -> String {
    format!("lq:1:{{emails}}:{role}")
}

async fn engine(queue: &Queue) -> Engine {
    Engine::start(queue.redis.store_on_set_clock(), EngineSettings::default())
        .await
        .expect("redis-server runs")
}

async fn part(engine: &Engine, queue: &QueueName, cursor: Option<&str>, patience: Duration) -> Audit {
    match engine.verify(queue, cursor, patience).await.unwrap() {
        Verified::Part(audit) => audit,
        other => panic!("{other:?}"),
    }
}

async fn audited(queue: &Queue) -> Audit {
    let engine = engine(queue).await;
    let audit = part(&engine, &queue.name, None, PATIENCE).await;
    engine.stop().await;
    assert_eq!(audit.next_cursor, None);
    audit
}

fn kinds(audit: &Audit) -> Vec<Kind> {
    audit.problems.iter().map(|found| found.kind).collect()
}

#[track_caller]
fn assert_told(audit: &Audit, kind: Kind, id: Option<TaskId>) {
    let told = audit
        .problems
        .iter()
        .any(|found| found.kind == kind && (id.is_none() || found.id == id));
    assert!(told, "{kind:?} of {id:?} is not among {:?}", audit.problems);
}

/// Does one harm, audits, and undoes it, so that the queue can end as a sound one.
async fn harmed(queue: &Queue, harm: &Cmd, of_key: &str) -> Audit {
    let key = key(of_key);
    let _: () = queue.redis.command(cmd("COPY").arg(&key).arg("kept"));
    let _: () = queue.redis.command(harm);
    let audit = audited(queue).await;
    let _: () = queue.redis.command(cmd("DEL").arg(&key));
    let kept: bool = queue.redis.command(cmd("EXISTS").arg("kept"));
    if kept {
        let _: () = queue.redis.command(cmd("RENAME").arg("kept").arg(&key));
    }
    audit
}

/// In the lane of tasks without a group and of the default name.
fn fresh() -> String {
    "fresh:10/default/".to_owned()
}

#[tokio::test]
async fn a_sound_queue_is_audited_whole_and_without_a_word() {
    let queue = varied().await;
    let audit = audited(&queue).await;
    assert_eq!(audit.problems, []);
    assert_eq!((audit.checked, audit.tasks, audit.problems_total), (7, 7, 0));
}

/// I1.
#[tokio::test]
async fn a_task_that_no_index_knows_is_lost() {
    let queue = varied().await;
    let audit = harmed(&queue, cmd("DEL").arg(key("due")), "due").await;
    assert_told(&audit, Kind::Lost, None);
    assert_told(&audit, Kind::Counters, None);
    let audit = harmed(&queue, cmd("DEL").arg(key("dead")), "dead").await;
    assert_told(&audit, Kind::Lost, None);
}

/// I1: a list cannot be searched, and yet is.
#[tokio::test]
async fn a_task_that_is_missing_in_the_middle_of_its_lane_is_lost() {
    let queue = Queue::start().await;
    let tasks: Vec<_> = (0..1200).map(|_| task()).collect();
    for tasks in tasks.chunks(256) {
        queue.enqueue(tasks).await;
    }
    let entry: Vec<u8> = queue.redis.command(cmd("LINDEX").arg(key(&fresh())).arg(600));
    let harm = cmd("LREM").arg(key(&fresh())).arg(1).arg(&entry).to_owned();
    let audit = harmed(&queue, &harm, &fresh()).await;
    assert_eq!(kinds(&audit), [Kind::Lost]);
    assert_eq!(audit.problems[0].id, Some(tasks[600].id));
}

/// I4.
#[tokio::test]
async fn a_task_in_two_states_is_told() {
    let queue = varied().await;
    let Held { task, .. } = queue.lease_one().await;
    let harm = cmd("ZADD")
        .arg(key("dead"))
        .arg(T0)
        .arg(task.id.as_bytes())
        .to_owned();
    let audit = harmed(&queue, &harm, "dead").await;
    assert_told(&audit, Kind::TwoStates, Some(task.id));
}

/// I4 I6: it would be granted a second time.
#[tokio::test]
async fn a_leased_task_that_is_still_in_its_lane_is_told() {
    let queue = Queue::start().await;
    queue.enqueue(&[task(), task(), task()]).await;
    let entry: Vec<u8> = queue.redis.command(cmd("LINDEX").arg(key(&fresh())).arg(0));
    let held = queue.lease_one().await;
    let harm = cmd("LPUSH").arg(key(&fresh())).arg(&entry).to_owned();
    let audit = harmed(&queue, &harm, &fresh()).await;
    assert_told(&audit, Kind::TwoStates, Some(held.task.id));
    let entry: Vec<u8> = queue.redis.command(cmd("LINDEX").arg(key(&fresh())).arg(0));
    let harm = cmd("LPUSH").arg(key(&fresh())).arg(&entry).to_owned();
    assert_told(&harmed(&queue, &harm, &fresh()).await, Kind::TwoStates, None);
}

/// I4.
#[tokio::test]
async fn a_member_of_an_index_without_a_record_is_told() {
    let queue = varied().await;
    for (index, add) in [
        ("leased", "ZADD"),
        ("due", "ZADD"),
        ("expiry", "ZADD"),
        ("pay", "HSET"),
        ("res", "HSET"),
        ("mut", "HSET"),
    ] {
        let mut harm = cmd(add);
        harm.arg(key(index));
        match add {
            "ZADD" => harm.arg(9e15).arg(NOBODY),
            _ => harm.arg(NOBODY).arg("{}"),
        };
        let audit = harmed(&queue, &harm, index).await;
        assert_told(
            &audit,
            Kind::NoRecord,
            Some(TaskId::from_slice(NOBODY.as_bytes()).unwrap()),
        );
    }
}

/// I4.
#[tokio::test]
async fn a_task_in_a_lane_of_others_is_told() {
    let queue = varied().await;
    let entry: Vec<u8> = queue.redis.command(cmd("LINDEX").arg(key(&fresh())).arg(0));
    let others = "fresh:10/default/acme";
    let harm = cmd("RPUSH").arg(key(others)).arg(&entry).to_owned();
    assert_told(&harmed(&queue, &harm, others).await, Kind::Misplaced, None);
}

/// I17 I18.
#[tokio::test]
async fn a_lane_that_cannot_be_found_is_told() {
    let queue = varied().await;
    let mut late = cmd("ZADD");
    late.arg(key("heads:acme")).arg(9e15).arg("10/default");
    for (harm, of_key) in [
        (cmd("DEL").arg(key("heads:acme")), "heads:acme"),
        (cmd("DEL").arg(key("names:default")), "names:default"),
        (cmd("ZREM").arg(key("turn")).arg("acme"), "turn"),
        (&mut late, "heads:acme"),
    ] {
        let audit = harmed(&queue, harm, of_key).await;
        assert_told(&audit, Kind::Lane, None);
    }
}

/// I4.
#[tokio::test]
async fn what_is_left_of_an_empty_lane_is_told() {
    let queue = varied().await;
    for (index, member) in [
        ("heads:acme", "11/default"),
        ("turn", "nobody"),
        ("names:default", "9/nobody"),
    ] {
        let harm = cmd("ZADD").arg(key(index)).arg(1).arg(member).to_owned();
        let audit = harmed(&queue, &harm, index).await;
        assert_eq!(kinds(&audit), [Kind::EmptyLane], "{index}: {:?}", audit.problems);
    }
}

/// I2.
#[tokio::test]
async fn a_payload_that_is_gone_is_told() {
    let queue = varied().await;
    let big = leaseq::domain::NewTask {
        payload: leaseq::domain::task::Json::from_checked(format!("\"{}\"", "x".repeat(4000)).into()),
        ..task()
    };
    let id = queue.put(big).await;
    let audit = harmed(&queue, cmd("DEL").arg(key("pay")), "pay").await;
    assert_told(&audit, Kind::Payload, Some(id));
}

/// I12.
#[tokio::test]
async fn attempts_that_were_counted_and_not_kept_are_told() {
    let queue = varied().await;
    let audit = harmed(&queue, cmd("DEL").arg(key("hist")), "hist").await;
    assert_eq!(
        kinds(&audit),
        [Kind::History, Kind::DeadLetter],
        "its bytes are counted, too"
    );
}

#[tokio::test]
async fn bytes_that_no_script_writes_are_told() {
    let queue = varied().await;
    let id = queue.put(task()).await;
    let harm = cmd("HSET")
        .arg(key("rec"))
        .arg(id.as_bytes())
        .arg("xx")
        .to_owned();
    assert_told(&harmed(&queue, &harm, "rec").await, Kind::Unreadable, Some(id));
}

/// I25.
#[tokio::test]
async fn finished_tasks_that_are_kept_wrong_are_told() {
    let queue = varied().await;
    assert_told(
        &harmed(&queue, cmd("DEL").arg(key("res")), "res").await,
        Kind::Finished,
        None,
    );
    assert_told(
        &harmed(&queue, cmd("DEL").arg(key("done")), "done").await,
        Kind::Counters,
        None,
    );
    queue.redis.add_to_state("emails", "done_bytes", 1.0);
    assert_eq!(kinds(&audited(&queue).await), [Kind::Finished]);
    queue.redis.add_to_state("emails", "done_bytes", -1.0);
    queue.redis.add_to_state("emails", "done_since", 1e12);
    assert_eq!(kinds(&audited(&queue).await), [Kind::Counters]);
    queue.redis.add_to_state("emails", "done_since", -1e12);
}

/// I14.
#[tokio::test]
async fn dead_letters_that_are_counted_wrong_are_told() {
    let queue = varied().await;
    for (role, expected) in [
        ("letter", [Kind::Counters, Kind::DeadLetter].as_slice()),
        ("alike", &[Kind::Counters, Kind::DeadLetter]),
        ("print", &[Kind::DeadLetter]),
    ] {
        let audit = harmed(&queue, cmd("DEL").arg(key(role)), role).await;
        for kind in expected {
            assert_told(&audit, *kind, None);
        }
    }
    let id = queue.put(task()).await;
    let harm = cmd("HSET")
        .arg(key("letter"))
        .arg(id.as_bytes())
        .arg(b"\0\0\0\x01other")
        .to_owned();
    assert_told(&harmed(&queue, &harm, "letter").await, Kind::DeadLetter, Some(id));
}

/// I3.
#[tokio::test]
async fn counters_that_do_not_add_up_are_told() {
    let queue = varied().await;
    for field in ["accepted_total", "completed_total", "ready", "cancelled_total"] {
        queue.redis.add_to_state("emails", field, 1.0);
        let audit = audited(&queue).await;
        assert!(!audit.problems.is_empty(), "{field}");
        assert!(
            kinds(&audit).iter().all(|kind| *kind == Kind::Counters),
            "{:?}",
            audit.problems
        );
        queue.redis.add_to_state("emails", field, -1.0);
    }
}

/// I28: each call is bounded, and the parts are the whole.
#[tokio::test]
async fn a_large_queue_is_audited_in_parts() {
    let queue = Queue::start().await;
    for group in 0..60 {
        let tasks: Vec<_> = (0..7).map(|_| grouped(&format!("g{group}"))).collect();
        queue.enqueue(&tasks).await;
    }
    let _: () = queue
        .redis
        .command(cmd("ZADD").arg(key("turn")).arg(1).arg("nobody"));
    let engine = engine(&queue).await;
    let (mut checked, mut parts, mut told, mut cursor) = (0, 0, Vec::new(), None);
    loop {
        let audit = part(&engine, &queue.name, cursor.as_deref(), Duration::ZERO).await;
        assert_eq!(audit.tasks, 420);
        checked += audit.checked;
        parts += 1;
        told.extend(kinds(&audit));
        cursor = audit.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((checked, told), (420, vec![Kind::EmptyLane]));
    assert!(parts > 100, "{parts}");
    for bad in ["x", "", "W10"] {
        let refused = engine.verify(&queue.name, Some(bad), PATIENCE).await.unwrap();
        assert_eq!(refused, Verified::BadCursor);
    }
    engine.stop().await;
    let _: () = queue.redis.command(cmd("ZREM").arg(key("turn")).arg("nobody"));
}

/// I28: what is told is bounded, what is counted is not.
#[tokio::test]
async fn many_problems_are_counted_and_some_are_told() {
    let queue = Queue::start().await;
    queue.enqueue(&vec_of(150)).await;
    let audit = harmed(&queue, cmd("DEL").arg(key(&fresh())), &fresh()).await;
    let lost = kinds(&audit).iter().filter(|kind| **kind == Kind::Lost).count();
    assert_eq!(audit.problems.len(), 100);
    assert!(lost > 90, "{lost}");
    assert!(audit.problems_total >= 150, "{}", audit.problems_total);
}

fn vec_of(tasks: usize) -> Vec<leaseq::domain::NewTask> {
    (0..tasks).map(|_| task()).collect()
}

#[tokio::test]
async fn one_audit_of_a_queue_runs_at_a_time_and_ends_when_its_caller_leaves() {
    let queue = varied().await;
    let engine = engine(&queue).await;
    {
        let first = engine.verify(&queue.name, None, PATIENCE);
        tokio::pin!(first);
        tokio::select! {
            biased;
            ended = &mut first => panic!("it did not wait for Redis: {ended:?}"),
            second = engine.verify(&queue.name, None, PATIENCE) => assert_eq!(second.unwrap(), Verified::Busy),
        }
    }
    assert_eq!(part(&engine, &queue.name, None, PATIENCE).await.problems, []);
    let nobody = QueueName::parse("nobody").unwrap();
    assert_eq!(
        engine.verify(&nobody, None, PATIENCE).await.unwrap(),
        Verified::Absent
    );
    engine.stop().await;
}
