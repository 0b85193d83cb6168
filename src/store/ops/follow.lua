-- follow: notes that callers wait for the end of tasks.
--
-- ARGV   per item: id, for how many ms more
-- Reply  "followed", now, "1" when a sweep is due, then per item
--          "waiting" | "ended" (completed, cancelled, dead) | "gone"
--        "absent" when the queue does not exist
-- Keeps  I24 I25 I28: notes at most FOLLOWED_MAX; callers see the ends of others when they look, each second
-- Uses   followed expiry
-- Flags  allow-oom

if not read_queue() then return { 'absent' } end
-- Noted a little longer than the wait, so that the last look still finds the task.
local GRACE_MS = 2000

local next_at = next_look()
local reply, ids, waits = { 'followed', NOW, next_at > 0 and next_at <= NOW and 1 or 0 }, {}, {}
for i = 1, #ARGV, 2 do
  local id, n = ARGV[i], #ids + 1
  if call('HEXISTS', REC, id) == 0 then
    reply[3 + n] = 'gone'
  elseif call('HEXISTS', RES, id) == 1 or call('ZSCORE', DEAD, id) then
    reply[3 + n] = 'ended'
  else
    reply[3 + n] = 'waiting'
    waits[#waits + 1] = { id, NOW + tonumber(ARGV[i + 1]) }
  end
  ids[n] = id
end

local over = call('ZRANGEBYSCORE', FOLLOWED, '-inf', NOW, 'LIMIT', 0, 100)
local known, size, added = followed_among(ids), call('ZCARD', FOLLOWED) - #over, {}
for _, wait in ipairs(waits) do
  local id, until_ms = wait[1], wait[2]
  -- Callers look again each second. Their tasks are noted already and cost no write.
  if tonumber(known[id] or 0) < until_ms and (known[id] or size < FOLLOWED_MAX) then
    if not known[id] then size = size + 1 end
    known[id] = until_ms + GRACE_MS
    added[#added + 1] = known[id]
    added[#added + 1] = id
    queue.followed_until = max(queue.followed_until, known[id])
  end
end
if #added == 0 then return reply end

many('ZREM', FOLLOWED, over)
many('ZADD', FOLLOWED, added)
call('PEXPIRE', FOLLOWED, queue.followed_until - NOW + 60000)
write_queue()
return reply
