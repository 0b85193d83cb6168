//! The part of the library that is generated from facts of the Rust code.

use super::Clock;
use crate::domain::RetryPolicy;
use crate::domain::limits;
use crate::domain::pause::PauseMode;
use crate::domain::pulse::{self, Chart};
use crate::domain::queue::{Keep, OnFull, Order, defaults};
use crate::store::keys::{self, QueueKeys};

/// Returns the facts that Lua takes from Rust, so that each is written once.
pub(super) fn lua(clock: Clock) -> String {
    const RETRY: RetryPolicy = RetryPolicy::DEFAULT;
    let now = match clock {
        Clock::Redis => {
            "local t = redis.call('TIME') return t[1] * 1000 + math.floor(t[2] / 1000)".to_owned()
        }
        Clock::Test => format!("return tonumber(redis.call('GET', '{}'))", keys::TEST_CLOCK),
    };
    format!(
        "local DEFAULT_LEASE_MS, DEFAULT_MAX_ATTEMPTS = {}, {}\n\
         local DEFAULT_RETRY = {{ strategy = {}, base_ms = {}, factor = {}, max_ms = {}, jitter = {} }}\n\
         local HISTORY_ATTEMPTS_MAX, HISTORY_BYTES_MAX = {}, {}\n\
         local AGED, FIFO, KEEP_RESULTS, KEEP_NONE = {}, {}, {}, {}\n\
         local LOOK_MAX, QUEUE_NAMES_MAX = {}, {}\n\
         local PAUSE_LEASE, PAUSE_ENQUEUE = {}, {}\n\
         local PAUSE_WORDS = {{ {} }} -- by their bits\n\
         local STEP_10S_MS, ROWS_10S_MAX, STEP_5M_MS, ROWS_5M_MAX = {}, {}, {}, {}\n\
         local WAITING_MS_MAX, WORKERS_MAX, WORKER_MS_MAX = {}, {}, {}\n\
         local HINTS, EVENTS = '{}', '{}'\n\
         local NONE = {{}} -- for lists that most calls leave empty; never written to\n\
         local DEAD_GROUPS_MAX, FOLLOWED_MAX, REJECT_ENQUEUE, ENDED = {}, {}, {}, '{}'\n\
         {}\
         local function clock() {now} end\n",
        defaults::LEASE_MS,
        defaults::MAX_ATTEMPTS,
        RETRY.strategy as u8,
        RETRY.base_ms,
        f64::from(RETRY.factor.0) / 1000.0,
        RETRY.max_ms,
        RETRY.jitter as u8,
        limits::HISTORY_ATTEMPTS_MAX,
        limits::HISTORY_BYTES_MAX,
        Order::Aged as u8,
        Order::Fifo as u8,
        Keep::Results as u8,
        Keep::None as u8,
        limits::PAGE_SCAN_MAX,
        limits::NAMES_MAX,
        PauseMode::Lease.bits(),
        PauseMode::Enqueue.bits(),
        pause_words(),
        Chart::Fine.step_ms(),
        Chart::Fine.rows_max(),
        Chart::Coarse.step_ms(),
        Chart::Coarse.rows_max(),
        pulse::WAITING_MS_MAX,
        pulse::WORKERS_MAX,
        pulse::WORKER_MS_MAX,
        keys::WAKE,
        keys::EVENTS,
        limits::DEAD_GROUPS_MAX,
        limits::FOLLOWED_MAX,
        OnFull::RejectEnqueue as u8,
        keys::ENDED,
        QueueKeys::lua(),
    )
}

/// Returns the words for what is paused, each at the index that its bits are as a number.
fn pause_words() -> String {
    let words = (1..).map_while(PauseMode::of_bits).map(PauseMode::word);
    words
        .map(|word| format!("'{word}'"))
        .collect::<Vec<_>>()
        .join(", ")
}
