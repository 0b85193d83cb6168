//! The config of a queue in requests.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::domain::TaskName;
use crate::domain::limits::{
    ATTEMPTS_MAX, BATCH_ITEMS_MAX, LEASE_MS_MAX, LEASE_MS_MIN, NAMES_MAX, PAYLOAD_BYTES_MAX,
};
use crate::domain::queue::{Keep, NameConfig, OnFull, Order, QueueConfig, defaults};
use crate::domain::retry::RetryConfig;
use crate::http::field::{
    At, ByKey, Field, Integer, Nested, Object, Of, Request, Seconds, Shape, Shaped, Word, Wrong, by_key,
    nested, shape,
};
use crate::http::json;
use crate::http::problem::Problem;
use crate::http::retry;

use super::gates::{self, BREAKER, GROUP_LIMITS, GROUP_WEIGHTS, LIMITS};

/// The largest bound of deferrals; a task counts them in 16 bits.
const DEFERRALS_MAX: u64 = 10_000;
/// Milliseconds of waiting that one point of priority may be worth. With 1,000 points, scores stay far below
/// 2^53.
const AGING_MS_MAX: u64 = 86_400_000;
/// Bounds of the settings for dead letters and finished tasks: entries, time, bytes.
const KEPT_MAX: u64 = 10_000_000;
/// Bounds of the marks of repeatable requests: their least time, and their number. The largest batch fits.
const IDEMPOTENCY_MS_MIN: u64 = 1_000;
const IDEMPOTENCY_MAX_MIN: u64 = 2 * BATCH_ITEMS_MAX as u64;
/// Bounds of the settings for unfinished tasks. The largest task fits into the smallest bound of bytes;
/// otherwise it would be refused forever.
const UNFINISHED_MAX: u64 = 1_000_000_000;
const UNFINISHED_BYTES_MIN: u64 = 2 * PAYLOAD_BYTES_MAX as u64;
const KEPT_MS_MAX: u64 = 365 * 86_400_000;
const KEPT_BYTES_MAX: u64 = 1 << 40;

const LEASE: Field<Seconds> = Field::new(
    "lease_seconds",
    Seconds {
        min_ms: LEASE_MS_MIN,
        max_ms: LEASE_MS_MAX,
    },
    "How long a lease lasts, in seconds.",
);
const MAX_LEASE: Field<Seconds> = Field::new(
    "max_lease_seconds",
    Seconds {
        min_ms: LEASE_MS_MIN,
        max_ms: LEASE_MS_MAX,
    },
    "The longest time from a grant to the end of its lease, however often the lease is extended.",
);
const MAX_ATTEMPTS: Field<Integer> = Field::new(
    "max_attempts",
    Integer {
        min: 1,
        max: ATTEMPTS_MAX as u64,
    },
    "Attempts that a task has before it becomes a dead letter.",
);
const MAX_DEFERRALS: Field<Integer> = Field::new(
    "max_deferrals",
    Integer {
        min: 0,
        max: DEFERRALS_MAX,
    },
    "Releases with `retry_after` that a task may have. The next one counts as a failed attempt.",
);
const RETRY: Field<Nested> = Field::new(
    "retry",
    Nested { of: "RetryRequest" },
    "When a task is tried again after a failed attempt.",
);
const ORDER: Field<Word<Order>> = Field::new(
    "order",
    Word {
        words: &[
            ("aged", Order::Aged),
            ("strict", Order::Strict),
            ("fifo", Order::Fifo),
        ],
    },
    "How tasks of one group are ordered. `aged`: by priority and waiting time. `strict`: by priority alone. `fifo`: by waiting time alone.",
);
const AGING: Field<Seconds> = Field::new(
    "aging_seconds",
    Seconds {
        min_ms: 0,
        max_ms: AGING_MS_MAX,
    },
    "Seconds of waiting that one point of priority is worth.",
);
const DEAD_LETTER: Field<Nested> = Field::new(
    "dead_letter",
    Nested {
        of: "DeadLetterConfig",
    },
    "How many dead letters the queue keeps, and for how long.",
);
const RETENTION: Field<Nested> = Field::new(
    "retention",
    Nested {
        of: "RetentionConfig",
    },
    "How much of its finished tasks the queue keeps. The first bound that is reached counts.",
);
const IDEMPOTENCY_SECONDS: Field<Seconds> = Field::new(
    "idempotency_seconds",
    Seconds {
        min_ms: IDEMPOTENCY_MS_MIN,
        max_ms: KEPT_MS_MAX,
    },
    "How long an enqueue with an `Idempotency-Key` is remembered, in seconds from the enqueue.",
);
const IDEMPOTENCY_MAX: Field<Integer> = Field::new(
    "idempotency_max",
    Integer {
        min: IDEMPOTENCY_MAX_MIN,
        max: KEPT_MAX,
    },
    "Tasks with an `Idempotency-Key` that the queue remembers. Beyond it the oldest are forgotten and counted.",
);
const MAX_TASKS: Field<Integer> = Field::new(
    "max_tasks",
    Integer {
        min: 1,
        max: UNFINISHED_MAX,
    },
    "Unfinished tasks (scheduled, ready and leased) that the queue may have. Beyond it new tasks are refused. Unbounded by default.",
);
const MAX_TASK_BYTES: Field<Integer> = Field::new(
    "max_bytes",
    Integer {
        min: UNFINISHED_BYTES_MIN,
        max: KEPT_BYTES_MAX,
    },
    "Bytes that the unfinished tasks may have, payloads and records together. Beyond it new tasks are refused. Unbounded by default.",
);
const NAMES: Field<ByKey> = Field::new(
    "names",
    ByKey {
        keys_max: NAMES_MAX,
        of: Of::Shape("NameConfigRequest"),
    },
    "Settings by task name; `*` is for each name without an entry of its own.",
);

