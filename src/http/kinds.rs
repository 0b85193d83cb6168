//! Kinds of values that several requests share: names, groups, priorities, instants.

use super::field::{Integer, Parsed, sentence};
use super::wire;
use crate::domain::limits::{DELAY_MS_MAX, PRIORITY_MAX};
use crate::domain::{Group, Millis, QueueName, TaskName};

/// A queue's name.
pub(super) const QUEUE_KIND: Parsed<QueueName> = Parsed {
    parse: |text| QueueName::parse(text).map_err(sentence),
    schema: wire::name_schema,
};

/// Name of a task.
pub(super) const NAME_KIND: Parsed<TaskName> = Parsed {
    parse: |text| TaskName::parse(text).map_err(sentence),
    schema: wire::name_schema,
};

/// A group.
pub(super) const GROUP_KIND: Parsed<Group> = Parsed {
    parse: |text| Group::parse(text).map_err(sentence),
    schema: wire::group_schema,
};

/// A priority.
pub(super) const PRIORITY_KIND: Integer = Integer {
    min: 0,
    max: PRIORITY_MAX as u64,
};

/// An instant by Redis's clock, such as a due time.
pub(super) const INSTANT_KIND: Parsed<Millis> = Parsed {
    parse: |text| Millis::parse(text).map_err(sentence),
    schema: wire::instant_schema,
};

pub(super) const TOO_FAR: &str = "must be at most 365 days ahead";

/// The local clock is exact enough for a bound of a year. Redis's clock decides when the task is due.
pub(super) fn is_too_far(run_at: Millis) -> bool {
    run_at.since(Millis::local()) > DELAY_MS_MAX
}
