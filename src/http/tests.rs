//! The room as a whole, without an engine behind it: everything that is answered before the store is asked. A
//! request that would reach the engine gets `not_ready`, which here means: it was understood.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use super::problem::{Code, Retry};
use super::{Api, OriginRule, router};
use crate::metrics::Metrics;

mod bodies;
mod document;
mod edge;
mod pack;
mod routes;

/// Compares a generated file with what it should be; `UPDATE=1` writes it.
pub(super) fn compare_with_file(path: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{} is out of date: run the tests with UPDATE=1 and look at the change",
        path.display()
    );
}

fn api() -> Api {
    Api::new(Arc::new(Metrics::default()), OriginRule::Loopback)
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    /// The code of a problem; that it is a whole and honest problem document is checked on the way.
    fn code(&self) -> Code {
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem = self.json();
        let code = Code::parse(problem["code"].as_str().unwrap()).unwrap();
        assert_eq!(code.status(), self.status);
        assert_eq!(problem["status"], self.status.as_u16());
        assert_eq!(problem["type"], format!("/docs/errors/{}", code.word()));
        assert_eq!(problem["title"], code.row().title);
        assert_eq!(
            problem["instance"],
            self.headers["x-request-id"].to_str().unwrap()
        );
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        if let Retry::AfterSeconds(seconds) = code.row().retry {
            assert_eq!(self.headers["retry-after"], seconds.to_string());
            assert_eq!(problem["retry_after_seconds"], seconds);
        }
        code
    }

    fn pointers(&self) -> Vec<String> {
        let problem = self.json();
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        errors
            .iter()
            .map(|error| error["pointer"].as_str().unwrap().to_owned())
            .collect()
    }
}

async fn answer_of(router: Router, request: Request<Body>) -> Answer {
    let response = router.oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    Answer {
        status: head.status,
        headers: head.headers,
        body: body.collect().await.unwrap().to_bytes().into(),
    }
}

/// A request, and the check that the document knows its answer.
async fn send(request: Request<Body>) -> Answer {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let answer = answer_of(router(api()), request).await;
    assert!(answer.headers.contains_key("x-request-id"));
    if let Some(operation) = documented(&method, &path) {
        let status = answer.status.as_str();
        let response = &operation["responses"][status];
        assert!(
            response.is_object(),
            "{method} {path} answers {status}, which is not in the document"
        );
        if answer.status.as_u16() >= 400 {
            let code = answer.code().word();
            let examples = &response["content"]["application/problem+json"]["examples"];
            assert!(
                examples[code].is_object(),
                "{method} {path} answers {code}, which is not in the document"
            );
        }
    }
    answer
}

/// The operation in the OpenAPI document.
fn documented(method: &Method, path: &str) -> Option<Value> {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::to_value(super::openapi()).unwrap());
    let is = |template: &str| {
        let (template, path) = (template.split('/'), path.split('/'));
        template.clone().count() == path.clone().count()
            && template
                .zip(path)
                .all(|(part, given)| part == given || part.starts_with('{') && !given.is_empty())
    };
    let paths = DOCUMENT["paths"].as_object().unwrap();
    // A literal segment wins over a variable one, as in the router.
    let found = paths
        .iter()
        .filter(|(template, _)| is(template))
        .min_by_key(|(template, _)| template.matches('{').count());
    found?.1.get(method.as_str().to_lowercase()).cloned()
}

fn request(method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost:8080")
        .body(body.into())
        .unwrap()
}

async fn post(path: &str, body: impl Into<Body>) -> Answer {
    send(request("POST", path, body)).await
}

async fn read(path: &str) -> Answer {
    send(request("GET", path, "")).await
}
