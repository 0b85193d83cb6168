//! Packs the settings of turns and gates for scripts: the entries of the hash `gates` (`lua/gates.lua`).

use crate::domain::gate::{Breaker, Limits, Positive, Scope, TURN};
use crate::domain::queue::{NameConfig, QueueConfig};

/// The amount that a grant adds to the pass of a group without a weight of its own.
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

/// Returns the name of a scope in scripts.
pub fn scope(scope: &Scope) -> String {
    match scope {
        Scope::Queue => "q".to_owned(),
        Scope::Name(name) => format!("n{name}"),
        Scope::Group(group) => format!("g{group}"),
    }
}

/// Returns the kinds of scopes with limits: 1 the queue, 2 names, 4 groups; names with breakers are 2 and 8.
pub fn limited(config: &QueueConfig) -> u64 {
    let breakers = config.breaker.is_some() || config.names.values().any(|name| name.breaker.is_some());
    let names = breakers || config.names.values().any(|name| !name.limits.is_none());
    let groups = config.group_limits.values().any(|limits| !limits.is_none());
    u64::from(!config.limits.is_none())
        + 2 * u64::from(names)
        + 4 * u64::from(groups)
        + 8 * u64::from(breakers)
}

/// Returns the entries: `w<group>` → what a grant adds to its pass, and its weight; scope → limits, and for
/// names the breaker. Every configured name gets an entry, even an empty one; otherwise `n*` would apply to
/// it.
pub fn entries(config: &QueueConfig) -> Vec<(String, Vec<u8>)> {
    let limited = limited(config);
    let mut entries = Vec::new();
    for (group, weight) in &config.group_weights {
        entries.push((format!("w{group}"), packed(&[stride_of(*weight), weight.get()])));
    }
    if limited & 1 > 0 {
        entries.push(("q".to_owned(), packed(&limit_numbers(&config.limits))));
    }
    if limited & 2 > 0 {
        let default = ("*".to_owned(), NameConfig::default());
        let names = config.names.iter();
        let is_missing = config.breaker.is_some() && !config.names.contains_key("*");
        let default = is_missing.then_some((&default.0, &default.1));
        for (name, named) in names.chain(default) {
            let breaker = named.breaker.or(config.breaker);
            let numbers = [&limit_numbers(&named.limits)[..], &breaker_numbers(breaker)].concat();
            entries.push((format!("n{name}"), packed(&numbers)));
        }
    }
    for (group, limits) in &config.group_limits {
        entries.push((format!("g{group}"), packed(&limit_numbers(limits))));
    }
    entries
}

#[allow(clippy::cast_precision_loss)] // Bounded by what a weight may be.
fn stride_of(weight: Positive) -> f64 {
    weight.stride() as f64
}

#[allow(clippy::cast_precision_loss)] // Bounded by what a config may say.
fn limit_numbers(limits: &Limits) -> [f64; 3] {
    let rate = limits.rate_per_second.map_or(0.0, |rate| rate.get());
    [
        rate,
        limits.burst().unwrap_or(0.0),
        limits.max_leased.unwrap_or(0) as f64,
    ]
}

/// Writes limits; zeros mean none.
#[allow(clippy::cast_precision_loss)]
fn breaker_numbers(breaker: Option<Breaker>) -> [f64; 4] {
    let holds = breaker.map_or_else(Breaker::default, |breaker| breaker.effective());
    let numbers = [
        holds.failure_threshold,
        holds.reset_ms,
        holds.half_open_max,
        holds.success_threshold,
    ];
    numbers.map(|number| number.unwrap_or(0) as f64)
}

fn packed(numbers: &[f64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}
