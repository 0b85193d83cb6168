//! The OpenAPI document and the pages that the binary carries.

use serde_json::Value;

use super::{compare_with_file, read};
use crate::http::problem::Code;

#[test]
fn the_committed_openapi_document_is_the_routers() {
    compare_with_file("openapi/openapi.json", &crate::http::openapi_text());
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    fn visit(value: &Value, document: &Value) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(reference)) = map.get("$ref") {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
                }
                map.values().for_each(|value| visit(value, document));
            }
            Value::Array(items) => items.iter().for_each(|value| visit(value, document)),
            _ => {}
        }
    }
    let document = serde_json::to_value(crate::http::openapi()).unwrap();
    visit(&document, &document);
}

#[test]
fn every_operation_has_an_id_a_tag_and_its_problems() {
    let document = serde_json::to_value(crate::http::openapi()).unwrap();
    let mut ids = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(
                operation["tags"][0].is_string() && operation["summary"].is_string(),
                "{method} {path}"
            );
            assert!(operation["responses"]["500"].is_object(), "{method} {path}");
            ids.push(operation["operationId"].as_str().unwrap().to_owned());
        }
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), count), (21, 21));
}

#[tokio::test]
async fn documentation_is_served_by_the_binary() {
    let document = read("/openapi.json").await.json();
    assert_eq!(document["info"]["title"], "LeaseQ");
    let page = read("/docs/errors/lease_lost").await;
    assert!(
        String::from_utf8(page.body)
            .unwrap()
            .contains("The lease is no longer held")
    );
    assert!(
        String::from_utf8(read("/docs/errors").await.body)
            .unwrap()
            .contains("/docs/errors/store_full")
    );
    assert_eq!(read("/docs/errors/nothing").await.code(), Code::NotFound);
}

#[cfg(feature = "docs-ui")]
#[tokio::test]
async fn the_browser_of_the_api_needs_no_network() {
    assert!(read("/docs").await.status.is_redirection());
    let page = read("/docs/").await;
    assert_eq!(page.status, http::StatusCode::OK);
    let start = read("/docs/swagger-initializer.js").await;
    assert_eq!(start.status, http::StatusCode::OK);
    for text in [page.body, start.body] {
        assert!(
            !String::from_utf8_lossy(&text).contains("https://"),
            "loads something from elsewhere"
        );
    }
}
