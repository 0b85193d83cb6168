//! Two services on one Redis are one queue.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use deadpool_redis::redis::cmd;
use serde_json::json;

use super::api::{Api, each, tasks};
use crate::process::running::until;
use crate::process::service::Service;
use crate::support::redis::Redis;
use leaseq::domain::Millis;

pub(crate) fn replicas(redis: &Redis) -> [(Service, Api); 2] {
    [(); 2].map(|()| {
        let service = Service::start(&["--redis-url", &redis.url()]);
        let api = Api::of(&service);
        (service, api)
    })
}

/// Waits through one replica and enqueues to `queue` through another, again and again: the median of the
/// times between. A busy machine may stop a process for a moment; it does not stop it every time.
fn wake_time(path: &'static str, body: &'static str) -> Duration {
    let redis = Redis::start();
    let [(_a, a), (_b, b)] = replicas(&redis);
    median(|| wake(&a, &b, "q", path, body))
}

fn median(mut wake: impl FnMut() -> Duration) -> Duration {
    let mut times = [(); 3].map(|()| wake());
    times.sort();
    times[1]
}

/// How long a task that is enqueued through `a` takes to one that waits through `b`.
fn wake(a: &Api, b: &Api, queue: &str, path: &str, body: &'static str) -> Duration {
    let waiter = b.waiting(path, body, 1);
    let start = Instant::now();
    let task = a.post(&format!("/v1/queues/{queue}/tasks"), "{}").expect(201);
    let leased = tasks(&waiter.join().unwrap().expect(200));
    let time = start.elapsed();
    assert_eq!(each(&leased, "id"), [task["id"].as_str().unwrap()]);
    b.wait_for_waiters(0);
    time
}

/// Without a notification, waiters look each second.
const ONLY_NOTIFIED: Duration = Duration::from_millis(500);

