-- pause: an operator pauses or resumes leases, enqueues or both.
--
-- ARGV   1 replica  2 what is paused from now on, in bits: 1 leases, 2 enqueues; 0: nothing
--        3 until when in ms, or 0  4 reason or ''
-- Reply  "paused", now, how many tasks are ready if leases may take them again, otherwise 0, since when it is
--          paused
--        "past", now: the pause would already be over; nothing was written
--        "absent" when the queue does not exist
-- Keeps  I5 I23. No task moves: each keeps its place and its ready_at. A change of what is paused continues
--          the same pause.
-- Uses   paused rotation events
-- Flags  allow-oom

if not read_queue() then return { 'absent' } end
local me, what, until_ms, reason = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
if until_ms > 0 and until_ms <= NOW then return { 'past', NOW } end

local before, was, since = is_paused(PAUSE_LEASE), paused_now(), NOW
if was > 0 then since = tonumber(call('HGET', Q, 'paused_at')) or NOW end
call('HLEN', Q)

if what == 0 then
  forget_pause()
else
  queue.paused, queue.paused_until = what, until_ms
  call('HSET', Q, 'paused_at', since, 'pause_reason', reason)
end
local ready = before and not is_paused(PAUSE_LEASE) and queue.ready or 0
wake(me, ready)
write_queue()
if what > 0 then publish_event('paused', '"mode":"%s"', PAUSE_WORDS[what]) elseif was > 0 then publish_event('resumed', '') end
return { 'paused', NOW, ready, since }
