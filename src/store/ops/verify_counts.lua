-- verify_counts: checks the queue's counters against the sizes of its indexes, all at one moment.
--
-- ARGV   none
-- Reply  "verified", '', 0, problems
--        "absent" when the queue does not exist
-- Keeps  I3 I4 I21 I28 by reporting violations
-- Uses   task examine
-- Flags  no-writes

local RARE = { 'purged_total', 'dead_evicted_total', 'dead_aged_total', 'replayed_total' }

if not read_queue() then return { 'absent' } end
local left = queue.completed_total + queue.cancelled_total
for _, total in ipairs(call('HMGET', Q, unpack(RARE))) do left = left + tonumber(total or 0) end
local scheduled, leased, dead = call('ZCARD', DUE), call('ZCARD', LEASED), call('ZCARD', DEAD)
local live, finished, records = scheduled + queue.ready + leased + dead, call('HLEN', RES), call('HLEN', REC)

if queue.accepted_total ~= live + left then
  problem('counters', '', '%d accepted, but %d scheduled, %d ready, %d leased, %d dead and %d left', queue.accepted_total,
    scheduled, queue.ready, leased, dead, left)
end
if records ~= live + finished then
  problem('counters', '', '%d records, but %d scheduled, %d ready, %d leased, %d dead and %d finished', records,
    scheduled, queue.ready, leased, dead, finished)
end

-- A small queue is summed up. For a larger one only the number of tasks is checked.
local unfinished, bytes, RECORD_MIN = scheduled + queue.ready + leased, queue.unfinished_bytes, 14
if records <= LOOK_MAX then
  local all, sum = call('HGETALL', REC), 0
  for i = 1, #all, 2 do
    local id, rec = all[i], all[i + 1]
    local is_unfinished = call('HEXISTS', RES, id) == 0 and not call('ZSCORE', DEAD, id)
    if is_unfinished then sum = sum + (#rec > 8 and bytes_of(id, rec) or #rec) end
  end
  if sum ~= bytes then problem('counters', '', 'unfinished tasks have %d bytes, %d are counted', sum, bytes) end
elseif bytes < unfinished * RECORD_MIN or (unfinished == 0 and bytes ~= 0) then
  problem('counters', '', '%d tasks are unfinished, and %d bytes are counted', unfinished, bytes)
end

local kept, lingering = call('LLEN', DONE), call('ZCARD', LINGER)
if kept + lingering ~= finished then
  problem('counters', '', '%d finished tasks are listed and %d linger, %d have a result', kept, lingering, finished)
end
local letters, alike_count = call('HLEN', LETTER), call('ZCARD', ALIKE)
if letters ~= dead or alike_count ~= dead then
  problem('counters', '', '%d dead letters, but %d are counted and groups list %d', dead, letters, alike_count)
end
local oldest = call('LINDEX', DONE, 0)
if oldest and unpack_bytes('>I6', oldest) < queue.done_since then
  problem('counters', '', 'the oldest finished task is older than %d', queue.done_since)
end
local requests, ends = call('HLEN', REQ), call('ZCARD', REQ_AT)
if requests ~= ends then problem('counters', '', '%d repeatable lease calls, %d of them with an end', requests, ends) end
local shut = call('ZCARD', SHUT)
if shut ~= queue.shut then problem('counters', '', '%d gates are shut, %d are counted', shut, queue.shut) end

-- A few leases are counted again one by one; if there are more, only their sum is checked.
local MOST = 1000
local counts = call('HLEN', COUNTS) <= MOST and call('HGETALL', COUNTS)
if counts then
  local counted, actual, total = {}, {}, 0
  for i = 1, #counts, 2 do
    counted[counts[i]] = tonumber(counts[i + 1])
    if byte(counts[i]) == NAME_SCOPE then total = total + tonumber(counts[i + 1]) end
  end
  if total ~= leased then problem('counters', '', '%d are leased, by their names %d', leased, total) end
  if leased > 0 and leased <= MOST then
    for _, rec in ipairs(call('HMGET', REC, unpack(call('ZRANGE', LEASED, 0, -1)))) do
      if rec then
        local name, group = lane_of(rec)
        actual['n' .. name] = (actual['n' .. name] or 0) + 1
        if group ~= '' then actual['g' .. group] = (actual['g' .. group] or 0) + 1 end
      end
    end
    for scope, tasks in pairs(actual) do
      if counted[scope] ~= tasks then problem('counters', '', 'of scope %s %d are leased, %d are counted', scope, tasks, counted[scope] or 0) end
      counted[scope] = nil
    end
    for scope, tasks in pairs(counted) do problem('counters', '', 'of scope %s none is leased, %d are counted', scope, tasks) end
  end
end
return { 'verified', '', 0, problems }
