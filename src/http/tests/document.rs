//! The OpenAPI document and the pages that the binary carries.

use serde_json::Value;

use super::{compare_with_file, read, request, send};
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
    assert_eq!((ids.len(), count), (52, 52));
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
    assert!(
        String::from_utf8(start.body)
            .unwrap()
            .contains("\"../openapi.json\"")
    );
}

#[tokio::test]
async fn every_example_of_a_request_is_understood() {
    let document = serde_json::to_value(crate::http::openapi()).unwrap();
    let mut examples = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Some(contents) = operation["requestBody"]["content"].as_object() else {
                continue;
            };
            for (kind, content) in contents
                .iter()
                .filter(|(_, content)| content.get("example").is_some())
            {
                let body = match &content["example"] {
                    Value::String(lines) => lines.clone(),
                    other => other.to_string(),
                };
                let path = path
                    .replace("{queue}", "emails")
                    .replace("{id}", &"0".repeat(23))
                    .replace(['{', '}'], "");
                let mut request = request(&method.to_uppercase(), &path, body);
                request
                    .headers_mut()
                    .insert("content-type", kind.parse().unwrap());
                assert_eq!(
                    send(request).await.code(),
                    Code::NotReady,
                    "{method} {path} {kind}"
                );
                examples += 1;
            }
        }
    }
    assert_eq!(examples, 24);
}

#[test]
fn every_sample_of_an_answer_has_its_place_in_the_document() {
    let document = serde_json::to_value(crate::http::openapi()).unwrap();
    let operations = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|item| item.as_object().unwrap().values());
    for (operation_id, status, sample) in crate::http::samples::answers() {
        let operation = operations
            .clone()
            .find(|operation| operation["operationId"] == operation_id)
            .unwrap();
        assert_eq!(
            operation["responses"][status]["content"]["application/json"]["example"], sample,
            "{operation_id}"
        );
    }
}
