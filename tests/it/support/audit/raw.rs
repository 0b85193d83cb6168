//! The keys of a queue as they lie, and of their values what an audit needs.

use std::collections::{BTreeMap, BTreeSet};

use deadpool_redis::redis::{Script, cmd, pipe};
use leaseq::domain::TaskId;
use leaseq::store::QueueKeys;
use leaseq::store::keys::TEST_CLOCK;

use crate::support::redis::{Redis, queue};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lane {
    pub priority: u64,
    pub name: String,
    pub group: String,
}

/// A record's facts.
pub struct Task {
    pub tick: u64,
    /// The fields of the record.
    pub bytes: usize,
    pub big: bool,
    pub expires_at: Option<u64>,
    pub lane: Lane,
    /// Letter of the scope, and the key.
    pub unique: Option<(char, String)>,
}

/// The holder of a unique key.
#[derive(Debug, PartialEq, Eq)]
pub struct Hold {
    pub holder: TaskId,
    /// 0: its first grant or its end frees it.
    pub expires: u64,
}

/// A mutable part's facts.
pub struct Mutable {
    pub grants: u64,
    pub failed: u64,
    pub priority: u64,
}

/// An element of a lane. A fresh one's place is its tick.
pub struct Entry {
    pub tick: u64,
    pub id: TaskId,
    pub place: f64,
}

pub struct Done {
    pub at: u64,
    pub bytes: u64,
    pub id: TaskId,
}

#[derive(Default)]
pub struct Raw {
    /// Counters and live settings, rare totals among them.
    pub numbers: BTreeMap<String, f64>,
    pub tasks: BTreeMap<TaskId, Task>,
    pub payloads: BTreeMap<TaskId, usize>,
    pub mutables: BTreeMap<TaskId, Mutable>,
    /// Numbers of the attempts kept, oldest first.
    pub histories: BTreeMap<TaskId, Vec<u64>>,
    pub due: BTreeMap<TaskId, f64>,
    pub leased: BTreeMap<TaskId, f64>,
    pub dead: BTreeMap<TaskId, f64>,
    /// Expiry times of waiting tasks.
    pub expiry: BTreeMap<TaskId, f64>,
    /// The time, as scripts read it.
    pub now: u64,
    /// Bytes and fingerprint of dead letters.
    pub letters: BTreeMap<TaskId, (u64, String)>,
    /// Fingerprint, died at, id.
    pub alike: BTreeSet<(String, u64, TaskId)>,
    /// Fingerprints, each with what it should be by what is kept of it.
    pub prints: BTreeMap<String, String>,
    /// Ended tasks that somebody may still look at.
    pub linger: BTreeMap<TaskId, f64>,
    /// Bytes of all parts of a task.
    pub sizes: BTreeMap<TaskId, u64>,
    pub done: Vec<Done>,
    /// State letter and when it ended.
    pub results: BTreeMap<TaskId, (char, u64)>,
    pub requests: Vec<String>,
    pub request_ends: BTreeMap<String, f64>,
    pub holds: BTreeMap<String, Hold>,
    pub hold_ends: BTreeMap<String, f64>,
    /// When each mark of a request is forgotten.
    pub repeats: BTreeMap<Bytes, u64>,
    pub repeat_ends: Vec<(u64, Bytes)>,
    pub turn: BTreeMap<String, f64>,
    /// Names that tasks may have, and when one of them last came.
    pub named: BTreeMap<String, f64>,
    /// How many entries of a lane's list are counted as left behind.
    pub stale: BTreeMap<Lane, u64>,
    pub fresh: BTreeMap<Lane, Vec<Entry>>,
    pub back: BTreeMap<Lane, Vec<Entry>>,
    /// Group, then `priority/name`.
    pub heads: BTreeMap<String, BTreeMap<String, f64>>,
    /// Name, then `priority/group`.
    pub names: BTreeMap<String, BTreeMap<String, f64>>,
    /// Scope → tokens, when they were counted, rate and burst of then, held until.
    pub gates: BTreeMap<String, Vec<f64>>,
    /// Scope → leased tasks.
    pub counts: BTreeMap<String, u64>,
    /// Scope → when to look again.
    pub shut: BTreeMap<String, f64>,
    /// Keys that the schema of `store/keys.rs` does not know.
    pub strangers: Vec<String>,
}

type Bytes = Vec<u8>;
type Hash = BTreeMap<Bytes, Bytes>;
type Scores<K> = BTreeMap<K, f64>;

impl Raw {
    pub fn exists(&self) -> bool {
        !self.numbers.is_empty()
    }

