//! The checks for operators: `leaseq verify` and `leaseq doctor`.

use std::process::Output;

use deadpool_redis::redis::cmd;
use serde_json::Value;

use super::running::leaseq;
use super::service::Service;
use crate::http::api::Api;
use crate::support::redis::Redis;

fn run(service: Option<&Service>, args: &[&str]) -> (i32, String, String) {
    let mut command = leaseq(args);
    if let Some(service) = service {
        command.env("LEASEQ_URL", &service.url);
    }
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn verify_tells_of_each_queue_whether_it_is_sound() {
    let redis = Redis::start();
    let service = Service::start(&["--redis-url", &redis.url()]);
    let api = Api::of(&service);
    for queue in ["a", "b"] {
        api.post(&format!("/v1/queues/{queue}/tasks"), "{}").expect(201);
    }
    let (code, told, _) = run(Some(&service), &["verify", "--all"]);
    assert_eq!(
        (code, told.as_str()),
        (0, "a\tsound\t\t1 tasks examined\nb\tsound\t\t1 tasks examined\n")
    );

    let _: () = redis.command(cmd("DEL").arg("lq:1:{b}:fresh:10/default/"));
    let (code, told, _) = run(Some(&service), &["verify", "a", "b"]);
    assert_eq!(code, 1, "{told}");
    assert!(
        told.starts_with("a\tsound\t") && told.contains("b\tlost\t"),
        "{told}"
    );
    let (code, told, _) = run(Some(&service), &["verify", "b", "--json"]);
    let audited: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (code, &audited["queue"], &audited["checked"]),
        (1, &"b".into(), &1.into())
    );
    assert_eq!(
        audited["problems"].as_array().unwrap().len() as u64,
        audited["problems_total"]
    );

    assert_eq!(run(Some(&service), &["verify", "nobody"]).0, 5);
    assert_eq!(run(Some(&service), &["verify"]).0, 2);
    assert_eq!(run(Some(&service), &["verify", "a", "--all"]).0, 2);
}

#[test]
fn doctor_asks_the_service_or_looks_at_redis_itself() {
    let redis = Redis::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let (code, told, _) = run(None, &["doctor", "--redis-url", &redis.url()]);
    assert_eq!(code, 0, "{told}");
    assert!(
        told.contains("persistence\tok\t") && told.contains("scripts\tok\tfunctions"),
        "{told}"
    );
    assert!(!told.contains("data_dir"), "{told}");

    let service = Service::start(&["--redis-url", &redis.url()]);
    let (code, told, _) = run(Some(&service), &["doctor", "--json"]);
    let checkup: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(code, 0, "{told}");
    assert!(
        checkup["checks"]
            .as_array()
            .unwrap()
            .iter()
            .any(|check| check["name"] == "open_files")
    );

    let lossy = Redis::start_with(&["--maxmemory", "500mb", "--maxmemory-policy", "allkeys-lru"]);
    let (code, told, _) = run(None, &["doctor", "--redis-url", &lossy.url()]);
    assert_eq!(code, 1);
    assert!(
        told.contains("eviction\tfail\tallkeys-lru\tSet maxmemory-policy noeviction"),
        "{told}"
    );
    assert_eq!(
        run(None, &["doctor", "--redis-url", "redis+unix:///nowhere"]).0,
        1
    );
    assert_eq!(run(None, &["doctor", "--redis-url", "nonsense"]).0, 2);
    let (code, _, told) = run(None, &["doctor", "--url", "http://127.0.0.1:1"]);
    assert_eq!(code, 9, "{told}");
}
