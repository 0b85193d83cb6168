-- finish: completed and cancelled tasks, readable as long as the retention keeps them.
--
--   RES   hash  id -> state 1 | finished_at 6 | grant 4 | result
--               state: c completed, x cancelled, d dead and lingering
--   DONE  list  finished_at 6 | bytes 4 | id 14, oldest first
-- Uses   task followed

-- Memory that Redis spends on a kept task beyond its own bytes, so that completed_bytes means memory.
local ENTRY_COST = 200
local COMPLETED, CANCELLED, DIED = 'c', 'x', 'd'

local finishes, finished, results, leaving, finished_bytes = 0, NONE, NONE, NONE, 0 -- per call
local stamp = pack('>I6', NOW) -- per call

-- Ends a task as completed or cancelled. `sized` is bytes (4) .. id (14), `side_bytes` are bytes kept beside
-- record and payload, `grant` is 4 bytes. The caller writes the queue.
local function finish(state, sized, side_bytes, grant, result)
  if finishes == 0 then finished, results, leaving = {}, {}, {} end
  local id, bytes = sub(sized, 5), unpack_bytes('>I4', sized)
  queue.unfinished_bytes = queue.unfinished_bytes - bytes
  if side_bytes > 0 or result ~= '' then
    bytes = bytes + side_bytes + #result
    sized = pack('>I4', bytes) .. id
  end
  local n = finishes * 2
  finishes = finishes + 1
  finished_bytes = finished_bytes + bytes
  leaving[finishes] = id
  results[n + 1], results[n + 2] = id, state .. stamp .. grant .. result
  finished[finishes] = stamp .. sized
end

-- Returns the bytes beside record and payload: the mutable part and the failed attempts.
local function side_bytes_of(id, mut)
  if not mut then return 0 end
  return #mut + (unpack_bytes('>I2', mut, 5) > 0 and call('HSTRLEN', HIST, id) or 0)
end

-- Deletes tasks with all their parts.
local function forget(ids)
  if #ids == 0 then return end
  many('HDEL', REC, ids)
  many('HDEL', RES, ids)
  for _, key in ipairs({ PAY, MUT, HIST }) do
    if call('EXISTS', key) == 1 then many('HDEL', key, ids) end
  end
end

-- Removes payloads from records, which keep name, group and times. `cut` has the shortened records, `apart`
-- the tasks whose payload was separate.
local cut, apart = NONE, NONE -- per call
local function cut_payloads()
  cut, apart = {}, {}
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

-- Tasks that the retention no longer covers: `gone` of the kept ones, oldest first, then if needed the first
-- `dropped` of the new ones. Planned by reading only.
local gone, dropped, done_bytes, done_since = NONE, 0, 0, 0 -- per call

local staying = 0 -- per call

local function over(at)
  return staying > queue.completed_max or done_bytes + staying * ENTRY_COST > queue.completed_bytes or at + queue.completed_ms <= NOW
end

local function drop(entry)
  local at = unpack_bytes('>I6', entry)
  if not over(at) then
    done_since = at
    return false
  end
  staying, done_bytes = staying - 1, done_bytes - unpack_bytes('>I4', entry, 7)
  return true
end

local function plan_trim(limit)
  local length = call('LLEN', DONE)
  staying = length + finishes
  if length == 0 then done_since = NOW elseif not over(done_since) then return end
  gone = {}
  for _, entry in ipairs(call('LRANGE', DONE, 0, limit - 1)) do
    if not drop(entry) then return end
    gone[#gone + 1] = sub(entry, 11)
  end
  if #gone < length then return end
  while dropped < finishes and drop(finished[dropped + 1]) do dropped = dropped + 1 end
end

-- Plans the writes of finished tasks. A sweep trims up to `sweeping` tasks even if none finished.
local function check_finish(sweeping)
  if finishes == 0 and not sweeping then return end
  call('HLEN', RES)
  check_followed()
  if queue.keep == KEEP_RESULTS then cut_payloads() end
  done_bytes, done_since = queue.done_bytes + finished_bytes, queue.done_since
  if queue.keep == KEEP_NONE and finishes > 0 then
    dropped, done_bytes = finishes, queue.done_bytes
    call('LLEN', DONE)
  else
    plan_trim(finishes == 0 and sweeping or 2 * finishes + 8)
  end
  if #gone + dropped > 0 then
    for _, key in ipairs({ REC, PAY, MUT, HIST }) do call('HLEN', key) end
  end
end

-- Returns the results of new tasks that were dropped at once but linger.
local function results_of(lingering)
  if #lingering == 0 then return NONE end
  local of, found = {}, {}
  for i = 1, dropped do of[leaving[i]] = results[2 * i] end
  for _, id in ipairs(lingering) do
    if of[id] then
      found[#found + 1] = id
      found[#found + 1] = of[id]
    end
  end
  return found
end

-- Writes the finished tasks. The caller writes the queue.
local function write_finished()
  if finishes == 0 and #gone == 0 then return end
  tell_followers(leaving)
  if dropped > 0 and gone == NONE then gone = {} end
  for i = 1, dropped do gone[#gone + 1] = leaving[i] end
  if #gone > dropped then call('LTRIM', DONE, #gone - dropped, -1) end
  many('HSET', REC, cut)
  many('HDEL', PAY, apart)
  local free, lingering = split_followed(gone)
  forget(free)
  many('HSET', RES, results_of(lingering))
  if dropped > 0 then
    results = { unpack(results, 2 * dropped + 1) }
    finished = { unpack(finished, dropped + 1) }
  end
  many('HSET', RES, results)
  many('RPUSH', DONE, finished)
  queue.done_bytes, queue.done_since = done_bytes, done_since
end
