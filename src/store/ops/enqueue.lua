-- enqueue: accepts tasks, in order.
--
-- ARGV   1 config version they were resolved with  2 replica  3 "1" when an earlier try may have been applied
--        4 #runs of tasks that go the same way, then per run: priority, name, group, when ('' now | '+' ms | '@' ms),
--          #tasks, then per task: id, record without its tick
--        #big  then per payload above 2 KiB: id, payload
-- Reply  "accepted", now, how many are ready, refused tasks (list of indexes; dead letters are full), then per task: run_at or 0
--        "config", version, document when the config has changed since (nothing written)
--        "absent" when the queue does not exist
-- Moves  -> ready | scheduled
-- Keeps  I1 I2 I3 I4 I5 I17
-- Uses   rotation task marks deaths

if not read_queue() then return { 'absent' } end
if queue.version ~= tonumber(ARGV[1]) then return { 'config', queue.version, call('HGET', Q, 'doc') } end

-- A first try may linger in some buffer and come after its repeat, so for a while after one nobody is believed to be new.
local me, repeated = ARGV[2], ARGV[3] == '1'
local doubtful = repeated or NOW - queue.retried_at < MARKS_MS

local tick = latest_tick()

local refuses, refused = refuses_for_dead(), NONE
local reply, replied, records, r, due, skipped = { 'accepted', NOW, 0, NONE }, 4, {}, 0, NONE, NONE
local lanes, accepted, ready, at = {}, 0, 0, 5
for _ = 1, tonumber(ARGV[4]) do
  local priority, name, group, when, tasks = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[at + 4])
  local member = priority .. '/' .. name
  local key = member .. '/' .. group
  at = at + 5

  local run_at = 0
  if when ~= '' then
    run_at = tonumber(sub(when, 2)) + (byte(when) == 43 and NOW or 0)
    if run_at <= NOW then run_at = 0 end
  end
  local lane = lanes[key]
  if not lane and run_at == 0 then
    lane = { priority = tonumber(priority), name = name, group = group, member = member, lane = key, fresh = {} }
    lanes[key] = lane
  end
  local fresh = lane and lane.fresh
  for from = at, at + 2 * (tasks - 1), 2 do
    local id, answer = ARGV[from], doubtful and accepted_before(ARGV[from])
    if answer then
      if skipped == NONE then skipped = {} end
      skipped[id] = true
    elseif refuses then
      if refused == NONE then
        refused = {}
        reply[4] = refused
      end
      refused[#refused + 1] = replied - 4
      answer = 0
    else
      tick, accepted, answer = tick + 1, accepted + 1, run_at
      local stamp = pack('>I7', tick)
      records[r + 1] = id
      if run_at == 0 then
        ready = ready + 1
        lane.lowest = lane.lowest or tick
        fresh[#fresh + 1] = stamp .. id
        records[r + 2] = stamp .. ARGV[from + 1]
      else
        if due == NONE then due = {} end
        due[#due + 1] = run_at
        due[#due + 1] = id
        local flags = unpack_bytes('>I2', ARGV[from + 1])
        records[r + 2] = stamp .. pack('>I2I6', flags + 1, run_at) .. sub(ARGV[from + 1], 3) -- 1 is RUN_AT, which the sender cannot know
      end
      r = r + 2
    end
    replied = replied + 1
    reply[replied] = answer
  end
  at = at + 2 * tasks
end
if accepted == 0 then return reply end
reply[3] = ready

local big = NONE
for from = at + 1, at + 2 * tonumber(ARGV[at]), 2 do
  if not skipped[ARGV[from]] then
    if big == NONE then big = {} end
    big[#big + 1] = ARGV[from]
    big[#big + 1] = ARGV[from + 1]
  end
end
if #big > 0 then call('HLEN', PAY) end
if #due > 0 then call('ZCARD', DUE) end
for key, l in pairs(lanes) do
  -- A lane with fresh entries is in rotation already: appending moves no head.
  if l.lowest and call('LLEN', ROOT .. 'fresh:' .. key) == 0 then
    l.enters = true
    check_entry(l)
  end
end

many('HSET', REC, records)
many('HSET', PAY, big)
many('ZADD', DUE, due)
for key, l in pairs(lanes) do
  many('RPUSH', ROOT .. 'fresh:' .. key, l.fresh)
  if l.enters then enter_rotation(l) end
end
queue.tick, queue.accepted_total, queue.ready = tick, queue.accepted_total + accepted, queue.ready + ready
if repeated then queue.retried_at = NOW end
wake(me, ready)
write_queue()
return reply
