-- configure: creates a queue, or changes its config.
--
-- ARGV   1 version that must be the current one ('' any, '0' none: the queue must not exist)
--        2 "1" to create the queue if it is absent  3 document
--        4 #gates  pairs of scopes and their packed settings...  then pairs of live settings
-- Reply  "configured", version, "1" when the queue is new, "1" when heads must be put in the new order
--          (reorder)
--        "mismatch", version (0: absent)
--        "clearing": a deleted queue of this name left lanes behind; call again
-- Keeps  I5 I24. Scripts read the settings in STATE; the document is what the owner set. A new queue never
--          gets the version of a deleted one, because clients may still remember that version or its ETag.
-- Uses   clear rotation breaker

local present = read_queue()
local version = present and queue.version or 0
local wanted = tonumber(ARGV[1])
if (wanted and wanted ~= version) or (version == 0 and ARGV[2] ~= '1') then return { 'mismatch', version } end
if not present and not clear_lanes(CLEAR_LANES) then return { 'clearing' } end

if not present then
  for _, field in ipairs(QUEUE_FIELDS) do queue[field] = 0 end
  queue.hungry = ''
  queue.names_epoch = NOW -- senders may remember names of a deleted queue, in another epoch
end
local order, aging_ms = queue.order, queue.aging_ms
queue.version = present and version + 1 or NOW
call('ZCARD', SHUT)
local gates, live = {}, 5 + 2 * tonumber(ARGV[4])
local by_scope = {}
for i = 5, live - 1 do gates[i - 4] = ARGV[i] end
for i = 5, live - 1, 2 do by_scope[ARGV[i]] = ARGV[i + 1] end
local fingerprint = redis.sha1hex(table.concat(gates, ' '))
local changed = fingerprint ~= call('HGET', Q, 'gates')
if changed then queue.limited_at = NOW end
for i = live, #ARGV, 2 do queue[ARGV[i]] = tonumber(ARGV[i + 1]) end

-- Breakers whose name has no breaker in the config any more. Open ones stay open until their end, and their
-- gates are looked at then, even if nothing else is limited any more.
local gone, open, closed = {}, {}, {}
local states = changed and call('HGETALL', BREAKER) or NONE
for i = 1, #states, 2 do
  local settings = by_scope['n' .. states[i]] or by_scope['n*']
  local state, _, at, _, _, _, announced = unpack_bytes('<ddddddd', states[i + 1])
  if not settings or unpack_bytes('<d', settings, 25) == 0 then
    if state == OPEN and at > NOW then
      open[#open + 1] = at
      open[#open + 1] = 'n' .. states[i]
    else
      gone[#gone + 1] = states[i]
      if announced ~= CLOSED then closed[#closed + 1] = states[i] end
    end
  end
end

-- The tokens of a bucket become the same share of the new one. With many buckets each is converted when it is
-- read next (`gates`).
local kept, emptied, BUCKETS_MAX = {}, {}, 1000
local buckets = changed and call('HLEN', GATE) <= BUCKETS_MAX and call('HGETALL', GATE) or NONE
for i = 1, #buckets, 2 do
  local scope, tokens, at, rate, burst, held = buckets[i], unpack_bytes('<ddddd', buckets[i + 1])
  local settings = by_scope[scope] or scope ~= 'g' and by_scope[sub(scope, 1, 1) .. '*']
  local new_rate, new_burst = unpack_bytes('<dd', settings or pack('<dd', 0, 0))
  local share = rate > 0 and min(burst, tokens + max(0, NOW - at) * rate / 1000) / burst or 1
  if held > NOW or (new_rate > 0 and share < 1) then
    kept[#kept + 1] = scope
    kept[#kept + 1] = pack('<ddddd', share * new_burst, NOW, new_rate, new_burst, held)
  else
    emptied[#emptied + 1] = scope
  end
end

call('HSET', Q, 'doc', ARGV[3], 'gates', fingerprint)
-- Blocked tasks must be looked at again: their gate may have changed.
if queue.shut > 0 then call('ZUNIONSTORE', SHUT, 1, SHUT, 'WEIGHTS', 0) end
call('DEL', GATES)
many('HSET', GATES, gates)
many('HDEL', BREAKER, gone)
many('ZADD', SHUT, open)
if #open > 0 then queue.shut = call('ZCARD', SHUT) end
many('HSET', GATE, kept)
many('HDEL', GATE, emptied)
if not present then call('HSET', Q, 'created_at', NOW) end
wake('', queue.shut)
for _, name in ipairs(closed) do publish_event('breaker', '"name":"%s","state":"closed"', name) end
write_queue()
local moved = present and (queue.order ~= order or queue.aging_ms ~= aging_ms)
return { 'configured', queue.version, present and 0 or 1, moved and 1 or 0 }
