//! Documentation that the service serves: the OpenAPI document, its browser, one page per problem.

use std::sync::OnceLock;

use axum::Router;
use axum::extract::RawPathParams;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::HeaderValue;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};

use super::api::Api;
use super::problem::{Code, Problem, page};

/// Routes of the documentation. They are not part of the API that they describe.
pub(super) fn routes(document: fn() -> String) -> Router<Api> {
    let router = Router::new()
        .route("/openapi.json", get(async move || openapi_json(document)))
        .route("/docs/errors", get(errors))
        .route("/docs/errors/{code}", get(error));
    with_browser(router)
}

/// Swagger UI from the binary itself, so that it works without a network.
#[cfg(feature = "docs-ui")]
fn with_browser(router: Router<Api>) -> Router<Api> {
    let config = utoipa_swagger_ui::Config::from("../openapi.json");
    router.merge(Router::from(
        utoipa_swagger_ui::SwaggerUi::new("/docs").config(config),
    ))
}

#[cfg(not(feature = "docs-ui"))]
fn with_browser(router: Router<Api>) -> Router<Api> {
    router
}

/// Writes the document once, when it is first read.
fn openapi_json(document: fn() -> String) -> Response {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    let text = DOCUMENT.get_or_init(|| document().into()).clone();
    (
        [(CONTENT_TYPE, HeaderValue::from_static("application/json"))],
        text,
    )
        .into_response()
}

async fn errors() -> Response {
    html(page::index())
}

async fn error(path: RawPathParams) -> Result<Response, Problem> {
    let code = path
        .iter()
        .find_map(|(_, word)| Code::parse(word))
        .ok_or_else(|| Code::NotFound.problem())?;
    Ok(html(page::of(code)))
}

fn html(page: String) -> Response {
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    // The pages have one style sheet of their own and load nothing else.
    let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'");
    ([(CONTENT_TYPE, kind), (CONTENT_SECURITY_POLICY, policy)], page).into_response()
}
