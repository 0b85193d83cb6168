//! The requests, written as bytes.

use super::payload::{PayloadSize, push_payload};
use std::io::Write;

/// The parts that all requests of a run share.
#[derive(Debug)]
pub(super) struct Recipe {
    /// The `Host` header.
    pub(super) host: String,
    pub(super) api_key: Option<String>,
    pub(super) payload: PayloadSize,
    /// The numbers of task names and groups, used in turn. With 0 groups, tasks have none.
    pub(super) names: u64,
    pub(super) groups: u64,
    pub(super) delay_seconds: Option<f64>,
    pub(super) lease_seconds: Option<f64>,
}

/// The bytes of a request. The buffers are reused.
#[derive(Debug, Default)]
pub(super) struct Request {
    bytes: Vec<u8>,
    body: Vec<u8>,
}

impl Request {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Writes an enqueue of the tasks `first..first + count`. A single task uses the route for one task,
    /// several the batch route.
    pub(super) fn enqueue(&mut self, recipe: &Recipe, queue: &str, first: u64, count: u64, sent_ns: u64) {
        self.body.clear();
        if count == 1 {
            recipe.push_task(&mut self.body, first, sent_ns);
        } else {
            self.body.extend_from_slice(br#"{"tasks":["#);
            for number in first..first + count {
                recipe.push_task(&mut self.body, number, sent_ns);
                self.body.push(b',');
            }
            self.close_list();
            self.body.push(b'}');
        }
        let batch = if count == 1 { "" } else { "/batch" };
        self.frame(recipe, "POST", format_args!("/v1/queues/{queue}/tasks{batch}"));
    }

    pub(super) fn lease(
        &mut self,
        recipe: &Recipe,
        queue: &str,
        max_tasks: u64,
        wait_seconds: u64,
        ack: &[String],
    ) {
        self.body.clear();
        append(
            &mut self.body,
            format_args!(r#"{{"max_tasks":{max_tasks},"wait_seconds":{wait_seconds}"#),
        );
        if let Some(seconds) = recipe.lease_seconds {
            append(&mut self.body, format_args!(r#","lease_seconds":{seconds}"#));
        }
        if !ack.is_empty() {
            self.body.extend_from_slice(br#","settle":["#);
            self.push_acks(ack);
        }
        self.body.push(b'}');
        self.frame(recipe, "POST", format_args!("/v1/queues/{queue}/lease"));
    }

    /// Writes acks. A single lease uses its own route, several the batch route.
    pub(super) fn ack(&mut self, recipe: &Recipe, lease_ids: &[String]) {
        self.body.clear();
        if let [lease_id] = lease_ids {
            self.body.extend_from_slice(b"{}");
            return self.frame(recipe, "POST", format_args!("/v1/leases/{lease_id}/ack"));
        }
        self.body.extend_from_slice(br#"{"operations":["#);
        self.push_acks(lease_ids);
        self.body.push(b'}');
        self.frame(recipe, "POST", format_args!("/v1/leases/batch"));
    }

    pub(super) fn delete_queue(&mut self, recipe: &Recipe, queue: &str) {
        self.body.clear();
        self.frame(
            recipe,
            "DELETE",
            format_args!("/v1/queues/{queue}?confirm={queue}"),
        );
    }

    fn push_acks(&mut self, lease_ids: &[String]) {
        for lease_id in lease_ids {
            append(
                &mut self.body,
                format_args!(r#"{{"op":"ack","lease_id":"{lease_id}"}},"#),
            );
        }
        self.close_list();
    }

    /// Closes a JSON list in which a comma follows each item.
    fn close_list(&mut self) {
        if self.body.last() == Some(&b',') {
            self.body.pop();
        }
        self.body.push(b']');
    }

    fn frame(&mut self, recipe: &Recipe, method: &str, path: std::fmt::Arguments<'_>) {
        self.bytes.clear();
        append(
            &mut self.bytes,
            format_args!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", recipe.host),
        );
        if let Some(key) = &recipe.api_key {
            append(&mut self.bytes, format_args!("authorization: Bearer {key}\r\n"));
        }
        let length = self.body.len();
        append(
            &mut self.bytes,
            format_args!("content-type: application/json\r\ncontent-length: {length}\r\n\r\n"),
        );
        self.bytes.extend_from_slice(&self.body);
    }
}

impl Recipe {
    fn push_task(&self, out: &mut Vec<u8>, number: u64, sent_ns: u64) {
        match self.names {
            0 | 1 => out.extend_from_slice(br#"{"name":"bench""#),
            names => append(out, format_args!(r#"{{"name":"bench-{}""#, number % names)),
        }
        if self.groups > 0 {
            let group = number / self.names.max(1) % self.groups;
            append(out, format_args!(r#","group":"group-{group}""#));
        }
        if let Some(seconds) = self.delay_seconds {
            append(out, format_args!(r#","delay_seconds":{seconds}"#));
        }
        out.extend_from_slice(br#","payload":"#);
        push_payload(out, self.payload.of(number), sent_ns);
        out.push(b'}');
    }
}

fn append(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to memory cannot fail");
}

#[cfg(test)]
mod tests {
    use super::{Recipe, Request};
    use serde_json::{Value, json};

    fn recipe() -> Recipe {
        Recipe {
            host: "127.0.0.1:1".to_owned(),
            api_key: None,
            payload: "60".parse().unwrap(),
            names: 1,
            groups: 0,
            delay_seconds: None,
            lease_seconds: None,
        }
    }

    /// Returns the request line and the body as JSON, after a check of its length.
    fn read(request: &Request) -> (String, Value) {
        let text = std::str::from_utf8(request.bytes()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("content-length: {}", body.len())),
            "{head}"
        );
        (
            head.lines().next().unwrap().to_owned(),
            serde_json::from_str(body).unwrap(),
        )
    }

    #[test]
    fn one_task_is_enqueued_alone_and_several_as_a_batch() {
        let mut request = Request::default();
        request.enqueue(&recipe(), "q", 0, 1, 7);
        let (line, body) = read(&request);
        assert_eq!(line, "POST /v1/queues/q/tasks HTTP/1.1");
        assert_eq!(body["name"], "bench");

        request.enqueue(
            &Recipe {
                names: 2,
                groups: 3,
                delay_seconds: Some(0.5),
                ..recipe()
            },
            "q",
            0,
            5,
            7,
        );
        let (line, body) = read(&request);
        assert_eq!(line, "POST /v1/queues/q/tasks/batch HTTP/1.1");
        let lanes: Vec<_> = body["tasks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| (&t["name"], &t["group"]))
            .collect();
        assert_eq!(json!(lanes[4]), json!(["bench-0", "group-2"]));
        assert_eq!(body["tasks"][0]["delay_seconds"], 0.5);
    }

    #[test]
    fn acks_are_sent_alone_in_a_batch_or_with_a_lease() {
        let (mut request, two) = (Request::default(), ["a".to_owned(), "b".to_owned()]);
        request.ack(&recipe(), &two[..1]);
        assert_eq!(
            read(&request),
            ("POST /v1/leases/a/ack HTTP/1.1".to_owned(), json!({}))
        );
        let operations = json!([{"op": "ack", "lease_id": "a"}, {"op": "ack", "lease_id": "b"}]);
        request.ack(&recipe(), &two);
        assert_eq!(
            read(&request),
            (
                "POST /v1/leases/batch HTTP/1.1".to_owned(),
                json!({"operations": operations})
            )
        );
        request.lease(
            &Recipe {
                lease_seconds: Some(9.0),
                ..recipe()
            },
            "q",
            10,
            0,
            &two,
        );
        let body = json!({"max_tasks": 10, "wait_seconds": 0, "lease_seconds": 9, "settle": operations});
        let (line, lease) = read(&request);
        assert_eq!(line, "POST /v1/queues/q/lease HTTP/1.1");
        assert_eq!(lease["settle"], body["settle"]);
        assert_eq!(
            (&lease["max_tasks"], &lease["lease_seconds"]),
            (&json!(10), &json!(9))
        );
    }
}
