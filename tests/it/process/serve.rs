//! `leaseq serve` as an operator meets it.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::Stdio;

use super::running::{kill, leaseq, runs};
use super::service::Service;
use crate::support::redis::Redis;

/// Runs a service that should refuse: its exit code and what it said.
fn refused(args: &[&str]) -> (i32, String) {
    let output = leaseq(&["serve"]).args(args).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    let told: Vec<&str> = told.lines().filter(|line| line.starts_with("leaseq: ")).collect();
    assert_eq!(told.len(), 1, "one clear sentence: {told:?}");
    (output.status.code().unwrap(), told[0].to_owned())
}

#[test]
fn sigterm_and_sigint_end_it_with_zero_and_its_redis_with_it() {
    for signal in ["-TERM", "-INT"] {
        let temp = tempfile::tempdir().unwrap();
        let mut service = Service::on(temp.path());
        let redis = service.redis();
        kill(service.process.id(), signal);
        assert_eq!(service.process.wait().unwrap().code(), Some(0));
        assert!(!runs(redis));
        let mut rest = String::new();
        service.stderr.read_to_string(&mut rest).unwrap();
        assert!(rest.contains("stopping"), "{rest}");
    }
}

#[test]
fn the_log_of_a_quiet_life_has_nothing_from_redis() {
    let temp = tempfile::tempdir().unwrap();
    let mut process = leaseq(&["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(temp.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = process.id();
    let mut told = Vec::new();
    for line in BufReader::new(process.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        if line.starts_with("listening on ") {
            kill(pid, "-TERM");
        }
        told.push(line);
    }
    assert_eq!(process.wait().unwrap().code(), Some(0));
    assert!(told.iter().all(|line| !line.contains("redis")), "{told:#?}");
}

#[test]
fn ctrl_c_in_a_terminal_does_not_reach_redis_before_the_drain_is_over() {
    let temp = tempfile::tempdir().unwrap();
    let service = Service::on(temp.path());
    let redis = service.redis();
    let stat = std::fs::read_to_string(format!("/proc/{redis}/stat")).unwrap();
    let group = stat
        .rsplit(") ")
        .next()
        .unwrap()
        .split(' ')
        .nth(2)
        .unwrap()
        .to_owned();
    assert_eq!(group, redis.to_string());
}

#[test]
fn redis_dies_with_a_killed_service_and_the_next_one_takes_over_at_once() {
    let temp = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let mut service = Service::on(temp.path());
        let redis = service.redis();
        service.process.kill().unwrap();
        let next = Service::on(temp.path());
        assert!(
            !runs(redis),
            "the old one had to be gone before the new one could start"
        );
        assert!(runs(next.redis()));
        drop(next);
        service.process.wait().unwrap();
    }
}

#[test]
fn what_was_answered_outlives_a_killed_service_wherever_its_data_is() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("an odd? name#%41");
    let run = |service: &Service, args: &[&str]| {
        let output = leaseq(args).env("LEASEQ_URL", &service.url).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {told}");
        String::from_utf8(output.stdout).unwrap()
    };

    let service = Service::on(&dir);
    let task = run(&service, &["enqueue", "q", "[1.10]"]);
    let id = task.lines().next().unwrap().to_owned();
    drop(service);

    let service = Service::on(&dir);
    let leased = run(&service, &["lease", "q"]);
    assert!(
        leased.contains(&id) && leased.contains("payload\t[1.10]\n"),
        "{leased}"
    );
}

#[test]
fn a_second_service_on_the_directory_names_it_and_goes() {
    let temp = tempfile::tempdir().unwrap();
    let service = Service::on(temp.path());
    let dir = temp.path().canonicalize().unwrap();
    let (code, told) = refused(&["--listen", "127.0.0.1:0", "--data-dir", dir.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(told.contains(dir.to_str().unwrap()), "{told}");
    assert!(told.contains(&service.process.id().to_string()), "{told}");
}

#[test]
fn a_missing_redis_server_names_the_ways_to_get_one() {
    let temp = tempfile::tempdir().unwrap();
    let binary = temp.path().join("leaseq");
    std::fs::copy(super::running::LEASEQ, &binary).unwrap();
    let output = std::process::Command::new(binary)
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir", "data"])
        .current_dir(temp.path())
        .env("PATH", "/nonexistent")
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    for way in ["apt install redis-server", "--redis-server", "--redis-url"] {
        assert!(told.contains(way), "{told}");
    }
}

#[test]
fn an_occupied_port_is_told_before_the_directory_is_touched() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("data");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, told) = refused(&["--listen", &address, "--data-dir", dir.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(
        told.contains(&address) && told.contains("another program"),
        "{told}"
    );
    assert!(!dir.exists());
}

/// I1: a level that cannot be kept is not promised.
#[test]
fn fsync_is_not_promised_on_a_redis_that_does_not_sync_every_write() {
    let rows: [&[&str]; 3] = [
        &["--appendonly", "no", "--appendfsync", "always"],
        &["--appendonly", "yes", "--appendfsync", "everysec"],
        &[
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--no-appendfsync-on-rewrite",
            "yes",
        ],
    ];
    for row in rows {
        let redis = Redis::start_with(row);
        let mut process = leaseq(&["serve", "--listen", "127.0.0.1:0", "--durability", "fsync"])
            .args(["--redis-url", &redis.url()])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap())
            .lines()
            .map(Result::unwrap);
        let told = lines.find(|line| line.starts_with("leaseq: ") || line.starts_with("listening"));
        let told = told.unwrap_or_default();
        // It would go on for ever if it promised.
        let _ = process.kill();
        process.wait().unwrap();
        assert!(
            told.contains("appendfsync always") && told.contains("--durability memory"),
            "{told}"
        );
    }
}

#[test]
fn a_directory_that_cannot_be_one_is_told() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let (code, told) = refused(&["--listen", "127.0.0.1:0", "--data-dir", path]);
    assert_eq!(code, 1);
    assert!(told.contains(path) && told.contains("--data-dir"), "{told}");
}

#[test]
fn an_open_address_needs_the_flag_that_says_so() {
    let (code, told) = refused(&["--listen", "0.0.0.0:0"]);
    assert_eq!(code, 2);
    assert!(told.contains("--insecure-no-auth"), "{told}");
}

#[test]
fn a_redis_url_s_password_is_never_printed() {
    let output = leaseq(&["config"])
        .env("LEASEQ_REDIS_URL", "redis://user:hunter2@localhost/1")
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        told.contains("redis_url\tredis://user:***@localhost/1\tenvironment\n"),
        "{told}"
    );
    let output = leaseq(&["config", "--redis-url", "redis://:hunter2@h:x"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(!String::from_utf8(output.stderr).unwrap().contains("hunter2"));
}

#[test]
fn a_closed_pipe_is_no_panic() {
    for args in [&["config"][..], &["--help"], &["version"], &["config", "--json"]] {
        let mut process = leaseq(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(process.stdout.take());
        let output = process.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    }
}
