//! The three operations of the plain queue over several connections, each bounded in tasks and time.

use crate::resp::{Connection, Reply};
use std::cell::Cell;
use std::io::{Error, Result};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Ids as long as those of the service.
const ID_BYTES: usize = 26;
/// The end of leases in milliseconds. It is far in the future and never read.
const LEASES_END_MS: &[u8] = b"4102444800000";

pub struct Shape {
    pub socket: PathBuf,
    pub prefix: String,
    pub payload: Vec<u8>,
    pub scripts: Scripts,
}

/// SHA-1 digests under which Redis knows the scripts.
pub struct Scripts {
    enqueue: Vec<u8>,
    lease: Vec<u8>,
    ack: Vec<u8>,
}

pub async fn load(control: &mut Connection) -> Result<Scripts> {
    let mut digests = Vec::new();
    for script in [
        include_str!("../../reference/enqueue.lua"),
        include_str!("../../reference/lease.lua"),
        include_str!("../../reference/ack.lua"),
    ] {
        match control.command(&[b"SCRIPT", b"LOAD", script.as_bytes()]).await? {
            Reply::Bytes(digest) => digests.push(digest),
            other => return Err(Error::other(format!("the reply to SCRIPT LOAD was {other:?}"))),
        }
    }
    let [enqueue, lease, ack] = <[Vec<u8>; 3]>::try_from(digests).expect("three scripts were loaded");
    Ok(Scripts { enqueue, lease, ack })
}

#[derive(Clone)]
pub struct Plain(Rc<Inner>);

struct Inner {
    shape: Shape,
    ready: Vec<u8>,
    payloads: Vec<u8>,
    leased: Vec<u8>,
    counters: Vec<u8>,
    next_id: Cell<u64>,
}

/// The remaining tasks and time, shared by the connections of a phase.
#[derive(Clone)]
struct Bounds {
    tasks_left: Rc<Cell<u64>>,
    until: Instant,
}

impl Bounds {
    fn new(tasks: u64, time: Duration) -> Self {
        Self {
            tasks_left: Rc::new(Cell::new(tasks)),
            until: Instant::now() + time,
        }
    }
    /// Returns the size of the next call; 0 ends the run.
    fn take(&self, batch: usize) -> usize {
        if Instant::now() >= self.until {
            return 0;
        }
        let size = self.tasks_left.get().min(batch as u64);
        self.tasks_left.set(self.tasks_left.get() - size);
        size as usize
    }
}

impl Plain {
    pub fn new(shape: Shape) -> Self {
        let key = |name: &str| format!("{{{}}}:{name}", shape.prefix).into_bytes();
        let (ready, payloads, leased, counters) =
            (key("ready"), key("payloads"), key("leased"), key("counters"));
        Self(Rc::new(Inner {
            shape,
            ready,
            payloads,
            leased,
            counters,
            next_id: Cell::new(0),
        }))
    }

    pub async fn clear(&self, control: &mut Connection) -> Result<()> {
        let Inner {
            ready,
            payloads,
            leased,
            counters,
            ..
        } = &*self.0;
        control
            .command(&[b"DEL", ready, payloads, leased, counters])
            .await
            .map(drop)
    }

    pub async fn enqueue(&self, connections: usize, batch: usize, tasks: u64, time: Duration) -> Result<u64> {
        let bounds = Bounds::new(tasks, time);
        let done = self.on_each(connections, |plain, mut connection| {
            let bounds = bounds.clone();
            async move {
                let mut done = 0;
                loop {
                    match bounds.take(batch) {
                        0 => return Ok(done),
                        size => done += plain.enqueue_once(&mut connection, size).await?,
                    }
                }
            }
        });
        Ok(done.await?.into_iter().sum())
    }

    /// The leased ids of each connection.
    pub async fn lease(
        &self,
        connections: usize,
        batch: usize,
        tasks: u64,
        time: Duration,
    ) -> Result<Vec<Vec<Vec<u8>>>> {
        let bounds = Bounds::new(tasks, time);
        self.on_each(connections, |plain, mut connection| {
            let bounds = bounds.clone();
            async move {
                let mut leased = Vec::new();
                loop {
                    let size = bounds.take(batch);
                    let ids = if size == 0 {
                        Vec::new()
                    } else {
                        plain.lease_once(&mut connection, size).await?
                    };
                    if ids.is_empty() {
                        return Ok(leased);
                    }
                    leased.extend(ids);
                }
            }
        })
        .await
    }

