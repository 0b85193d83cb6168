-- beat: adds what one replica saw of a queue since its last beat to what the others saw, and continues the
-- charts.
--
-- ARGV   1 replica  2 lease calls that wait for the queue there  3 "1" if tasks moved there
--        4 latencies (`lua/latency.lua`) or ''  5... names of workers that called
-- Reply  "beat", now, ready, scheduled, leased, dead
--        "absent" when the queue does not exist
-- Keeps  I24 I28. Counts are differences of exact totals: if a replica dies, samples are lost, but no counts.
-- Uses   latency charts events

--   PULSE    hash  now -> window of the current step; m0 .. m5 -> windows of the last minutes, by number;
--                  waiting -> per replica: its name 9, when it last reported 6, lease calls 4
--   Q.beat         totals as of the last beat: accepted, completed, failed, died, dead letters evicted and
--                  aged out
--   WORKERS  zset  last lease call in ms -> worker

if not read_queue() then return { 'absent' } end
local me, waits, seen = ARGV[1], tonumber(ARGV[2]), ARGV[4]

local kept, fields = call('HMGET', Q, 'beat', 'dead_evicted_total', 'dead_aged_total'), call('HMGET', PULSE, 'waiting', 'now')
local last_10s, last_5m = call('LINDEX', PULSE_10S, -1), call('LINDEX', PULSE_5M, -1)
local scheduled, leased, dead = call('ZCARD', DUE), call('ZCARD', LEASED), call('ZCARD', DEAD)
call('ZCARD', WORKERS)

local totals, last_totals, growth, grew = { queue.accepted_total, queue.completed_total, queue.failed_total, queue.died_total }, {}, {}, false
totals[5], totals[6] = tonumber(kept[2] or 0), tonumber(kept[3] or 0)
for number in string.gmatch(kept[1] or '0 0 0 0 0 0', '%d+') do last_totals[#last_totals + 1] = tonumber(number) end
for i, total in ipairs(totals) do
  growth[i] = max(total - last_totals[i], 0)
  grew = grew or growth[i] > 0
end
local depth = depth_of(queue.ready, leased)
local same = last_10s and has_depth(last_10s, depth) or not last_10s and depth == depth_of(0, 0)
local moved = grew or seen ~= '' or not same

-- A step that is over gets its percentiles, and its window is added to its minute.
local step_10s, step_5m = current_step(STEP_10S_MS, last_10s), current_step(STEP_5M_MS, last_5m)
local set, kinds, minutes, window = {}, no_latencies(), {}, fields[2]
local closed_10s, closed_5m
local over_10s = moved and window and number_of(window) < step_10s
local over_5m = moved and last_5m and number_of(last_5m) < step_5m
if over_10s or over_5m then
  for _, bytes in ipairs(call('HMGET', PULSE, 'm0', 'm1', 'm2', 'm3', 'm4', 'm5')) do
    if bytes then minutes[number_of(bytes)] = bytes end
  end
end
if over_10s then
  add_latencies(kinds, window, 5)
  -- The row is missing if nothing happened for an hour.
  if number_of(last_10s) == number_of(window) then closed_10s = with_percentiles(last_10s, kinds) end
  local minute = floor(number_of(window) / 6)
  if minutes[minute] then add_latencies(kinds, minutes[minute], 5) end
  minutes[minute] = window_of(minute, kinds)
  set[1], set[2] = 'm' .. minute % 6, minutes[minute]
  kinds, window = no_latencies(), nil
end
if over_5m then
  local five = no_latencies()
  for minute, bytes in pairs(minutes) do
    if floor(minute / 5) == number_of(last_5m) then add_latencies(five, bytes, 5) end
  end
  closed_5m = with_percentiles(last_5m, five)
end
if seen ~= '' then
  if window then add_latencies(kinds, window, 5) end
  add_latencies(kinds, seen, 1)
  set[#set + 1], set[#set + 2] = 'now', window_of(step_10s, kinds)
end

-- Replicas that have not reported lately are gone.
local waiting, was = '', fields[1] or ''
for at = 1, #was, 19 do
  local who, since = sub(was, at, at + 8), unpack_bytes('>I6', was, at + 9)
  if who ~= me and NOW - since < WAITING_MS_MAX then waiting = waiting .. sub(was, at, at + 18) end
end
if waits > 0 then waiting = waiting .. me .. pack('>I6I4', NOW, waits) end
if waiting ~= was and waiting ~= '' then set[#set + 1], set[#set + 2] = 'waiting', waiting end

-- The first write is one that a full store refuses, because statistics must not fill the store.
many('HSET', PULSE, set)
if moved then
  append_row(PULSE_10S, last_10s, closed_10s, row_of(last_10s, step_10s, growth, depth), ROWS_10S_MAX, ROWS_10S_MAX * STEP_10S_MS)
  append_row(PULSE_5M, last_5m, closed_5m, row_of(last_5m, step_5m, growth, depth), ROWS_5M_MAX, ROWS_5M_MAX * STEP_5M_MS)
end
if grew then call('HSET', Q, 'beat', format('%d %d %d %d %d %d', unpack(totals))) end
if over_10s and seen == '' then call('HDEL', PULSE, 'now') end
if was ~= '' and waiting == '' then call('HDEL', PULSE, 'waiting') end
if #set > 0 then call('PEXPIRE', PULSE, ROWS_5M_MAX * STEP_5M_MS) end
if #ARGV > 4 then
  local called = {}
  for i = 5, #ARGV do called[#called + 1], called[#called + 2] = NOW, ARGV[i] end
  many('ZADD', WORKERS, called)
  call('ZREMRANGEBYSCORE', WORKERS, '-inf', NOW - WORKER_MS_MAX)
  call('ZREMRANGEBYRANK', WORKERS, 0, -WORKERS_MAX - 1)
  call('PEXPIRE', WORKERS, WORKER_MS_MAX)
end

if moved or ARGV[3] == '1' then publish_event('queue', '"ready":%d,"scheduled":%d,"leased":%d,"dead":%d', queue.ready, scheduled, leased, dead) end
if growth[4] > 0 then publish_event('dead_letters', '"died":%d,"dead":%d', growth[4], dead) end
if growth[5] > 0 then publish_event('alarm', '"alarm":"dead_evicted","count":%d', growth[5]) end
if growth[6] > 0 then publish_event('alarm', '"alarm":"dead_aged","count":%d', growth[6]) end
return { 'beat', NOW, queue.ready, scheduled, leased, dead }
