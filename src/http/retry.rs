//! Retry policies in requests and in responses.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{Ref, RefOr, Schema};

use super::field::{At, Described, Field, Kind, Object, Refusal, Seconds, Word, Wrong, number, shape};
use super::json;
use super::wire;
use crate::domain::limits::{DELAY_MS_MAX, RETRY_FACTOR_MAX};
use crate::domain::retry::{Jitter, RetryConfig, Strategy, Thousandths};

const STRATEGY: Field<Word<Strategy>> = Field::new(
    "strategy",
    Word {
        words: &[
            ("exponential", Strategy::Exponential),
            ("linear", Strategy::Linear),
            ("fixed", Strategy::Fixed),
            ("immediate", Strategy::Immediate),
        ],
    },
    "`exponential`: base × factor^(attempt - 1). `linear`: base × attempt. `fixed`: base. `immediate`: no delay.",
)
.or("\"exponential\"");
const BASE: Field<Seconds> = Field::new(
    "base_seconds",
    Seconds {
        min_ms: 0,
        max_ms: DELAY_MS_MAX,
    },
    "What the delay is made of.",
)
.or("1");
const FACTOR: Field<Factor> = Field::new(
    "factor",
    Factor,
    "By which an exponential delay grows with each attempt; three decimals count.",
)
.or("2");
const MAX: Field<Seconds> = Field::new(
    "max_seconds",
    Seconds {
        min_ms: 0,
        max_ms: DELAY_MS_MAX,
    },
    "No delay is longer.",
)
.or("300");
const JITTER: Field<Word<Jitter>> = Field::new(
    "jitter",
    Word {
        words: &[
            ("full", Jitter::Full),
            ("equal", Jitter::Equal),
            ("none", Jitter::None),
        ],
    },
    "`full`: anything up to the delay. `equal`: at least half of it. `none`: exactly the delay.",
)
.or("\"full\"");

shape! {
    /// The delay after a failed attempt.
    RetryRequest: STRATEGY, BASE, FACTOR, MAX, JITTER
}

/// Reads the policy at `at`. [`check_bounds`] checks whether its parts fit together.
pub(super) fn read(text: &RawValue, at: At<'_>, wrong: &mut Wrong) -> RetryConfig {
    let Ok(fields) = json::open(text.get(), None) else {
        wrong.add(at, "must be an object");
        return RetryConfig::default();
    };
    let mut object = Object::new(fields, RetryRequest::SHAPE, at, wrong);
    RetryConfig {
        strategy: object.take(&STRATEGY, wrong),
        base_ms: object.take(&BASE, wrong),
        factor: object.take(&FACTOR, wrong),
        max_ms: object.take(&MAX, wrong),
        jitter: object.take(&JITTER, wrong),
    }
}

/// Notes a base that is longer than the longest delay, whichever of the two was given.
pub(super) fn check_bounds(config: &RetryConfig, at: At<'_>, wrong: &mut Wrong) {
    let policy = config.policy();
    if policy.base_ms <= policy.max_ms {
        return;
    }
    let (field, detail) = match (config.base_ms, config.max_ms) {
        (Some(_), None) => (BASE.name, "is longer than max_seconds, which is 300 unless given"),
        (Some(_), Some(_)) => (BASE.name, "is longer than max_seconds"),
        (None, _) => (MAX.name, "is shorter than base_seconds, which is 1 unless given"),
    };
    wrong.add(At::Field(&at, field), detail);
}

/// A number from 1 to [`RETRY_FACTOR_MAX`], rounded to thousandths.
#[derive(Debug)]
struct Factor;

impl Kind for Factor {
    type Value<'a> = Thousandths;

    fn read(&self, text: &RawValue) -> Result<Thousandths, Refusal> {
        let given = number(text.get()).filter(|given| (1.0..=f64::from(RETRY_FACTOR_MAX)).contains(given));
        let Some(factor) = given else {
            return Err(format!("must be a number from 1 to {RETRY_FACTOR_MAX}").into());
        };
        // The range check keeps the value an integer below 2^17, so the cast is exact.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Ok(Thousandths((factor * 1000.0).round() as u32))
    }
}

impl Described for Factor {
    fn schema(&self) -> RefOr<Schema> {
        let number = ObjectBuilder::new()
            .schema_type(Type::Number)
            .minimum(Some(1))
            .maximum(Some(RETRY_FACTOR_MAX));
        Schema::from(number).into()
    }
}

/// A policy, or `false` for no retry at all.
#[derive(Debug)]
pub(super) struct PolicyOrNone;

impl Kind for PolicyOrNone {
    /// `None` means `false`.
    type Value<'a> = Option<&'a RawValue>;

    fn read<'a>(&self, text: &'a RawValue) -> Result<Option<&'a RawValue>, Refusal> {
        match text.get() {
            "false" => Ok(None),
            object if object.starts_with('{') => Ok(Some(text)),
            _ => Err("must be an object, or false for no retry".into()),
        }
    }
}

