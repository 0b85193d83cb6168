//! Pause: from then on nothing is granted, or accepted, and all else goes on.

use deadpool_redis::redis::cmd;
use leaseq::domain::gate::Reason;
use leaseq::domain::pause::{Pause, PauseMode, Paused};
use leaseq::domain::settle::RetryAfter;
use leaseq::domain::task::{Made, NotEnqueued};
use leaseq::domain::unique::UniqueScope;
use leaseq::domain::{Millis, TaskState};
use leaseq::store::ops::Answer;
use leaseq::store::ops::ack::Acked;
use leaseq::store::ops::lease::{Grants, LeaseReply, Wish};
use leaseq::store::ops::pause::{PauseChanged, PauseOp};

use crate::support::queue::{
    Queue, REPLICA, T0, delayed, failure_after, grouped, prioritised, rejection, task, unique,
};

async fn change(queue: &Queue, pause: Option<&Pause>) -> PauseChanged {
    let op = PauseOp {
        replica: REPLICA,
        pause,
    };
    queue.call(&op).await.expect("the queue exists")
}

async fn pause(queue: &Queue, mode: PauseMode, until: Option<u64>) -> PauseChanged {
    let pause = Pause {
        mode,
        until: until.map(|ms| Millis::new(T0 + ms)),
        reason: None,
    };
    change(queue, Some(&pause)).await
}

/// When to look again, why nothing was granted, and when that ends.
async fn look(queue: &Queue, names: &[&str]) -> (Option<u64>, Option<Reason>, Option<u64>) {
    let names: Vec<_> = names
        .iter()
        .map(|name| crate::support::queue::task_name(name))
        .collect();
    let wishes = [Wish {
        tasks: 1,
        ..Wish::default()
    }];
    let granted = queue.call(&queue.lease_op(&names, &wishes)).await;
    let LeaseReply::Tasks(Grants {
        next_at,
        first_due,
        shut,
        ref grants,
        ..
    }) = granted
    else {
        panic!("absent")
    };
    assert!(grants.is_empty());
    let after = |at: Millis| at.get() - T0;
    let ends_at = shut.map_or(first_due, |shut| shut.look_at);
    (
        next_at.map(after),
        shut.map(|shut| shut.reason),
        ends_at.map(after),
    )
}

/// I23: whatever the shape of the queue, and whatever makes tasks ready meanwhile.
#[tokio::test]
async fn nothing_is_granted_while_leases_are_paused_and_all_else_goes_on() {
    let queue = Queue::start().await;
    queue.enqueue(&[task(), task(), task(), task(), task()]).await;
    let held = queue.lease(5).await;
    queue.put(task()).await;
    pause(&queue, PauseMode::Lease, None).await;
    assert_eq!(look(&queue, &[]).await.1, Some(Reason::Paused));
    assert_eq!(
        look(&queue, &["default"]).await.1,
        Some(Reason::Paused),
        "one lane or not"
    );

    queue
        .enqueue(&[grouped("acme"), prioritised(50), delayed(500)])
        .await;
    assert_eq!(queue.ack(&held[0].lease).await, Answer::Done(Acked::Done));
    for (held, nack) in held[1..].iter().zip([failure_after(0), rejection()]) {
        assert!(matches!(
            queue.nack_with(&held.lease, nack).await,
            Answer::Done(_)
        ));
    }
    assert!(matches!(
        queue.release(&held[3].lease, RetryAfter::None).await,
        Answer::Done(_)
    ));
    assert!(matches!(
        queue.extend(&held[4].lease, Some(500)).await,
        Answer::Done(_)
    ));
    queue.at(500);
    let swept = queue.sweep().await;
    assert_eq!((swept.expired, swept.came_due), (1, 1));
    for names in [&[][..], &["default"]] {
        assert_eq!(look(&queue, names).await, (None, Some(Reason::Paused), None));
    }
    assert_eq!(queue.overview().await.counts.ready, 7);

    let expected = PauseChanged::Done {
        ready: 7,
        since: Millis::new(T0),
    };
    assert_eq!(change(&queue, None).await, expected);
    assert_eq!(queue.lease(9).await.len(), 7);
}

