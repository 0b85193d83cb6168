//! Tests of the layers that every request passes.

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use tower::ServiceExt;

use super::{answer_of, api, read, request, send};
use crate::http::problem::Code;
use crate::http::{Api, router};

#[tokio::test]
async fn a_web_page_of_another_origin_is_refused_everywhere() {
    for path in ["/v1/queues", "/livez", "/docs/", "/nothing"] {
        let mut request = request("GET", path, "");
        request
            .headers_mut()
            .insert("origin", "https://evil.example".parse().unwrap());
        assert_eq!(send(request).await.code(), Code::OriginRefused, "{path}");
    }
    let mut rebound = request("POST", "/v1/queues/q/tasks", "{}");
    rebound
        .headers_mut()
        .insert("host", "evil.example".parse().unwrap());
    assert_eq!(send(rebound).await.code(), Code::OriginRefused);
}

#[tokio::test]
async fn a_request_id_is_echoed_or_made() {
    let mut named = request("GET", "/nothing", "");
    named
        .headers_mut()
        .insert("x-request-id", "job-7".parse().unwrap());
    let answer = send(named).await;
    assert_eq!(
        (answer.code(), &answer.headers["x-request-id"]),
        (Code::NotFound, &"job-7".parse().unwrap())
    );
    assert_eq!(read("/livez").await.headers["x-request-id"].len(), 24);
}

/// A router with handlers that misbehave, behind the real edge.
fn misbehaving(api: &Api) -> Router {
    Router::new()
        .route(
            "/panic",
            get(|| async { panic!("redis://10.0.0.7 is on fire") as () }),
        )
        .route("/text", get(|| async { (StatusCode::IM_A_TEAPOT, "plain text") }))
        .route("/stuck", get(std::future::pending::<()>))
        .layer(axum::middleware::from_fn_with_state(
            api.clone(),
            crate::http::edge::edge,
        ))
}

#[tokio::test]
async fn a_panic_ends_one_request_and_says_nothing_of_the_inside() {
    let answer = answer_of(misbehaving(&api()), request("GET", "/panic", "")).await;
    assert_eq!(answer.code(), Code::Internal);
    assert!(!String::from_utf8(answer.body).unwrap().contains("10.0.0.7"));
}

#[tokio::test]
async fn an_error_that_is_no_problem_becomes_one() {
    let answer = answer_of(misbehaving(&api()), request("GET", "/text", "")).await;
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(answer.json()["code"], "validation_failed");
}

#[tokio::test]
async fn a_caller_who_leaves_is_counted_as_gone() {
    let api = api();
    let call = misbehaving(&api).oneshot(request("GET", "/stuck", ""));
    assert!(
        tokio::time::timeout(std::time::Duration::from_millis(10), call)
            .await
            .is_err()
    );
    let text = api.metrics().text();
    assert!(
        text.contains(r#"leaseq_http_requests_total{method="GET",route="/stuck",status="gone"} 1"#),
        "{text}"
    );
    assert!(text.contains("leaseq_http_requests_in_flight 0"));
}

#[tokio::test]
async fn requests_are_counted_by_template_and_problems_by_code() {
    let api = api();
    for path in ["/v1/leases/one/ack", "/v1/leases/two/ack", "/nothing/three"] {
        answer_of(router(api.clone()), request("POST", path, "{}")).await;
    }
    let text = api.metrics().text();
    assert!(
        text.contains(r#"requests_total{method="POST",route="/v1/leases/{lease_id}/ack",status="5xx"} 2"#)
    );
    assert!(text.contains(r#"requests_total{method="POST",route="unmatched",status="4xx"} 1"#));
    assert!(text.contains(r#"leaseq_http_problems_total{code="not_ready"} 2"#));
    assert!(!text.contains("one") || !text.contains("three"));
}