    pub fn is_empty(&self) -> bool {
        self.strangers.is_empty()
            && self.tasks.is_empty()
            && self.due.is_empty()
            && self.leased.is_empty()
            && self.fresh.is_empty()
            && self.back.is_empty()
            && self.turn.is_empty()
            && self.expiry.is_empty()
            && self.stale.is_empty()
    }

    /// A counter or live setting, 0 if absent.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Just asserted.
    pub fn number(&self, field: &str) -> u64 {
        let number = self.numbers.get(field).copied().unwrap_or(0.0);
        assert!(number >= 0.0 && number.fract() == 0.0, "{field} is {number}");
        number as u64
    }

    pub fn read(redis: &Redis, name: &str) -> Self {
        let (_, keys) = queue(name);
        let root = format!("lq:1:{{{name}}}:");
        let key = |role: &str| format!("{root}{role}");
        let mut first = pipe();
        for role in ["q", "rec", "pay", "mut", "hist", "res"] {
            first.cmd("HGETALL").arg(key(role));
        }
        for role in ["due", "leased", "dead", "turn", "req_at"] {
            first
                .cmd("ZRANGE")
                .arg(key(role))
                .arg(0)
                .arg(-1)
                .arg("WITHSCORES");
        }
        first.cmd("LRANGE").arg(key("done")).arg(0).arg(-1);
        first.cmd("HKEYS").arg(key("req"));
        first.cmd("KEYS").arg(key("*"));
        #[allow(clippy::type_complexity)]
        let ((q, rec, pay, muts, hist, res), (due, leased, dead, turn, request_ends), (done, requests, all)): (
            (BTreeMap<String, String>, Hash, Hash, Hash, Hash, Hash),
            (Scores<Bytes>, Scores<Bytes>, Scores<Bytes>, Scores<String>, Scores<String>),
            (Vec<Bytes>, Vec<String>, Vec<String>),
        ) = nested(redis, &first);

        let state = redis.state(name).into_iter().flat_map(|(numbers, _)| numbers);
        let state = state.map(|(field, number)| (field.to_owned(), number));
        let rare = q
            .into_iter()
            .filter_map(|(field, text)| Some((field, text.parse().ok()?)));
        let mut sizes: BTreeMap<TaskId, u64> = BTreeMap::new();
        for (id, bytes) in [&rec, &pay, &muts, &hist].into_iter().flatten() {
            *sizes.entry(task_id(id)).or_default() += bytes.len() as u64;
        }
        let mut raw = Self {
            sizes,
            numbers: state.chain(rare).collect(),
            tasks: by_id(rec, |bytes| task(&bytes)),
            payloads: by_id(pay, |bytes| bytes.len()),
            mutables: by_id(muts, |bytes| mutable(&bytes)),
            histories: by_id(hist, |bytes| attempt_numbers(&bytes)),
            due: by_id(due, |score| score),
            leased: by_id(leased, |score| score),
            dead: by_id(dead, |score| score),
            done: done.iter().map(|bytes| finished(bytes)).collect(),
            results: by_id(res, |bytes| (char::from(bytes[0]), number(&bytes[1..7]))),
            requests,
            request_ends,
            turn,
            named: redis.command(cmd("ZRANGE").arg(key("named")).arg(0).arg(-1).arg("WITHSCORES")),
            expiry: redis
                .command::<Scores<Bytes>>(cmd("ZRANGE").arg(key("expiry")).arg(0).arg(-1).arg("WITHSCORES"))
                .into_iter()
                .map(|(id, at)| (task_id(&id), at))
                .collect(),
            now: now(redis),
            ..Self::default()
        };
        let stale: BTreeMap<String, u64> = redis.command(cmd("HGETALL").arg(key("stale")));
        raw.stale = stale
            .into_iter()
            .map(|(key, count)| (lane(&key), count))
            .collect();
        raw.read_deaths(redis, key);
        raw.read_lanes(redis, &root, &all, &keys);
        raw.read_guards(redis, &root);
        let gates: BTreeMap<String, Bytes> = redis.command(cmd("HGETALL").arg(key("gate")));
        raw.gates = gates
            .into_iter()
            .map(|(scope, packed)| (scope, doubles(&packed)))
            .collect();
        raw.counts = redis.command(cmd("HGETALL").arg(key("counts")));
        raw.shut = redis.command(cmd("ZRANGE").arg(key("shut")).arg(0).arg(-1).arg("WITHSCORES"));
        raw
    }

