//! `leaseq work`: what exit codes, lost leases, signals and outages come to.

use std::process::{Child, Command, ExitStatus, Stdio};

use serde_json::{Value, json};

use super::running::{kill, leaseq, read, runs, until};
use super::stub::Stub;

const LEASE: &str = "/v1/queues/q/lease";

struct Worker(Child);

impl Worker {
    /// A worker of queue `q` that runs `script` in a shell.
    fn start(stub: &Stub, args: &[&str], script: &str) -> Self {
        Self(Self::command(stub, args, script).spawn().unwrap())
    }

    fn command(stub: &Stub, args: &[&str], script: &str) -> Command {
        let mut command = leaseq(&["work", "q", "--url", &stub.url]);
        command
            .args(args)
            .args(["--", "sh", "-c", script])
            .stderr(Stdio::piped());
        command
    }

    /// Waits for its end beside the stub, which runs on this thread.
    async fn end(mut self) -> (ExitStatus, String) {
        let waited = tokio::task::spawn_blocking(move || {
            use std::io::Read;
            let mut told = String::new();
            self.0.stderr.take().unwrap().read_to_string(&mut told).unwrap();
            (self.0.wait().unwrap(), told)
        });
        waited.await.unwrap()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn path(name: &str, operation: &str) -> String {
    format!("/v1/leases/L-{name}/{operation}")
}

fn only(stub: &Stub, name: &str, operation: &str) -> Value {
    let seen = stub.seen(&path(name, operation));
    assert_eq!(seen.len(), 1, "{operation} of {name}: {:?}", stub.settles());
    seen[0].json()
}

/// Waits for a file that the program writes.
async fn told(path: std::path::PathBuf) -> String {
    let what = path.display().to_string();
    tokio::task::spawn_blocking(move || until(&what, || read(&path)))
        .await
        .unwrap()
}

#[tokio::test]
async fn the_exit_code_decides() {
    let stub = Stub::start().await;
    for name in ["json", "text", "later", "reject", "fail", "killed"] {
        stub.task(name, "null", 30.0);
    }
    let script = r#"case $LEASEQ_NAME in
        json) echo '{"n": 1.10}' ;;
        text) echo done ;;
        later) exit 75 ;;
        reject) echo 'no such user' >&2; exit 65 ;;
        fail) echo 'first' >&2; echo 'smtp timeout' >&2; exit 3 ;;
        killed) kill -9 $$ ;;
    esac"#;
    let args = ["--max-tasks", "6", "--concurrency", "3", "--retry-after", "2m"];
    let (status, told) = Worker::start(&stub, &args, script).end().await;

    assert_eq!(status.code(), Some(7), "some were not acked: {told}");
    assert_eq!(
        stub.seen(&path("json", "ack"))[0].body,
        r#"{"result":{"n": 1.10}}"#
    );
    assert_eq!(only(&stub, "text", "ack"), json!({}));
    assert_eq!(only(&stub, "later", "release")["retry_after"], json!(120.0));
    assert_eq!(
        only(&stub, "reject", "nack"),
        json!({"error": {"type": "exit_65", "message": "no such user"}, "retry": false})
    );
    assert_eq!(
        only(&stub, "fail", "nack"),
        json!({"error": {"type": "exit_3", "message": "first\nsmtp timeout"}, "retry": true})
    );
    assert_eq!(only(&stub, "killed", "nack")["error"]["type"], "exit_137");
    assert_eq!(stub.settles().len(), 6);
    assert!(told.contains("2 acked, 3 nacked, 1 released, 0 lost"), "{told}");
}

