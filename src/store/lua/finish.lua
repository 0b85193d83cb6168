-- finish: completed and cancelled tasks, readable for as long as the retention says.
--
--   RES   hash  id -> state 1 (c completed, x cancelled) | finished_at 6 | grant 4 | result
--   DONE  list  finished_at 6 | bytes 4 | id 14, oldest first
-- Uses   task

local FINISH_FIELDS = { 'keep', 'completed_ms', 'completed_max', 'completed_bytes', 'done_bytes' }
local ENTRY_COST = 200 -- what Redis spends on a kept task beside its own bytes, so that completed_bytes means memory
local COMPLETED, CANCELLED = 'c', 'x'

local finishes, finished, results, leaving, finished_bytes = 0, {}, {}, {}, 0 -- per call
local stamp = pack('>I6', NOW) -- per call

-- `sized` is bytes (4) .. id (14), `grant` 4 bytes.
local function finish(state, sized, grant, result)
  local id, bytes = sub(sized, 5), unpack_bytes('>I4', sized) + #result
  if result ~= '' then sized = pack('>I4', bytes) .. id end
  local n = finishes * 2
  finishes = finishes + 1
  finished_bytes = finished_bytes + bytes
  leaving[finishes] = id
  results[n + 1], results[n + 2] = id, state .. stamp .. grant .. result
  finished[finishes] = stamp .. sized
end

local function forget(ids)
  if #ids == 0 then return end
  many('HDEL', REC, ids)
  many('HDEL', RES, ids)
  for _, key in ipairs({ PAY, MUT, HIST }) do
    if call('EXISTS', key) == 1 then many('HDEL', key, ids) end
  end
end

-- Without its payload a record keeps name, group and times: records so cut, and whose payload lay apart.
local cut, apart = {}, {} -- per call
local function cut_payloads()
  for i, id in ipairs(leaving) do
    local rec = call('HGET', REC, id)
    if rec then
      local task = read_record(rec)
      local kept = sub(rec, 1, 7) .. pack('>I2', without(task.flags, BIG)) .. sub(rec, 10, task.payload_at - 1)
      local saved = #rec - #kept
      if has(task.flags, BIG) then
        saved = saved + call('HSTRLEN', PAY, id)
        apart[#apart + 1] = id
      end
      cut[#cut + 1], cut[#cut + 2] = id, kept
      finished_bytes = finished_bytes - saved
      finished[i] = stamp .. pack('>I4', unpack_bytes('>I4', finished[i], 7) - saved) .. id
    end
  end
end

-- What the retention no longer covers once the new ones are in: the oldest kept ones, and should that
-- not be enough the first `dropped` of the new ones. Reads only.
local gone, dropped, done_bytes = {}, 0, 0 -- per call

local function plan_trim(kept, limit)
  local keep_ms, keep_max, keep_bytes = tonumber(kept[2]), tonumber(kept[3]), tonumber(kept[4])
  local length = call('LLEN', DONE)
  local left = length + finishes
  local function over(at) return left > keep_max or done_bytes + left * ENTRY_COST > keep_bytes or at + keep_ms <= NOW end
  local function drop(entry)
    if not over((unpack_bytes('>I6', entry))) then return false end
    left, done_bytes = left - 1, done_bytes - unpack_bytes('>I4', entry, 7)
    return true
  end
  local oldest = call('LINDEX', DONE, 0)
  if oldest and not over((unpack_bytes('>I6', oldest))) then return end
  for _, entry in ipairs(oldest and call('LRANGE', DONE, 0, limit - 1) or {}) do
    if not drop(entry) then return end
    gone[#gone + 1] = sub(entry, 11)
  end
  if #gone < length then return end
  while dropped < finishes and drop(finished[dropped + 1]) do dropped = dropped + 1 end
end

-- `kept` holds FINISH_FIELDS, in their order. A sweep trims though nothing finished: up to `sweeping` tasks.
local function check_finish(kept, sweeping)
  if finishes == 0 and not sweeping then return end
  call('HLEN', RES)
  if kept[1] == 'results' then cut_payloads() end
  done_bytes = tonumber(kept[5]) + finished_bytes
  if kept[1] == 'none' and finishes > 0 then
    dropped, done_bytes = finishes, tonumber(kept[5])
    call('LLEN', DONE)
  else
    plan_trim(kept, finishes == 0 and sweeping or 2 * finishes + 8)
  end
  if #gone + dropped > 0 then
    for _, key in ipairs({ REC, PAY, MUT, HIST }) do call('HLEN', key) end
  end
end

-- Writes also the fields of Q in `...`, which change with it.
local function write_finished(...)
  for i = 1, dropped do gone[#gone + 1] = leaving[i] end
  if #gone > dropped then call('LTRIM', DONE, #gone - dropped, -1) end
  many('HSET', REC, cut)
  many('HDEL', PAY, apart)
  forget(gone)
  if dropped > 0 then
    results = { unpack(results, 2 * dropped + 1) }
    finished = { unpack(finished, dropped + 1) }
  end
  many('HSET', RES, results)
  many('RPUSH', DONE, finished)
  if #gone > 0 or #finished > 0 then
    call('HSET', Q, 'done_bytes', done_bytes, ...)
  else
    call('HSET', Q, ...)
  end
end