/// I26.
#[test]
fn a_waiting_lease_is_woken_by_an_enqueue_through_another_replica() {
    let time = wake_time("/v1/queues/q/lease", r#"{"wait_seconds":30}"#);
    assert!(time < ONLY_NOTIFIED, "{time:?}");
}

/// I26.
#[test]
fn a_lease_that_waits_on_many_queues_is_woken_through_another_replica() {
    let time = wake_time("/v1/lease", r#"{"queues":["p","q"],"wait_seconds":30}"#);
    assert!(time < ONLY_NOTIFIED, "{time:?}");
}

/// I26: of a queue that is not there yet no script can note who waits.
#[test]
fn a_lease_that_waits_for_an_unknown_queue_is_woken_when_another_replica_makes_it() {
    let redis = Redis::start();
    let [(_a, a), (_b, b)] = replicas(&redis);
    let mut queues = ["x", "y", "z"].into_iter();
    let time = median(|| {
        let queue = queues.next().unwrap();
        let path = format!("/v1/queues/{queue}/lease");
        wake(&a, &b, queue, &path, r#"{"wait_seconds":30}"#)
    });
    assert!(time < ONLY_NOTIFIED, "{time:?}");
}

/// I26: whichever replica takes a task, one of those who wait gets it, and of those at one replica the one
/// who came first.
#[test]
fn those_who_wait_at_three_replicas_are_served_one_by_one() {
    let redis = Redis::start();
    let services = [(); 3].map(|()| Service::start(&["--redis-url", &redis.url()]));
    let apis = services.each_ref().map(Api::of);
    let mut waiting = apis.each_ref().map(|api| {
        let wait = |nth| api.waiting("/v1/queues/q/lease", r#"{"wait_seconds":30}"#, nth);
        VecDeque::from([1, 2].map(wait))
    });
    let mut times: Vec<Duration> = (0..6)
        .map(|n| {
            let start = Instant::now();
            let id = apis[n % 3].enqueue("{}");
            let (at, nth) = until("somebody was served", || {
                let served = |(at, there): (usize, &VecDeque<JoinHandle<_>>)| {
                    Some((at, there.iter().position(JoinHandle::is_finished)?))
                };
                waiting.iter().enumerate().find_map(served)
            });
            assert_eq!(nth, 0, "the first at its replica");
            let first = waiting[at].pop_front().expect("it was found there");
            assert_eq!(each(&tasks(&first.join().unwrap().expect(200)), "id"), [id]);
            start.elapsed()
        })
        .collect();
    times.sort();
    assert!(times[3] < ONLY_NOTIFIED, "{times:?}");
}

/// A Redis that lost all its data is an empty one, for all replicas alike: also for one that starts only
/// then.
#[test]
fn leases_of_one_replica_are_known_to_the_other_after_redis_lost_everything() {
    for newcomer_first in [false, true] {
        let redis = Redis::start();
        let [(_a, a), (b, _)] = replicas(&redis);
        drop(b);
        a.enqueue("{}");
        let lost = a.lease_one();
        let () = redis.command(&cmd("FLUSHALL"));

        // Either the older one makes a queue and gives Redis its key back, or the newer one comes with
        // another.
        if !newcomer_first {
            a.enqueue("{}");
        }
        let service = Service::start(&["--redis-url", &redis.url()]);
        let b = Api::of(&service);
        b.enqueue("{}");
        a.enqueue("{}");
        // A replica that reads a lease of the other one uses the same key from then on.
        let task = b.lease_one();
        until("a key for both", || {
            (a.settle(&task, "ack", "").status == 200).then_some(())
        });
        let task = a.lease_one();
        b.settle(&task, "ack", "").expect(200);
        for one in [&a, &b] {
            one.settle(&lost, "ack", "").problem(404, "lease_unknown");
        }
    }
}

/// I24.
#[test]
fn what_one_replica_answered_the_other_knows() {
    let redis = Redis::start();
    let [(_a, a), (_b, b)] = replicas(&redis);
    for (one, other) in [(&a, &b), (&b, &a)].repeat(10) {
        let id = one.enqueue("{}");
        assert_eq!(other.task(&id)["state"], "ready");
        let task = other.lease_one();
        assert_eq!(one.task(&id)["state"], "leased");
        one.settle(&task, "ack", r#"{"result":1}"#).expect(200);
        assert_eq!(other.task(&id)["result"], 1);
        assert_eq!(other.settle(&task, "ack", "").expect(200)["already"], true);
    }
    for (seconds, one, other) in [(60, &a, &b), (90, &b, &a), (120, &a, &b)] {
        let config = format!(r#"{{"lease_seconds":{seconds}}}"#);
        one.send("PUT", "/v1/queues/q", "", &config);
        assert_eq!(
            other.get("/v1/queues/q").expect(200)["config"]["lease_seconds"],
            seconds
        );
        other.enqueue("{}");
        assert_eq!(other.lease_one()["lease_seconds"], seconds);
    }
}

/// I21 I26: a place that a lease leaves through one replica is taken by who waits at another.
#[test]
fn a_freed_place_wakes_a_lease_that_waits_at_another_replica() {
    let redis = Redis::start();
    let [(_a, a), (_b, b)] = replicas(&redis);
    a.send("PUT", "/v1/queues/q", "", r#"{"limits":{"max_leased":1}}"#)
        .expect(201);
    for _ in 0..5 {
        a.enqueue("{}");
    }
    let mut held = a.lease(r#"{"wait_seconds":0}"#).remove(0);
    let time = median(|| {
        let waiter = b.waiting("/v1/queues/q/lease", r#"{"wait_seconds":30}"#, 1);
        let start = Instant::now();
        a.settle(&held, "ack", "").expect(200);
        held = tasks(&waiter.join().unwrap().expect(200)).remove(0);
        b.wait_for_waiters(0);
        start.elapsed()
    });
    assert!(time < ONLY_NOTIFIED, "{time:?}");
}

/// When each task of a limited name was granted, over several replicas at once, in ms of Redis's clock.
fn grants_of_many(limits: &str, seconds: u64) -> Vec<u64> {
    let redis = Redis::start();
    let services: Vec<_> = (0..3)
        .map(|_| Service::start(&["--redis-url", &redis.url()]))
        .collect();
    let apis: Vec<_> = services.iter().map(Api::of).collect();
    let config = format!(r#"{{"names":{{"mail":{{"limits":{limits}}}}}}}"#);
    apis[0].send("PUT", "/v1/queues/q", "", &config).expect(201);
    let batch = format!(r#"{{"tasks":[{}]}}"#, vec![r#"{"name":"mail"}"#; 1_000].join(","));
    apis[0].post("/v1/queues/q/tasks/batch", &batch).expect(200);
    let end = Instant::now() + Duration::from_secs(seconds);
    let workers: Vec<_> = services
        .iter()
        .flat_map(|service| [Api::of(service), Api::of(service)])
        .map(|api| {
            std::thread::spawn(move || {
                let mut granted = Vec::new();
                while Instant::now() < end {
                    for task in api.lease(r#"{"max_tasks":4,"wait_seconds":1}"#) {
                        let at = task["server_time"]
                            .as_str()
                            .expect("a lease says when")
                            .to_owned();
                        granted.push(Millis::parse(&at).expect("a time").get());
                    }
                }
                granted
            })
        })
        .collect();
    let mut granted: Vec<u64> = workers
        .into_iter()
        .flat_map(|worker| worker.join().unwrap())
        .collect();
    granted.sort_unstable();
    granted
}

/// I20: over any time no more than the burst and what the rate gives, and at least 95 % of that when tasks
/// wait.
#[test]
fn a_rate_holds_over_all_replicas() {
    let granted = grants_of_many(r#"{"rate_per_second":40,"burst":20}"#, 4);
    for (i, from) in granted.iter().enumerate() {
        for (count, to) in (1u64..).zip(&granted[i..]) {
            assert!(
                count * 1_000 <= 20_000 + 40 * (to - from),
                "{count} grants within {} ms",
                to - from
            );
        }
    }
    assert!(granted.len() >= 152, "{} of 160 and the burst", granted.len());
}

/// I20: while tasks of nine other names wait, the limited one gets its rate by Redis's clock and no more, and
/// an answer is hardly ever shorter for it: what a worker asks for it gets, of the free names.
#[test]
fn a_limited_name_gets_its_rate_beside_nine_free_ones() {
    const RATE_PER_SECOND: u64 = 100;
    const BURST: u64 = 50;
    const ASKED: usize = 4;
    const FREE: usize = 18_000;
    let redis = Redis::start();
    let services: Vec<_> = (0..3)
        .map(|_| Service::start(&["--redis-url", &redis.url()]))
        .collect();
    let api = Api::of(&services[0]);
    let limits = json!({"rate_per_second": RATE_PER_SECOND, "burst": BURST});
    let config = json!({"names": {"limited": {"limits": limits}}});
    api.send("PUT", "/v1/queues/q", "", &config.to_string())
        .expect(201);
    let load = |tasks: &[String]| {
        let batch = format!(r#"{{"tasks":[{}]}}"#, tasks.join(","));
        api.post("/v1/queues/q/tasks/batch", &batch).expect(200);
    };
    // The oldest are all limited.
    load(&vec![r#"{"name":"limited"}"#.to_owned(); 1_000]);
    let free: Vec<String> = (0..FREE)
        .map(|n| format!(r#"{{"name":"free-{}"}}"#, n % 9))
        .collect();
    free.chunks(1_000).for_each(load);

    let left = AtomicUsize::new(FREE);
    let end = Instant::now() + Duration::from_secs(3);
    let work = |api: &Api| {
        let (mut calls, mut tasks, mut limited) = (0, 0, Vec::<u64>::new());
        // Until the last free tasks are near: then answers may well be short.
        while Instant::now() < end && left.load(Ordering::Relaxed) > 100 {
            let granted = api.lease(r#"{"max_tasks":4,"wait_seconds":1,"lease_seconds":600}"#);
            calls += 1;
            tasks += granted.len();
            let (ours, others): (Vec<_>, Vec<_>) = granted.iter().partition(|task| task["name"] == "limited");
            left.fetch_sub(others.len(), Ordering::Relaxed);
            limited.extend(ours.iter().map(|task| {
                let at = task["server_time"].as_str().expect("a lease says when");
                Millis::parse(at).expect("a time").get()
            }));
        }
        (calls, tasks, limited)
    };
    let done: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = services
            .iter()
            .flat_map(|service| [Api::of(service), Api::of(service)])
            .map(|api| {
                let work = &work;
                scope.spawn(move || work(&api))
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });

    let calls: usize = done.iter().map(|(calls, ..)| calls).sum();
    let tasks: usize = done.iter().map(|(_, tasks, _)| tasks).sum();
    assert!(
        tasks * 10 > calls * ASKED * 9,
        "{tasks} tasks for {calls} calls that asked for {ASKED} each"
    );
    let mut granted: Vec<u64> = done.into_iter().flat_map(|(.., limited)| limited).collect();
    granted.sort_unstable();
    for (i, from) in granted.iter().enumerate() {
        for (count, to) in (1u64..).zip(&granted[i..]) {
            assert!(
                count * 1_000 <= BURST * 1_000 + RATE_PER_SECOND * (to - from),
                "{count} grants within {} ms",
                to - from
            );
        }
    }
    // The burst, which is half a second's worth, covers times in which the machine does something else.
    let (first, last) = (granted[0], granted[granted.len() - 1]);
    let whole = RATE_PER_SECOND * (last - first) / 1_000;
    assert!(
        granted.len() as u64 * 100 >= whole * 95,
        "{} grants of {whole}",
        granted.len()
    );
}
