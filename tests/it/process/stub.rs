//! A service as a client sees it: it hands out prepared tasks and remembers what it was told.
//! It answers with the API's shapes and knows nothing else; what a task means is for the real one.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::running::PATIENCE;

/// A request as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) body: String,
    pub(crate) authorization: Option<String>,
    pub(crate) idempotency_key: Option<String>,
}

impl Seen {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

#[derive(Default)]
struct State {
    tasks: VecDeque<String>,
    /// Answers to give instead of the usual ones, by path.
    scripted: HashMap<String, VecDeque<(u16, String)>>,
    seen: Vec<Seen>,
}

#[derive(Clone)]
pub(crate) struct Stub {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
    news: watch::Sender<usize>,
}

impl Stub {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stub = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            state: Arc::default(),
            news: watch::Sender::new(0),
        };
        let serving = stub.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let stub = serving.clone();
                tokio::spawn(async move {
                    let service = hyper::service::service_fn(move |request| stub.clone().serve(request));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        stub
    }

    /// Puts a task in line. `lease_id` is `L-` and its name.
    pub(crate) fn task(&self, name: &str, payload: &str, lease_seconds: f64) {
        let task = format!(
            r#"{{"id":"id-{name}","queue":"q","name":"{name}","payload":{payload},"priority":10,"attempt":1,
            "max_attempts":5,"deferrals":0,"grant":1,"lease_id":"L-{name}","lease_seconds":{lease_seconds},
            "lease_expires_at":"2027-01-15T08:00:30.000Z","server_time":"2027-01-15T08:00:00.000Z",
            "enqueued_at":"2027-01-15T07:59:00.000Z","ready_at":"2027-01-15T07:59:00.000Z",
            "headers":{{"tenant":"acme"}}}}"#
        );
        self.state.lock().unwrap().tasks.push_back(task);
        self.news.send_modify(|n| *n += 1);
    }

    /// Answers the next request to `path` in this way.
    pub(crate) fn script(&self, path: &str, status: u16, body: &Value) {
        let mut state = self.state.lock().unwrap();
        let answers = state.scripted.entry(path.to_owned()).or_default();
        answers.push_back((status, body.to_string()));
    }

    pub(crate) fn seen(&self, path: &str) -> Vec<Seen> {
        let state = self.state.lock().unwrap();
        state
            .seen
            .iter()
            .filter(|seen| seen.path == path)
            .cloned()
            .collect()
    }

    /// All settles, as `operation lease_id`.
    pub(crate) fn settles(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let parts = |seen: &Seen| {
            let (lease, operation) = seen.path.strip_prefix("/v1/leases/")?.split_once('/')?;
            (operation != "extend").then(|| format!("{operation} {lease}"))
        };
        state.seen.iter().filter_map(parts).collect()
    }

    /// The `nth` request to `path`, from 1, when it has come.
    pub(crate) async fn wait_for(&self, path: &str, nth: usize) -> Seen {
        let mut news = self.news.subscribe();
        let found = async {
            loop {
                if let Some(seen) = self.seen(path).get(nth - 1) {
                    return seen.clone();
                }
                news.changed().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, found)
            .await
            .unwrap_or_else(|_| panic!("request {nth} to {path} never came"))
    }

    async fn serve(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let path = request.uri().path().to_owned();
        let header = |name: &str| {
            let value = request.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        let (authorization, idempotency_key) = (header("authorization"), header("idempotency-key"));
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let seen = Seen {
            path: path.clone(),
            body: String::from_utf8(body.to_vec()).unwrap(),
            authorization,
            idempotency_key,
        };
        let asked = serde_json::from_str(&seen.body).unwrap_or(Value::Null);
        let lines = seen.body.lines().count();
        let scripted = {
            let mut state = self.state.lock().unwrap();
            state.seen.push(seen);
            state.scripted.get_mut(&path).and_then(VecDeque::pop_front)
        };
        self.news.send_modify(|n| *n += 1);
        let (status, body) = match scripted {
            Some(answer) => answer,
            None => (200, self.usual(&path, &asked, lines).await),
        };
        let response = Response::builder().status(status).body(Full::new(body.into()));
        Ok(response.unwrap())
    }

    async fn usual(&self, path: &str, asked: &Value, lines: usize) -> String {
        if path.ends_with("/lease") {
            return self.lease(asked).await;
        }
        let answer = match path.rsplit('/').next().unwrap() {
            "ack" => json!({"id": "t", "state": "completed"}),
            "nack" => json!({"id": "t", "state": "scheduled", "attempt": 1, "attempts_left": 4}),
            "release" => json!({"id": "t", "state": "ready"}),
            "extend" => {
                json!({"id": "t", "lease_expires_at": "2027-01-15T08:01:00.000Z", "cancel_requested": false})
            }
            "tasks" => json!({"id": "t", "queue": "q", "state": "ready", "duplicate": false}),
            "batch" => {
                let results: Vec<Value> = (0..lines)
                    .map(|index| json!({"index": index, "id": "t"}))
                    .collect();
                json!({"accepted": lines, "duplicates": 0, "rejected": 0, "results": results})
            }
            _ => panic!("no such path: {path}"),
        };
        answer.to_string()
    }

    async fn lease(&self, asked: &Value) -> String {
        let most = usize::try_from(asked["max_tasks"].as_u64().unwrap()).unwrap();
        let wait = Duration::from_secs_f64(asked["wait_seconds"].as_f64().unwrap());
        let mut news = self.news.subscribe();
        let some = async {
            loop {
                let tasks = {
                    let mut state = self.state.lock().unwrap();
                    let count = most.min(state.tasks.len());
                    state.tasks.drain(..count).collect::<Vec<_>>()
                };
                if !tasks.is_empty() {
                    return format!(r#"{{"tasks":[{}]}}"#, tasks.join(","));
                }
                news.changed().await.unwrap();
            }
        };
        tokio::time::timeout(wait, some)
            .await
            .unwrap_or_else(|_| r#"{"tasks":[],"reason":"empty"}"#.into())
    }
}
