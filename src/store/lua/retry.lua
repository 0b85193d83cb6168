-- retry: what becomes of a task whose grant ended without success.
-- Uses   task lanes history finish bury

-- The delay after a failed attempt, in ms: base * factor^(attempt - 1), at most max, full jitter.
-- `chance` is uniform in [0, 1). The exponent is capped before it is raised, so nothing overflows.
local function backoff(attempt, chance)
  local delay = RETRY_BASE_MS * RETRY_FACTOR ^ min(attempt - 1, 64)
  return floor(min(delay, RETRY_MAX_MS) * chance)
end

local changes, histories, waiting, cancelled = {}, {}, {}, 0 -- per call

local function remember(id, m)
  changes[#changes + 1] = id
  changes[#changes + 1] = write_mut(m)
end

local function record_attempt(id, attempt)
  histories[#histories + 1] = id
  histories[#histories + 1] = with_attempt(call('HGET', HIST, id), attempt)
end

-- Back into its lane, now or later.
local function wait_until(id, m, task, run_at)
  m.place = place_at(run_at, task.tick)
  waiting[#waiting + 1] = run_at
  waiting[#waiting + 1] = id
end

local returning = 0 -- per call
local function ready_at(id, m, task, place)
  m.place = place
  returning = returning + 1
  arrive(m.priority, task.name, task.group, place, entry_of(task.tick, id))
end

local function cancel_now(id, m, rec)
  cancelled = cancelled + 1
  local size = #rec
  if has(byte(rec, 9), BIG) then size = size + call('HSTRLEN', PAY, id) end
  finish(CANCELLED, pack('>I4', size) .. id, pack('>I4', m.grants), '')
end

-- A grant that counted and failed: the next attempt, or the end. Says the state and when it runs next.
local function fail(id, m, task, rec, attempt, how)
  m.failed, queue.failed_total = m.failed + 1, queue.failed_total + 1
  record_attempt(id, attempt)
  if has(m.flags, CANCEL) then
    cancel_now(id, m, rec)
    return 'x', 0
  end
  if how.reject then
    bury(id, m, 'rejected')
    return 'd', 0
  end
  if m.failed >= task.max_attempts then
    bury(id, m, 'attempts_exhausted')
    return 'd', 0
  end
  local run_at = how.run_at or NOW + backoff(m.failed, how.chance)
  if run_at > NOW then
    wait_until(id, m, task, run_at)
    return 's', run_at
  end
  ready_at(id, m, task, place_at(how.place or NOW, task.tick))
  return 'r', how.place or NOW
end

local function check_writes(sweeping)
  check_arrivals()
  check_finish(sweeping)
  call('LLEN', DONE)
  call('ZCARD', DEAD)
  call('ZCARD', DUE)
  for _, key in ipairs({ Q, REC, PAY, MUT, HIST, RES }) do call('HLEN', key) end
end

-- Everything that fail(), cancel_now() and ready_at() decided. `ended` leave the leased ones. The caller writes the queue.
local function write_decisions(me, ended)
  many('ZREM', LEASED, ended)
  many('HSET', MUT, changes)
  many('HSET', HIST, histories)
  many('ZADD', DUE, waiting)
  apply_arrivals()
  write_buried()
  write_finished()
  queue.ready, queue.cancelled_total = queue.ready + returning, queue.cancelled_total + cancelled
  wake(me, returning)
end
