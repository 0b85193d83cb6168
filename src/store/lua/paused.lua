-- paused: leases, enqueues or both that an operator stopped for a while. Everything else continues: settles,
-- due times, operations of operators.
--
--   STATE  paused, in bits, and until when (0: until somebody resumes it)
--   Q      hash  paused_at, pause_reason

-- Returns what is paused now, in bits of PAUSE_LEASE and PAUSE_ENQUEUE. A pause ends by itself, to the ms.
local function paused_now()
  if queue.paused_until > 0 and NOW >= queue.paused_until then return 0 end
  return queue.paused
end

local function is_paused(what) return paused_now() % (what * 2) >= what end

-- Returns `at` (0: never), or the end of a pause of leases if that is sooner: then there may be work again.
local function or_lease_reopens(at)
  if not is_paused(PAUSE_LEASE) or queue.paused_until == 0 then return at end
  return at == 0 and queue.paused_until or min(at, queue.paused_until)
end

-- Ends the pause. Its time and reason stay stored until this call; nothing reads them meanwhile.
local function forget_pause()
  queue.paused, queue.paused_until = 0, 0
  call('HDEL', Q, 'paused_at', 'pause_reason')
end
