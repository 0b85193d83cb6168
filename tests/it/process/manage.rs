//! `leaseq task` and `leaseq queues` against a service.

use std::process::Output;

use serde_json::Value;

use super::running::leaseq;
use super::service::Service;

pub(super) fn run(service: &Service, args: &[&str]) -> (i32, String, String) {
    let mut command = leaseq(args);
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .env("LEASEQ_URL", &service.url)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

pub(super) fn enqueue(service: &Service, args: &[&str]) -> String {
    let args = [&["enqueue", "q", "--json"], args].concat();
    let (code, stdout, stderr) = run(service, &args);
    assert_eq!(code, 0, "{stderr}");
    let answer: Value = serde_json::from_str(&stdout).unwrap();
    answer["id"].as_str().unwrap().to_owned()
}

pub(super) fn expect(service: &Service, args: &[&str], code: i32) -> String {
    let (told, stdout, stderr) = run(service, args);
    assert_eq!(told, code, "{args:?}: {stdout}{stderr}");
    stdout
}

pub(super) fn service() -> (Service, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Service::on(dir.path()), dir)
}

#[test]
fn tasks_are_listed_changed_and_cancelled() {
    let (service, _dir) = service();
    let first = enqueue(&service, &["--name", "a", "--group", "Müller & Co"]);
    let second = enqueue(&service, &["--delay", "1h"]);
    let listed = expect(&service, &["task", "list", "q", "--group", "Müller & Co"], 0);
    assert!(
        listed.starts_with(&format!("{first}\ta\tMüller & Co\t10\t0\t5\t")),
        "{listed}"
    );
    let listed = expect(
        &service,
        &["task", "list", "q", "--state", "scheduled", "--json"],
        0,
    );
    assert!(listed.contains(&second), "{listed}");
    let shown = expect(&service, &["task", "get", "q", &first], 0);
    assert!(shown.contains("state\tready\n"), "{shown}");

    let patched = expect(&service, &["task", "patch", "q", &first, "--priority", "50"], 0);
    assert!(patched.contains("priority\t50\n"), "{patched}");
    let ran = expect(&service, &["task", "run-now", "q", &second], 0);
    assert!(ran.contains("state\tready\n"), "{ran}");
    let nobody = "0".repeat(23);
    expect(&service, &["task", "cancel", "q", &first, &nobody], 7);
    expect(&service, &["task", "cancel", "q", &nobody], 5);
    expect(&service, &["lease", "q"], 0);
    expect(&service, &["task", "run-now", "q", &second], 6);
    for usage in [
        &["task", "cancel", "q"][..],
        &["task", "cancel", "q", "no-id"],
        &["task", "patch", "q", &first],
        &["task", "list", "q", "--state", "gone"],
        &["task", "cancel", "q", "--name", "default"], // Nobody is there to say yes.
    ] {
        expect(&service, usage, 2);
    }
}

#[test]
fn many_are_counted_first_and_then_cancelled() {
    let (service, _dir) = service();
    for _ in 0..5 {
        enqueue(&service, &["--name", "a"]);
    }
    enqueue(&service, &["--name", "b"]);
    let filter = ["task", "cancel", "q", "--name", "a"];
    let counted = expect(&service, &[&filter[..], &["--dry-run"]].concat(), 0);
    assert_eq!(counted, "matched\t5\n");
    let done = expect(&service, &[&filter[..], &["--yes"]].concat(), 0);
    assert_eq!(done, "cancelled\t5\ncancel_requested\t0\n");
    let done = expect(&service, &["task", "cancel", "q", "--all", "--yes", "--json"], 0);
    assert_eq!(done, "{\"matched\":1,\"cancelled\":1,\"cancel_requested\":0}\n");
}

#[test]
fn queues_are_paused_and_resumed() {
    let (service, _dir) = service();
    enqueue(&service, &[]);
    let until = "2126-01-01T00:00:00Z";
    expect(&service, &["queues", "pause", "q", "--until", until], 1);
    let until = leaseq::domain::Millis::local().plus(3_600_000).to_string();
    let paused = expect(
        &service,
        &[
            "queues", "pause", "q", "--mode", "both", "--until", &until, "--reason", "the move",
        ],
        0,
    );
    assert!(
        paused.starts_with("queue\tq\npaused\tboth\nsince\t")
            && paused.ends_with(&format!("until\t{until}\nreason\tthe move\n")),
        "{paused}"
    );
    expect(&service, &["enqueue", "q"], 6);
    expect(&service, &["lease", "q", "--wait", "0", "--exit-empty"], 3);
    let stats = expect(&service, &["stats", "q"], 0);
    assert!(stats.contains("paused\ttrue\n"), "{stats}");
    let listed = expect(&service, &["stats"], 0);
    assert_eq!(listed.trim_end().rsplit('\t').next(), Some("true"), "{listed}");

    let paused = expect(&service, &["queues", "pause", "q", "--json"], 0);
    assert!(paused.contains("\"paused\":{\"mode\":\"lease\","), "{paused}");
    assert_eq!(
        expect(&service, &["queues", "resume", "q"], 0),
        "queue\tq\npaused\t-\n"
    );
    expect(&service, &["lease", "q"], 0);
    expect(&service, &["queues", "pause", "nobody"], 5);
    expect(&service, &["queues", "resume", "nobody"], 5);
    expect(&service, &["queues", "pause", "q", "--mode", "all"], 2);
}

#[test]
fn queues_are_set_shown_purged_and_deleted() {
    let (service, _dir) = service();
    let set = expect(
        &service,
        &[
            "queues",
            "set",
            "q",
            "max_attempts=3",
            "names.a.b.lease_seconds=60",
            "retention.keep=results",
        ],
        0,
    );
    assert!(set.contains("max_attempts\t3\tset\n"), "{set}");
    expect(&service, &["queues", "set", "q", "max_attempts=null"], 0);
    let shown = expect(&service, &["queues", "show", "q"], 0);
    for line in ["max_attempts\t5\tdefault\n", "retention.keep\tresults\tset\n"] {
        assert!(shown.contains(line), "{shown}");
    }
    expect(&service, &["queues", "set", "q", "max_attempts=0"], 1);
    enqueue(&service, &[]);
    enqueue(&service, &["--delay", "1h"]);
    let listed = expect(&service, &["queues", "list"], 0);
    assert!(listed.starts_with("q\t1\t1\t0\t0\t"), "{listed}");

    let told = expect(
        &service,
        &["queues", "purge", "q", "--state", "scheduled", "--dry-run"],
        0,
    );
    assert_eq!(told, "would purge 1 scheduled tasks of q\n");
    expect(&service, &["queues", "purge", "q"], 2);
    let done = expect(
        &service,
        &["queues", "purge", "q", "--state", "scheduled", "--yes"],
        0,
    );
    assert_eq!(done, "purged\t1\ncancel_requested\t0\n");
    let told = expect(&service, &["queues", "delete", "q", "--dry-run"], 0);
    assert_eq!(told, "would delete q with 1 tasks\n");
    expect(&service, &["queues", "delete", "q"], 2);
    assert_eq!(
        expect(&service, &["queues", "delete", "q", "--yes"], 0),
        "queue\tq\ntasks\t1\n"
    );
    expect(&service, &["queues", "delete", "q", "--yes"], 5);
}
