-- verify_counts: the queue's counters against the sizes of its indexes, all at one moment.
--
-- ARGV   none
-- Reply  "verified", '', 0, problems
--        "absent" when the queue does not exist
-- Keeps  I3 I4 by saying where they do not hold
-- Uses   examine
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
return { 'verified', '', 0, problems }