#[tokio::test]
async fn the_payload_arrives_byte_for_byte_and_the_task_in_the_environment() {
    let stub = Stub::start().await;
    let payload = r#"{"b": 1.0000000000000000001,"a":[],  "a":9007199254740993}"#;
    stub.task("cat", payload, 30.0);
    stub.task("env", "null", 30.0);
    let script = r#"case $LEASEQ_NAME in
        cat) cat ;;
        env) echo "[\"$LEASEQ_TASK_ID\",\"$LEASEQ_QUEUE\",\"$LEASEQ_ATTEMPT\",\"$LEASEQ_HEADER_TENANT\",\"$LEASEQ_GROUP\"]" ;;
    esac"#;
    let worker = Worker::command(&stub, &["--max-tasks", "2"], script)
        .env("LEASEQ_GROUP", "of the worker itself")
        .spawn()
        .unwrap();
    let (status, _) = Worker(worker).end().await;

    assert_eq!(status.code(), Some(0));
    assert_eq!(
        stub.seen(&path("cat", "ack"))[0].body,
        format!(r#"{{"result":{payload}}}"#)
    );
    assert_eq!(
        only(&stub, "env", "ack")["result"],
        json!(["id-env", "q", "1", "acme", ""])
    );
}

#[tokio::test]
async fn a_big_output_is_neither_a_result_nor_a_blockage() {
    let stub = Stub::start().await;
    stub.task("big", "null", 30.0);
    stub.task("noise", "null", 30.0);
    let script = r#"case $LEASEQ_NAME in
        big) head -c 400000 /dev/zero | tr '\0' 1 ;;
        noise) head -c 400000 /dev/zero | tr '\0' x >&2; echo >&2; echo last >&2; exit 1 ;;
    esac"#;
    Worker::start(&stub, &["--max-tasks", "2", "--quiet"], script)
        .end()
        .await;

    assert_eq!(only(&stub, "big", "ack"), json!({}));
    let message = only(&stub, "noise", "nack")["error"]["message"].clone();
    assert_eq!(message, "last");
}

#[tokio::test]
async fn a_running_program_keeps_its_lease() {
    let (stub, temp) = (Stub::start().await, tempfile::tempdir().unwrap());
    stub.task("slow", "null", 1.0);
    let go = temp.path().join("go");
    let script = format!("while [ ! -e {} ]; do sleep 0.01; done", go.display());
    let worker = Worker::start(&stub, &["--once"], &script);

    stub.wait_for(&path("slow", "extend"), 3).await;
    std::fs::write(&go, "").unwrap();
    let (status, _) = worker.end().await;

    assert_eq!(status.code(), Some(0));
    assert_eq!(stub.settles(), ["ack L-slow"]);
}

#[tokio::test]
async fn a_lost_lease_stops_the_program_and_settles_nothing() {
    let (stub, temp) = (Stub::start().await, tempfile::tempdir().unwrap());
    stub.task("lost", "null", 1.0);
    stub.script(
        &path("lost", "extend"),
        409,
        &json!({"code": "lease_lost", "title": "Lease lost"}),
    );
    let pid = temp.path().join("pid");
    let script = format!("sleep 1000 & echo $! > {}; wait", pid.display());
    let (status, told) = Worker::start(&stub, &["--once"], &script).end().await;

    assert_eq!(status.code(), Some(7));
    assert_eq!(stub.settles(), [""; 0]);
    assert!(told.contains("lost"), "{told}");
    assert!(!runs(read(&pid).unwrap().trim().parse().unwrap()));
}

#[tokio::test]
async fn a_cancelled_task_is_stopped_and_released() {
    let stub = Stub::start().await;
    stub.task("cancelled", "null", 1.0);
    let answer = json!({"id": "t", "lease_expires_at": "2027-01-15T08:01:00.000Z", "cancel_requested": true});
    stub.script(&path("cancelled", "extend"), 200, &answer);
    // Many programs exit with 0 on SIGTERM, their work undone.
    let (_, _) = Worker::start(&stub, &["--once"], "trap 'exit 0' TERM; sleep 1000 & wait")
        .end()
        .await;
    assert_eq!(stub.settles(), ["release L-cancelled"]);
}

