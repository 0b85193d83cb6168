-- configure: makes a queue, or changes what holds for it.
--
-- ARGV   1 version that must be the present one ('' any, '0' none: the queue must not exist)
--        2 "1" to make the queue when it is absent  3 document  4... pairs of live settings for the scripts
-- Reply  "configured", version, "1" when the queue is new, "1" when heads must be put in the new order (reorder)
--        "mismatch", version (0: absent)
-- Keeps  I5 I24. Settings in Q are what scripts read live; the document is what the owner set.

local state = call('HMGET', Q, 'version', 'order', 'aging_ms')
local version = tonumber(state[1] or 0)
local wanted = tonumber(ARGV[1])
if (wanted and wanted ~= version) or (version == 0 and ARGV[2] ~= '1') then return { 'mismatch', version } end

-- A small hash is searched from its beginning: what most calls read and write stands first, the rare totals last.
local fields = {}
local function set(pairs)
  for _, word in ipairs(pairs) do fields[#fields + 1] = word end
end
if version == 0 then
  set({ 'tick', 0, 'ready', 0, 'accepted_total', 0, 'completed_total', 0, 'done_bytes', 0, 'marks_at', 0, 'hungry', '', 'retried_at', 0 })
end
set({ 'version', version + 1, unpack(ARGV, 4) })
set({ 'doc', ARGV[3] })
if version == 0 then
  set({ 'created_at', NOW, 'cancelled_total', 0, 'purged_total', 0, 'dead_evicted_total', 0, 'dead_aged_total', 0,
    'replayed_total', 0, 'duplicates_total', 0, 'leases_expired_total', 0, 'idempotency_dropped_total', 0 })
end
call('HSET', Q, unpack(fields))

local now = call('HMGET', Q, 'order', 'aging_ms')
local moved = version > 0 and (now[1] ~= state[2] or now[2] ~= state[3])
return { 'configured', version + 1, version == 0 and 1 or 0, moved and 1 or 0 }
