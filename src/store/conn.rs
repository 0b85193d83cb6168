//! The one way to Redis: connections, pipelines of script calls, and their errors.

use std::num::NonZeroU8;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_redis::redis::aio::ConnectionLike;
use deadpool_redis::redis::io::tcp::TcpSettings;
use deadpool_redis::redis::{
    self, Arg, AsyncConnectionConfig, Cmd, ErrorKind, IntoConnectionInfo, Pipeline, RedisError, Value,
};
use deadpool_redis::{Manager, Pool, PoolError, Runtime};

use super::confirm::Confirm;
use super::error::StoreError;
use super::keyring::Keyring;
use super::keys::QueueKeys;
use super::ops::Op;
use super::reply::Reply;
use super::script::{self, Clock, Library, Script};

/// The address of Redis and the bounds of its use.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// `redis://`, `rediss://` or `redis+unix://`.
    pub url: String,
    /// Connections at most.
    pub connections: usize,
    /// Time that a reply may take before its outcome counts as unknown.
    pub response_timeout: Duration,
    /// Replicas that must have a write before it counts as done. After a second without them its outcome is
    /// unknown.
    pub replicas: Option<NonZeroU8>,
    pub clock: Clock,
}

impl StoreSettings {
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            connections: 16,
            response_timeout: Duration::from_secs(5),
            replicas: None,
            clock: Clock::Redis,
        }
    }
}

/// Access to one Redis. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
    clock: Clock,
    response_timeout: Duration,
    confirm: Confirm,
    info: Arc<redis::ConnectionInfo>,
    keyring: Arc<Keyring>,
    /// This Redis has no functions, or does not allow loading any.
    plain: Arc<AtomicBool>,
}

impl Store {
    /// Creates a store. It connects when it is first used.
    ///
    /// # Errors
    /// If the URL is invalid. The message does not repeat it, because it may contain a password.
    pub fn new(settings: &StoreSettings) -> Result<Self, String> {
        let bad_url = |_| "the Redis URL cannot be read".to_owned();
        let info = settings.url.as_str().into_connection_info().map_err(bad_url)?;
        // Off by default in redis 1.x, and worth a third of the throughput at 64 connections.
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(2)))
            .set_response_timeout(Some(settings.response_timeout));
        let manager = Manager::new_with_config(info.clone(), config).map_err(bad_url)?;
        let pool = Pool::builder(manager)
            .max_size(settings.connections)
            .wait_timeout(Some(Duration::from_secs(2)))
            .create_timeout(Some(Duration::from_secs(2)))
            .recycle_timeout(Some(Duration::from_secs(1)))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self {
            pool,
            clock: settings.clock,
            response_timeout: settings.response_timeout,
            confirm: Confirm::by(settings.replicas),
            info: Arc::new(info),
            keyring: Arc::new(Keyring::fresh()),
            plain: Arc::default(),
        })
    }

    /// Returns the address of Redis, for connections that subscribe.
    pub(super) fn info(&self) -> &redis::ConnectionInfo {
        &self.info
    }

    /// Time that a reply may take before its outcome counts as unknown.
    pub(crate) fn response_timeout(&self) -> Duration {
        self.response_timeout
    }

    pub(super) fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Returns a connection to keep. It connects when it is first used, and again after it broke.
    pub fn conn(&self) -> Conn {
        Conn {
            store: self.clone(),
            open: None,
        }
    }

    /// Calls one operation on a connection of the pool. Not for hot paths: the pool pings before each use.
    ///
    /// # Errors
    /// As [`StoreError`] lists.
    pub async fn call<O: Op>(&self, keys: &QueueKeys, op: &O) -> Result<O::Outcome, StoreError> {
        self.conn().call(keys, op).await
    }

    /// Creates a batch for the clock of this store.
    pub fn batch(&self) -> Batch {
        Batch {
            clock: self.clock,
            plain: self.plain.load(Ordering::Relaxed),
            pipeline: Pipeline::new(),
            scripts: Vec::new(),
        }
    }

    /// Returns whether operations are sent as plain scripts.
    pub(crate) fn is_plain(&self) -> bool {
        self.plain.load(Ordering::Relaxed)
    }

    /// Sends one command on a connection of the pool. Not for hot paths.
    pub(crate) async fn command<T: redis::FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        self.conn().command(command).await
    }

    /// As [`Self::command`], for a write that must have the configured durability.
    pub(crate) async fn write<T: redis::FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        self.conn().write(command).await
    }
}

