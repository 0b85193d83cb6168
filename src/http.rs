//! The HTTP API: routes, requests, responses, problems.
//!
//! No other room knows a status code. A handler reads a request, calls the engine, and writes the outcome.
//! The edge does once what every request needs.

use axum::{Router, middleware};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

mod api;
mod batch;
mod body;
mod dead_letters;
mod docs;
mod doctor;
mod edge;
mod events;
mod failure;
mod failure_log;
mod field;
mod json;
mod kinds;
mod leases;
mod openapi;
mod origin;
mod page;
mod path;
mod problem;
mod producer;
mod query;
mod queues;
mod request_id;
mod retry;
mod samples;
pub mod server;
mod service;
mod settle;
mod tasks;
mod totals;
mod wire;
mod workers;

pub use api::Api;
pub use origin::OriginRule;
pub use problem::{Code, Outcome, Retry, Row};
pub use service::API_VERSION;

/// The API's table of contents.
fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(openapi::base())
        // For producers.
        .routes(routes!(tasks::enqueue, tasks::list))
        .routes(routes!(batch::enqueue_batch))
        .routes(routes!(tasks::task, tasks::change::patch))
        .routes(routes!(tasks::cancel::cancel))
        .routes(routes!(tasks::cancel::cancel_many))
        .routes(routes!(tasks::change::run_now))
        // For workers.
        .routes(routes!(leases::lease))
        .routes(routes!(leases::lease_many))
        .routes(routes!(settle::ack))
        .routes(routes!(settle::nack))
        .routes(routes!(settle::extend))
        .routes(routes!(settle::release))
        .routes(routes!(settle::settle_batch))
        // For operators.
        .routes(routes!(queues::list))
        .routes(routes!(
            queues::get,
            queues::put,
            queues::patch,
            queues::delete::delete
        ))
        .routes(routes!(queues::pause::pause))
        .routes(routes!(queues::pause::resume))
        .routes(routes!(queues::purge::purge))
        .routes(routes!(queues::hold::hold_queue, queues::hold::unhold_queue))
        .routes(routes!(queues::hold::hold_name, queues::hold::unhold_name))
        .routes(routes!(queues::hold::hold_group, queues::hold::unhold_group))
        .routes(routes!(queues::breaker::set))
        .routes(routes!(queues::stats::stats))
        .routes(routes!(queues::history::history))
        .routes(routes!(queues::names::list))
        .routes(routes!(queues::groups::list))
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letters::groups::groups))
        .routes(routes!(dead_letters::dead_letter, dead_letters::purge_one))
        .routes(routes!(dead_letters::export::export))
        .routes(routes!(dead_letters::replay_one))
        .routes(routes!(dead_letters::bulk::replay))
        .routes(routes!(dead_letters::bulk::purge))
        .routes(routes!(queues::verify::verify))
        // The service itself.
        .routes(routes!(doctor::doctor))
        .routes(routes!(workers::list))
        .routes(routes!(totals::totals))
        .routes(routes!(events::events))
        .routes(routes!(service::limits))
        .routes(routes!(service::livez))
        .routes(routes!(service::readyz))
        .routes(routes!(service::metrics))
        .routes(routes!(service::version))
}

/// The whole service as a router: the API, its documentation, and the edge around both.
pub fn router(api: Api) -> Router {
    let (api_routes, _) = routes().split_for_parts();
    let not_found = async || Code::NotFound.problem();
    let not_allowed = async || Code::MethodNotAllowed.problem();
    api_routes
        .merge(docs::routes(openapi_text))
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .layer(middleware::from_fn_with_state(api.clone(), edge::edge))
        .with_state(api)
}

/// The OpenAPI document of [`router`].
pub fn openapi() -> utoipa::openapi::OpenApi {
    openapi::complete(routes().into_openapi())
}

/// The document as `openapi/openapi.json` and `/openapi.json` have it.
pub fn openapi_text() -> String {
    let mut text = openapi()
        .to_pretty_json()
        .expect("the document has only text and numbers");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests;
