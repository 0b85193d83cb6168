//! Preconditions of a config write on the present version (RFC 9110, section 13).

use axum::extract::FromRequestParts;
use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{ObjectBuilder, Required, Type};

use crate::http::problem::Problem;

/// The precondition of `If-Match` and `If-None-Match`.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::http) enum Precondition {
    None,
    /// `If-None-Match: *`.
    Absent,
    /// `If-Match: *`.
    Present,
    /// `If-Match: "7", "8"`. Entity tags of another origin match nothing.
    OneOf(Vec<u64>),
}

impl<S: Send + Sync> FromRequestParts<S> for Precondition {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let tags = |name| {
            let mut values = parts.headers.get_all(name).iter().peekable();
            values.peek()?;
            let tags = values
                .filter_map(|value| value.to_str().ok())
                .flat_map(|value| value.split(','));
            Some(tags.map(str::trim).collect::<Vec<_>>())
        };
        match (tags(IF_MATCH), tags(IF_NONE_MATCH)) {
            (None, None) => Ok(Self::None),
            (Some(matching), None) if matching == ["*"] => Ok(Self::Present),
            (Some(matching), None) => Ok(Self::OneOf(matching.into_iter().filter_map(version).collect())),
            (None, Some(absent)) if absent == ["*"] => Ok(Self::Absent),
            _ => Err(Problem::at(
                "header:If-None-Match",
                "must be * and must not be combined with If-Match",
            )),
        }
    }
}

/// Both headers in the OpenAPI document.
pub(super) struct PreconditionHeaders;

impl utoipa::IntoParams for PreconditionHeaders {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let header = |name: &str, about: &str, schema: ObjectBuilder| {
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Header)
                .required(Required::False)
                .description(Some(about))
                .schema(Some(schema.schema_type(Type::String).build()))
                .build()
        };
        let absent = ObjectBuilder::new().enum_values(Some(["*"]));
        vec![
            header(
                "If-Match",
                "Write only if the config has this `ETag`; `*`: only if the queue exists.",
                ObjectBuilder::new(),
            ),
            header(
                "If-None-Match",
                "`*`: only if there is no such queue. Not together with `If-Match`.",
                absent,
            ),
        ]
    }
}

/// Reads the version from a strong entity tag of this service. Versions start at 1.
fn version(tag: &str) -> Option<u64> {
    let version = tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()?;
    (version > 0).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_tags_are_versions() {
        assert_eq!(version("\"12\""), Some(12));
        for bad in ["12", "W/\"12\"", "\"\"", "\"0\"", "\"-1\"", "\"x\""] {
            assert_eq!(version(bad), None, "{bad}");
        }
    }
}