const MAX_SIZE: Field<Integer> = Field::new(
    "max_size",
    Integer {
        min: 1,
        max: KEPT_MAX,
    },
    "Dead letters that the queue keeps.",
);
const MAX_AGE: Field<Seconds> = Field::new(
    "max_age_seconds",
    Seconds {
        min_ms: 1_000,
        max_ms: KEPT_MS_MAX,
    },
    "How long the queue keeps a dead letter, in seconds.",
);
const MAX_BYTES: Field<Integer> = Field::new(
    "max_bytes",
    Integer {
        min: 1,
        max: KEPT_BYTES_MAX,
    },
    "Bytes of dead letters that the queue keeps, including the overhead in Redis.",
);
const ON_FULL: Field<Word<OnFull>> = Field::new(
    "on_full",
    Word {
        words: &[
            ("evict_oldest", OnFull::EvictOldest),
            ("reject_enqueue", OnFull::RejectEnqueue),
        ],
    },
    "What happens when `max_size` or `max_bytes` is reached. `evict_oldest`: a new dead letter evicts the oldest. \
     `reject_enqueue`: the same, and the queue also refuses new tasks (429 `queue_full`) until there is room.",
);

const KEEP: Field<Word<Keep>> = Field::new(
    "keep",
    Word {
        words: &[
            ("all", Keep::All),
            ("results", Keep::Results),
            ("none", Keep::None),
        ],
    },
    "What is kept of a finished task. `all`: the whole task. `results`: state, times and result. `none`: nothing.",
);
const COMPLETED_SECONDS: Field<Seconds> = Field::new(
    "completed_seconds",
    Seconds {
        min_ms: 0,
        max_ms: KEPT_MS_MAX,
    },
    "How long finished tasks are kept, in seconds.",
);
const COMPLETED_MAX: Field<Integer> = Field::new(
    "completed_max",
    Integer {
        min: 0,
        max: KEPT_MAX,
    },
    "How many finished tasks are kept.",
);
const COMPLETED_BYTES: Field<Integer> = Field::new(
    "completed_bytes",
    Integer {
        min: 0,
        max: KEPT_BYTES_MAX,
    },
    "How many bytes of finished tasks are kept.",
);

