//! The OpenAPI document: the base that the routes complete, and what holds for all of them.

use std::collections::BTreeMap;

use utoipa::OpenApi as _;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{
    Content, HeaderBuilder, ObjectBuilder, OpenApi, RefOr, Required, Schema, Type, example::ExampleBuilder,
};

use super::problem::sets::header_ref;
use super::problem::{Code, ProblemDocument};
use super::service::API_VERSION;
use super::{batch, dead_letters, queues, retry, samples, settle, tasks, wire};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "LeaseQ",
        version = API_VERSION,
        description = "A task queue over plain HTTP: producers enqueue tasks, workers lease, finish or give them back.\n\n\
            Unknown fields are refused. Durations are seconds, times RFC 3339 UTC with milliseconds. Optional fields admit null. \
            An empty body is `{}`. Bodies may be compressed with gzip or zstd. Every error is `application/problem+json`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "tasks", description = "For producers, and for whoever looks at tasks."),
        (name = "leases", description = "For workers."),
        (name = "queues", description = "For operators."),
        (name = "dead_letters", description = "For operators: tasks that used up their attempts, were rejected, or expired."),
        (name = "service", description = "The service itself."),
    ),
    components(schemas(
        ProblemDocument, super::problem::FieldError,
        tasks::new_task::NewTaskRequest, tasks::unique::UniqueRequest, tasks::cancel::CancelFilterRequest, retry::RetryRequest, batch::BatchRequest,
        settle::error::ErrorRequest, dead_letters::filter::DeadLetterFilter,
        settle::operation::AckOperation, settle::operation::NackOperation,
        settle::operation::ExtendOperation, settle::operation::ReleaseOperation,
        queues::config::DeadLetterConfig, queues::config::RetentionConfig, queues::config::NameConfigRequest, queues::gates::LimitsRequest, queues::gates::BreakerRequest,
        wire::Name, wire::Id, wire::Instant, wire::Duration, wire::Json, wire::State, wire::StateOrGone, wire::Count,
    )),
)]
struct Base;

/// The document before the routes are added.
pub(super) fn base() -> OpenApi {
    Base::openapi()
}

/// What holds for every operation, said once.
pub(super) fn complete(mut document: OpenApi) -> OpenApi {
    for item in document.paths.paths.values_mut() {
        let PathItem {
            get,
            put,
            post,
            delete,
            patch,
            ..
        } = item;
        for operation in [get].into_iter().flatten() {
            complete_operation(operation, false);
        }
        for operation in [put, post, delete, patch].into_iter().flatten() {
            complete_operation(operation, true);
        }
    }
    for (operation_id, status, example) in samples::answers() {
        add_example(&mut document, operation_id, status, example);
    }
    let components = document.components.get_or_insert_default();
    for item in document.paths.paths.values_mut() {
        for operation in [&mut item.put, &mut item.post, &mut item.patch]
            .into_iter()
            .flatten()
        {
            let Some(RefOr::T(body)) = &mut operation.request_body else {
                continue;
            };
            // An empty body is `{}`: it is enough where no field is required.
            let needs_fields = body
                .content
                .values()
                .any(|content| has_required(content, &components.schemas));
            body.required = Some(if needs_fields {
                Required::True
            } else {
                Required::False
            });
        }
    }
    for code in Code::ALL {
        let value = serde_json::to_value(code.problem().document(Some("0gv1q4m8v3k8c0h5e000000r")));
        let example = ExampleBuilder::new()
            .summary(code.row().title)
            .value(value.ok())
            .build();
        components.examples.insert(code.word().to_owned(), example.into());
    }
    for (name, schema_type, about) in HEADERS {
        let schema = ObjectBuilder::new().schema_type(schema_type.clone());
        let header = HeaderBuilder::new()
            .schema(Some(schema))
            .description(Some(*about))
            .build();
        components.headers.insert((*name).to_owned(), header.into());
    }
    document
}

fn add_example(document: &mut OpenApi, operation_id: &str, status: &str, example: serde_json::Value) {
    let items = document.paths.paths.values_mut();
    let operations = items.flat_map(|item| [&mut item.get, &mut item.put, &mut item.post, &mut item.patch]);
    let operation = operations
        .flatten()
        .find(|operation| operation.operation_id.as_deref() == Some(operation_id));
    let response = operation.and_then(|operation| operation.responses.responses.get_mut(status));
    let Some(RefOr::T(response)) = response else {
        return;
    };
    if let Some(RefOr::T(content)) = response.content.get_mut("application/json") {
        content.example = Some(example);
    }
}

fn has_required(content: &RefOr<Content>, schemas: &BTreeMap<String, RefOr<Schema>>) -> bool {
    let RefOr::T(Content {
        schema: Some(RefOr::Ref(schema)),
        ..
    }) = content
    else {
        return false;
    };
    let name = schema.ref_location.rsplit('/').next().unwrap_or_default();
    matches!(schemas.get(name), Some(RefOr::T(Schema::Object(object))) if !object.required.is_empty())
}

/// Headers of answers, by name.
const HEADERS: &[(&str, Type, &str)] = &[
    (
        "X-Request-Id",
        Type::String,
        "The request's id: the caller's own, or made.",
    ),
    (
        "LeaseQ-Durability",
        Type::String,
        "What the answer has waited for: `memory`, `fsync` or `replicated`.",
    ),
    (
        "Idempotency-Replayed",
        Type::String,
        "`true` where an earlier request with the same `Idempotency-Key` did it.",
    ),
    ("Retry-After", Type::Integer, "Seconds until a retry may help."),
];

fn complete_operation(operation: &mut Operation, is_write: bool) {
    let parameters = operation.parameters.iter().flatten();
    let is_repeatable = parameters
        .into_iter()
        .any(|parameter| matches!(parameter, RefOr::T(parameter) if parameter.name == "Idempotency-Key"));
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        let mut add = |name: &str| {
            response
                .headers
                .insert(name.to_owned(), RefOr::Ref(header_ref(name)))
        };
        add("X-Request-Id");
        if is_write && status.starts_with('2') {
            add("LeaseQ-Durability");
        }
        if is_repeatable && status.starts_with('2') {
            add("Idempotency-Replayed");
        }
    }
}
