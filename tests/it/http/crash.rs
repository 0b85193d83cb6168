//! Confirmed writes survive a service that is killed with SIGKILL.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::api::{Api, each, served};
use crate::process::running::{kill, until};
use crate::process::service::Service;

/// I1, I7, I9, I11.
#[test]
fn leases_and_everything_accepted_outlive_a_killed_service() {
    let (service, api, dir) = served();
    let ids: Vec<String> = (0..5)
        .map(|n| api.enqueue(&format!(r#"{{"payload":[{n} ]}}"#)))
        .collect();
    let held = api.lease(r#"{"max_tasks":3,"worker":"w"}"#);
    let extended = api
        .settle(&held[0], "extend", r#"{"lease_seconds":600}"#)
        .expect(200);
    api.settle(&held[1], "ack", r#"{"result":1}"#).expect(200);
    drop(service);

    let service = Service::on(dir.path());
    let api = Api::of(&service);
    assert_eq!(
        api.task(&ids[0])["lease_expires_at"],
        extended["lease_expires_at"]
    );
    let rest = api.lease(r#"{"max_tasks":9}"#);
    assert_eq!(each(&rest, "id"), ids[3..], "what is leased stays leased");
    assert_eq!(rest[0]["payload"], json!([3]));
    api.settle(&held[0], "ack", "").expect(200);
    assert_eq!(api.settle(&held[1], "ack", "").expect(200)["already"], true);
    assert_eq!(api.settle(&held[2], "nack", "").expect(200)["attempt"], 1);
    assert_eq!(api.task(&ids[1])["result"], 1);
}

/// I1, with the kill among the enqueues.
#[test]
fn an_enqueue_that_was_answered_is_never_lost() {
    let (mut service, api, dir) = served();
    let answered = AtomicUsize::new(0);
    let producer = || {
        let mut ids = Vec::new();
        // The first request that gets no whole answer ends it.
        while let Some(answer) = api.try_post("/v1/queues/q/tasks", "{}") {
            ids.push(answer.expect(201)["id"].as_str().unwrap().to_owned());
            answered.fetch_add(1, Ordering::Relaxed);
        }
        ids
    };
    let ids: Vec<String> = std::thread::scope(|scope| {
        let producers: Vec<_> = (0..4).map(|_| scope.spawn(producer)).collect();
        until("a hundred answers", || {
            (answered.load(Ordering::Relaxed) >= 100).then_some(())
        });
        kill(service.process.id(), "-KILL");
        service.process.wait().unwrap();
        producers
            .into_iter()
            .flat_map(|producer| producer.join().unwrap())
            .collect()
    });

    let service = Service::on(dir.path());
    let api = Api::of(&service);
    for id in &ids {
        assert_eq!(api.task(id)["state"], "ready");
    }
    let accepted = api.get("/v1/queues/q/stats").expect(200)["accepted_total"]
        .as_u64()
        .unwrap();
    // Each producer may have had one under way, which may have been accepted.
    let least = ids.len() as u64;
    assert!((least..=least + 4).contains(&accepted), "{accepted} of {least}");
}
