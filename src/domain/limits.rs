//! Every bound that a client can meet. `GET /v1/limits`, validation, OpenAPI and docs read them from here.

/// Bytes of one payload, as JSON text.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 20;
/// Bytes of one ack result, as JSON text.
pub const RESULT_BYTES_MAX: usize = 256 << 10;
/// Bytes of a request body, after decompression.
pub const BODY_BYTES_MAX: usize = 10 << 20;

/// Tasks in one batch enqueue.
pub const BATCH_ITEMS_MAX: usize = 1000;
/// Tasks in one `atomic: true` batch: it must fit one script call.
pub const ATOMIC_ITEMS_MAX: usize = 256;
/// Bytes of one `atomic: true` batch.
pub const ATOMIC_BYTES_MAX: usize = 1 << 20;
/// Operations in one batch settle, or in the `settle` list of a lease call.
pub const SETTLE_ITEMS_MAX: usize = 1000;

/// Items of one script call. Larger calls gain nothing and block Redis longer.
pub const SCRIPT_ITEMS_MAX: usize = 256;
/// Payload bytes of one script call; a call holds at least one item whatever its size.
pub const SCRIPT_BYTES_MAX: usize = 1 << 20;

/// Tasks in one lease answer.
pub const LEASE_TASKS_MAX: usize = 1000;
/// Payload bytes in one lease answer; at least one task is given.
pub const LEASE_BYTES_MAX: usize = 8 << 20;
/// Queues in one `POST /v1/lease`.
pub const LEASE_QUEUES_MAX: usize = 32;
/// Names in a `names` filter.
pub const LEASE_NAMES_MAX: usize = 100;
/// Seconds a lease call or a task read may wait.
pub const WAIT_SECONDS_MAX: u64 = 60;
/// Milliseconds of the shortest and the longest lease.
pub const LEASE_MS_MIN: u64 = 1_000;
pub const LEASE_MS_MAX: u64 = 12 * 3600 * 1000;
/// Milliseconds a task may be scheduled ahead.
pub const DELAY_MS_MAX: u64 = 365 * 86_400 * 1000;
/// Milliseconds after its acceptance that a task may expire.
pub const EXPIRES_MS_MAX: u64 = DELAY_MS_MAX;
/// Highest `factor` of a retry policy; 1 is the lowest.
pub const RETRY_FACTOR_MAX: u32 = 100;
/// Milliseconds that `release {retry_after}` may ask for.
pub const RETRY_AFTER_MS_MAX: u64 = 86_400 * 1000;

/// Highest priority; 0 is the lowest.
pub const PRIORITY_MAX: u16 = 1000;
/// Highest `max_attempts`.
pub const ATTEMPTS_MAX: u16 = 1000;
/// Headers of a task and bytes of one name plus value.
pub const HEADERS_MAX: usize = 16;
pub const HEADER_BYTES_MAX: usize = 1 << 10;
/// Bytes of a `unique` key and of an `Idempotency-Key`.
pub const UNIQUE_KEY_BYTES_MAX: usize = 255;
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// Milliseconds that a `unique` key may be held.
pub const UNIQUE_TTL_MS_MIN: u64 = 1_000;
pub const UNIQUE_TTL_MS_MAX: u64 = DELAY_MS_MAX;
/// Bytes of a worker's name and of a lease call's `request_id`.
pub const WORKER_BYTES_MAX: usize = 128;
pub const REQUEST_ID_BYTES_MAX: usize = 128;
/// Bytes of the reason of a pause.
pub const PAUSE_REASON_BYTES_MAX: usize = 256;
/// Bytes kept of the type, message and stack of an error. Longer texts are cut and marked.
pub const ERROR_TYPE_BYTES_MAX: usize = 200;
pub const ERROR_MESSAGE_BYTES_MAX: usize = 8 << 10;
pub const ERROR_STACK_BYTES_MAX: usize = 32 << 10;
/// Bytes of `progress` in an extend, as JSON text.
pub const PROGRESS_BYTES_MAX: usize = 8 << 10;
/// Failed attempts kept with a task, and their bytes.
pub const HISTORY_ATTEMPTS_MAX: usize = 50;
pub const HISTORY_BYTES_MAX: usize = 64 << 10;

/// Bytes of a masked message in a fingerprint.
pub const FINGERPRINT_MESSAGE_BYTES_MAX: usize = 512;
/// Groups of dead letters by error fingerprint. Others are counted as `other`.
pub const DEAD_GROUPS_MAX: usize = 1000;
/// Tasks of a queue whose end reads wait for, and such reads in one process.
pub const FOLLOWED_MAX: usize = 10_000;
pub const FOLLOWERS_MAX: usize = 16_384;

/// Items of a page: default and most.
pub const PAGE_DEFAULT: usize = 20;
pub const PAGE_MAX: usize = 500;
/// Entries a page looks at before it stops short.
pub const PAGE_SCAN_MAX: usize = 1000;
/// Tasks that one call of bulk work handles.
pub const BULK_TASKS_MAX: usize = 1000;
/// Bytes of the text that a filter searches in errors.
pub const ERROR_FILTER_BYTES_MAX: usize = 256;

/// Names that the tasks of one queue may have, and names with an entry of their own in its config.
pub const NAMES_MAX: usize = 1000;
/// Groups with an entry of their own in each of one queue's `group_weights` and `group_limits`.
pub const GROUPS_MAX: usize = 1000;
/// Weight of a group, relative to groups of weight 1.
pub const GROUP_WEIGHT_MIN: f64 = 0.1;
pub const GROUP_WEIGHT_MAX: f64 = 100.0;
/// Grants per second, tokens of a bucket and leased tasks that a limit may allow.
pub const RATE_PER_SECOND_MIN: f64 = 0.00001;
pub const RATE_PER_SECOND_MAX: f64 = 1_000_000.0;
pub const BURST_MAX: f64 = 1_000_000.0;
pub const LEASED_MAX: u64 = 1_000_000;
/// Failures, probes and successes that a breaker counts, and milliseconds for which it opens the first time.
pub const BREAKER_COUNT_MAX: u64 = 1000;
pub const BREAKER_RESET_MS_MIN: u64 = 100;
pub const BREAKER_RESET_MS_MAX: u64 = 86_400 * 1000;
/// Milliseconds for which an operator may hold a queue, a name or a group.
pub const HOLD_MS_MAX: u64 = 365 * 86_400 * 1000;
/// Queues of one service, unless configured.
pub const QUEUES_MAX_DEFAULT: usize = 10_000;

/// Tasks ahead of a waiting one that are counted exactly.
pub const AHEAD_MAX: usize = 1000;
/// Problems that one audit reports. Further ones are counted.
pub const PROBLEMS_MAX: usize = 100;
/// Event streams open at one replica.
pub const WATCHERS_MAX: usize = 256;
/// Seconds that one part of an audit may take: default and most.
pub const VERIFY_SECONDS_DEFAULT: u64 = 20;
pub const VERIFY_SECONDS_MAX: u64 = 60;
