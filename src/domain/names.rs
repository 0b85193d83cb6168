//! Queue names, task names, groups and unique keys. They are parsed once at the edge and trusted afterwards.

use std::fmt;
use std::sync::Arc;

use super::limits::UNIQUE_KEY_BYTES_MAX;

/// The reason why a name was refused. The text says what is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    #[error("must be 1 to 80 characters of A-Z a-z 0-9 _ . : - and begin with a letter or digit")]
    Name,
    #[error("must be 1 to 128 bytes of UTF-8 without control characters")]
    Group,
    #[error(
        "must be 1 to {} bytes of UTF-8 without control characters",
        UNIQUE_KEY_BYTES_MAX
    )]
    UniqueKey,
}

/// `[A-Za-z0-9][A-Za-z0-9_.:-]{0,79}`, as a regular expression for OpenAPI.
pub const NAME_PATTERN: &str = "^[A-Za-z0-9][A-Za-z0-9_.:-]{0,79}$";

fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=80).contains(&bytes.len())
        && bytes[0].is_ascii_alphanumeric()
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"_.:-".contains(b))
}

macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $check:expr, $error:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// # Errors
            /// Says which characters and lengths are allowed.
            pub fn parse(text: &str) -> Result<Self, BadName> {
                if $check(text) { Ok(Self(text.into())) } else { Err($error) }
            }
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { fmt::Debug::fmt(&*self.0, f) }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str { &self.0 }
        }
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> { s.serialize_str(&self.0) }
        }
    };
}

text_type!(
    /// The name of a queue. Its characters are safe inside a Redis hash tag.
    QueueName,
    is_name,
    BadName::Name
);
text_type!(
    /// The name of the handler for a task. Limits and breakers are per name.
    TaskName,
    is_name,
    BadName::Name
);
text_type!(
    /// Fairness key of a task: a tenant, a customer.
    Group,
    |text: &str| (1..=128).contains(&text.len()) && !text.chars().any(char::is_control),
    BadName::Group
);
text_type!(
    /// The key that makes a task unique: enqueues with the same key create one task.
    UniqueKey,
    |text: &str| (1..=UNIQUE_KEY_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control),
    BadName::UniqueKey
);

impl TaskName {
    /// The name of a task without one.
    pub const DEFAULT: &'static str = "default";
}

impl Default for TaskName {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_break_a_key_is_refused() {
        for bad in ["", "-a", ".a", "a b", "a{b}", "a/b", "é", &"x".repeat(81)] {
            assert_eq!(QueueName::parse(bad), Err(BadName::Name), "{bad:?}");
        }
        for good in ["a", "critical:eu.1_x-2", &"x".repeat(80)] {
            assert!(QueueName::parse(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn a_group_is_any_printable_text() {
        assert!(Group::parse("Müller & Söhne / 東京").is_ok());
        assert!(Group::parse("a\nb").is_err());
        assert!(Group::parse(&"é".repeat(65)).is_err());
    }
}
