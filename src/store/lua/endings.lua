-- endings: how tasks leave: completed or cancelled and kept for a while, or dead.
--
--   RES   hash  id -> state 1 (c completed, x cancelled) | finished_at 6 | grant 4 | result
--   DONE  list  finished_at 6 | bytes 4 | id 14, oldest first
--   DEAD  zset  died_at -> id

local ENDING_FIELDS = { 'keep', 'completed_ms', 'completed_max', 'completed_bytes', 'done_bytes', 'dead_max_size', 'dead_evicted_total' }
local ENTRY_COST = 200 -- what Redis spends on a kept task beside its own bytes, so that completed_bytes means memory

local finished, results, leaving = {}, {}, {}
local finished_bytes = 0

local function finish(id, state, grant, size, result)
  leaving[#leaving + 1] = id
  results[#results + 1] = id
  results[#results + 1] = pack('>c1I6I4', state, NOW, grant) .. result
  local bytes = size + #result + ENTRY_COST
  finished_bytes = finished_bytes + bytes
  finished[#finished + 1] = pack('>I6I4', NOW, bytes) .. id
end

local function forget(gone)
  if #gone == 0 then return end
  many('HDEL', REC, gone)
  for _, key in ipairs({ PAY, MUT, HIST, RES }) do
    if call('EXISTS', key) == 1 then many('HDEL', key, gone) end
  end
end

-- Without its payload a record keeps name, group and times.
local function without_payload(id)
  local rec = call('HGET', REC, id)
  if not rec then return end
  local task = read_record(rec)
  call('HSET', REC, id, sub(rec, 1, 7) .. pack('>I2', without(task.flags, BIG)) .. sub(rec, 10, task.payload_at - 1))
  call('HDEL', PAY, id)
end

-- Drops the oldest finished tasks that the retention no longer covers, at most `limit`.
local function trim_done(keep_ms, keep_max, keep_bytes, done_bytes, limit)
  local length, gone, bytes = call('LLEN', DONE), {}, done_bytes
  for _, entry in ipairs(call('LRANGE', DONE, 0, limit - 1)) do
    local at, size = unpack_bytes('>I6I4', entry)
    if length - #gone <= keep_max and bytes <= keep_bytes and at + keep_ms > NOW then break end
    gone[#gone + 1] = sub(entry, 11)
    bytes = bytes - size
  end
  if #gone > 0 then
    call('LTRIM', DONE, #gone, -1)
    forget(gone)
  end
  return bytes
end

-- `e` holds ENDING_FIELDS, in their order.
local function check_endings(e)
  call('LLEN', DONE)
  call('HLEN', RES)
  call('ZCARD', DEAD)
end

local function write_finished(e)
  if #leaving == 0 then return end
  if e[1] == 'none' then
    forget(leaving)
    return
  end
  if e[1] == 'results' then
    for _, id in ipairs(leaving) do without_payload(id) end
  end
  many('HSET', RES, results)
  many('RPUSH', DONE, finished)
  local bytes = trim_done(tonumber(e[2]), tonumber(e[3]), tonumber(e[4]), tonumber(e[5]) + finished_bytes, 2 * #leaving + 8)
  call('HSET', Q, 'done_bytes', bytes)
end

local REASONS = { attempts_exhausted = 1, rejected = 2, expired = 3 }
local buried = {}

-- The caller writes the mutable part, in which the reason is kept.
local function bury(id, m, reason)
  m.flags = m.flags % REASON + REASONS[reason] * REASON
  buried[#buried + 1] = NOW
  buried[#buried + 1] = id
end

local function write_buried(e)
  if #buried == 0 then return end
  many('ZADD', DEAD, buried)
  local over = call('ZCARD', DEAD) - tonumber(e[6])
  if over <= 0 then return end
  local gone, page = {}, call('ZPOPMIN', DEAD, math.min(over, 400))
  for i = 1, #page, 2 do gone[#gone + 1] = page[i] end
  forget(gone)
  call('HINCRBY', Q, 'dead_evicted_total', #gone)
end
