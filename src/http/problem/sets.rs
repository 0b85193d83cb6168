//! Sets of problems: what the OpenAPI document says of each operation's errors.

use std::collections::BTreeMap;

use utoipa::openapi::response::Response;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};

use super::table::{Code, Retry};

/// Problems that every path can return.
pub(in crate::http) const ALWAYS: &[Code] = &[Code::OriginRefused, Code::Internal];
/// Problems of paths that read from the store.
pub(in crate::http) const READ: &[Code] = &[
    Code::StoreUnavailable,
    Code::NotReady,
    Code::Overloaded,
    Code::ShuttingDown,
    Code::Timeout,
    Code::OutcomeUnknown,
];
/// Problems of paths that write to the store.
pub(in crate::http) const WRITE: &[Code] = &[
    Code::StoreUnavailable,
    Code::NotReady,
    Code::Overloaded,
    Code::ShuttingDown,
    Code::OutcomeUnknown,
];
/// Problems of paths that take a body.
pub(in crate::http) const BODY: &[Code] = &[
    Code::MalformedJson,
    Code::MalformedBody,
    Code::RequestTimeout,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::UnsupportedEncoding,
    Code::ValidationFailed,
];
/// Problems of paths with names or a query in them.
pub(in crate::http) const QUERY: &[Code] = &[Code::ValidationFailed];

/// Defines the problems that an operation can return.
macro_rules! problem_set {
    ($name:ident: $($codes:expr),+ $(,)?) => {
        pub(super) struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<
                String,
                utoipa::openapi::RefOr<utoipa::openapi::response::Response>,
            > {
                $crate::http::problem::sets::problem_responses(&[$($codes),+].concat())
            }
        }
    };
}
pub(in crate::http) use problem_set;

/// Builds one response per status, with an example per code.
pub(in crate::http) fn problem_responses(codes: &[Code]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status = BTreeMap::<u16, Vec<Code>>::new();
    for code in codes {
        by_status.entry(code.row().status).or_default().push(*code);
    }
    let responses = by_status.into_iter().map(|(status, codes)| {
        let lines = codes
            .iter()
            .map(|code| format!("`{}`: {}", code.word(), code.row().title));
        let mut content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("Problem")))
            .build();
        for code in &codes {
            let example = Ref::new(format!("#/components/examples/{}", code.word()));
            content
                .examples
                .insert(code.word().to_owned(), RefOr::Ref(example));
        }
        let mut response = ResponseBuilder::new()
            .description(lines.collect::<Vec<_>>().join("\n\n"))
            .content("application/problem+json", content);
        if codes.iter().any(|code| code.row().retry != Retry::No) {
            response = response.header_ref("Retry-After", header_ref("Retry-After"));
        }
        (status.to_string(), response.build().into())
    });
    responses.collect()
}

/// Refers to a header that the document describes once.
pub(in crate::http) fn header_ref(name: &str) -> Ref {
    Ref::new(format!("#/components/headers/{name}"))
}
