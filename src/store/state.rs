//! The counters and live settings of a queue: one packed string, which scripts read and write whole.
//!
//! A hash would cost a search per field and a conversion per number in every call; this costs one copy. The
//! replicas that asked for messages about new tasks follow the numbers.

use std::collections::BTreeMap;

/// The numbers in their order: doubles, exact up to 2^53. Times are in ms, except `tick`, which is in places
/// (`lua/prelude.lua`). `round` and `stride` are passes (`lua/rotation.lua`).
pub const FIELDS: [&str; 38] = [
    "version",
    "order",
    "aging_ms",
    "tick",
    "ready",
    "accepted_total",
    "completed_total",
    "cancelled_total",
    "done_bytes",
    "done_since",
    "marks_at",
    "retried_at",
    "leased_at",
    "keep",
    "completed_ms",
    "completed_max",
    "completed_bytes",
    "max_lease_ms",
    "max_deferrals",
    "dead_max_size",
    "dead_max_age_ms",
    "dead_max_bytes",
    "dead_on_full",
    "followed_until",
    "paused",
    "paused_until",
    "max_tasks",
    "max_bytes",
    "unfinished_bytes",
    "names_epoch",
    "failed_total",
    "died_total",
    "round",
    "stride",
    "weighted",
    "limited",
    "limited_at",
    "shut",
];

const WIDTH: usize = size_of::<f64>();

/// Generates the Lua twin: the table `queue`, with its reader and writer.
pub(super) fn lua() -> String {
    let fields = FIELDS.map(|field| format!("queue.{field}")).join(", ");
    let format = format!("<{}", "d".repeat(FIELDS.len()));
    let names = FIELDS.map(|field| format!("'{field}'")).join(", ");
    format!(
        "-- state: counters and live settings of the queue, as `store/state.rs` lists them.\n\
         -- Every operation begins with read_queue(), which says whether the queue exists; whoever changed a number ends with write_queue().\n\
         local queue, QUEUE_FIELDS = {{}}, {{ {names} }}\n\
         local function read_queue()\n\
         \x20 local bytes = call('GET', STATE)\n\
         \x20 if not bytes then return false end\n\
         \x20 {fields} = unpack_bytes('{format}', bytes)\n\
         \x20 queue.hungry = sub(bytes, {})\n\
         \x20 return true\n\
         end\n\
         local function write_queue() call('SET', STATE, pack('{format}', {fields}) .. queue.hungry) end\n",
        FIELDS.len() * WIDTH + 1,
    )
}

/// Reads the string by name, and `hungry` apart. Returns `None` for a string of another layout.
pub fn read(bytes: &[u8]) -> Option<(BTreeMap<&'static str, f64>, &[u8])> {
    let (numbers, hungry) = bytes.split_at_checked(FIELDS.len() * WIDTH)?;
    let numbers = numbers
        .chunks_exact(WIDTH)
        .map(|number| number.try_into().map(f64::from_le_bytes));
    let named = FIELDS.into_iter().zip(numbers);
    let named = named.map(|(field, number)| Some((field, number.ok()?)));
    Some((named.collect::<Option<_>>()?, hungry))
}
