-- overview: config and counts of a queue at one moment.
--
-- ARGV   none
-- Reply  "overview", now, version, document, created_at,
--          the pause: its bits, its end or 0, its start, its reason or '',
--          the counts in the order of `domain/counts.rs`, kept finished tasks,
--          accepted at (ms) of the oldest ready task or 0, waiters as `beat` writes them
--        "absent" when the queue does not exist
-- Keeps  I3 I24
-- Uses   paused rotation lanes blocked
-- Flags  no-writes

local RARE = { 'purged_total', 'dead_evicted_total', 'dead_aged_total', 'replayed_total', 'duplicates_total', 'leases_expired_total',
  'idempotency_dropped_total' }

if not read_queue() then return { 'absent' } end
local kept = call('HMGET', Q, 'doc', 'created_at', 'paused_at', 'pause_reason', unpack(RARE))

-- Returns the oldest place of a lane. With stale entries the head may be stale: then it is the first live one
-- of 100, or the last of them as a bound.
local stale_lanes = call('EXISTS', STALE) == 1
local function oldest_place(lane)
  if not stale_lanes or not call('HGET', STALE, lane) then return head_place(lane) end
  local back = tonumber(call('ZRANGE', ROOT .. 'back:' .. lane, 0, 0, 'WITHSCORES')[2] or nil)
  local place
  for _, entry in ipairs(call('LRANGE', ROOT .. 'fresh:' .. lane, 0, 99)) do
    place = unpack_bytes('>I7', entry)
    local id = sub(entry, 8)
    if call('HEXISTS', MUT, id) == 0 and call('HEXISTS', REC, id) == 1 then break end
  end
  return place and back and min(place, back) or place or back
end

-- The oldest in the first 128 lanes of the rotation; a bound if there are more lanes.
local oldest, lanes = math.huge, 0
for _, group in ipairs(call('ZRANGE', TURN, 0, 127)) do
  if lanes >= 128 then break end
  for _, member in ipairs(call('ZRANGE', heads_of(group), 0, 127 - lanes)) do
    lanes = lanes + 1
    oldest = min(oldest, oldest_place(member .. '/' .. group) or math.huge)
  end
end

local open, half_open = shut_breakers()
local reply = { 'overview', NOW, queue.version, kept[1], kept[2], paused_now(), queue.paused_until, kept[3] or 0,
  kept[4] or '', queue.ready, blocked_tasks(), open, half_open, call('ZCARD', DUE), call('ZCARD', LEASED),
  call('ZCARD', DEAD), queue.unfinished_bytes, queue.accepted_total, queue.completed_total, queue.cancelled_total }
for i = 1, #RARE do reply[20 + i] = kept[4 + i] or 0 end
local last = #reply
reply[last + 1] = call('LLEN', DONE)
reply[last + 2] = oldest == math.huge and 0 or floor(oldest / PLACES)
reply[last + 3] = call('HGET', PULSE, 'waiting') or ''
return reply