    fn read_guards(&mut self, redis: &Redis, root: &str) {
        let key = |role: &str| format!("{root}{role}");
        let mut guards = pipe();
        guards.cmd("HGETALL").arg(key("uniq"));
        guards
            .cmd("ZRANGE")
            .arg(key("uniq_at"))
            .arg(0)
            .arg(-1)
            .arg("WITHSCORES");
        guards.cmd("HGETALL").arg(key("idem"));
        guards.cmd("LRANGE").arg(key("idem_at")).arg(0).arg(-1);
        let (holds, hold_ends, repeats, repeat_ends): (BTreeMap<String, Bytes>, _, Hash, Vec<Bytes>) =
            redis.pipeline(&guards);
        let hold = |bytes: &Bytes| Hold {
            holder: task_id(&bytes[..14]),
            expires: number(&bytes[14..20]),
        };
        self.holds = holds
            .iter()
            .map(|(key, bytes)| (key.clone(), hold(bytes)))
            .collect();
        self.hold_ends = hold_ends;
        self.repeats = repeats
            .into_iter()
            .map(|(field, bytes)| (field, number(&bytes[16..22])))
            .collect();
        let entry = |bytes: &Bytes| (number(&bytes[..6]), bytes[6..].to_vec());
        self.repeat_ends = repeat_ends.iter().map(entry).collect();
    }

    /// The layout is told at the top of `lua/deaths.lua` and `lua/followed.lua`.
    fn read_deaths(&mut self, redis: &Redis, key: impl Fn(&str) -> String) {
        let mut deaths = pipe();
        deaths.cmd("HGETALL").arg(key("letter"));
        deaths.cmd("HGETALL").arg(key("print"));
        deaths.cmd("ZRANGE").arg(key("alike")).arg(0).arg(-1);
        deaths
            .cmd("ZRANGE")
            .arg(key("linger"))
            .arg(0)
            .arg(-1)
            .arg("WITHSCORES");
        let (letters, prints, alike, linger): (Hash, Hash, Vec<Bytes>, Scores<Bytes>) =
            redis.pipeline(&deaths);
        self.letters = by_id(letters, |bytes| (number(&bytes[..4]), text(&bytes[4..])));
        self.prints = prints
            .iter()
            .map(|(print, of)| (text(print), print_of(of)))
            .collect();
        let member = |bytes: &Bytes| {
            let at = bytes.len() - 20;
            (
                text(&bytes[..at]),
                number(&bytes[at..at + 6]),
                task_id(&bytes[at + 6..]),
            )
        };
        self.alike = alike.iter().map(member).collect();
        self.linger = by_id(linger, |score| score);
    }

    fn read_lanes(&mut self, redis: &Redis, root: &str, all: &[String], keys: &QueueKeys) {
        let named = keys.all();
        for key in all.iter().filter(|key| !named.contains(key)) {
            let Some((role, of)) = key[root.len()..].split_once(':') else {
                self.strangers.push(key.clone());
                continue;
            };
            let scores = || redis.command(cmd("ZRANGE").arg(key).arg(0).arg(-1).arg("WITHSCORES"));
            match role {
                "fresh" => {
                    let list: Vec<Bytes> = redis.command(cmd("LRANGE").arg(key).arg(0).arg(-1));
                    let entries = list.iter().map(|bytes| entry(bytes, None)).collect();
                    self.fresh.insert(lane(of), entries);
                }
                "back" => {
                    let set: Vec<(Bytes, f64)> =
                        redis.command(cmd("ZRANGE").arg(key).arg(0).arg(-1).arg("WITHSCORES"));
                    let entries = set
                        .iter()
                        .map(|(bytes, place)| entry(bytes, Some(*place)))
                        .collect();
                    self.back.insert(lane(of), entries);
                }
                "heads" => {
                    self.heads.insert(of.to_owned(), scores());
                }
                "names" => {
                    self.names.insert(of.to_owned(), scores());
                }
                _ => self.strangers.push(key.clone()),
            }
        }
    }
}

/// A pipeline is answered by one flat list; the tuple above is three deep only because tuples end at twelve.
fn nested<A, B, C>(redis: &Redis, pipeline: &deadpool_redis::redis::Pipeline) -> (A, B, C)
where
    A: deadpool_redis::redis::FromRedisValue,
    B: deadpool_redis::redis::FromRedisValue,
    C: deadpool_redis::redis::FromRedisValue,
{
    use deadpool_redis::redis::{Value, from_redis_value};
    let mut values: Vec<Value> = redis.pipeline(pipeline);
    let last = values.split_off(11);
    let middle = values.split_off(6);
    let read = "a type that the schema names";
    (
        from_redis_value(Value::Array(values)).expect(read),
        from_redis_value(Value::Array(middle)).expect(read),
        from_redis_value(Value::Array(last)).expect(read),
    )
}