shape! {
    /// The config of a queue. Absent settings have the defaults of the server.
    QueueConfigRequest: LEASE, MAX_LEASE, MAX_ATTEMPTS, MAX_DEFERRALS, RETRY, ORDER, AGING, GROUP_WEIGHTS, LIMITS, GROUP_LIMITS,
        BREAKER, DEAD_LETTER, RETENTION, NAMES, IDEMPOTENCY_SECONDS, IDEMPOTENCY_MAX, MAX_TASKS, MAX_TASK_BYTES
}
shape! {
    /// Settings for dead letters.
    DeadLetterConfig: MAX_SIZE, MAX_AGE, MAX_BYTES, ON_FULL
}
shape! {
    /// Settings for finished tasks.
    RetentionConfig: KEEP, COMPLETED_SECONDS, COMPLETED_MAX, COMPLETED_BYTES
}
shape! {
    /// Settings for tasks of one name.
    NameConfigRequest: LEASE, MAX_ATTEMPTS, RETRY, LIMITS, BREAKER
}

impl Request for QueueConfigRequest {
    type Value = QueueConfig;

    fn read(object: &mut Object<'_, '_>, _: &Bytes, wrong: &mut Wrong) -> Option<QueueConfig> {
        Some(read_whole(object, wrong))
    }
}

/// A merge patch of a config. Its text is kept: only merged with the config that is there does it have
/// values.
pub(in crate::http) struct ConfigPatch;

impl Shaped for ConfigPatch {
    const SHAPE: &'static Shape = QueueConfigRequest::SHAPE;
}

impl Request for ConfigPatch {
    type Value = String;

    /// Reads the fields only to refuse mistakes: `null`, which removes, counts as absent.
    fn read(object: &mut Object<'_, '_>, body: &Bytes, wrong: &mut Wrong) -> Option<String> {
        read_fields(object, wrong);
        json::text(body).ok().map(str::to_owned)
    }
}

/// Reads a whole config.
pub(super) fn read(text: &str) -> Result<QueueConfig, Problem> {
    let mut wrong = Wrong::default();
    let fields = json::open(text, None)?;
    let mut object = Object::new(fields, QueueConfigRequest::SHAPE, At::Root, &mut wrong);
    let config = read_whole(&mut object, &mut wrong);
    wrong.into_result().map(|()| config)
}

fn read_whole(object: &mut Object<'_, '_>, wrong: &mut Wrong) -> QueueConfig {
    let config = read_fields(object, wrong);
    check_leases(&config, wrong);
    gates::check_limits(&config, wrong);
    check_retries(&config, wrong);
    config
}

fn read_fields(object: &mut Object<'_, '_>, wrong: &mut Wrong) -> QueueConfig {
    let mut config = QueueConfig {
        lease_ms: object.take(&LEASE, wrong),
        max_lease_ms: object.take(&MAX_LEASE, wrong),
        max_attempts: small(object.take(&MAX_ATTEMPTS, wrong)),
        max_deferrals: small(object.take(&MAX_DEFERRALS, wrong)),
        retry: read_retry(object, wrong),
        order: object.take(&ORDER, wrong),
        aging_ms: object.take(&AGING, wrong),
        limits: gates::read_limits(object, wrong),
        breaker: gates::read_breaker(object, wrong),
        idempotency_ms: object.take(&IDEMPOTENCY_SECONDS, wrong),
        idempotency_max: object.take(&IDEMPOTENCY_MAX, wrong),
        max_tasks: object.take(&MAX_TASKS, wrong),
        max_bytes: object.take(&MAX_TASK_BYTES, wrong),
        ..QueueConfig::default()
    };
    if let Some(text) = object.take(&GROUP_WEIGHTS, wrong) {
        config.group_weights = gates::read_weights(text, wrong);
    }
    if let Some(text) = object.take(&GROUP_LIMITS, wrong) {
        config.group_limits = gates::read_group_limits(text, wrong);
    }
    let at = At::Field(&At::Root, DEAD_LETTER.name);
    if let Some(mut dead_letter) = nested(object, &DEAD_LETTER, DeadLetterConfig::SHAPE, at, wrong) {
        config.dead_max_size = dead_letter.take(&MAX_SIZE, wrong);
        config.dead_max_age_ms = dead_letter.take(&MAX_AGE, wrong);
        config.dead_max_bytes = dead_letter.take(&MAX_BYTES, wrong);
        config.dead_on_full = dead_letter.take(&ON_FULL, wrong);
    }
    let at = At::Field(&At::Root, RETENTION.name);
    if let Some(mut retention) = nested(object, &RETENTION, RetentionConfig::SHAPE, at, wrong) {
        config.keep = retention.take(&KEEP, wrong);
        config.completed_ms = retention.take(&COMPLETED_SECONDS, wrong);
        config.completed_max = retention.take(&COMPLETED_MAX, wrong);
        config.completed_bytes = retention.take(&COMPLETED_BYTES, wrong);
    }
    if let Some(text) = object.take(&NAMES, wrong) {
        config.names = read_names(text, wrong);
    }
    config
}

