//! Reads the replies of scripts: words, numbers and bytes in order.

use bytes::Bytes;
use deadpool_redis::redis::Value;

use crate::domain::{Millis, TaskId};

/// A reply that its script cannot have written. Names the expected value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {0} in the reply")]
pub struct BadReply(pub &'static str);

/// The rest of an array reply.
#[derive(Debug, Clone)]
pub struct Reply(std::vec::IntoIter<Value>);

impl Reply {
    pub fn new(value: Value) -> Result<Self, BadReply> {
        match value {
            Value::Array(values) => Ok(Self(values.into_iter())),
            _ => Err(BadReply("an array")),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    pub fn bytes(&mut self) -> Result<Bytes, BadReply> {
        match self.0.next() {
            Some(Value::BulkString(bytes)) => Ok(bytes.into()),
            Some(Value::SimpleString(text)) => Ok(text.into_bytes().into()),
            Some(Value::Int(number)) => Ok(number.to_string().into_bytes().into()),
            _ => Err(BadReply("bytes")),
        }
    }

    pub fn text(&mut self) -> Result<String, BadReply> {
        String::from_utf8(self.bytes()?.into()).map_err(|_| BadReply("text"))
    }

    pub fn number(&mut self) -> Result<u64, BadReply> {
        match self.0.next() {
            Some(Value::Int(number)) => u64::try_from(number).ok(),
            Some(Value::BulkString(bytes)) => std::str::from_utf8(&bytes)
                .ok()
                .and_then(|text| text.parse().ok()),
            _ => None,
        }
        .ok_or(BadReply("a number"))
    }

    pub fn small<N: TryFrom<u64>>(&mut self) -> Result<N, BadReply> {
        N::try_from(self.number()?).map_err(|_| BadReply("a smaller number"))
    }

    pub fn flag(&mut self) -> Result<bool, BadReply> {
        Ok(self.number()? == 1)
    }

    pub fn millis(&mut self) -> Result<Millis, BadReply> {
        self.number().map(Millis::new)
    }

    /// Reads an instant; 0 means none.
    pub fn some_millis(&mut self) -> Result<Option<Millis>, BadReply> {
        Ok(Some(self.number()?).filter(|ms| *ms > 0).map(Millis::new))
    }

    /// Reads a number; an empty text means none.
    pub fn some_number(&mut self) -> Result<Option<u64>, BadReply> {
        match self.0.as_slice().first() {
            Some(Value::BulkString(bytes)) if bytes.is_empty() => {
                self.0.next();
                Ok(None)
            }
            _ => self.number().map(Some),
        }
    }

    pub fn decimal(&mut self) -> Result<f64, BadReply> {
        self.some_decimal()?.ok_or(BadReply("a decimal"))
    }

    /// Reads a decimal; an empty text means none. Scripts write decimals as texts, because Redis truncates
    /// their numbers.
    pub fn some_decimal(&mut self) -> Result<Option<f64>, BadReply> {
        let text = self.text()?;
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| BadReply("a decimal"))
    }

    pub fn id(&mut self) -> Result<TaskId, BadReply> {
        TaskId::from_slice(&self.bytes()?).map_err(|_| BadReply("a task id"))
    }

    /// Reads the next value if it is a nested array.
    pub fn array_if_any(&mut self) -> Option<Self> {
        matches!(self.0.as_slice().first(), Some(Value::Array(_)))
            .then(|| self.array().ok())
            .flatten()
    }

    /// Reads a nested array; a single word counts as an array of one.
    pub fn array(&mut self) -> Result<Self, BadReply> {
        match self.0.next() {
            Some(Value::Array(values)) => Ok(Self(values.into_iter())),
            Some(word @ Value::BulkString(_)) => Ok(Self(vec![word].into_iter())),
            _ => Err(BadReply("an array")),
        }
    }
}

/// A value of a made-up reply.
#[cfg(test)]
#[derive(Debug, Clone)]
pub(crate) enum Part {
    Number(u64),
    Bytes(Vec<u8>),
    List(Vec<Part>),
}

#[cfg(test)]
impl From<&str> for Part {
    fn from(word: &str) -> Self {
        Self::Bytes(word.as_bytes().to_vec())
    }
}

#[cfg(test)]
impl From<Part> for Value {
    fn from(part: Part) -> Self {
        match part {
            Part::Number(number) => Self::Int(i64::try_from(number).expect("a small number")),
            Part::Bytes(bytes) => Self::BulkString(bytes),
            Part::List(parts) => Self::Array(parts.into_iter().map(Self::from).collect()),
        }
    }
}

#[cfg(test)]
impl Reply {
    /// Makes up a reply, for tests of its readers without Redis.
    pub(crate) fn of(parts: Vec<Part>) -> Self {
        Self(parts.into_iter().map(Value::from).collect::<Vec<_>>().into_iter())
    }
}