fn unsent(error: &PoolError) -> StoreError {
    tracing::debug!(%error, "no connection to Redis");
    match error {
        PoolError::Backend(error)
            if matches!(
                error.kind(),
                ErrorKind::Server(_) | ErrorKind::AuthenticationFailed
            ) =>
        {
            match StoreError::of_sent(error) {
                error @ StoreError::NotApplied(_) => error,
                _ => StoreError::of_unsent(),
            }
        }
        _ => StoreError::of_unsent(),
    }
}

/// Script calls of one pipeline: one write, one read, and at `fsync` one sync.
pub struct Batch {
    clock: Clock,
    plain: bool,
    pipeline: Pipeline,
    scripts: Vec<&'static Script>,
}

impl Batch {
    pub fn push<O: Op>(&mut self, keys: &QueueKeys, op: &O) {
        let script = script::script(self.clock, O::SCRIPT);
        let mut cmd = opening(script, self.plain);
        cmd.arg(1).arg(keys.declared());
        op.args(&mut cmd);
        self.pipeline.add_command(cmd);
        self.scripts.push(script);
    }

    pub fn is_empty(&self) -> bool {
        self.scripts.is_empty()
    }
}

/// The replies to a batch.
pub struct Answers {
    /// One per call, in order. An error of one call does not affect the others.
    pub replies: Vec<Result<Reply, StoreError>>,
    /// Whether the replicas have all writes, if the store asks them. If not, only the primary has them.
    pub confirmed: Result<(), StoreError>,
}

/// A connection that one owner keeps while it is busy.
pub struct Conn {
    store: Store,
    open: Option<deadpool_redis::Connection>,
}

impl Conn {
    /// Sends all calls, and waits for all replies and for the replicas.
    pub async fn send(&mut self, batch: Batch) -> Answers {
        let confirm = self.store.confirm;
        self.send_and(confirm, batch).await
    }

    /// As [`Self::send`], without waiting for replicas: for data that may be lost with the primary and is
    /// sent again then.
    pub async fn send_unconfirmed(&mut self, batch: Batch) -> Vec<Result<Reply, StoreError>> {
        self.send_and(Confirm::default(), batch).await.replies
    }

    async fn send_and(&mut self, confirm: Confirm, mut batch: Batch) -> Answers {
        let mut answers = self.round(&mut batch.pipeline, &batch.scripts, confirm).await;
        let forgotten: Vec<usize> = (0..answers.replies.len())
            .filter(|&i| {
                answers.replies[i]
                    .as_ref()
                    .is_err_and(|error| *error == StoreError::SCRIPTS_LOST)
            })
            .collect();
        if forgotten.is_empty() {
            return answers;
        }
        if let Err(error) = self.load_scripts(batch.clock).await {
            tracing::error!(%error, "the scripts cannot be loaded into Redis");
            for i in forgotten {
                answers.replies[i] = Err(error.clone());
            }
        } else {
            let plain = self.store.plain.load(Ordering::Relaxed);
            let sent: Vec<_> = batch.pipeline.cmd_iter().collect();
            let mut again = Pipeline::new();
            let mut scripts = Vec::new();
            for &i in &forgotten {
                let mut cmd = opening(batch.scripts[i], plain);
                for arg in sent[i].args_iter().skip(2) {
                    if let Arg::Simple(bytes) = arg {
                        cmd.arg(bytes);
                    }
                }
                again.add_command(cmd);
                scripts.push(batch.scripts[i]);
            }
            let second = self.round(&mut again, &scripts, confirm).await;
            for (i, answer) in forgotten.into_iter().zip(second.replies) {
                answers.replies[i] = answer;
            }
            answers.confirmed = second.confirmed;
        }
        answers
    }