fn read_retry(object: &mut Object<'_, '_>, wrong: &mut Wrong) -> Option<RetryConfig> {
    let text = object.take(&RETRY, wrong)?;
    Some(retry::read(text, At::Field(&object.at(), RETRY.name), wrong))
}

fn read_names(text: &RawValue, wrong: &mut Wrong) -> BTreeMap<String, NameConfig> {
    let at_names = At::Field(&At::Root, NAMES.name);
    let entries = by_key::open(text, &NAMES.kind, at_names, wrong);
    let mut names = BTreeMap::new();
    for (name, text) in entries {
        let at = At::Field(&at_names, &name);
        if name != "*"
            && let Err(error) = TaskName::parse(&name)
        {
            wrong.add(at, format!("the name {error}, or be *"));
        }
        let Ok(fields) = json::open(text.get(), None) else {
            wrong.add(at, "must be an object");
            continue;
        };
        let mut object = Object::new(fields, NameConfigRequest::SHAPE, at, wrong);
        let lease_ms = object.take(&LEASE, wrong);
        let max_attempts = small(object.take(&MAX_ATTEMPTS, wrong));
        let retry = read_retry(&mut object, wrong);
        let limits = gates::read_limits(&mut object, wrong);
        let breaker = gates::read_breaker(&mut object, wrong);
        if names
            .insert(
                name.to_string(),
                NameConfig {
                    lease_ms,
                    max_attempts,
                    retry,
                    limits,
                    breaker,
                },
            )
            .is_some()
        {
            wrong.add(at, "is given twice");
        }
    }
    names
}

/// Notes a lease that is longer than the longest allowed one, wherever the two are set.
fn check_leases(config: &QueueConfig, wrong: &mut Wrong) {
    let longest = config.max_lease_ms.unwrap_or(defaults::MAX_LEASE_MS);
    let too_long = "is longer than max_lease_seconds";
    if config.lease_ms.unwrap_or(defaults::LEASE_MS) > longest {
        let field = if config.lease_ms.is_some() {
            LEASE.name
        } else {
            MAX_LEASE.name
        };
        let detail = if config.lease_ms.is_some() {
            too_long
        } else {
            "is shorter than lease_seconds"
        };
        wrong.add(At::Field(&At::Root, field), detail);
    }
    let names = At::Field(&At::Root, NAMES.name);
    for (name, _) in config
        .names
        .iter()
        .filter(|(_, named)| named.lease_ms.is_some_and(|ms| ms > longest))
    {
        wrong.add(At::Field(&At::Field(&names, name), LEASE.name), too_long);
    }
}