#[tokio::test]
async fn sigterm_stops_leasing_and_lets_running_programs_finish() {
    let (stub, temp) = (Stub::start().await, tempfile::tempdir().unwrap());
    stub.task("first", "null", 30.0);
    let (begun, go) = (temp.path().join("begun"), temp.path().join("go"));
    let script = format!(
        "echo 1 > {}; while [ ! -e {} ]; do sleep 0.01; done",
        begun.display(),
        go.display()
    );
    let worker = Worker::start(&stub, &[], &script);
    told(begun).await;

    kill(worker.0.id(), "-TERM");
    stub.task("second", "null", 30.0);
    std::fs::write(&go, "").unwrap();
    let (status, _) = worker.end().await;

    assert_eq!(status.code(), Some(0));
    assert_eq!(stub.settles(), ["ack L-first"]);
    assert_eq!(stub.seen(LEASE).len(), 1);
}

#[tokio::test]
async fn after_the_grace_time_programs_are_killed_and_their_tasks_released() {
    let (stub, temp) = (Stub::start().await, tempfile::tempdir().unwrap());
    stub.task("stubborn", "null", 30.0);
    let pid = temp.path().join("pid");
    let script = format!("echo $$ > {}; sleep 1000", pid.display());
    let worker = Worker::start(&stub, &["--grace", "50ms"], &script);
    let program = told(pid).await.trim().parse().unwrap();

    kill(worker.0.id(), "-TERM");
    let (status, _) = worker.end().await;

    assert_eq!(status.code(), Some(0));
    assert_eq!(stub.settles(), ["release L-stubborn"]);
    assert_eq!(only(&stub, "stubborn", "release").get("retry_after"), None);
    assert!(!runs(program));
}

#[tokio::test]
async fn a_second_signal_skips_the_grace_time() {
    let (stub, temp) = (Stub::start().await, tempfile::tempdir().unwrap());
    stub.task("slow", "null", 30.0);
    let pid = temp.path().join("pid");
    let script = format!("echo $$ > {}; sleep 1000", pid.display());
    let worker = Worker::start(&stub, &["--grace", "1h"], &script);
    told(pid).await;

    kill(worker.0.id(), "-INT");
    // Two signals of one kind that are not read in between are one.
    kill(worker.0.id(), "-TERM");
    let worker_pid = worker.0.id();
    let again = tokio::task::spawn_blocking(move || {
        until("the end of the worker", || {
            kill_if_there(worker_pid);
            (!runs(worker_pid)).then_some(())
        });
    });
    again.await.unwrap();
    let (status, _) = worker.end().await;

    assert_eq!(status.code(), Some(130));
    assert_eq!(stub.settles(), ["release L-slow"]);
}

fn kill_if_there(pid: u32) {
    let _ = Command::new("kill")
        .args(["-INT", &pid.to_string()])
        .stderr(Stdio::null())
        .status();
}

#[tokio::test]
async fn no_program_outlives_a_killed_worker() {
    let (stub, temp) = (Stub::start().await, tempfile::tempdir().unwrap());
    stub.task("orphan", "null", 30.0);
    let pids = temp.path().join("pids");
    // A grandchild too: that is what a death signal alone would miss.
    let script = format!("sleep 1000 & echo $$ $! > {}; wait", pids.display());
    let mut worker = Worker::start(&stub, &[], &script);
    let pids: Vec<u32> = told(pids)
        .await
        .split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect();
    assert!(pids.len() == 2 && pids.iter().all(|pid| runs(*pid)));

    worker.0.kill().unwrap();

    let gone = tokio::task::spawn_blocking(move || {
        until("the end of the programs", || {
            (!pids.iter().any(|pid| runs(*pid))).then_some(())
        });
    });
    gone.await.unwrap();
}

