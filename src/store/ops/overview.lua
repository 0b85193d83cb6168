-- overview: config and counts of a queue on one snapshot.
--
-- ARGV   none
-- Reply  "overview", now, version, document, created_at, ready, scheduled, leased, dead, kept finished tasks,
--          accepted at (ms) of the oldest ready task or 0, then the totals in the order of TOTALS
--        "absent" when the queue does not exist
-- Keeps  I3 I24
-- Uses   rotation lanes
-- Flags  no-writes

local TOTALS = { 'accepted_total', 'completed_total', 'cancelled_total', 'purged_total', 'dead_evicted_total',
  'dead_aged_total', 'replayed_total', 'duplicates_total', 'leases_expired_total', 'idempotency_dropped_total' }

local state = call('HMGET', Q, 'version', 'doc', 'created_at', 'ready', unpack(TOTALS))
if not state[1] then return { 'absent' } end

-- The oldest among the first 128 lanes in rotation: exact up to that many, an at-least beyond.
local oldest, lanes = math.huge, 0
for _, group in ipairs(call('ZRANGE', TURN, 0, 127)) do
  if lanes >= 128 then break end
  for _, member in ipairs(call('ZRANGE', heads_of(group), 0, 127 - lanes)) do
    lanes = lanes + 1
    oldest = min(oldest, head_place(member .. '/' .. group) or math.huge)
  end
end

local reply = { 'overview', NOW, state[1], state[2], state[3], state[4], call('ZCARD', DUE), call('ZCARD', LEASED),
  call('ZCARD', DEAD), call('LLEN', DONE), oldest == math.huge and 0 or floor(oldest / PLACES) }
for i = 1, #TOTALS do reply[11 + i] = state[4 + i] end
return reply