    async fn round(
        &mut self,
        pipeline: &mut Pipeline,
        scripts: &[&'static Script],
        confirm: Confirm,
    ) -> Answers {
        let failed = |error: StoreError| Answers {
            replies: vec![Err(error); scripts.len()],
            confirmed: Ok(()),
        };
        let connection = match self.connection().await {
            Ok(connection) => connection,
            Err(error) => return failed(error),
        };
        let count = scripts.len() + confirm.ask(pipeline);
        let answers = match connection.req_packed_commands(pipeline, 0, count).await {
            Ok(values) => {
                let mut values = values.into_iter();
                let replies = scripts.iter().zip(values.by_ref());
                Answers {
                    replies: replies.map(|(script, value)| read(value, script)).collect(),
                    confirmed: confirm.read(values.next()),
                }
            }
            Err(error) => failed(StoreError::of_sent(&error)),
        };
        self.discard_spoilt(&answers.replies);
        answers
    }

    /// # Errors
    /// As [`StoreError`] lists.
    pub async fn call<O: Op>(&mut self, keys: &QueueKeys, op: &O) -> Result<O::Outcome, StoreError> {
        let mut batch = self.store.batch();
        batch.push(keys, op);
        let writes = batch.scripts[0].writes;
        let confirm = if writes {
            self.store.confirm
        } else {
            Confirm::default()
        };
        let mut answers = self.send_and(confirm, batch).await;
        let answer = answers.replies.pop().expect("one answer per call")?;
        answers.confirmed?;
        op.outcome(answer).map_err(|bad| bad_reply(O::SCRIPT, &bad))
    }

    pub(super) fn waits_for_replicas(&self) -> bool {
        self.store.confirm.waits()
    }

    pub(crate) async fn command<T: redis::FromRedisValue>(&mut self, command: &Cmd) -> Result<T, StoreError> {
        let connection = self.connection().await?;
        let answer = command
            .query_async(connection)
            .await
            .map_err(|error| StoreError::of_sent(&error));
        self.discard_spoilt(std::slice::from_ref(&answer));
        answer
    }

    pub(crate) async fn write<T: redis::FromRedisValue>(&mut self, command: &Cmd) -> Result<T, StoreError> {
        let confirm = self.store.confirm;
        let mut pipeline = Pipeline::new();
        pipeline.add_command(command.clone());
        let count = 1 + confirm.ask(&mut pipeline);
        let connection = self.connection().await?;
        let answered = connection.req_packed_commands(&pipeline, 0, count).await;
        let answered = answered.and_then(|values| {
            let mut values = values.into_iter();
            let first = values.next().unwrap_or(Value::Nil).extract_error()?;
            Ok((redis::from_redis_value(first)?, values.next()))
        });
        let answered = answered.map_err(|error| StoreError::of_sent(&error));
        self.discard_spoilt(std::slice::from_ref(&answered));
        let (answer, confirmed) = answered?;
        confirm.read(confirmed)?;
        Ok(answer)
    }

    /// Removes the connection from the pool if an error shows that it is broken: the pool would lend it
    /// again.
    fn discard_spoilt<T>(&mut self, answers: &[Result<T, StoreError>]) {
        let spoilt =
            |answer: &Result<T, StoreError>| answer.as_ref().is_err_and(StoreError::spoils_connection);
        if answers.iter().any(spoilt)
            && let Some(connection) = self.open.take()
        {
            drop(deadpool_redis::Connection::take(connection));
        }
    }

    async fn connection(&mut self) -> Result<&mut deadpool_redis::Connection, StoreError> {
        if self.open.is_none() {
            // Boxed, because this future is large and would make all futures that contain it as large.
            let open = Box::pin(self.store.pool.get()).await;
            self.open = Some(open.map_err(|error| unsent(&error))?);
        }
        Ok(self.open.as_mut().expect("opened above"))
    }

    async fn load_scripts(&mut self, clock: Clock) -> Result<(), StoreError> {
        let library = script::library(clock);
        if !self.store.plain.load(Ordering::Relaxed) {
            match self.load_library(library).await {
                Err(StoreError::Broken(why)) if has_no_functions(&why) => {
                    tracing::info!(
                        "this Redis allows no functions: the service uses plain scripts, which are slower"
                    );
                    self.store.plain.store(true, Ordering::Relaxed);
                }
                loaded => return loaded,
            }
        }
        let mut pipeline = Pipeline::new();
        for script in &library.scripts {
            pipeline.cmd("SCRIPT").arg("LOAD").arg(&script.plain().text);
        }
        let connection = self.connection().await?;
        pipeline
            .exec_async(connection)
            .await
            .map_err(|error| StoreError::of_sent(&error))
    }

    /// Loads the library. Libraries of other versions stay for replicas that still use them. If there are too
    /// many, all are deleted, and replicas load theirs again.
    async fn load_library(&mut self, library: &Library) -> Result<(), StoreError> {
        let pattern = format!("{}*", script::LIBRARY);
        let listed: redis::Value = self
            .command(redis::cmd("FUNCTION").arg("LIST").arg("LIBRARYNAME").arg(pattern))
            .await?;
        let others = library_names(listed);
        if others.len() >= LIBRARIES_MAX {
            for name in others {
                let _: redis::Value = self
                    .command(redis::cmd("FUNCTION").arg("DELETE").arg(name))
                    .await?;
            }
        }
        let _: redis::Value = self
            .command(
                redis::cmd("FUNCTION")
                    .arg("LOAD")
                    .arg("REPLACE")
                    .arg(&library.code),
            )
            .await?;
        Ok(())
    }
}

/// Versions of the library that may exist in one Redis.
const LIBRARIES_MAX: usize = 8;

/// Reads the names in a reply of `FUNCTION LIST`: per library a map (or, before RESP3, a list) of words and
/// values.
fn library_names(listed: Value) -> Vec<String> {
    let Value::Array(libraries) = listed else {
        return Vec::new();
    };
    let name_of = |library: Value| {
        let pairs: Vec<(Value, Value)> = library.into_map_iter().ok()?.collect();
        let named = pairs
            .into_iter()
            .find(|(word, _)| matches!(word, Value::BulkString(word) if word == b"library_name"));
        redis::from_redis_value(named?.1).ok()
    };
    libraries.into_iter().filter_map(name_of).collect()
}

/// Writes the first words of a call. Keys and arguments are the same in both forms.
fn opening(script: &Script, plain: bool) -> Cmd {
    let (verb, name) = if plain {
        ("EVALSHA", &script.plain().sha)
    } else {
        ("FCALL", &script.function)
    };
    let mut cmd = redis::cmd(verb);
    cmd.arg(name);
    cmd
}

/// Returns whether functions cannot be used: Redis 6.2 lacks the commands, and ACL rules may forbid them.
fn has_no_functions(error: &str) -> bool {
    let error = error.to_ascii_lowercase();
    (error.contains("unknown command") || error.contains("no permissions") || error.contains("noperm"))
        && (error.contains("fcall") || error.contains("function"))
}

/// Classifies a reply that makes no sense. The details are for the log.
pub fn bad_reply(script: &str, bad: &super::reply::BadReply) -> StoreError {
    StoreError::Broken(format!("{script}: {bad}"))
}

fn read(value: Value, script: &Script) -> Result<Reply, StoreError> {
    match value {
        Value::ServerError(error) => {
            let error = RedisError::from(error);
            if error.detail() == Some("Function not found") {
                return Err(StoreError::SCRIPTS_LOST);
            }
            match StoreError::of_sent(&error) {
                StoreError::Broken(text) if has_no_functions(&text) => Err(StoreError::SCRIPTS_LOST),
                StoreError::Broken(text) => {
                    let file = script::locate(script.name, &text);
                    Err(StoreError::Broken(format!("{file}: {text}")))
                }
                classified => Err(classified),
            }
        }
        value => Reply::new(value).map_err(|bad| bad_reply(script.name, &bad)),
    }
}
