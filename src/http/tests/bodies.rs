//! Bodies that are refused before anybody understands them.

use super::pack::{gzip, gzip_spaces, zstd, zstd_spaces};
use super::{Answer, post, request, send};
use crate::domain::limits::BODY_BYTES_MAX;
use crate::http::problem::Code;

#[tokio::test]
async fn a_body_that_is_not_json_is_malformed() {
    for (body, detail) in [
        ("{\"payload\":", "line 1 column 11"),
        ("{'a':1}", "line 1 column 2"),
        ("{} x", "line 1 column 4"),
    ] {
        let answer = post("/v1/queues/q/tasks", body).await;
        assert_eq!(answer.code(), Code::MalformedJson);
        assert!(
            answer.json()["detail"].as_str().unwrap().contains(detail),
            "{}",
            answer.json()
        );
    }
    assert_eq!(
        post("/v1/queues/q/tasks", &b"{\"payload\":\"\xff\"}"[..])
            .await
            .code(),
        Code::MalformedJson
    );
    let deep = format!("{{\"payload\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(post("/v1/queues/q/tasks", deep).await.code(), Code::MalformedJson);
}

#[tokio::test]
async fn a_body_over_the_limit_is_too_large_before_and_after_decompression() {
    let long = vec![b' '; BODY_BYTES_MAX + 1];
    assert_eq!(
        post("/v1/queues/q/tasks", long.clone()).await.code(),
        Code::BodyTooLarge
    );
    assert_eq!(
        post("/v1/queues/q/tasks", vec![b' '; BODY_BYTES_MAX])
            .await
            .code(),
        Code::NotReady
    );

    for (encoding, packed) in [
        ("gzip", gzip_spaces(long.len())),
        ("zstd", zstd_spaces(long.len())),
    ] {
        assert!(packed.len() < 100_000);
        assert_eq!(
            packed_post(encoding, packed).await.code(),
            Code::BodyTooLarge,
            "{encoding}"
        );
    }
}

#[tokio::test]
async fn a_compressed_body_is_read_and_a_broken_one_is_not() {
    for (encoding, packed) in [("gzip", gzip(b"{\"nmae\":1}")), ("zstd", zstd(b"{\"nmae\":1}"))] {
        let broken = packed[..packed.len() - 6].to_vec();
        assert_eq!(
            packed_post(encoding, packed).await.pointers(),
            ["/nmae"],
            "{encoding}"
        );
        assert_eq!(
            packed_post(encoding, broken).await.code(),
            Code::MalformedBody,
            "{encoding}"
        );
    }
    let answer = packed_post("br", b"{}".to_vec()).await;
    assert_eq!(answer.code(), Code::UnsupportedEncoding);
    assert_eq!(answer.headers["accept-encoding"], "gzip, zstd");
}

async fn packed_post(encoding: &str, body: Vec<u8>) -> Answer {
    let mut request = request("POST", "/v1/queues/q/tasks", body);
    request
        .headers_mut()
        .insert("content-encoding", encoding.parse().unwrap());
    send(request).await
}

#[tokio::test]
async fn a_body_of_another_type_is_refused() {
    for (kind, cookie, code) in [
        ("text/plain", None, Code::UnsupportedMediaType),
        ("application/x-ndjson", None, Code::UnsupportedMediaType),
        (
            "application/x-www-form-urlencoded",
            Some("a=b"),
            Code::UnsupportedMediaType,
        ),
        ("application/x-www-form-urlencoded", None, Code::NotReady),
        ("application/json", Some("a=b"), Code::NotReady),
    ] {
        let mut request = request("POST", "/v1/queues/q/tasks", "{}");
        request
            .headers_mut()
            .insert("content-type", kind.parse().unwrap());
        if let Some(cookie) = cookie {
            request.headers_mut().insert("cookie", cookie.parse().unwrap());
        }
        assert_eq!(send(request).await.code(), code, "{kind}");
    }
    let mut lines = request("POST", "/v1/queues/q/tasks/batch", "{}\n{}\n");
    lines
        .headers_mut()
        .insert("content-type", "application/x-ndjson".parse().unwrap());
    assert_eq!(send(lines).await.code(), Code::NotReady);
}
