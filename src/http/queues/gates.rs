//! The part of a config about turns and gates: weights of groups, limits, breakers.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::domain::Group;
use crate::domain::gate::{Breaker, Limits, Positive};
use crate::domain::limits::{
    BREAKER_COUNT_MAX, BREAKER_RESET_MS_MAX, BREAKER_RESET_MS_MIN, BURST_MAX, GROUP_WEIGHT_MAX,
    GROUP_WEIGHT_MIN, GROUPS_MAX, LEASED_MAX, RATE_PER_SECOND_MAX, RATE_PER_SECOND_MIN,
};
use crate::domain::queue::QueueConfig;
use crate::http::field::{
    At, ByKey, Decimal, Field, Integer, Kind as _, Nested, Object, Of, Seconds, Wrong, by_key, nested, shape,
};
use crate::http::json;

pub(super) const GROUP_WEIGHTS: Field<ByKey> = Field::new(
    "group_weights",
    ByKey {
        keys_max: GROUPS_MAX,
        of: Of::Numbers {
            min: GROUP_WEIGHT_MIN,
            max: GROUP_WEIGHT_MAX,
        },
    },
    "Turns of a group relative to a group of weight 1. `*` stands for each group without an entry of its own.",
);

const WEIGHT: Decimal = Decimal {
    min: GROUP_WEIGHT_MIN,
    max: GROUP_WEIGHT_MAX,
};

pub(super) const LIMITS: Field<Nested> = Field::new(
    "limits",
    Nested { of: "LimitsRequest" },
    "Limits of the rate of grants and of the leased tasks.",
);
pub(super) const GROUP_LIMITS: Field<ByKey> = Field::new(
    "group_limits",
    ByKey {
        keys_max: GROUPS_MAX,
        of: Of::Shape("LimitsRequest"),
    },
    "Limits by group. `*` stands for each group without an entry of its own, but not for tasks without a group.",
);
const RATE: Field<Decimal> = Field::new(
    "rate_per_second",
    Decimal {
        min: RATE_PER_SECOND_MIN,
        max: RATE_PER_SECOND_MAX,
    },
    "Grants per second: in any t seconds at most `burst + rate_per_second * t`, over all replicas.",
);
const BURST: Field<Decimal> = Field::new(
    "burst",
    Decimal {
        min: 1.0,
        max: BURST_MAX,
    },
    "Grants that may follow at once after an idle time. Default: one second's worth, at least 1.",
);
const MAX_LEASED: Field<Integer> = Field::new(
    "max_leased",
    Integer {
        min: 1,
        max: LEASED_MAX,
    },
    "Tasks that may be leased at the same time.",
);

shape! {
    /// Limits for all tasks of a queue, for a name, or for a group. A task must pass all that apply to it.
    LimitsRequest: RATE, BURST, MAX_LEASED
}

pub(super) const BREAKER: Field<Nested> = Field::new(
    "breaker",
    Nested { of: "BreakerRequest" },
    "Circuit breaker: stops the grants of a name while its attempts keep failing. The breaker of a queue applies to each name without one of its own.",
);
const FAILURE_THRESHOLD: Field<Integer> = Field::new(
    "failure_threshold",
    Integer {
        min: 1,
        max: BREAKER_COUNT_MAX,
    },
    "Consecutive failed attempts (nack or expired lease) that open it.",
)
.or("5");
const RESET: Field<Seconds> = Field::new(
    "reset_seconds",
    Seconds {
        min_ms: BREAKER_RESET_MS_MIN,
        max_ms: BREAKER_RESET_MS_MAX,
    },
    "Time for which it is open. Each failed probe doubles it, up to ten times its value.",
)
.or("60");
const HALF_OPEN_MAX: Field<Integer> = Field::new(
    "half_open_max",
    Integer {
        min: 1,
        max: BREAKER_COUNT_MAX,
    },
    "Probes that may be leased at the same time while it is half-open, over all replicas.",
)
.or("1");
const SUCCESS_THRESHOLD: Field<Integer> = Field::new(
    "success_threshold",
    Integer {
        min: 1,
        max: BREAKER_COUNT_MAX,
    },
    "Acked probes that close it.",
)
.or("1");

