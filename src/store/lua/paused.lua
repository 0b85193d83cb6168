-- paused: what an operator has stopped for a while: leases, enqueues or both. All else goes on: settles, due times, what operators do.
--
--   STATE  what is stopped, and until when (0: until somebody resumes it)
--   Q      hash  paused_at, pause_reason

-- What is stopped now, in bits of PAUSE_LEASE and PAUSE_ENQUEUE: a pause ends by itself, to the ms.
local function paused_now()
  if queue.paused_until > 0 and NOW >= queue.paused_until then return 0 end
  return queue.paused
end

local function is_paused(what) return paused_now() % (what * 2) >= what end

-- `at` (0: never), or the end of a pause of leases, should that be sooner: then there is something to look for.
local function or_lease_reopens(at)
  if not is_paused(PAUSE_LEASE) or queue.paused_until == 0 then return at end
  return at == 0 and queue.paused_until or min(at, queue.paused_until)
end

-- What was noted of the last one stays until then; nothing reads it.
local function forget_pause()
  queue.paused, queue.paused_until = 0, 0
  call('HDEL', Q, 'paused_at', 'pause_reason')
end
