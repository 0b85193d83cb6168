//! What a config says of turns and gates, packed so that scripts read it without a thought: the entries of the hash `gates`
//! (`lua/gates.lua`).

use crate::domain::gate::{Limits, Scope, TURN};
use crate::domain::queue::QueueConfig;

/// What a grant adds to the pass of a group without an entry of its own.
pub fn stride(config: &QueueConfig) -> u64 {
    config
        .group_weights
        .get("*")
        .map_or(TURN, |weight| weight.stride())
}

/// Whether any group has an entry of its own.
pub fn weighted(config: &QueueConfig) -> bool {
    config.group_weights.keys().any(|group| group != "*")
}

/// As scripts name it.
pub fn scope(scope: &Scope) -> String {
    match scope {
        Scope::Queue => "q".to_owned(),
        Scope::Name(name) => format!("n{name}"),
        Scope::Group(group) => format!("g{group}"),
    }
}

/// Which scopes have limits: 1 the queue, 2 names, 4 groups.
pub fn limited(config: &QueueConfig) -> u64 {
    let names = config.names.values().any(|name| !name.limits.is_none());
    let groups = config.group_limits.values().any(|limits| !limits.is_none());
    u64::from(!config.limits.is_none()) + 2 * u64::from(names) + 4 * u64::from(groups)
}

/// `w<group>` → what a grant adds to its pass; scope → limits. Also of names without limits, for which `n*` would stand otherwise.
pub fn entries(config: &QueueConfig) -> Vec<(String, Vec<u8>)> {
    let limited = limited(config);
    let weights = config.group_weights.iter().filter(|(group, _)| *group != "*");
    let weights =
        weights.map(|(group, weight)| (format!("w{group}"), weight.stride().to_string().into_bytes()));
    let queue = (limited & 1 > 0).then(|| ("q".to_owned(), packed(&config.limits)));
    let names = config.names.iter().filter(|_| limited & 2 > 0);
    let names = names.map(|(name, named)| (format!("n{name}"), packed(&named.limits)));
    let groups = config.group_limits.iter();
    let groups = groups.map(|(group, limits)| (format!("g{group}"), packed(limits)));
    weights.chain(queue).chain(names).chain(groups).collect()
}

#[allow(clippy::cast_precision_loss)]
fn packed(limits: &Limits) -> Vec<u8> {
    let rate = limits.rate_per_second.map_or(0.0, |rate| rate.get());
    let numbers = [
        rate,
        limits.burst().unwrap_or(0.0),
        limits.max_leased.unwrap_or(0) as f64,
    ];
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}