/// I17: a pause costs no task its place.
#[tokio::test]
async fn tasks_keep_their_order_and_the_time_since_when_they_are_ready() {
    let queue = Queue::start().await;
    let ids = [queue.put(task()).await, queue.put(task()).await];
    pause(&queue, PauseMode::Lease, None).await;
    queue.at(5_000);
    change(&queue, None).await;
    let later = queue.put(task()).await;
    queue.at(6_000);
    let held = queue.lease(3).await;
    let order: Vec<_> = held.iter().map(|held| held.task.id).collect();
    assert_eq!(order, [ids[0], ids[1], later]);
    assert_eq!(held[0].task.ready_at, Millis::new(T0));
}

/// I19 I23: to the millisecond, on Redis's clock, whether anybody notes it or not.
#[tokio::test]
async fn a_pause_with_an_end_is_over_then_and_not_before() {
    let queue = Queue::start().await;
    queue.put(task()).await;
    pause(&queue, PauseMode::Both, Some(1_000)).await;
    let paused = (Some(1_000), Some(Reason::Paused), Some(1_000));
    assert_eq!(look(&queue, &[]).await, paused, "it says when to look again");
    queue.put_none(task()).await;
    queue.at(999);
    let swept = queue.sweep().await;
    assert_eq!(swept.next_at, Some(Millis::new(T0 + 1_000)));
    assert_eq!(look(&queue, &[]).await, paused);
    assert!(queue.overview().await.paused.is_some());
    queue.at(1_000);
    assert_eq!(queue.overview().await.paused, None);
    queue.lease_one().await;
    queue.put(task()).await;
    assert_eq!(queue.lease(1).await.len(), 1);
    assert_eq!(queue.sweep().await.next_at, Some(Millis::new(T0 + 31_000)));
    let noted: i64 = queue.redis.command(cmd("HLEN").arg(queue.key("q")));
    assert_eq!(
        noted, 3,
        "document, its gates and time of making: nothing is left of the pause"
    );
}

/// Nothing changes by a pause that would be over already.
#[tokio::test]
async fn a_pause_that_is_past_is_none() {
    let queue = Queue::start().await;
    queue.put(task()).await;
    queue.at(1_000);
    let before = queue.snapshot();
    for until in [0, 999, 1_000] {
        assert_eq!(
            pause(&queue, PauseMode::Lease, Some(until)).await,
            PauseChanged::Past
        );
    }
    assert_eq!(queue.snapshot(), before);
    queue.lease_one().await;
}

/// The latest pause holds; `since` is the start of the first one.
#[tokio::test]
async fn a_pause_is_changed_by_another_and_remembers_when_it_began() {
    let queue = Queue::start().await;
    queue.put(task()).await;
    let said = Pause {
        mode: PauseMode::Both,
        until: Some(Millis::new(T0 + 9_000)),
        reason: Some("Umzug".to_owned()),
    };
    change(&queue, Some(&said)).await;
    queue.at(1_000);
    let expected = PauseChanged::Done {
        ready: 1,
        since: Millis::new(T0),
    };
    assert_eq!(
        pause(&queue, PauseMode::Enqueue, None).await,
        expected,
        "leases go on: those who wait are to look"
    );
    let paused = queue.overview().await.paused;
    let expected = Paused {
        mode: PauseMode::Enqueue,
        since: Millis::new(T0),
        until: None,
        reason: None,
    };
    assert_eq!(paused, Some(expected));
    queue.lease_one().await;
    queue.put_none(task()).await;
    queue.at(2_000);
    change(&queue, None).await;
    let expected = PauseChanged::Done {
        ready: 0,
        since: Millis::new(T0 + 2_000),
    };
    assert_eq!(change(&queue, Some(&said)).await, expected, "another pause");
    assert_eq!(
        queue.overview().await.paused.unwrap().reason.as_deref(),
        Some("Umzug")
    );
}