    pub async fn ack(&self, batch: usize, leased: Vec<Vec<Vec<u8>>>) -> Result<u64> {
        let connections = leased.len();
        let mut leased = leased.into_iter();
        let done = self.on_each(connections, |plain, mut connection| {
            let ids = leased.next().unwrap_or_default();
            async move {
                let mut done = 0;
                for some in ids.chunks(batch) {
                    done += plain.ack_once(&mut connection, some).await?;
                }
                Ok(done)
            }
        });
        Ok(done.await?.into_iter().sum())
    }

    /// Runs full cycles of enqueue, lease and ack.
    pub async fn cycle(&self, connections: usize, batch: usize, tasks: u64, time: Duration) -> Result<u64> {
        let bounds = Bounds::new(tasks, time);
        let done = self.on_each(connections, |plain, mut connection| {
            let bounds = bounds.clone();
            async move {
                let mut done = 0;
                loop {
                    let size = bounds.take(batch);
                    if size == 0 {
                        return Ok(done);
                    }
                    plain.enqueue_once(&mut connection, size).await?;
                    let ids = plain.lease_once(&mut connection, size).await?;
                    done += plain.ack_once(&mut connection, &ids).await?;
                }
            }
        });
        Ok(done.await?.into_iter().sum())
    }

    /// Runs `work` on new connections at the same time, all in this thread.
    async fn on_each<T: 'static, F: Future<Output = Result<T>> + 'static>(
        &self,
        connections: usize,
        mut work: impl FnMut(Self, Connection) -> F,
    ) -> Result<Vec<T>> {
        let mut running = JoinSet::new();
        for _ in 0..connections {
            let connection = Connection::open(&self.0.shape.socket).await?;
            running.spawn_local(work(self.clone(), connection));
        }
        let mut results = Vec::new();
        while let Some(result) = running.join_next().await {
            results.push(result.map_err(Error::other)??);
        }
        Ok(results)
    }

    async fn enqueue_once(&self, connection: &mut Connection, size: usize) -> Result<u64> {
        let inner = &*self.0;
        let first = inner.next_id.get();
        inner.next_id.set(first + size as u64);
        let ids: Vec<String> = (first..first + size as u64)
            .map(|n| format!("{n:0ID_BYTES$}"))
            .collect();
        let mut words: Vec<&[u8]> = vec![
            b"EVALSHA",
            &inner.shape.scripts.enqueue,
            b"3",
            &inner.ready,
            &inner.payloads,
            &inner.counters,
        ];
        for id in &ids {
            words.extend([id.as_bytes(), &inner.shape.payload]);
        }
        count(connection.command(&words).await?)
    }

    async fn lease_once(&self, connection: &mut Connection, size: usize) -> Result<Vec<Vec<u8>>> {
        let inner = &*self.0;
        let size = size.to_string();
        let words: [&[u8]; 9] = [
            b"EVALSHA",
            &inner.shape.scripts.lease,
            b"4",
            &inner.ready,
            &inner.payloads,
            &inner.leased,
            &inner.counters,
            size.as_bytes(),
            LEASES_END_MS,
        ];
        let mut lists = connection.command(&words).await?.into_list().into_iter();
        let ids = lists.next().map(Reply::into_list).unwrap_or_default();
        Ok(ids
            .into_iter()
            .filter_map(|id| id.bytes().map(<[u8]>::to_vec))
            .collect())
    }

    async fn ack_once(&self, connection: &mut Connection, ids: &[Vec<u8>]) -> Result<u64> {
        if ids.is_empty() {
            return Ok(0);
        }
        let inner = &*self.0;
        let mut words: Vec<&[u8]> = vec![
            b"EVALSHA",
            &inner.shape.scripts.ack,
            b"3",
            &inner.payloads,
            &inner.leased,
            &inner.counters,
        ];
        words.extend(ids.iter().map(Vec::as_slice));
        count(connection.command(&words).await?)
    }
}

fn count(reply: Reply) -> Result<u64> {
    match reply {
        Reply::Integer(number) => u64::try_from(number).map_err(Error::other),
        other => Err(Error::other(format!("a count was expected, not {other:?}"))),
    }
}