fn doubles(bytes: &[u8]) -> Vec<f64> {
    let double = |eight: &[u8]| f64::from_le_bytes(eight.try_into().expect("eight bytes"));
    bytes.chunks(8).map(double).collect()
}

fn by_id<V, T>(map: BTreeMap<Bytes, V>, read: impl Fn(V) -> T) -> BTreeMap<TaskId, T> {
    map.into_iter()
        .map(|(id, value)| (task_id(&id), read(value)))
        .collect()
}

/// Tests may have set it.
fn now(redis: &Redis) -> u64 {
    let set: Option<u64> = redis.command(cmd("GET").arg(TEST_CLOCK));
    set.unwrap_or_else(|| {
        let (seconds, micros): (u64, u64) = redis.command(&cmd("TIME"));
        seconds * 1000 + micros / 1000
    })
}

fn task_id(bytes: &[u8]) -> TaskId {
    TaskId::from_slice(bytes).expect("indexes hold task ids")
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("names and groups are UTF-8")
}

/// "priority/name/group"; a group may hold slashes.
fn lane(key: &str) -> Lane {
    let mut parts = key.splitn(3, '/');
    let mut part = || parts.next().expect("a lane has three parts").to_owned();
    Lane {
        priority: part().parse().expect("a lane begins with its priority"),
        name: part(),
        group: part(),
    }
}

fn entry(bytes: &[u8], place: Option<f64>) -> Entry {
    let tick = number(&bytes[..7]);
    #[allow(clippy::cast_precision_loss)] // Ticks stay below 2^53.
    let place = place.unwrap_or(tick as f64);
    Entry {
        tick,
        id: task_id(&bytes[7..]),
        place,
    }
}

fn finished(bytes: &[u8]) -> Done {
    Done {
        at: number(&bytes[..6]),
        bytes: number(&bytes[6..10]),
        id: task_id(&bytes[10..]),
    }
}

/// The fingerprint of name, error type and masked message: twelve digits of their SHA-1, as Redis writes it.
fn print_of(bytes: &[u8]) -> String {
    let (name, rest) = bytes[1..].split_at(usize::from(bytes[0]));
    let (kind, rest) = rest[1..].split_at(usize::from(rest[0]));
    let whole = [text(name), text(kind), text(&rest[2..])].join("\0");
    Script::new(&whole).get_hash()[..12].to_owned()
}

/// The layout of a record is told at the top of `lua/task.lua`.
fn task(bytes: &[u8]) -> Task {
    let flags = number(&bytes[7..9]);
    let (mut at, mut expires_at) = (9, None);
    for (bit, width) in [(1, 6), (128, 6), (2, 2), (4, 4), (256, 14)] {
        if flags & bit != 0 {
            expires_at = expires_at.or((bit == 128).then(|| number(&bytes[at..at + width])));
            at += width;
        }
    }
    let name_end = at + 3 + usize::from(bytes[at + 2]);
    let short = |at: usize| at + 1..at + 1 + usize::from(bytes[at]);
    let (group, group_end) = if flags & 8 == 0 {
        (String::new(), name_end)
    } else {
        (text(&bytes[short(name_end)]), short(name_end).end)
    };
    let unique =
        (flags & 64 != 0).then(|| (char::from(bytes[group_end]), text(&bytes[short(group_end + 1)])));
    Task {
        tick: number(&bytes[..7]),
        bytes: bytes.len(),
        big: flags & 32 != 0,
        expires_at,
        lane: Lane {
            priority: number(&bytes[at..at + 2]),
            name: text(&bytes[at + 3..name_end]),
            group,
        },
        unique,
    }
}

/// So is that of a mutable part.
fn mutable(bytes: &[u8]) -> Mutable {
    Mutable {
        grants: number(&bytes[..4]),
        failed: number(&bytes[4..6]),
        priority: number(&bytes[9..11]),
    }
}

/// Attempts one after the other, each followed by its length (4 bytes) and beginning with its number (2
/// bytes).
fn attempt_numbers(mut bytes: &[u8]) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Some((rest, length)) = bytes.split_last_chunk::<4>() {
        let body = rest.len() - number(length) as usize;
        numbers.push(number(&rest[body..body + 2]));
        bytes = &rest[..body];
    }
    numbers.reverse();
    numbers
}