/// I16: an enqueue is refused while it would make a task, and otherwise answered as ever.
#[tokio::test]
async fn a_paused_queue_takes_no_new_task_and_knows_those_that_it_has() {
    let queue = Queue::start().await;
    let known = [task(), unique("k", UniqueScope::UntilFinished)];
    queue.call(&queue.enqueue_op(&known, true)).await;
    pause(&queue, PauseMode::Enqueue, Some(1_500)).await;
    queue.at(500);
    let before = queue.snapshot();
    let refused = Err(NotEnqueued::Paused {
        ends_in_ms: Some(1_000),
    });

    let news = [
        known[0].clone(),
        task(),
        unique("k", UniqueScope::UntilFinished),
        unique("new", UniqueScope::UntilFinished),
        delayed(500),
    ];
    let told = queue.told(&queue.enqueue_op(&news, true)).await;
    assert_eq!(
        told[0].as_ref().unwrap().id,
        known[0].id,
        "its first try came through before the pause"
    );
    assert_eq!(told[2].as_ref().unwrap().made, Made::Duplicate);
    for index in [1, 3, 4] {
        assert_eq!(told[index], refused, "{index}");
    }
    let changed = |role: &str| before.get(&queue.key(role)) != queue.snapshot().get(&queue.key(role));
    assert!(!changed("rec") && !changed("uniq") && !changed("due"));

    let before = queue.snapshot();
    let mut all = queue.enqueue_op(&news[1..3], false);
    all.all_or_none = true;
    assert_eq!(queue.told(&all).await[0], refused);
    assert_eq!(queue.snapshot(), before, "all or none");

    assert_eq!(queue.lease(9).await.len(), 2, "leases are not stopped");
    queue.at(1_500);
    assert_eq!(queue.told(&queue.enqueue_op(&news[1..2], false)).await.len(), 1);
    assert_eq!(queue.list(TaskState::Ready, 9).await, [news[1].id]);
}

/// I6: a caller who lost its answer may ask again; that is no new grant.
#[tokio::test]
async fn a_repeated_lease_call_is_told_of_its_grants_while_paused() {
    let queue = Queue::start().await;
    queue.enqueue(&[task(), task()]).await;
    let wish = || Wish {
        tasks: 1,
        request_key: Some("k/r".to_owned()),
        ..Wish::default()
    };
    queue.lease_as(wish(), &[]).await;
    pause(&queue, PauseMode::Lease, None).await;
    let wishes = [wish()];
    let LeaseReply::Tasks(Grants { recalled, grants, .. }) = queue.call(&queue.lease_op(&[], &wishes)).await
    else {
        panic!("absent")
    };
    assert_eq!((recalled, grants.len()), (vec![0], 0));
}

/// I26: replicas that wait are told once: when leases go on, not of what they could not get.
#[tokio::test]
async fn waiting_replicas_are_told_when_leases_go_on() {
    let queue = Queue::start().await;
    pause(&queue, PauseMode::Lease, Some(60_000)).await;
    let wishes = [Wish {
        tasks: 1,
        ..Wish::default()
    }];
    let hungry = || queue.redis.state("emails").unwrap().1;
    let wait = async || {
        let mut op = queue.lease_op(&[], &wishes);
        (op.tell_me, op.replica) = (true, "bbbbbbbb,".into());
        queue.call(&op).await;
        assert_eq!(hungry(), "bbbbbbbb,");
    };
    wait().await;
    let client = deadpool_redis::redis::Client::open(queue.redis.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    let soon = Some(std::time::Duration::from_secs(5));
    connection.set_read_timeout(soon).unwrap();
    let mut wakes = connection.as_pubsub();
    wakes.subscribe(leaseq::store::keys::WAKE).unwrap();
    let mut told = || -> String { wakes.get_message().unwrap().get_payload().unwrap() };

    queue.enqueue(&[task(), task()]).await;
    assert_eq!(hungry(), "bbbbbbbb,", "there is nothing to get");
    change(&queue, None).await;
    assert_eq!(
        (told(), hungry()),
        ("emails 2 aaaaaaaa,".to_owned(), String::new())
    );

    pause(&queue, PauseMode::Lease, Some(60_000)).await;
    wait().await;
    queue.at(60_000);
    queue.sweep().await;
    assert_eq!(told(), "emails 2 aaaaaaaa,", "also of an end that nobody said");
}
