-- retry: decides the next state of a task whose grant ended without success.
-- Uses   task unique lanes counts history finish bury expiry

-- In the order of `domain/retry.rs`.
local EXPONENTIAL, LINEAR, IMMEDIATE = 0, 1, 3 -- 2 is fixed, which changes nothing
local FULL, EQUAL = 0, 1 -- 2 is none

-- Returns the delay in ms after a failed attempt under this policy. `chance` is uniform in [0, 1). A power is
-- cut to 2^53 before it is multiplied: it may be infinite, and infinity times zero is no number.
local function backoff(policy, attempt, chance)
  local delay = policy.base_ms
  if policy.strategy == EXPONENTIAL then delay = delay * min(policy.factor ^ (attempt - 1), 9007199254740992)
  elseif policy.strategy == LINEAR then delay = delay * attempt
  elseif policy.strategy == IMMEDIATE then delay = 0 end
  delay = min(delay, policy.max_ms)
  if policy.jitter == FULL then return floor(delay * chance) end
  if policy.jitter == EQUAL then return floor(delay / 2 + delay / 2 * chance) end
  return floor(delay)
end

local changes, histories, waiting, cancelled = {}, {}, {}, 0 -- per call

-- Keeps the mutable part of a task, to be written.
local function keep_mut(id, m)
  changes[#changes + 1] = id
  changes[#changes + 1] = write_mut(m)
end

local function record_attempt(id, attempt)
  histories[#histories + 1] = id
  histories[#histories + 1] = with_attempt(call('HGET', HIST, id), attempt)
end

-- Schedules the task for `run_at`.
local function wait_until(id, m, task, run_at)
  m.place = place_at(run_at, task.tick)
  waiting[#waiting + 1] = run_at
  waiting[#waiting + 1] = id
  may_expire(id, task.expires_at)
end

-- Puts a task into its lane at `place`.
local returning = 0 -- per call
local function return_to_lane(id, task, priority, place)
  returning = returning + 1
  arrive(priority, task.name, task.group, place, entry_of(task.tick, id))
end

-- Makes a task ready whose grant ended.
local function ready_at(id, m, task, place)
  m.place = place
  return_to_lane(id, task, m.priority, place)
  may_expire(id, task.expires_at)
end

local function cancel_now(id, m, rec)
  free_unique(id, rec)
  cancelled = cancelled + 1
  finish(CANCELLED, pack('>I4', bytes_of(id, rec)) .. id, 0, pack('>I4', m.grants), '')
end

-- Ends a task as a dead letter. `attempt` is the last one, the cause of death unless the task has expired.
local function die(id, m, task, rec, reason, attempt)
  free_unique(id, rec) -- a dead letter keeps only a key with a ttl
  bury(id, m, reason, task.name, reason == 'expired' and { kind = 'expired', message = 'its expires_at has passed' } or attempt)
end

-- Decides about a task after a failed attempt that counts: another attempt or its end. Returns its state and
-- when it runs next.
local function fail(id, m, task, rec, attempt, how)
  m.failed, queue.failed_total = m.failed + 1, queue.failed_total + 1
  record_attempt(id, attempt)
  if has(m.flags, CANCEL) then
    cancel_now(id, m, rec)
    return 'x', 0
  end
  local reason = how.reject and 'rejected' or m.failed >= task.max_attempts and 'attempts_exhausted' or has_expired(task) and 'expired'
  if reason then
    die(id, m, task, rec, reason, attempt)
    return 'd', 0
  end
  local run_at = how.run_at or NOW + backoff(task.retry, m.failed, how.chance)
  if run_at > NOW then
    wait_until(id, m, task, run_at)
    return 's', run_at
  end
  ready_at(id, m, task, place_at(how.place or NOW, task.tick))
  return 'r', how.place or NOW
end

local function check_writes(sweeping)
  check_arrivals()
  check_gates()
  check_expiry()
  check_finish(sweeping)
  if #buried > 0 or sweeping then
    check_leave()
    check_followed()
  end
  call('LLEN', DONE)
  call('ZCARD', DEAD)
  call('ZCARD', DUE)
  for _, key in ipairs({ Q, REC, PAY, MUT, HIST, RES }) do call('HLEN', key) end
end

-- Writes everything that fail(), cancel_now() and ready_at() decided. `ended` are the tasks whose leases end;
-- the caller has counted them, and writes the queue. Returns how many gates may let tasks through again.
local function write_decisions(me, ended)
  local freed = write_counts()
  many('ZREM', LEASED, ended)
  many('HSET', MUT, changes)
  many('HSET', HIST, histories)
  write_freed()
  many('ZADD', DUE, waiting)
  write_expiry()
  apply_arrivals()
  write_buried()
  write_finished()
  queue.ready, queue.cancelled_total = queue.ready + returning, queue.cancelled_total + cancelled
  write_gates()
  wake(me, returning + freed)
  return freed
end
