//! `leaseq stats` and `leaseq workers` against a service.

use serde_json::Value;

use super::manage::{enqueue, expect, service};
use super::running::until;

#[test]
fn stats_show_rates_and_latencies_of_a_queue() {
    let (service, _dir) = service();
    enqueue(&service, &[]);
    let leased: Value = serde_json::from_str(&expect(&service, &["lease", "q", "--json"], 0)).unwrap();
    let lease_id = leased["tasks"][0]["lease_id"].as_str().unwrap();
    expect(&service, &["ack", lease_id], 0);
    let shown = until("what was seen", || {
        let shown = expect(&service, &["stats", "q"], 0);
        shown
            .contains("\nthroughput_per_second\t0.017\n")
            .then_some(shown)
    });
    for field in [
        "wait_seconds_p50",
        "run_seconds_p95",
        "end_to_end_seconds_p99",
        "avg_latency_seconds",
    ] {
        let line = shown
            .lines()
            .find(|line| line.starts_with(&format!("{field}\t")))
            .unwrap();
        assert!(line.split('\t').nth(1).unwrap().parse::<f64>().is_ok(), "{line}");
    }
    let json: Value = serde_json::from_str(&expect(&service, &["stats", "q", "--json"], 0)).unwrap();
    assert_eq!((&json["completed_total"], &json["held"]), (&1.into(), &0.into()));
}

#[test]
fn workers_are_listed_with_their_leases() {
    let (service, _dir) = service();
    enqueue(&service, &[]);
    expect(&service, &["lease", "q", "--worker", "w-1"], 0);
    let listed = until("a worker that was told of", || {
        let listed = expect(&service, &["workers", "q"], 0);
        (!listed.trim_end().ends_with('-')).then_some(listed)
    });
    assert!(listed.starts_with("w-1\tq\t1\t20"), "{listed}");
    assert_eq!(expect(&service, &["workers"], 0), listed);
    let json: Value = serde_json::from_str(&expect(&service, &["workers", "--json"], 0)).unwrap();
    assert_eq!(json["items"][0]["worker"], "w-1");
    expect(&service, &["workers", "unknown"], 5);
}