fn check_retries(config: &QueueConfig, wrong: &mut Wrong) {
    if let Some(own) = &config.retry {
        retry::check_bounds(own, At::Field(&At::Root, RETRY.name), wrong);
    }
    let names = At::Field(&At::Root, NAMES.name);
    for (name, named) in &config.names {
        if let Some(own) = &named.retry {
            retry::check_bounds(own, At::Field(&At::Field(&names, name), RETRY.name), wrong);
        }
    }
}

fn small(value: Option<u64>) -> Option<u16> {
    value.and_then(|value| u16::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::super::shown::ConfigDocument;
    use super::*;
    use crate::http::field::read_request;
    use crate::http::problem::Code;

    const ALL: &str = r#"{"lease_seconds":45.5,"max_lease_seconds":3600,"max_attempts":7,"max_deferrals":0,
        "retry":{"strategy":"linear","base_seconds":2,"factor":1.5,"max_seconds":60,"jitter":"none"},
        "order":"strict","aging_seconds":0,"group_weights":{"*":0.5,"acme":3.0},
        "limits":{"rate_per_second":100.0,"burst":5.5,"max_leased":7},"group_limits":{"*":{"max_leased":2}},"breaker":{},"dead_letter":{"max_size":10,"max_age_seconds":3600,"max_bytes":1048576,"on_full":"reject_enqueue"},
        "retention":{"keep":"results","completed_seconds":0,"completed_max":5,"completed_bytes":0},
        "idempotency_seconds":1.5,"idempotency_max":2000,"max_tasks":1,"max_bytes":2097152,
        "names":{"*":{"max_attempts":2},"send_email":{"lease_seconds":60,"retry":{"strategy":"fixed"},"limits":{"rate_per_second":0.5},
            "breaker":{"failure_threshold":3,"reset_seconds":0.5,"half_open_max":2,"success_threshold":4}}}}"#;

    fn check_patch(text: &str) -> Result<String, Problem> {
        read_request::<ConfigPatch>(&Bytes::copy_from_slice(text.as_bytes()))
    }

    fn refused(text: &str) -> (Code, Vec<String>) {
        let problem = read(text).unwrap_err();
        (problem.code(), problem.pointers())
    }

    #[test]
    fn what_was_set_reads_back_as_it_was_written() {
        for text in [ALL, "{}"] {
            let config = read(text).unwrap();
            let shown = serde_json::to_value(ConfigDocument::set(&config)).unwrap();
            assert_eq!(shown, serde_json::from_str::<serde_json::Value>(text).unwrap());
            assert_eq!(read(&shown.to_string()).unwrap(), config);
        }
    }

    #[test]
    fn what_holds_has_a_value_for_every_field_that_has_a_default() {
        let effective = serde_json::to_value(ConfigDocument::effective(&QueueConfig::default())).unwrap();
        let shown: Vec<_> = effective.as_object().unwrap().keys().cloned().collect();
        for field in QueueConfigRequest::SHAPE
            .iter()
            .map(|field| field.name())
            .filter(|name| {
                let unset = [
                    "group_weights",
                    "group_limits",
                    "limits",
                    "breaker",
                    "max_tasks",
                    "max_bytes",
                ];
                !["names"].iter().chain(&unset).any(|other| other == name)
            })
        {
            assert!(shown.iter().any(|name| name == field), "{field}");
        }
        assert_eq!(effective["lease_seconds"], 30);
        let dead_letter = serde_json::json!({
            "max_size": 10_000, "max_age_seconds": 1_209_600, "max_bytes": 268_435_456_u64, "on_full": "evict_oldest",
        });
        assert_eq!(effective["dead_letter"], dead_letter);
        assert_eq!(effective["retry"]["max_seconds"], 300);
    }

    #[test]
    fn wrong_values_are_named_down_to_the_leaf() {
        let (code, pointers) = refused(
            r#"{"lease_seconds":0,"order":"lifo","dead_letter":{"max_size":0,"x":1,"max_age_seconds":0.5,"max_bytes":0,"on_full":"drop"},"retention":3,"retry":{"factor":0},
                "names":{"a b":{},"n/1":{"max_attempts":0,"retry":{"jitter":1}},"m":[],"*":{"lease":1}}}"#,
        );
        assert_eq!(code, Code::ValidationFailed);
        let expected = [
            "/lease_seconds",
            "/retry/factor",
            "/order",
            "/dead_letter/x",
            "/dead_letter/max_size",
            "/dead_letter/max_age_seconds",
            "/dead_letter/max_bytes",
            "/dead_letter/on_full",
            "/retention",
            "/names/a b",
            "/names/n~11",
            "/names/n~11/max_attempts",
            "/names/n~11/retry/jitter",
            "/names/m",
            "/names/*/lease",
        ];
        assert_eq!(pointers, expected);
    }

    #[test]
    fn weights_and_limits_out_of_bounds_are_named() {
        let text = r#"{"group_weights":{"a":0,"b":-1,"c":1e3,"d":"1","":1,"e":1},
            "limits":{"rate_per_second":0,"burst":0.5,"max_leased":0,"rate":1},
            "group_limits":{"a":{"rate_per_second":-1},"b":[],"*":{"rate_per_second":1e9}},
            "breaker":{"failure_threshold":0,"reset_seconds":0,"half_open_max":-1,"success_threshold":1e9,"x":1},
            "names":{"n":{"limits":{"max_leased":1.5,"burst":1e400},"breaker":[]}}}"#;
        let (code, pointers) = refused(text);
        assert_eq!(code, Code::ValidationFailed);
        let expected = [
            "/limits/rate",
            "/limits/rate_per_second",
            "/limits/burst",
            "/limits/max_leased",
            "/breaker/x",
            "/breaker/failure_threshold",
            "/breaker/reset_seconds",
            "/breaker/half_open_max",
            "/breaker/success_threshold",
            "/group_weights/a",
            "/group_weights/b",
            "/group_weights/c",
            "/group_weights/d",
            "/group_weights/",
            "/group_limits/a/rate_per_second",
            "/group_limits/b",
            "/group_limits/*/rate_per_second",
            "/names/n/limits/burst",
            "/names/n/limits/max_leased",
            "/names/n/breaker",
        ];
        assert_eq!(pointers, expected);
    }

    #[test]
    fn a_burst_of_no_rate_is_a_contradiction() {
        let text =
            r#"{"limits":{"burst":2},"group_limits":{"g":{"burst":2}},"names":{"*":{"limits":{"burst":1}}}}"#;
        let expected = ["/limits/burst", "/group_limits/g/burst", "/names/*/limits/burst"];
        assert_eq!(refused(text).1, expected);
        // A patch alone cannot decide this: the rate may be set already.
        assert!(check_patch(text).is_ok());
    }

    #[test]
    fn a_retry_policy_that_contradicts_itself_is_refused_once_it_is_whole() {
        assert_eq!(
            refused(r#"{"retry":{"base_seconds":301},"names":{"*":{"retry":{"max_seconds":0}}}}"#).1,
            ["/retry/base_seconds", "/names/*/retry/max_seconds"]
        );
        // A patch alone cannot decide this: the policy may have a longer `max_seconds`.
        assert!(check_patch(r#"{"retry":{"base_seconds":301}}"#).is_ok());
    }

    #[test]
    fn a_lease_longer_than_the_longest_is_a_contradiction() {
        assert_eq!(
            refused(r#"{"lease_seconds":60,"max_lease_seconds":30}"#).1,
            ["/lease_seconds"]
        );
        assert_eq!(refused(r#"{"max_lease_seconds":10}"#).1, ["/max_lease_seconds"]);
        let named = r#"{"max_lease_seconds":60,"names":{"a":{"lease_seconds":61}}}"#;
        assert_eq!(refused(named).1, ["/names/a/lease_seconds"]);
        // A patch alone cannot decide this: the two may conflict only after the merge.
        assert!(check_patch(r#"{"max_lease_seconds":10}"#).is_ok());
        assert!(check_patch(r#"{"lease_second":null}"#).is_err());
    }
}
