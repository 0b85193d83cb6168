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

local fields = { 'version', version + 1, 'doc', ARGV[3] }
for i = 4, #ARGV do fields[#fields + 1] = ARGV[i] end
if version == 0 then
  for _, field in ipairs({ 'created_at', NOW, 'tick', 0, 'hungry', '', 'marks_at', 0, 'done_bytes', 0, 'ready', 0,
    'accepted_total', 0, 'completed_total', 0, 'cancelled_total', 0, 'purged_total', 0, 'dead_evicted_total', 0,
    'dead_aged_total', 0, 'replayed_total', 0, 'duplicates_total', 0, 'leases_expired_total', 0 }) do
    fields[#fields + 1] = field
  end
end
call('HSET', Q, unpack(fields))

local now = call('HMGET', Q, 'order', 'aging_ms')
local moved = version > 0 and (now[1] ~= state[2] or now[2] ~= state[3])
return { 'configured', version + 1, version == 0 and 1 or 0, moved and 1 or 0 }
