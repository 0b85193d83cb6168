//! The thread that starts the child, waits for its end and starts it again, until it is stopped.
//!
//! One thread does all of it, because the kernel's death signal fires when the *thread* that forked ends. It
//! sleeps in `waitid` while the child lives.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use tokio::sync::watch;

use super::dir::DataDir;
use super::log::Log;
use super::ping::{Answer, ping};
use super::{EmbeddedError, Options, conf, leash, torn};

/// A child that lived this long resets the count and the backoff.
const STABLE_AFTER: Duration = Duration::from_secs(60);
/// Consecutive deaths without a stable life, after which the child is given up.
const DEATHS_MAX: u32 = 5;
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// Pauses between two pings: short at first, because a cold start takes milliseconds, and longer if it loads
/// for minutes.
const POLL_MIN: Duration = Duration::from_millis(2);
const POLL_MAX: Duration = Duration::from_millis(50);

/// The state of the child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Starting,
    Loading,
    Ready {
        pid: u32,
    },
    /// Dead, and about to be started again.
    Down,
    /// Stopped on request.
    Stopped,
    /// Given up.
    Failed(EmbeddedError),
}

/// The handle by which others signal the child.
#[derive(Default)]
pub(super) struct Control {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    stopping: bool,
    /// Present exactly while the process exists unreaped, so that a signal can never hit another process.
    child: Option<Pid>,
}

impl Control {
    /// Signals the child, if there is one, and prevents another start.
    pub(super) fn stop(&self, signal: Signal) {
        let mut inner = self.lock();
        inner.stopping = true;
        if let Some(pid) = inner.child {
            let _ = rustix::process::kill_process(pid, signal);
        }
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopping(&self) -> bool {
        self.lock().stopping
    }

    /// Sleeps until the time is over or a stop is requested.
    fn pause(&self, length: Duration) {
        let inner = self.lock();
        let _ = self
            .changed
            .wait_timeout_while(inner, length, |inner| !inner.stopping);
    }
}

/// Starts the thread. It ends after [`State::Stopped`] or [`State::Failed`], with no child left.
pub(super) fn spawn(
    server: PathBuf,
    dir: DataDir,
    options: Options,
    control: Arc<Control>,
) -> Result<(JoinHandle<()>, watch::Receiver<State>), EmbeddedError> {
    let (state, receiver) = watch::channel(State::Starting);
    let mut keeper = Keeper {
        server,
        dir,
        options,
        control,
        state,
    };
    let thread = std::thread::Builder::new()
        .name("redis-keeper".into())
        .spawn(move || keeper.keep())
        .map_err(|error| EmbeddedError::System(error.to_string()))?;
    Ok((thread, receiver))
}

struct Keeper {
    server: PathBuf,
    dir: DataDir,
    options: Options,
    control: Arc<Control>,
    state: watch::Sender<State>,
}

impl Keeper {
    fn keep(&mut self) {
        let end = match self.run() {
            Ok(()) => State::Stopped,
            Err(error) => State::Failed(error),
        };
        self.state.send_replace(end);
    }

    fn run(&self) -> Result<(), EmbeddedError> {
        let mut deaths = 0;
        let mut ever_answered = false;
        while !self.control.stopping() {
            let born = Instant::now();
            let (child, log) = self.start()?;
            let (answered, status) = self.live(child)?;
            ever_answered |= answered;
            if self.control.stopping() {
                return Ok(());
            }
            let (status, last_words) = (status.to_string(), log.last_words());
            if torn::is_why(&last_words) && self.mend() {
                continue;
            }
            if !ever_answered {
                return Err(EmbeddedError::DidNotStart { status, last_words });
            }
            deaths = if born.elapsed() >= STABLE_AFTER {
                1
            } else {
                deaths + 1
            };
            if deaths >= DEATHS_MAX {
                return Err(EmbeddedError::KeepsDying {
                    deaths,
                    status,
                    last_words,
                });
            }
            let backoff = (BACKOFF_MIN * 4u32.pow(deaths - 1)).min(BACKOFF_MAX);
            tracing::error!(
                status,
                last_words,
                deaths,
                restart_in_seconds = backoff.as_secs_f64(),
                "redis-server died and is started again on the same data"
            );
            self.state.send_replace(State::Down);
            self.control.pause(backoff);
        }
        Ok(())
    }

