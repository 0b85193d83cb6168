//! A client that writes down what it asked and what it was told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::answers::{Leased, Page, Said, accepted, done, items, outcome};
use super::history::{
    Enqueue, Final, Gate, Grant, History, Outcome, Repeat, Settle, Settled, Span, Turned, Until, Verb,
    payload,
};
use crate::http::api::{Answer, Api};

/// Where the tasks of the histories are.
pub(super) const QUEUES: [&str; 2] = ["q", "r"];

/// Where the replicas are at the moment.
pub(super) type Doors = Arc<Mutex<Vec<Api>>>;

/// Counts on like [`Instant`], and can be compared with what other processes wrote down.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    began: Instant,
    began_us: u64,
}

impl Clock {
    pub(super) fn start() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Self {
            began: Instant::now(),
            began_us: u64::try_from(since.as_micros()).unwrap(),
        }
    }

    pub(super) fn now_us(&self) -> u64 {
        self.began_us + u64::try_from(self.began.elapsed().as_micros()).unwrap()
    }
}

/// A task to be sent.
pub(super) struct Draft {
    /// The same for all of one request.
    pub(super) queue: &'static str,
    pub(super) tag: String,
    pub(super) name: &'static str,
    pub(super) group: Option<&'static str>,
    pub(super) priority: u16,
    pub(super) delay_seconds: f64,
    pub(super) max_attempts: u16,
}

impl Draft {
    fn lane(&self) -> String {
        format!("{}/{}/{:?}/{}", self.queue, self.name, self.group, self.priority)
    }

    /// The payload goes in as it is, byte for byte.
    fn json(&self) -> String {
        let mut fields =
            json!({"name": self.name, "priority": self.priority, "max_attempts": self.max_attempts});
        if let Some(group) = self.group {
            fields["group"] = group.into();
        }
        if self.delay_seconds > 0.0 {
            fields["delay_seconds"] = self.delay_seconds.into();
        }
        let fields = fields.to_string();
        format!(
            r#"{},"payload":{}}}"#,
            &fields[..fields.len() - 1],
            payload(&self.tag)
        )
    }
}

/// An operation to be sent.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) verb: Verb,
    pub(super) task: String,
    pub(super) lease_id: String,
    pub(super) fields: Value,
}

impl Plan {
    fn with_op(&self) -> Value {
        let mut op = self.fields.clone();
        op["op"] = self.verb.word().into();
        op["lease_id"] = self.lease_id.as_str().into();
        op
    }
}

pub(super) struct Phone {
    doors: Doors,
    clock: Clock,
    pub(super) rng: StdRng,
    /// How long it listens before it hangs up.
    pub(super) patience: Duration,
    /// The grants of each `request_id` that got a response.
    named: BTreeMap<String, Option<Vec<Grant>>>,
    /// The last lease call was answered, or its replica died: nobody gives its grants back any more.
    pub(super) may_repeat: bool,
    pub(super) history: History,
}

impl Phone {
    pub(super) fn new(doors: Doors, clock: Clock, rng: StdRng) -> Self {
        Self {
            doors,
            clock,
            rng,
            patience: Duration::from_secs(20),
            named: BTreeMap::new(),
            may_repeat: false,
            history: History::default(),
        }
    }

    /// One request to one replica.
    fn send(&mut self, method: &str, path: &str, body: &str) -> (Span, Said) {
        self.send_with("", method, path, body)
    }

