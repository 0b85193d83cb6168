//! A client that shows bytes: one connection for each request, so that a test can leave whenever it likes.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread::JoinHandle;

use serde_json::Value;

use crate::process::running::{PATIENCE, until};
use crate::process::service::Service;

#[derive(Clone)]
pub(crate) struct Api {
    /// `127.0.0.1:PORT`
    address: String,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Api {
    pub(crate) fn of(service: &Service) -> Self {
        Self::at(&service.url)
    }

    pub(crate) fn at(url: &str) -> Self {
        let address = url.strip_prefix("http://").unwrap().to_owned();
        Self { address }
    }

    /// Sends a request and does not wait for the answer. `headers` are whole lines with their ends.
    pub(crate) fn open(&self, method: &str, path: &str, headers: &str, body: &str) -> TcpStream {
        self.try_open(method, path, headers, body).unwrap()
    }

    pub(crate) fn try_open(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(PATIENCE * 2))?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(request.as_bytes())?;
        Ok(stream)
    }

    pub(crate) fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        Answer::read(self.open(method, path, headers, body))
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "", "")
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        self.send("POST", path, "", body)
    }

    /// `None` when the service is gone, or goes before the answer is whole.
    pub(crate) fn try_post(&self, path: &str, body: &str) -> Option<Answer> {
        Answer::try_read(self.try_open("POST", path, "", body).ok()?)
    }

    pub(crate) fn send_as(&self, content_type: &str, path: &str, body: &str) -> Answer {
        self.send("POST", path, &format!("content-type: {content_type}\r\n"), body)
    }

    /// Enqueues to `q`; the task's id.
    pub(crate) fn enqueue(&self, body: &str) -> String {
        let answer = self.post("/v1/queues/q/tasks", body).expect(201);
        answer["id"].as_str().unwrap().to_owned()
    }

    /// The tasks that a lease of `q` gives.
    pub(crate) fn lease(&self, body: &str) -> Vec<Value> {
        tasks(&self.post("/v1/queues/q/lease", body).expect(200))
    }

    /// The one task of `q` that is there, or comes soon.
    pub(crate) fn lease_one(&self) -> Value {
        let mut tasks = self.lease("{}");
        assert_eq!(tasks.len(), 1, "{tasks:?}");
        tasks.remove(0)
    }

    pub(crate) fn settle(&self, task: &Value, verb: &str, body: &str) -> Answer {
        let lease_id = task["lease_id"].as_str().unwrap();
        self.post(&format!("/v1/leases/{lease_id}/{verb}"), body)
    }

    pub(crate) fn task(&self, id: &str) -> Value {
        self.get(&format!("/v1/queues/q/tasks/{id}")).expect(200)
    }

    /// Begins a lease call on another thread and returns when it waits, as the `nth` that does.
    pub(crate) fn waiting(&self, path: &str, body: &'static str, nth: usize) -> JoinHandle<Answer> {
        let stream = self.open("POST", path, "", body);
        self.wait_for_waiters(nth);
        std::thread::spawn(move || Answer::read(stream))
    }

    pub(crate) fn wait_for_waiters(&self, count: usize) {
        let line = format!("leaseq_lease_waiters {count}");
        until(&line, || {
            let metrics = self.get("/metrics").body;
            metrics.lines().any(|found| found == line).then_some(())
        });
    }
}

impl Answer {
    pub(crate) fn read(stream: TcpStream) -> Self {
        Self::try_read(stream).expect("a whole answer")
    }

    /// `None` when the connection ends before the answer does.
    pub(crate) fn try_read(mut stream: TcpStream) -> Option<Self> {
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let answer = Self {
            status: head.split(' ').nth(1)?.parse().ok()?,
            head: head.to_owned(),
            body: body.to_owned(),
        };
        let length: usize = answer.header("content-length")?.parse().ok()?;
        (answer.body.len() == length).then_some(answer)
    }

    /// Its JSON, if it has this status.
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }

    /// Asserts a problem of this code; its JSON.
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        let problem = self.expect(status);
        assert_eq!(problem["code"], code, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        problem
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| *found == name).map(|(_, value)| value)
    }
}

pub(crate) fn tasks(answer: &Value) -> Vec<Value> {
    answer["tasks"].as_array().unwrap().clone()
}

/// One field of many, as text.
pub(crate) fn each(items: &[Value], field: &str) -> Vec<String> {
    let text = |item: &Value| match &item[field] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    items.iter().map(text).collect()
}

/// A service of its own on its own data, and the directory to keep.
pub(crate) fn served() -> (Service, Api, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::on(dir.path());
    let api = Api::of(&service);
    (service, api, dir)
}
