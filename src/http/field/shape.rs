//! Shapes: the fields of one kind of object, for the parser and the OpenAPI document.

use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{AdditionalProperties, AnyOfBuilder, ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Required, Schema};

use super::kind::Shape;

/// Defines a shape: `shape! { /// A description. EnqueueRequest: NAME, PAYLOAD }`.
macro_rules! shape {
    ($(#[doc = $doc:literal])+ $name:ident: $($field:path),*) => {
        $(#[doc = $doc])+
        pub(in crate::http) struct $name;

        impl $name {
            pub(in crate::http) const SHAPE: &'static $crate::http::field::kind::Shape = &[
                $(&$field,)*
            ];
        }

        impl $crate::http::field::kind::Shaped for $name {
            const SHAPE: &'static $crate::http::field::kind::Shape = Self::SHAPE;
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                $crate::http::field::shape::object_schema(Self::SHAPE, concat!($($doc),+).trim())
            }
        }

        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
        }
    };
}
pub(in crate::http) use shape;

/// Defines a shape of query strings: `query_shape! { /// A description. TasksQuery: STATE, LIMIT }`.
macro_rules! query_shape {
    ($(#[doc = $doc:literal])+ $name:ident: $($field:path),* $(,)?) => {
        $crate::http::field::shape::shape! { $(#[doc = $doc])+ $name: $($field),* }

        impl utoipa::IntoParams for $name {
            fn into_params(
                _: impl Fn() -> Option<utoipa::openapi::path::ParameterIn>,
            ) -> Vec<utoipa::openapi::path::Parameter> {
                $crate::http::field::shape::query_parameters(Self::SHAPE)
            }
        }
    };
}
pub(in crate::http) use query_shape;

/// The parameters of a query, for the OpenAPI document.
pub(in crate::http) fn query_parameters(shape: &Shape) -> Vec<Parameter> {
    let described = shape.iter().map(|field| {
        let required = if field.is_required() {
            Required::True
        } else {
            Required::False
        };
        let parameter = ParameterBuilder::new()
            .name(field.name())
            .parameter_in(ParameterIn::Query)
            .required(required)
            .description(Some(field.about()))
            .schema(Some(field.schema()));
        parameter.build()
    });
    described.collect()
}

/// Builds the JSON schema of a shape. Optional fields admit null, and unknown fields are refused.
pub(in crate::http) fn object_schema(shape: &Shape, about: &str) -> RefOr<Schema> {
    let mut object = ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some(about))
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
    for field in shape {
        let schema = field.schema();
        let mut schema = if field.is_required() {
            schema
        } else {
            or_null(schema)
        };
        if let RefOr::T(schema) = &mut schema {
            describe(schema, field.about(), field.default());
        }
        object = object.property(field.name(), schema);
        if field.is_required() {
            object = object.required(field.name());
        }
    }
    Schema::from(object).into()
}

fn or_null(schema: RefOr<Schema>) -> RefOr<Schema> {
    match schema {
        RefOr::T(Schema::Object(mut object)) => {
            object.schema_type = nullable(object.schema_type);
            if let Some(words) = &mut object.enum_values {
                words.push(serde_json::Value::Null);
            }
            Schema::Object(object).into()
        }
        RefOr::T(Schema::Array(mut array)) => {
            array.schema_type = nullable(array.schema_type);
            Schema::Array(array).into()
        }
        other => {
            let null = ObjectBuilder::new().schema_type(Type::Null);
            Schema::from(AnyOfBuilder::new().item(other).item(null)).into()
        }
    }
}

fn nullable(schema_type: utoipa::openapi::schema::SchemaType) -> utoipa::openapi::schema::SchemaType {
    use utoipa::openapi::schema::SchemaType;
    match schema_type {
        SchemaType::Type(one) => SchemaType::Array(vec![one, Type::Null]),
        SchemaType::Array(mut several) => {
            several.push(Type::Null);
            SchemaType::Array(several)
        }
        SchemaType::AnyValue => SchemaType::AnyValue,
    }
}

fn describe(schema: &mut Schema, about: &str, default: Option<&str>) {
    let about = (!about.is_empty()).then(|| about.to_owned());
    let default = default.map(|json| serde_json::from_str(json).expect("defaults are written as JSON"));
    match schema {
        Schema::Object(object) => (object.description, object.default) = (about, default),
        Schema::Array(array) => (array.description, array.default) = (about, default),
        Schema::OneOf(one_of) => (one_of.description, one_of.default) = (about, default),
        Schema::AnyOf(any_of) => (any_of.description, any_of.default) = (about, default),
        _ => {}
    }
}
