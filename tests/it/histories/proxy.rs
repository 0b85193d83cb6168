//! A wire that can be harmed: everything between one replica and Redis goes through it.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// The treatment of bytes that pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    Pass,
    /// Each piece is this late, in both directions.
    Slow(Duration),
    /// Redis does everything and nobody hears of it.
    SwallowReplies,
    /// Only the first bytes of the next piece arrive, then the connection is cut. Redis then does not execute
    /// a request.
    CutRequests,
    CutReplies,
    /// The next request with these bytes comes to Redis, and its reply is cut. Then all is well again.
    CutReplyTo(&'static str),
    CutNextReply,
    /// Requests are kept until [`Proxy::deliver_held`], which may be long after their senders gave up.
    HoldRequests,
    /// New connections are closed at once.
    Refuse,
}

pub(crate) struct Proxy {
    socket: PathBuf,
    wire: Arc<Wire>,
}

struct Wire {
    state: Mutex<State>,
    over: AtomicBool,
}

struct State {
    /// Where new connections go.
    redis: PathBuf,
    rule: Rule,
    /// Both ends of each connection.
    open: Vec<(UnixStream, UnixStream)>,
    held: Vec<(UnixStream, Vec<u8>)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Requests,
    Replies,
}

impl Proxy {
    pub(crate) fn start(socket: &Path, redis: &Path) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let wire = Arc::new(Wire {
            state: Mutex::new(State {
                redis: redis.to_owned(),
                rule: Rule::Pass,
                open: Vec::new(),
                held: Vec::new(),
            }),
            over: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&wire);
        // Ends when the proxy is dropped; pumps end with their connections.
        std::thread::spawn(move || accepting.accept(&listener));
        Self {
            socket: socket.to_owned(),
            wire,
        }
    }

    pub(crate) fn rule(&self, rule: Rule) {
        self.wire.state().rule = rule;
    }

    /// Leads to another Redis from now on.
    pub(super) fn lead_to(&self, redis: &Path) {
        self.wire.state().redis = redis.to_owned();
        self.cut();
    }

    /// Cuts every connection, at both ends.
    pub(crate) fn cut(&self) {
        for (client, redis) in self.wire.state().open.drain(..) {
            let _ = client.shutdown(Shutdown::Both);
            let _ = redis.shutdown(Shutdown::Both);
        }
    }

    /// Cuts every connection at the service's end; what was sent may still come to Redis.
    pub(crate) fn cut_service(&self) {
        for (client, _) in self.wire.state().open.drain(..) {
            let _ = client.shutdown(Shutdown::Both);
        }
    }

    /// Requests kept so far.
    pub(crate) fn held(&self) -> usize {
        self.wire.state().held.len()
    }

    /// Gives Redis what was kept, and waits until it has answered, to nobody.
    pub(crate) fn deliver_held(&self) {
        let held = std::mem::take(&mut self.wire.state().held);
        for (mut redis, bytes) in held {
            let _ = redis.write_all(&bytes);
            let _ = redis.shutdown(Shutdown::Write);
            let _ = std::io::copy(&mut redis, &mut std::io::sink());
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.wire.over.store(true, Ordering::Relaxed);
        self.wire.state().held.clear();
        self.cut();
        let _ = UnixStream::connect(&self.socket);
    }
}

impl Wire {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it has the lock")
    }

    fn accept(self: Arc<Self>, listener: &UnixListener) {
        for client in listener.incoming() {
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            let redis = self.state().redis.clone();
            let (Ok(client), Ok(redis)) = (client, UnixStream::connect(redis)) else {
                continue;
            };
            let mut state = self.state();
            if state.rule == Rule::Refuse {
                continue;
            }
            let ends = || Some((client.try_clone().ok()?, redis.try_clone().ok()?));
            let (Some(open), Some((from, to))) = (ends(), ends()) else {
                continue;
            };
            state.open.push(open);
            drop(state);
            let (requests, replies) = (Arc::clone(&self), Arc::clone(&self));
            std::thread::spawn(move || requests.pump(from, to, Way::Requests));
            std::thread::spawn(move || replies.pump(redis, client, Way::Replies));
        }
    }

    fn pump(&self, mut from: UnixStream, mut to: UnixStream, way: Way) {
        let mut buffer = [0; 16 << 10];
        let mut holds = false;
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let bytes = &buffer[..read];
            let mut state = self.state();
            let rule = state.rule;
            if way == Way::Requests && (rule == Rule::HoldRequests || holds) {
                let Ok(redis) = to.try_clone() else { break };
                state.held.push((redis, bytes.to_vec()));
                holds = true;
                continue;
            }
            drop(state);
            match (rule, way) {
                (Rule::Slow(delay), _) => std::thread::sleep(delay),
                (Rule::SwallowReplies, Way::Replies) => continue,
                (Rule::CutReplyTo(words), Way::Requests)
                    if bytes.windows(words.len()).any(|found| found == words.as_bytes()) =>
                {
                    self.state().rule = Rule::CutNextReply;
                }
                (Rule::CutRequests, Way::Requests)
                | (Rule::CutReplies | Rule::CutNextReply, Way::Replies) => {
                    if rule == Rule::CutNextReply {
                        self.state().rule = Rule::Pass;
                    }
                    let _ = to.write_all(&bytes[..read / 2]);
                    let _ = from.shutdown(Shutdown::Both);
                    break;
                }
                _ => {}
            }
            if to.write_all(bytes).is_err() {
                break;
            }
        }
        // Held bytes go to Redis later, on their own connection.
        if !holds {
            let _ = to.shutdown(Shutdown::Both);
        }
    }
}