#[test]
fn a_program_whose_worker_died_before_it_was_noted_never_begins() {
    let temp = tempfile::tempdir().unwrap();
    let begun = temp.path().join("begun");
    // Waits for the end of the pipe of a killed worker.
    let gate = leaseq(&["__gate", "--", "touch", begun.to_str().unwrap()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(!gate.success() && !begun.exists());
}

#[tokio::test]
async fn a_program_that_cannot_be_executed_spends_no_attempt() {
    use std::os::unix::fs::PermissionsExt;
    let (stub, temp) = (Stub::start().await, tempfile::tempdir().unwrap());
    stub.task("t", "null", 30.0);
    let program = temp.path().join("program");
    std::fs::write(&program, "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut worker = leaseq(&[
        "work",
        "q",
        "--url",
        &stub.url,
        "--once",
        "--retry-after",
        "2m",
        "--",
    ]);
    let worker = worker.arg(&program).stderr(Stdio::piped()).spawn().unwrap();
    let (_, told) = Worker(worker).end().await;

    assert_eq!(stub.settles(), ["release L-t"]);
    assert_eq!(only(&stub, "t", "release")["retry_after"], json!(120.0));
    assert!(told.contains("could not be started"), "{told}");
}

#[tokio::test]
async fn what_a_program_leaves_in_the_background_ends_with_its_task() {
    let (stub, temp) = (Stub::start().await, tempfile::tempdir().unwrap());
    stub.task("fork", "null", 30.0);
    let pid = temp.path().join("pid");
    let script = format!("sleep 1000 & echo $! > {}; echo 7", pid.display());
    let (status, _) = Worker::start(&stub, &["--once"], &script).end().await;

    assert_eq!(status.code(), Some(0));
    assert_eq!(only(&stub, "fork", "ack"), json!({"result": 7}));
    assert!(!runs(read(&pid).unwrap().trim().parse().unwrap()));
}

#[tokio::test]
async fn an_outage_is_waited_out_and_settles_are_repeated() {
    let stub = Stub::start().await;
    let away = json!({"code": "store_unavailable", "title": "Store unavailable", "outcome": "not_applied"});
    stub.script(LEASE, 503, &away);
    stub.script(LEASE, 503, &away);
    stub.task("t", "null", 30.0);
    stub.script(
        &path("t", "ack"),
        504,
        &json!({"code": "outcome_unknown", "title": "Outcome unknown"}),
    );
    stub.script(&path("t", "ack"), 503, &away);
    let (status, told) = Worker::start(&stub, &["--once"], "true").end().await;

    assert_eq!(status.code(), Some(0), "{told}");
    assert_eq!(stub.seen(&path("t", "ack")).len(), 3);
    let ids: Vec<Value> = stub
        .seen(LEASE)
        .iter()
        .map(|seen| seen.json()["request_id"].clone())
        .collect();
    assert!(ids.len() == 3 && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(told.matches("trying again").count(), 1, "{told}");
}

#[tokio::test]
async fn a_refused_result_does_not_keep_the_task_from_its_ack() {
    let stub = Stub::start().await;
    stub.task("t", "null", 30.0);
    stub.script(
        &path("t", "ack"),
        422,
        &json!({"code": "invalid", "title": "Invalid"}),
    );
    let (status, _) = Worker::start(&stub, &["--once"], "echo 42").end().await;
    assert_eq!(status.code(), Some(0));
    let bodies: Vec<String> = stub
        .seen(&path("t", "ack"))
        .into_iter()
        .map(|seen| seen.body)
        .collect();
    assert_eq!(bodies, [r#"{"result":42}"#, "{}"]);
}

#[tokio::test]
async fn an_empty_queue_ends_a_script_with_three_and_a_refused_key_with_four() {
    let stub = Stub::start().await;
    let (status, _) = Worker::start(&stub, &["--exit-empty"], "true").end().await;
    assert_eq!(status.code(), Some(3));

    stub.task("t", "null", 30.0);
    let (status, _) = Worker::start(&stub, &["--exit-empty"], "true").end().await;
    assert_eq!(status.code(), Some(0));

    stub.script(
        LEASE,
        401,
        &json!({"code": "unauthorized", "title": "Unauthorized"}),
    );
    let (status, told) = Worker::start(&stub, &[], "true").end().await;
    assert_eq!(status.code(), Some(4));
    assert!(told.contains("--api-key-file"), "{told}");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_told_before_anything_is_leased() {
    let stub = Stub::start().await;
    let output = leaseq(&["work", "q", "--url", &stub.url, "--", "no-such-program"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stub.seen(LEASE).is_empty());
}