shape! {
    /// A circuit breaker.
    BreakerRequest: FAILURE_THRESHOLD, RESET, HALF_OPEN_MAX, SUCCESS_THRESHOLD
}

/// Limits of the queue or of a name.
pub(super) fn read_breaker(object: &mut Object<'_, '_>, wrong: &mut Wrong) -> Option<Breaker> {
    let parent = object.at();
    let at = At::Field(&parent, BREAKER.name);
    let mut breaker = nested(object, &BREAKER, BreakerRequest::SHAPE, at, wrong)?;
    Some(Breaker {
        failure_threshold: breaker.take(&FAILURE_THRESHOLD, wrong),
        reset_ms: breaker.take(&RESET, wrong),
        half_open_max: breaker.take(&HALF_OPEN_MAX, wrong),
        success_threshold: breaker.take(&SUCCESS_THRESHOLD, wrong),
    })
}

/// Limits of the queue or of a name.
pub(super) fn read_limits(object: &mut Object<'_, '_>, wrong: &mut Wrong) -> Limits {
    let parent = object.at();
    let at = At::Field(&parent, LIMITS.name);
    let limits = nested(object, &LIMITS, LimitsRequest::SHAPE, at, wrong);
    limits.map_or_else(Limits::default, |object| take_limits(object, wrong))
}

pub(super) fn read_group_limits(text: &RawValue, wrong: &mut Wrong) -> BTreeMap<String, Limits> {
    let at_groups = At::Field(&At::Root, GROUP_LIMITS.name);
    let mut groups = BTreeMap::new();
    for (group, text) in by_key::open(text, &GROUP_LIMITS.kind, at_groups, wrong) {
        let at = At::Field(&at_groups, &group);
        check_group(&group, at, wrong);
        let Ok(fields) = json::open(text.get(), None) else {
            wrong.add(at, "must be an object");
            continue;
        };
        let limits = take_limits(Object::new(fields, LimitsRequest::SHAPE, at, wrong), wrong);
        if groups.insert(group.to_string(), limits).is_some() {
            wrong.add(at, "is given twice");
        }
    }
    groups
}

fn take_limits(mut object: Object<'_, '_>, wrong: &mut Wrong) -> Limits {
    let mut positive = |field, wrong: &mut Wrong| object.take(field, wrong).and_then(Positive::new);
    let (rate_per_second, burst) = (positive(&RATE, wrong), positive(&BURST, wrong));
    Limits {
        rate_per_second,
        burst,
        max_leased: object.take(&MAX_LEASED, wrong),
    }
}

/// Notes a burst without a rate, wherever the two are set.
pub(super) fn check_limits(config: &QueueConfig, wrong: &mut Wrong) {
    let mut check = |limits: &Limits, at: At<'_>| {
        if limits.burst.is_some() && limits.rate_per_second.is_none() {
            wrong.add(
                At::Field(&at, BURST.name),
                "has no effect without rate_per_second",
            );
        }
    };
    check(&config.limits, At::Field(&At::Root, LIMITS.name));
    let groups = At::Field(&At::Root, GROUP_LIMITS.name);
    for (group, limits) in &config.group_limits {
        check(limits, At::Field(&groups, group));
    }
    let names = At::Field(&At::Root, "names");
    for (name, named) in &config.names {
        check(&named.limits, At::Field(&At::Field(&names, name), LIMITS.name));
    }
}

pub(super) fn read_weights(text: &RawValue, wrong: &mut Wrong) -> BTreeMap<String, Positive> {
    let at_weights = At::Field(&At::Root, GROUP_WEIGHTS.name);
    let mut weights = BTreeMap::new();
    for (group, text) in by_key::open(text, &GROUP_WEIGHTS.kind, at_weights, wrong) {
        let at = At::Field(&at_weights, &group);
        check_group(&group, at, wrong);
        match WEIGHT.read(text) {
            Ok(weight) => {
                let weight = Positive::new(weight).expect("the least is above zero");
                if weights.insert(group.to_string(), weight).is_some() {
                    wrong.add(at, "is given twice");
                }
            }
            Err(refusal) => wrong.add(at, refusal),
        }
    }
    weights
}

fn check_group(group: &str, at: At<'_>, wrong: &mut Wrong) {
    if let Err(error) = Group::parse(group) {
        wrong.add(at, error.to_string());
    }
}
