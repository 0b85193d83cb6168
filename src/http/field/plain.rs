//! Fields that are true or false, or any JSON.

use serde_json::value::RawValue;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};

use super::kind::{Described, Kind, Refusal, described};
use crate::http::problem::Code;

/// True or false.
#[derive(Debug)]
pub(in crate::http) struct Flag;

impl Kind for Flag {
    type Value<'a> = bool;

    fn read(&self, text: &RawValue) -> Result<bool, Refusal> {
        match text.get() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("must be true or false".into()),
        }
    }
}

impl Described for Flag {
    fn schema(&self) -> RefOr<Schema> {
        described(ObjectBuilder::new().schema_type(Type::Boolean))
    }
}

/// Any JSON value, kept as text.
#[derive(Debug)]
pub(in crate::http) struct Any {
    pub(in crate::http) bytes_max: usize,
    pub(in crate::http) too_large: Code,
}

impl Kind for Any {
    type Value<'a> = &'a RawValue;

    fn read<'a>(&self, text: &'a RawValue) -> Result<&'a RawValue, Refusal> {
        let bytes = text.get().len();
        if bytes > self.bytes_max {
            return Err(Refusal {
                code: self.too_large,
                detail: format!("has {bytes} bytes of JSON, {} are allowed", self.bytes_max).into(),
            });
        }
        Ok(text)
    }
}

impl Described for Any {
    fn schema(&self) -> RefOr<Schema> {
        described(ObjectBuilder::new().schema_type(SchemaType::AnyValue))
    }
}