impl Described for PolicyOrNone {
    fn schema(&self) -> RefOr<Schema> {
        let none = ObjectBuilder::new()
            .schema_type(Type::Boolean)
            .enum_values(Some([false]));
        let one_of = OneOfBuilder::new()
            .item(Ref::from_schema_name("RetryRequest"))
            .item(none);
        Schema::from(one_of).into()
    }
}

/// A policy in a response: as set, or with all defaults.
#[derive(Debug, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = Retry)]
pub(super) struct RetryDocument {
    /// `exponential`, `linear`, `fixed` or `immediate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    strategy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Duration>, nullable = false)]
    base_seconds: Option<wire::Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, nullable = false)]
    factor: Option<wire::Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<wire::Duration>, nullable = false)]
    max_seconds: Option<wire::Seconds>,
    /// `full`, `equal` or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    jitter: Option<&'static str>,
}

impl RetryDocument {
    pub(super) fn of(config: &RetryConfig) -> Self {
        Self {
            strategy: config.strategy.map(Strategy::word),
            base_seconds: config.base_ms.map(wire::Seconds),
            // The factor is kept in thousandths, so this is exact.
            factor: config
                .factor
                .map(|Thousandths(factor)| wire::Seconds(factor.into())),
            max_seconds: config.max_ms.map(wire::Seconds),
            jitter: config.jitter.map(Jitter::word),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::RetryPolicy;

    fn parse(text: &str) -> Result<RetryConfig, Vec<(String, String)>> {
        let (text, mut wrong) = (RawValue::from_string(text.to_owned()).unwrap(), Wrong::default());
        let at = At::Field(&At::Root, "retry");
        let config = read(&text, at, &mut wrong);
        check_bounds(&config, at, &mut wrong);
        match wrong.into_result() {
            Ok(()) => Ok(config),
            Err(problem) => Err(problem
                .errors()
                .iter()
                .map(|error| (error.pointer.clone(), error.detail.to_string()))
                .collect()),
        }
    }

    fn pointers(text: &str) -> Vec<String> {
        parse(text)
            .unwrap_err()
            .into_iter()
            .map(|(pointer, _)| pointer)
            .collect()
    }

    #[test]
    fn a_policy_says_what_it_says_and_the_rest_is_the_servers() {
        assert_eq!(parse("{}").unwrap().policy(), RetryPolicy::DEFAULT);
        let all =
            r#"{"strategy":"linear","base_seconds":0.25,"factor":1.5,"max_seconds":86400,"jitter":"none"}"#;
        let policy = parse(all).unwrap();
        assert_eq!(
            policy.policy(),
            RetryPolicy {
                strategy: Strategy::Linear,
                base_ms: 250,
                factor: Thousandths(1_500),
                max_ms: 86_400_000,
                jitter: Jitter::None,
            }
        );
        assert_eq!(serde_json::to_string(&RetryDocument::of(&policy)).unwrap(), all);
    }

    #[test]
    fn what_is_out_of_its_range_is_refused_with_the_range() {
        for (bad, pointer, range) in [
            (r#"{"strategy":"fibonacci"}"#, "/retry/strategy", "exponential"),
            (r#"{"base_seconds":-1}"#, "/retry/base_seconds", "0 to 31536000"),
            (r#"{"base_seconds":"1"}"#, "/retry/base_seconds", "0 to 31536000"),
            (r#"{"factor":0.99}"#, "/retry/factor", "1 to 100"),
            (r#"{"factor":100.001}"#, "/retry/factor", "1 to 100"),
            (
                r#"{"max_seconds":31536000.5}"#,
                "/retry/max_seconds",
                "0 to 31536000",
            ),
            (r#"{"jitter":true}"#, "/retry/jitter", "full"),
            (r#"{"base":1}"#, "/retry/base", "strategy"),
            ("[]", "/retry", "object"),
        ] {
            let wrong = parse(bad).unwrap_err();
            assert_eq!(wrong.len(), 1, "{bad}");
            assert!(
                wrong[0].0 == pointer && wrong[0].1.contains(range),
                "{bad}: {wrong:?}"
            );
        }
    }

    #[test]
    fn a_base_beyond_the_longest_delay_is_a_contradiction() {
        assert_eq!(pointers(r#"{"base_seconds":301}"#), ["/retry/base_seconds"]);
        assert_eq!(
            pointers(r#"{"base_seconds":5,"max_seconds":4}"#),
            ["/retry/base_seconds"]
        );
        assert_eq!(pointers(r#"{"max_seconds":0.5}"#), ["/retry/max_seconds"]);
        assert!(parse(r#"{"base_seconds":600,"max_seconds":600}"#).is_ok());
    }
}
