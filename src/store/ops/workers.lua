-- workers: lists workers that name themselves in lease calls: those that called in the last minutes or have
-- leases.
--
-- ARGV   1 how many leases to look at, at most
-- Reply  "workers", now, "1" when there are more leases than were looked at, then per worker: name, last call
--          or 0, leases, since when it has the oldest of them or 0
--        "absent" when the queue does not exist
-- Keeps  I24 I28. Leases are counted in their index; a separate counter would drift.
-- Uses   task
-- Flags  no-writes

if call('EXISTS', STATE) == 0 then return { 'absent' } end
local look = tonumber(ARGV[1])
local names, workers = {}, {}

local function worker_of(name)
  local w = workers[name]
  if not w then
    w = { called_at = 0, leases = 0, since = 0 }
    workers[name], names[#names + 1] = w, name
  end
  return w
end

local called = call('ZRANGE', WORKERS, 0, -1, 'WITHSCORES')
for i = 1, #called, 2 do worker_of(called[i]).called_at = called[i + 1] end

local holding = call('EXISTS', MUT) == 1 and call('ZRANGEBYSCORE', LEASED, format('%d', (NOW + 1) * PLACES), '+inf', 'LIMIT', 0, look + 1) or {}
local more = #holding > look and 1 or 0
for from = 1, min(#holding, look), 500 do
  for _, bytes in ipairs(call('HMGET', MUT, unpack(holding, from, min(from + 499, #holding, look)))) do
    local m = bytes and read_mut(bytes)
    if m and m.worker ~= '' then
      local w = worker_of(m.worker)
      w.leases = w.leases + 1
      if w.since == 0 or m.granted_at < w.since then w.since = m.granted_at end
    end
  end
end

local reply = { 'workers', NOW, more }
for _, name in ipairs(names) do
  local n, w = #reply, workers[name]
  reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4] = name, w.called_at, w.leases, w.since
end
return reply
