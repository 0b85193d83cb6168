//! Replicas of the real service on one Redis, and what can be done to them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use deadpool_redis::redis::cmd;

use super::phone::Doors;
use super::power::Powered;
use super::proxy::{Proxy, Rule};
use crate::http::api::Api;
use crate::process::running::{kill, leaseq, until};
use crate::support::redis::{Redis, with_port};

/// I27: how soon every replica serves once Redis is healthy.
const RECOVERY_MAX: Duration = Duration::from_secs(5);

pub(super) struct Replica {
    pub(super) process: Child,
    pub(super) proxy: Proxy,
    pub(super) api: Api,
    log: PathBuf,
    dead: bool,
}

pub(super) struct Fleet {
    pub(super) powered: Powered,
    /// Follows it, at level `replicated`.
    standby: Option<Redis>,
    pub(super) replicas: Vec<Replica>,
    pub(super) doors: Doors,
    /// The log lines of replicas that are gone.
    complaints: Vec<String>,
    durability: &'static str,
    started: usize,
    dir: tempfile::TempDir,
}

impl Fleet {
    pub(super) fn start(replicas: usize, durability: &'static str) -> Self {
        let appendfsync = if durability == "fsync" {
            "always"
        } else {
            "everysec"
        };
        let is_replicated = durability == "replicated";
        let powered = Powered::start(appendfsync, &if is_replicated { with_port() } else { Vec::new() });
        let mut fleet = Self {
            standby: is_replicated.then(|| Redis::start_replica_of(&powered.redis)),
            powered,
            replicas: Vec::new(),
            doors: Arc::new(Mutex::new(Vec::new())),
            complaints: Vec::new(),
            durability,
            started: 0,
            dir: tempfile::tempdir().unwrap(),
        };
        for _ in 0..replicas {
            let replica = fleet.start_one();
            fleet.doors.lock().unwrap().push(replica.api.clone());
            fleet.replicas.push(replica);
        }
        fleet
    }

    fn start_one(&mut self) -> Replica {
        self.started += 1;
        let socket = self.dir.path().join(format!("wire-{}", self.started));
        let log = self.dir.path().join(format!("log-{}", self.started));
        let proxy = Proxy::start(&socket, &self.powered.redis.socket());
        let url = format!("redis+unix://{}", socket.display());
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--redis-url", &url];
        let mut process = leaseq(&arguments)
            .args(["--durability", self.durability, "--log-filter", "warn"])
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let url = until("a replica that listens", || {
            assert!(process.try_wait().unwrap().is_none(), "{}", told(&log));
            let told = told(&log);
            // A line that is not yet written to its end has half an address.
            let mut lines = told
                .split_inclusive('\n')
                .filter_map(|line| line.strip_suffix('\n'));
            lines.find_map(|line| line.strip_prefix("listening on ").map(str::to_owned))
        });
        Replica {
            process,
            proxy,
            api: Api::at(&url),
            log,
            dead: false,
        }
    }

    pub(super) fn signal(&self, replica: usize, signal: &str) {
        kill(self.replicas[replica].process.id(), signal);
    }

    pub(super) fn signal_redis(&self, signal: &str) {
        kill(self.powered.redis.pid(), signal);
    }

    /// kill -9 of the primary; the standby takes its place, and another follows it. Everything the primary
    /// had is gone.
    pub(super) fn fail_over(&mut self) {
        self.powered.redis.kill();
        let primary = self.standby.take().unwrap();
        let _: () = primary.command(cmd("REPLICAOF").arg("NO").arg("ONE"));
        for replica in &self.replicas {
            replica.proxy.lead_to(&primary.socket());
        }
        self.standby = Some(Redis::start_replica_of(&primary));
        self.powered.redis = primary;
    }

    /// kill -9; clients find nobody there until it is started again.
    pub(super) fn kill(&mut self, replica: usize) {
        let replica = &mut self.replicas[replica];
        replica.process.kill().unwrap();
        replica.process.wait().unwrap();
        replica.dead = true;
    }

    /// Waits for one that was told to end, and how it did.
    pub(super) fn ended(&mut self, replica: usize) -> ExitStatus {
        let replica = &mut self.replicas[replica];
        replica.dead = true;
        replica.process.wait().unwrap()
    }

    /// In the place of one that is gone.
    pub(super) fn start_again(&mut self, replica: usize) {
        let fresh = self.start_one();
        self.doors.lock().unwrap()[replica] = fresh.api.clone();
        let gone = std::mem::replace(&mut self.replicas[replica], fresh);
        self.complaints.extend(gone.complaints());
    }

    /// I27: waits until Redis answers, then for every replica to take a task and hand it out.
    pub(super) fn assert_serves(&self) {
        let redis = &self.powered.redis;
        until("a healthy Redis", || {
            redis.try_command::<String>(&cmd("PING")).ok()
        });
        let start = Instant::now();
        for replica in &self.replicas {
            until("a ready replica", || {
                (replica.api.get("/readyz").status == 200).then_some(())
            });
            let served = replica.api.post("/v1/queues/probe/tasks", "{}");
            served.expect(201);
            let leased = replica
                .api
                .post("/v1/queues/probe/lease", r#"{"wait_seconds":5}"#)
                .expect(200);
            let lease_id = leased["tasks"][0]["lease_id"].as_str().unwrap().to_owned();
            replica
                .api
                .post(&format!("/v1/leases/{lease_id}/ack"), "")
                .expect(200);
        }
        assert!(start.elapsed() < RECOVERY_MAX, "I27: {:?}", start.elapsed());
    }

    /// Ends every fault.
    pub(super) fn heal(&mut self) {
        self.signal_redis("-CONT");
        for replica in 0..self.replicas.len() {
            self.replicas[replica].proxy.rule(Rule::Pass);
            if self.replicas[replica].dead {
                self.start_again(replica);
            } else {
                self.signal(replica, "-CONT");
            }
        }
    }

    /// Log texts that no replica should ever write.
    pub(super) fn complaints(&self) -> Vec<String> {
        let now = self.replicas.iter().flat_map(Replica::complaints);
        self.complaints.iter().cloned().chain(now).collect()
    }
}

impl Replica {
    fn complaints(&self) -> Vec<String> {
        let told = told(&self.log);
        let lines = told
            .lines()
            .filter(|line| line.contains("ERROR") || line.contains("panicked"));
        lines.map(str::to_owned).collect()
    }
}

fn told(log: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(log).unwrap()).into_owned()
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
