//! A private redis-server on a unix socket in its own directory, ended with the test by its own pid.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use deadpool_redis::redis::{Client, Cmd, Connection, FromRedisValue, Pipeline, RedisResult, cmd};
use leaseq::domain::QueueName;
use leaseq::store::conn::StoreSettings;
use leaseq::store::keys::TEST_CLOCK;
use leaseq::store::script::Clock;
use leaseq::store::state;
use leaseq::store::{QueueKeys, Store};

pub struct Redis {
    child: Child,
    args: Vec<String>,
    environment: Vec<(String, PathBuf)>,
    dir: tempfile::TempDir,
    /// Kept between commands: an audit sends dozens after every step of the model.
    beside: Mutex<Option<Connection>>,
}

impl Redis {
    /// Fails the test where redis-server is missing: nothing here may be skipped.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    pub fn start_with(extra: &[&str]) -> Self {
        Self::start_in(extra, &[])
    }

    /// A replica of one that was started with [`with_port`], and may be followed itself. Returns when it has
    /// what the primary had, and gets what comes.
    pub fn start_replica_of(primary: &Self) -> Self {
        let args = with_port();
        let replica = Self::start_with(&args.iter().map(String::as_str).collect::<Vec<_>>());
        let port: Vec<String> = primary.command(cmd("CONFIG").arg("GET").arg("port"));
        let _: () = replica.command(cmd("REPLICAOF").arg("127.0.0.1").arg(&port[1]));
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let told: String = replica.command(cmd("INFO").arg("replication"));
            if told.contains("master_link_status:up") {
                return replica;
            }
            assert!(Instant::now() < deadline, "no replica: {told}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// With more variables in its environment.
    pub fn start_in(extra: &[&str], environment: &[(&str, &Path)]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let args: Vec<String> = extra.iter().map(|arg| (*arg).to_owned()).collect();
        let environment: Vec<(String, PathBuf)> = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Self {
            child: spawn(dir.path(), &args, &environment),
            args,
            environment,
            dir,
            beside: Mutex::new(None),
        }
    }

    /// kill -9: what it had not written down is gone.
    pub fn kill(&mut self) {
        *self.beside.lock().expect("no test panics while it sends") = None;
        self.child.kill().expect("it is this test's own child");
        self.child.wait().expect("it is this test's own child");
    }

    /// After [`Self::kill`], on the same socket and the same data.
    pub fn start_again(&mut self) {
        self.child = spawn(self.dir.path(), &self.args, &self.environment);
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where its data is.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("redis.sock")
    }

    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// A store on Redis's own clock.
    pub fn store(&self) -> Store {
        Store::new(&StoreSettings::new(self.url())).expect("the URL is one")
    }

    /// A store whose clock [`Self::set_clock`] sets.
    pub fn store_on_set_clock(&self) -> Store {
        let settings = StoreSettings {
            clock: Clock::Test,
            ..StoreSettings::new(self.url())
        };
        Store::new(&settings).expect("the URL is one")
    }

    pub fn set_clock(&self, ms: u64) {
        let _: () = self.command(cmd("SET").arg(TEST_CLOCK).arg(ms));
    }

    /// Any command, beside the store: for looking at raw keys and for doing harm.
    pub fn command<T: FromRedisValue>(&self, cmd: &Cmd) -> T {
        self.try_command(cmd).expect("the command is valid")
    }

    /// As [`Self::command`], of a Redis that may not answer.
    pub fn try_command<T: FromRedisValue>(&self, cmd: &Cmd) -> RedisResult<T> {
        self.beside(|connection| cmd.query(connection))
    }

    /// The packed state of the queue, and its hungry classes.
    pub fn state(&self, queue: &str) -> Option<(BTreeMap<&'static str, f64>, String)> {
        let bytes: Option<Vec<u8>> = self.command(cmd("GET").arg(format!("lq:1:{{{queue}}}:state")));
        bytes.map(|bytes| {
            let (numbers, hungry) = state::read(&bytes).expect("a state of this layout");
            (numbers, String::from_utf8_lossy(hungry).into_owned())
        })
    }

    /// Changes a counter by hand.
    pub fn add_to_state(&self, queue: &str, field: &str, by: f64) {
        let (numbers, _) = self.state(queue).expect("there is such a queue");
        let place = state::FIELDS
            .iter()
            .position(|found| *found == field)
            .expect("a field");
        let changed = (numbers[field] + by).to_le_bytes();
        let key = format!("lq:1:{{{queue}}}:state");
        let _: () = self.command(cmd("SETRANGE").arg(key).arg(place * 8).arg(&changed[..]));
    }

    /// Many commands in one round trip; with `atomic()` a snapshot.
    pub fn pipeline<T: FromRedisValue>(&self, pipeline: &Pipeline) -> T {
        self.beside(|connection| pipeline.query(connection))
            .expect("the commands are valid")
    }

    fn beside<T>(&self, send: impl FnOnce(&mut Connection) -> RedisResult<T>) -> RedisResult<T> {
        let mut kept = self.beside.lock().expect("no test panics while it sends");
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => Client::open(self.url())?.get_connection()?,
        };
        let answer = send(&mut connection);
        if answer.is_ok() {
            *kept = Some(connection);
        }
        answer
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Arguments for one that replicas can follow: they need a port.
pub fn with_port() -> Vec<String> {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = free.local_addr().expect("it is bound").port().to_string();
    // At once: by default a primary waits for more replicas first.
    let args = [
        "--bind",
        "127.0.0.1",
        "--repl-diskless-sync-delay",
        "0",
        "--port",
        &port,
    ];
    args.map(str::to_owned).to_vec()
}

/// Returns when it accepts connections.
fn spawn(dir: &Path, extra: &[String], environment: &[(String, PathBuf)]) -> Child {
    let socket = dir.join("redis.sock");
    let child = Command::new("redis-server")
        .args([
            "--port",
            "0",
            "--save",
            "",
            "--appendonly",
            "no",
            "--daemonize",
            "no",
        ])
        .arg("--unixsocket")
        .arg(&socket)
        .arg("--dir")
        .arg(dir)
        .args(extra)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server must be installed: make test does it");
    let deadline = Instant::now() + Duration::from_secs(10);
    while UnixStream::connect(&socket).is_err() {
        assert!(Instant::now() < deadline, "redis-server did not start");
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}

pub fn queue(name: &str) -> (QueueName, QueueKeys) {
    let name = QueueName::parse(name).expect("a valid name");
    let keys = QueueKeys::new(&name);
    (name, keys)
}
