//! Runs everything that is shipped and can run: the README's minute, and the job with accidents.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::api::{served, tasks};
use crate::process::running::LEASEQ;

/// The files that the job needs; see its `FILES_MIN`.
const FILES: usize = 1000;

fn run(command: &mut Command) {
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Regular files below a folder, counted as far as `FILES`.
fn files_below(folder: &Path) -> usize {
    let (mut folders, mut count) = (vec![folder.to_owned()], 0);
    while let Some(folder) = folders.pop().filter(|_| count < FILES) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => count += 1,
                _ => {}
            }
        }
    }
    count
}

#[test]
fn what_the_readme_shows_is_what_happens() {
    let (service, _api, _dir) = served();
    run(Command::new("python3").args(["tests/readme.py", &service.url]));
}

#[test]
fn the_quickstart_runs_from_top_to_bottom() {
    let (service, _api, _dir) = served();
    run(Command::new("bash")
        .arg("openapi/examples/curl/quickstart.sh")
        .env("LEASEQ_URL", &service.url));
}

/// I15, as people use it.
#[test]
fn an_order_is_charged_once_and_an_alert_is_sent_once_an_hour() {
    let (service, _api, _dir) = served();
    for (with, file) in [("python3", "charge_once.py"), ("bash", "once_an_hour.sh")] {
        run(Command::new(with)
            .arg(format!("openapi/examples/once/{file}"))
            .env("LEASEQ_URL", &service.url));
    }
}

/// I12, I13
#[test]
fn the_example_of_backoff_runs_from_top_to_bottom() {
    let (service, _api, _dir) = served();
    run(Command::new("bash")
        .arg("openapi/examples/curl/backoff.sh")
        .env("LEASEQ_URL", &service.url));
}

#[test]
fn what_an_upstream_answers_with_429_waits_as_long_as_it_says_and_so_do_others_of_its_name() {
    let (service, _api, _dir) = served();
    run(Command::new("openapi/examples/upstream/run").env("LEASEQ_URL", &service.url));
}

#[test]
fn dead_letters_are_inspected_replayed_and_purged_as_the_example_shows() {
    let (service, _api, _dir) = served();
    run(Command::new("bash")
        .arg("openapi/examples/curl/dead-letters.sh")
        .env("LEASEQ_URL", &service.url));
}

#[test]
fn the_alert_is_given_from_101_dead_letters_on_and_says_what_they_died_of() {
    let (service, api, _dir) = served();
    let alert = || {
        let mut command = Command::new("bash");
        command
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["openapi/examples/curl/alert.sh", "alerted"])
            .env("LEASEQ_URL", &service.url);
        command.output().unwrap()
    };
    let dies = |count: usize| {
        let batch = json!({"tasks": vec![json!({"name": "sync"}); count]}).to_string();
        api.post("/v1/queues/alerted/tasks/batch", &batch).expect(200);
        let wish = json!({"max_tasks": count}).to_string();
        for task in tasks(&api.post("/v1/queues/alerted/lease", &wish).expect(200)) {
            let nack = r#"{"retry": false, "error": {"type": "Timeout", "message": "no answer"}}"#;
            api.settle(&task, "nack", nack).expect(200);
        }
    };
    assert_eq!(alert().status.code(), Some(2), "there is no such queue");
    dies(100);
    assert_eq!(alert().status.code(), Some(0));
    dies(1);
    let given = alert();
    let said = String::from_utf8_lossy(&given.stdout);
    assert_eq!(given.status.code(), Some(1), "{said}");
    assert!(
        said.contains("101 tasks of alerted") && said.contains("101 × sync: Timeout no answer"),
        "{said}"
    );
}

/// I1, I2, I3: killed workers of four languages and a killed service lose nothing and repeat only what an
/// expired lease explains.
#[test]
fn a_real_job_with_accidents_ends_with_every_result_right() {
    let made = tempfile::tempdir().unwrap();
    let mut folder = Path::new("/usr/share/doc");
    // Slim machines have no documentation.
    if files_below(folder) < FILES {
        for number in 0..FILES {
            let path = made.path().join(format!("file {number} 'of' $many"));
            std::fs::write(path, format!("{number}\n").repeat(number)).unwrap();
        }
        folder = made.path();
    }
    run(Command::new("python3")
        .args(["openapi/examples/sha256/run", LEASEQ, "--files-max", "1000"])
        .arg("--folder")
        .arg(folder));
}
