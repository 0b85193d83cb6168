-- finish: completed and cancelled tasks, readable for as long as the retention says.
--
--   RES   hash  id -> state 1 (c completed, x cancelled) | finished_at 6 | grant 4 | result
--   DONE  list  finished_at 6 | bytes 4 | id 14, oldest first

local FINISH_FIELDS = { 'keep', 'completed_ms', 'completed_max', 'completed_bytes', 'done_bytes' }
local ENTRY_COST = 200 -- what Redis spends on a kept task beside its own bytes, so that completed_bytes means memory
local COMPLETED, CANCELLED = 'c', 'x'

local finishes, finished, results, leaving, finished_bytes = 0, {}, {}, {}, 0
local stamp = pack('>I6', NOW)

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

local function forget(gone)
  if #gone == 0 then return end
  many('HDEL', REC, gone)
  many('HDEL', RES, gone)
  for _, key in ipairs({ PAY, MUT, HIST }) do
    if call('EXISTS', key) == 1 then many('HDEL', key, gone) end
  end
end

-- Without its payload a record keeps name, group and times.
local function drop_payloads()
  load_task()
  for _, id in ipairs(leaving) do
    local rec = call('HGET', REC, id)
    if rec then
      local task = read_record(rec)
      call('HSET', REC, id, sub(rec, 1, 7) .. pack('>I2', without(task.flags, BIG)) .. sub(rec, 10, task.payload_at - 1))
      call('HDEL', PAY, id)
    end
  end
end

-- Drops the oldest finished tasks that the retention no longer covers, at most `limit`; says how many bytes are left.
local function trim_done(kept, done_bytes, limit)
  local keep_ms, keep_max, keep_bytes = tonumber(kept[2]), tonumber(kept[3]), tonumber(kept[4])
  local length, gone = call('LLEN', DONE), {}
  local function covered(entry)
    return length - #gone <= keep_max and done_bytes + (length - #gone) * ENTRY_COST <= keep_bytes
      and unpack_bytes('>I6', entry) + keep_ms > NOW
  end
  local oldest = call('LINDEX', DONE, 0)
  if not oldest or covered(oldest) then return done_bytes end
  for _, entry in ipairs(call('LRANGE', DONE, 0, limit - 1)) do
    if covered(entry) then break end
    gone[#gone + 1] = sub(entry, 11)
    done_bytes = done_bytes - unpack_bytes('>I4', entry, 7)
  end
  call('LTRIM', DONE, #gone, -1)
  forget(gone)
  return done_bytes
end

local function check_finish()
  call('LLEN', DONE)
  call('HLEN', RES)
end

-- `kept` holds FINISH_FIELDS, in their order.
local function write_finished(kept)
  if finishes == 0 then return end
  if kept[1] == 'none' then
    forget(leaving)
    return
  end
  if kept[1] == 'results' then drop_payloads() end
  many('HSET', RES, results)
  many('RPUSH', DONE, finished)
  call('HSET', Q, 'done_bytes', trim_done(kept, tonumber(kept[5]) + finished_bytes, 2 * finishes + 8))
end
