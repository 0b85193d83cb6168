-- overview: config and counts of a queue on one snapshot.
--
-- ARGV   none
-- Reply  "overview", now, version, document, created_at, ready, scheduled, leased, dead, kept finished tasks,
--          accepted at (ms) of the oldest ready task or 0, then the totals: accepted, completed, cancelled, and those of RARE
--        "absent" when the queue does not exist
-- Keeps  I3 I24
-- Uses   rotation lanes
-- Flags  no-writes

local RARE = { 'purged_total', 'dead_evicted_total', 'dead_aged_total', 'replayed_total', 'duplicates_total', 'leases_expired_total' }

if not read_queue() then return { 'absent' } end
local kept = call('HMGET', Q, 'doc', 'created_at', unpack(RARE))

-- The oldest among the first 128 lanes in rotation: exact up to that many, an at-least beyond.
local oldest, lanes = math.huge, 0
for _, group in ipairs(call('ZRANGE', TURN, 0, 127)) do
  if lanes >= 128 then break end
  for _, member in ipairs(call('ZRANGE', heads_of(group), 0, 127 - lanes)) do
    lanes = lanes + 1
    oldest = min(oldest, head_place(member .. '/' .. group) or math.huge)
  end
end

local reply = { 'overview', NOW, queue.version, kept[1], kept[2], queue.ready, call('ZCARD', DUE), call('ZCARD', LEASED),
  call('ZCARD', DEAD), call('LLEN', DONE), oldest == math.huge and 0 or floor(oldest / PLACES),
  queue.accepted_total, queue.completed_total, queue.cancelled_total }
for i = 1, #RARE do reply[14 + i] = kept[2 + i] or 0 end
return reply