    /// Removes a transaction that a power cut left half written. Returns whether there was one, so that
    /// another start can succeed.
    fn mend(&self) -> bool {
        match torn::mend(self.dir.redis()) {
            Ok(0) => false,
            Ok(bytes) => {
                tracing::warn!(
                    bytes,
                    "the append-only file ended in the middle of a write, which was taken away"
                );
                true
            }
            Err(error) => {
                tracing::error!(%error, "the append-only file ends in the middle of a write and cannot be repaired");
                false
            }
        }
    }

    fn start(&self) -> Result<(Child, Log), EmbeddedError> {
        self.dir.check_data()?;
        let conf = conf::write(&self.dir, self.options.sync).map_err(|error| EmbeddedError::Directory {
            path: self.dir.redis().to_owned(),
            problem: format!("redis.conf cannot be written: {error}"),
        })?;
        // A predecessor that is still dying must not reply in place of the new one.
        let _ = std::fs::remove_file(self.dir.socket());
        let system = |error: std::io::Error| EmbeddedError::System(error.to_string());
        let (reader, writer) = std::io::pipe().map_err(system)?;
        let mut command = leash::command(&self.options.leash, &self.dir.child_lock(), &self.server);
        command
            .arg(conf)
            .stdin(Stdio::null())
            .stdout(writer.try_clone().map_err(system)?)
            .stderr(writer)
            // Ctrl-C in a terminal signals the whole foreground group, but the child must live until the
            // drain is over.
            .process_group(0);
        // The environment of the child is empty, because ours may contain secrets.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("LEASEQ_") {
                command.env_remove(name);
            }
        }
        let mut inner = self.control.lock();
        let child = command.spawn().map_err(|error| EmbeddedError::Unusable {
            path: self.options.leash.clone(),
            problem: error.to_string(),
        })?;
        inner.child = Some(Pid::from_child(&child));
        if inner.stopping {
            let _ = rustix::process::kill_process(Pid::from_child(&child), Signal::KILL);
        }
        drop(inner);
        // The command holds the write ends of the pipe, and the log would never end while it exists.
        drop(command);
        let log = Log::follow(reader).map_err(system)?;
        Ok((child, log))
    }

    /// Follows one child from its start to its end. Returns whether it ever replied, and how it ended.
    fn live(&self, mut child: Child) -> Result<(bool, ExitStatus), EmbeddedError> {
        let mut poll = POLL_MIN;
        let mut answered = false;
        loop {
            if let Some(status) = self.reap_if_dead(&mut child)? {
                return Ok((answered, status));
            }
            match ping(self.dir.socket()) {
                Answer::Ready => break,
                Answer::Loading => {
                    answered = true;
                    self.say(State::Loading);
                }
                Answer::None => {}
            }
            std::thread::sleep(poll);
            poll = (poll + poll / 16).min(POLL_MAX);
        }
        // Before the child counts as ready: the mark must exist before the first write.
        if let Err(error) = self.dir.mark_begun() {
            self.control.stop(Signal::TERM);
            let _ = self.reap(&mut child);
            return Err(error);
        }
        self.say(State::Ready { pid: child.id() });
        let status = self.reap(&mut child)?;
        Ok((true, status))
    }

    fn say(&self, state: State) {
        self.state.send_if_modified(|present| {
            let news = *present != state;
            *present = state;
            news
        });
    }

    fn reap_if_dead(&self, child: &mut Child) -> Result<Option<ExitStatus>, EmbeddedError> {
        let mut inner = self.control.lock();
        let status = child
            .try_wait()
            .map_err(|error| EmbeddedError::System(error.to_string()))?;
        if status.is_some() {
            inner.child = None;
        }
        Ok(status)
    }

    /// Waits for the end without reaping. Reaping happens under the lock, because a reaped process id can be
    /// reused at once.
    fn reap(&self, child: &mut Child) -> Result<ExitStatus, EmbeddedError> {
        let system = |error: std::io::Error| EmbeddedError::System(error.to_string());
        let who = WaitId::Pid(Pid::from_child(child));
        rustix::io::retry_on_intr(|| {
            rustix::process::waitid(who.clone(), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
        })
        .map_err(|error| system(error.into()))?;
        let mut inner = self.control.lock();
        let status = child.wait().map_err(system)?;
        inner.child = None;
        Ok(status)
    }
}
