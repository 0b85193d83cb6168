-- task: the record of a task in Redis. The Rust twin is `store/record.rs`; a test holds the two together.
--
-- Record, in REC by id, immutable:
--   tick 7 | flags 2 | [run_at 6] [expires_at 6] [max_attempts 2] [lease_ms 4] [retry 14] | priority 2 |
--     name 1+n | [group 1+n] | [scope 1, unique key 1+n] | [meta 4+n] | payload
--   The tick is the moment of acceptance in places. It tells the time and breaks ties.
--   The retry policy is strategy * 4 + jitter 1 | base ms 5 | factor in thousandths 3 | max ms 5.
--   Payloads above 2 KiB are in PAY instead, which only leases and reads touch.
-- Mutable part, in MUT by id, once something has happened to the task:
--   grants 4 | failed 2 | deferrals 2 | flags 1 | priority 2 | place 7 | granted_at 6 | slot 4 |
--     [worker 1+n] [progress]
--   The slot is the lease's length in ms while leased, and the nonce of the ended lease afterwards.

local RUN_AT, MAX_ATTEMPTS, LEASE_MS, GROUP, META, BIG, UNIQUE, EXPIRES, RETRY = 1, 2, 4, 8, 16, 32, 64, 128, 256
local FLAGS_AT = 9 -- where a record has the low byte of its flags
local CANCEL, EXPIRED, WORKER, PROGRESS, REASON = 1, 2, 4, 8, 16

local function has(flags, bit) return flags % (bit * 2) >= bit end
local function with(flags, bit) return has(flags, bit) and flags or flags + bit end
local function without(flags, bit) return has(flags, bit) and flags - bit or flags end

-- Returns the tick after which accepted tasks get theirs. Ticks rise with every task and follow the clock.
-- They continue to rise if the clock stops or steps back a little.
local function latest_tick()
  local tick = queue.tick
  if tick < NOW * PLACES or tick > (NOW + 5000) * PLACES then return NOW * PLACES end
  return tick
end

-- Returns the place of a task that becomes ready at `ms`. It is never before the task's acceptance, so that
-- within one millisecond the order of acceptance holds.
local function place_at(ms, tick) return max(ms * PLACES, tick) end

local function read_record(rec)
  local tick, flags, at = unpack_bytes('>I7I2', rec)
  local task = { tick = tick, place = tick, flags = flags, max_attempts = DEFAULT_MAX_ATTEMPTS, lease_ms = DEFAULT_LEASE_MS, retry = DEFAULT_RETRY, group = '' }
  if has(flags, RUN_AT) then
    task.run_at, at = unpack_bytes('>I6', rec, at)
    task.place = place_at(task.run_at, tick)
  end
  if has(flags, EXPIRES) then task.expires_at, at = unpack_bytes('>I6', rec, at) end
  if has(flags, MAX_ATTEMPTS) then task.max_attempts, at = unpack_bytes('>I2', rec, at) end
  if has(flags, LEASE_MS) then task.lease_ms, at = unpack_bytes('>I4', rec, at) end
  if has(flags, RETRY) then
    local r, how, thousandths = {}
    how, r.base_ms, thousandths, r.max_ms, at = unpack_bytes('>BI5I3I5', rec, at)
    r.strategy, r.jitter, r.factor = floor(how / 4), how % 4, thousandths / 1000
    task.retry = r
  end
  task.priority, task.name, at = unpack_bytes('>I2Bc0', rec, at)
  if has(flags, GROUP) then task.group, at = unpack_bytes('>Bc0', rec, at) end
  if has(flags, UNIQUE) then
    task.scope_at = at
    task.scope, task.unique_key, at = unpack_bytes('>c1Bc0', rec, at)
  end
  if has(flags, META) then
    local length
    length, at = unpack_bytes('>I4', rec, at)
    at = at + length
  end
  task.payload_at = at
  return task
end

-- Adds to a record, as its sender wrote it without its tick, the times that only Redis's clock can tell. A
-- run_at of 0 and an expires_at of nil are left out.
local function timed(rec, run_at, expires_at)
  local flags, times = unpack_bytes('>I2', rec), ''
  if run_at > 0 then flags, times = flags + RUN_AT, pack('>I6', run_at) end
  if expires_at then flags, times = flags + EXPIRES, times .. pack('>I6', expires_at) end
  return pack('>I2', flags) .. times .. sub(rec, 3)
end

-- Returns when the task of a record expires, or nil. Cheaper than reading the whole record.
local function expiry_of(rec)
  local flags = byte(rec, FLAGS_AT)
  if not has(flags, EXPIRES) then return nil end
  return (unpack_bytes('>I6', rec, has(flags, RUN_AT) and 16 or 10))
end

-- Returns the bytes of a task: its record, and a separate payload.
local function bytes_of(id, rec)
  if not has(byte(rec, FLAGS_AT), BIG) then return #rec end
  return #rec + call('HSTRLEN', PAY, id)
end

-- Returns the name and the group of a record. They determine the limits of its task.
local function lane_of(rec)
  local flags, at = unpack_bytes('>I2', rec, 8), 12
  if has(flags, RUN_AT) then at = at + 6 end
  if has(flags, EXPIRES) then at = at + 6 end
  if has(flags, MAX_ATTEMPTS) then at = at + 2 end
  if has(flags, LEASE_MS) then at = at + 4 end
  if has(flags, RETRY) then at = at + 14 end
  local name
  name, at = unpack_bytes('>Bc0', rec, at)
  return name, has(flags, GROUP) and unpack_bytes('>Bc0', rec, at) or ''
end

local function read_mut(bytes)
  local m = {}
  local at
  m.grants, m.failed, m.deferrals, m.flags, m.priority, m.place, m.granted_at, m.slot, at =
    unpack_bytes('>I4I2I2BI2I7I6I4', bytes)
  m.worker, m.progress = '', ''
  if has(m.flags, WORKER) then m.worker, at = unpack_bytes('>Bc0', bytes, at) end
  if has(m.flags, PROGRESS) then m.progress = sub(bytes, at) end
  return m
end

-- Returns the mutable part of a task to which nothing has happened but its first grant.
local function first_mut(task, granted_at)
  return { grants = 1, failed = 0, deferrals = 0, flags = 0, priority = task.priority, place = task.place,
    granted_at = granted_at, slot = task.lease_ms, worker = '', progress = '' }
end

-- Returns the mutable part of a task that was never granted.
local function untouched(task)
  local m = first_mut(task, 0)
  m.grants, m.slot = 0, 0
  return m
end

local function write_mut(m)
  local tail = ''
  m.flags = without(without(m.flags, WORKER), PROGRESS)
  if m.worker ~= '' then
    m.flags = with(m.flags, WORKER)
    tail = pack('>Bc0', #m.worker, m.worker)
  end
  if m.progress ~= '' then
    m.flags = with(m.flags, PROGRESS)
    tail = tail .. m.progress
  end
  return pack('>I4I2I2BI2I7I6I4', m.grants, m.failed, m.deferrals, m.flags, m.priority, m.place, m.granted_at, m.slot) .. tail
end