    /// `headers` are whole lines with their ends.
    fn send_with(&mut self, headers: &str, method: &str, path: &str, body: &str) -> (Span, Said) {
        let api = {
            let doors = self.doors.lock().unwrap();
            let any = self.rng.random_range(0..doors.len());
            doors[any].clone()
        };
        let start = self.clock.now_us();
        let said = match api.try_open(method, path, headers, body) {
            Ok(stream) => {
                stream.set_read_timeout(Some(self.patience)).unwrap();
                match Answer::try_read(stream) {
                    Some(answer) => Said::Answer(answer.status, answer.body),
                    None => Said::Silence,
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => Said::Nobody,
            Err(_) => Said::Silence,
        };
        let end = self.clock.now_us();
        if let Said::Answer(status @ (500 | 400..=403 | 405..=408 | 410..), body) = &said
            && ![503, 504].contains(status)
        {
            self.history
                .absurd
                .push(format!("{method} {path} was answered {status}: {body}"));
        }
        (Span { start, end }, said)
    }

    /// Any request whose answer, when there is a good one, is JSON.
    pub(super) fn ask(&mut self, method: &str, path: &str, body: &str) -> Option<Value> {
        match self.send(method, path, body).1 {
            Said::Answer(200..=299, body) => Some(serde_json::from_str(&body).unwrap()),
            _ => None,
        }
    }

    pub(super) fn enqueue(&mut self, drafts: &[Draft]) {
        let tasks: Vec<String> = drafts.iter().map(Draft::json).collect();
        let path = format!("/v1/queues/{}/tasks", drafts[0].queue);
        let (span, outcomes) = if let [task] = &tasks[..] {
            let (span, said) = self.send("POST", &path, task);
            (span, vec![outcome(&said).map(|answer| accepted(&answer))])
        } else {
            let path = format!("{path}/batch");
            let (span, said) = if self.rng.random() {
                const LINES: &str = "content-type: application/x-ndjson\r\n";
                self.send_with(LINES, "POST", &path, &tasks.join("\n"))
            } else {
                self.send("POST", &path, &format!(r#"{{"tasks":[{}]}}"#, tasks.join(",")))
            };
            (span, items(&outcome(&said), drafts.len(), "results", accepted))
        };
        for (place, (draft, outcome)) in drafts.iter().zip(outcomes).enumerate() {
            self.history.enqueues.push(Enqueue {
                span,
                place,
                tag: draft.tag.clone(),
                lane: draft.lane(),
                group: format!("{}/{:?}", draft.queue, draft.group),
                name: draft.name.to_owned(),
                priority: draft.priority,
                outcome,
            });
        }
    }

    /// Leases of one queue or of those in the body, performing operations on the way; the grants that are
    /// news.
    pub(super) fn lease(&mut self, queue: Option<&str>, mut body: Value, settle: &[Plan]) -> Vec<Grant> {
        if !settle.is_empty() {
            body["settle"] = settle.iter().map(Plan::with_op).collect();
        }
        let path = queue.map_or("/v1/lease".to_owned(), |queue| {
            format!("/v1/queues/{queue}/lease")
        });
        let name = body["request_id"].as_str().map(str::to_owned);
        let by_name = body["names"].is_array();
        let asked_before = name.as_ref().is_some_and(|name| self.named.contains_key(name));
        if let Some(name) = &name {
            self.named.entry(name.clone()).or_default();
        }
        let (span, said) = self.send("POST", &path, &body.to_string());
        self.may_repeat = match said {
            Said::Answer(status, _) => status == 200,
            Said::Silence => span.end - span.start < u64::try_from(self.patience.as_micros()).unwrap(),
            Said::Nobody => false,
        };
        let settled = match &said {
            // The lease failed; what was settled before stands in the problem.
            Said::Answer(_, body) => match serde_json::from_str::<Value>(body) {
                Ok(answer) if answer["settled"].is_array() => Outcome::Done(answer),
                _ => outcome(&said),
            },
            _ => outcome(&said),
        };
        let outcomes = items(&settled, settle.len(), "settled", done);
        self.note(span, settle, outcomes);
        let Said::Answer(200, body) = &said else {
            return Vec::new();
        };
        let answer: Leased<'_> = serde_json::from_str(body).unwrap();
        let grants: Vec<Grant> = answer
            .tasks
            .iter()
            .enumerate()
            .map(|(place, task)| task.grant(span, place, by_name, asked_before))
            .collect();
        let news = match name {
            Some(name) => self.named_answer(&name, span, grants),
            None => grants,
        };
        self.history.grants.extend(news.iter().cloned());
        news
    }

    /// Notes what a named call was told; what of it is news.
    fn named_answer(&mut self, name: &str, span: Span, grants: Vec<Grant>) -> Vec<Grant> {
        let known = self.named.get_mut(name).unwrap();
        let Some(first) = known else {
            *known = Some(grants.clone());
            return grants;
        };
        self.history.repeats.push(Repeat {
            span,
            first: first.clone(),
            again: grants.clone(),
        });
        let is_news = |grant: &Grant| first.iter().all(|known| known.lease_id != grant.lease_id);
        let news: Vec<Grant> = grants.into_iter().filter(is_news).collect();
        first.extend(news.iter().cloned());
        news
    }

    /// Performs one operation by its own route, or many in one request.
    pub(super) fn settle(&mut self, plans: &[Plan]) {
        let (span, outcomes) = if let [plan] = plans {
            let path = format!("/v1/leases/{}/{}", plan.lease_id, plan.verb.word());
            let (span, said) = self.send("POST", &path, &plan.fields.to_string());
            (span, vec![outcome(&said).map(|answer| done(&answer))])
        } else {
            let body = json!({"operations": plans.iter().map(Plan::with_op).collect::<Vec<_>>()});
            let (span, said) = self.send("POST", "/v1/leases/batch", &body.to_string());
            (span, items(&outcome(&said), plans.len(), "results", done))
        };
        self.note(span, plans, outcomes);
    }

    fn note(&mut self, span: Span, plans: &[Plan], outcomes: Vec<Outcome<Settled>>) {
        for (plan, outcome) in plans.iter().zip(outcomes) {
            self.history.settles.push(Settle {
                span,
                verb: plan.verb,
                task: plan.task.clone(),
                lease_id: plan.lease_id.clone(),
                outcome,
            });
        }
    }

    /// Shuts or opens a gate of `q`; `read` says until when it is shut by the answer.
    pub(super) fn turn(
        &mut self,
        gate: Gate,
        method: &str,
        path: &str,
        body: &str,
        read: impl FnOnce(&Value) -> Until,
    ) -> bool {
        let (span, said) = self.send(method, path, body);
        let outcome = outcome(&said).map(|answer| read(&answer));
        let is_done = outcome.done().is_some();
        self.history.turned.push(Turned {
            span,
            queue: "q",
            gate,
            outcome,
            only_longer: false,
        });
        is_done
    }

    /// All tasks of a state, page by page.
    pub(super) fn list(&mut self, state: &str) {
        for queue in QUEUES {
            self.list_of(queue, state);
        }
    }

    fn list_of(&mut self, queue: &str, state: &str) {
        let mut cursor = String::new();
        loop {
            let path = format!("/v1/queues/{queue}/tasks?state={state}&limit=500{cursor}");
            let (_, said) = self.send("GET", &path, "");
            let Said::Answer(200, body) = &said else {
                panic!("tasks cannot be listed");
            };
            let page: Page<'_> = serde_json::from_str(body).unwrap();
            for task in page.items {
                let left = Final {
                    state: task.state.to_owned(),
                    payload: task.payload.get().to_owned(),
                    attempt: task.attempt,
                    max_attempts: task.max_attempts,
                    reason: task.reason.unwrap_or_default().to_owned(),
                };
                self.history
                    .finals
                    .entry(task.id.to_owned())
                    .or_default()
                    .push(left);
            }
            match page.next_cursor {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return,
            }
        }
    }
}
