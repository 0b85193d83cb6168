//! The embedded default: a private redis-server child on a data directory of our own.
//!
//! - Nobody else reaches it: a unix socket in a 0700 directory, no port.
//! - One service per data directory, by a lock the kernel drops with the process.
//! - It never outlives the service. It is started through our own binary (see [`leash`]), which asks
//!   the kernel to kill it when the thread that started it is gone; that thread lives as long as
//!   [`Embedded`]. A kill -9 of the service therefore takes it along.
//! - Two servers never share the files: the child itself holds a second lock until it is dead.
//! - If it dies it is started again on the same files, with backoff; never on an empty directory
//!   that once had data. If it keeps dying that is a typed failure ([`Embedded::failed`]).
//!
//! A kill -9 of the child loses nothing at either [`Sync`] level: what was answered is at least in
//! the kernel's page cache. Only `Always` survives a power cut whole; what the cut tore is taken away (`torn`).

mod conf;
mod dir;
mod find;
pub mod health;
mod keeper;
pub mod leash;
mod log;
mod ping;
mod torn;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use dir::DataDir;
use keeper::{Control, State};

/// When the append-only file is synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// Before each answer.
    Always,
    /// About once a second.
    EverySecond,
}

/// What to start, where, and how.
#[derive(Debug, Clone)]
pub struct Options {
    pub data_dir: PathBuf,
    /// The redis-server or valkey-server binary; `None` looks next to our own, then in `PATH`.
    pub redis_server: Option<PathBuf>,
    pub sync: Sync,
    /// The `leaseq` binary that the child is started through.
    pub leash: PathBuf,
}

impl Options {
    /// On `data_dir`, synced always, through the running binary.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            redis_server: None,
            sync: Sync::Always,
            leash: crate::own_binary::path(),
        }
    }
}

/// Why there is no embedded Redis. Each text names the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmbeddedError {
    #[error(
        "no redis-server was found next to {next_to} or in PATH: install one (apt install redis-server, \
         or valkey), name one with --redis-server FILE, or use a Redis of your own with --redis-url URL"
    )]
    Missing { next_to: String },
    #[error("{path} cannot be used as redis-server: {problem}; give another with --redis-server FILE")]
    Unusable { path: PathBuf, problem: String },
    #[error(
        "the data directory {path} cannot be used: {problem}; choose another with --data-dir DIR, \
         or give this one to the user that runs leaseq"
    )]
    Directory { path: PathBuf, problem: String },
    #[error(
        "the data directory {path} is in use by another leaseq{}: stop that one, \
         or choose another with --data-dir DIR",
        holder.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    InUse { path: PathBuf, holder: Option<u32> },
    #[error(
        "{path} holds `{entry}` and was not made by leaseq: choose an empty or new directory with --data-dir DIR"
    )]
    Foreign { path: PathBuf, entry: String },
    #[error(
        "the data directory {path} once held tasks and its append-only file is gone: restore it from a backup, \
         or begin anew with another --data-dir DIR"
    )]
    DataGone { path: PathBuf },
    #[error("redis-server did not start ({status}): {last_words}")]
    DidNotStart { status: String, last_words: String },
    #[error("redis-server died {deaths} times in a row ({status}) and is not started again: {last_words}")]
    KeepsDying {
        deaths: u32,
        status: String,
        last_words: String,
    },
    #[error("a thread or process could not be started: {0}")]
    System(String),
    #[error("the embedded redis-server was stopped")]
    Stopped,
}

/// A running embedded Redis. Dropping it kills the child at once, which loses nothing that was
/// answered; [`Embedded::stop`] is the orderly way.
pub struct Embedded {
    control: Arc<Control>,
    state: watch::Receiver<State>,
    socket: PathBuf,
    keeper: Option<std::thread::JoinHandle<()>>,
}

/// How long [`Embedded::stop`] waits after SIGTERM before it kills.
const STOP_WAIT: Duration = Duration::from_secs(10);
/// How long a killed process may take to disappear before it is left to the kernel.
const KILL_WAIT: Duration = Duration::from_secs(5);

impl Embedded {
    /// Starts redis-server and returns once it answers, if only that it is still loading.
    ///
    /// # Errors
    /// Any [`EmbeddedError`]; nothing is left running then.
    pub async fn start(options: Options) -> Result<Self, EmbeddedError> {
        let server = find::redis_server(options.redis_server.as_deref(), &options.leash)?;
        let dir = DataDir::open(&options.data_dir)?;
        let socket = dir.socket().to_owned();
        let control = Arc::new(Control::default());
        let (keeper, state) = keeper::spawn(server, dir, options, Arc::clone(&control))?;
        let mut embedded = Self {
            control,
            state,
            socket,
            keeper: Some(keeper),
        };
        embedded
            .until(|state| matches!(state, State::Loading | State::Ready { .. }))
            .await?;
        Ok(embedded)
    }

    /// The unix socket to connect to; the same over restarts.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Waits until it has loaded its data and takes commands.
    ///
    /// # Errors
    /// When it never will.
    pub async fn ready(&self) -> Result<(), EmbeddedError> {
        let mut state = self.state.clone();
        wait(&mut state, |state| matches!(state, State::Ready { .. })).await
    }

    /// Pends for as long as there is hope, and then says why there is none.
    pub async fn failed(&self) -> EmbeddedError {
        let mut state = self.state.clone();
        match wait(&mut state, |_| false).await {
            Err(error) => error,
            Ok(()) => EmbeddedError::Stopped,
        }
    }

    /// The child's process id while it takes commands.
    pub fn pid(&self) -> Option<u32> {
        match *self.state.borrow() {
            State::Ready { pid } => Some(pid),
            _ => None,
        }
    }

    /// SIGTERM, a wait of at most ten seconds, SIGKILL. Call it when nobody needs Redis any more.
    pub async fn stop(mut self) {
        self.control.stop(rustix::process::Signal::TERM);
        let ended = |state: &State| matches!(state, State::Stopped | State::Failed(_));
        if tokio::time::timeout(STOP_WAIT, self.state.wait_for(ended))
            .await
            .is_err()
        {
            tracing::warn!("redis-server did not stop within 10 s and is killed");
            self.control.stop(rustix::process::Signal::KILL);
            let _ = tokio::time::timeout(KILL_WAIT, self.state.wait_for(ended)).await;
        }
    }

    async fn until(&mut self, reached: impl Fn(&State) -> bool) -> Result<(), EmbeddedError> {
        wait(&mut self.state, reached).await
    }
}

async fn wait(
    state: &mut watch::Receiver<State>,
    reached: impl Fn(&State) -> bool,
) -> Result<(), EmbeddedError> {
    let ended = |state: &State| matches!(state, State::Stopped | State::Failed(_));
    match state
        .wait_for(|state| reached(state) || ended(state))
        .await
        .as_deref()
    {
        Ok(State::Failed(error)) => Err(error.clone()),
        Ok(State::Stopped) | Err(_) => Err(EmbeddedError::Stopped),
        Ok(_) => Ok(()),
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.control.stop(rustix::process::Signal::KILL);
        // Short: the child is dead or dying. Without the join the data directory's lock could
        // outlive this value and refuse the next start.
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}
