-- enqueue: accepts tasks, in order.
--
-- ARGV   1 config version they were resolved with  2 replica  3 "1" when an earlier try may have been applied
--        4 #lanes  then per lane: priority, name, group
--        #tasks  then per task: lane index, id, when ('' now | '+' ms | '@' ms), record without its tick
--        #big  then per payload above 2 KiB: id, payload
-- Reply  "accepted", now, how many are ready, then per task: run_at or 0
--        "config", version, document when the config has changed since (nothing written)
--        "absent" when the queue does not exist
-- Moves  -> ready | scheduled
-- Keeps  I1 I2 I3 I4 I5 I17
-- Uses   task lanes

local state = call('HMGET', Q, 'version', 'order', 'aging_ms', 'hungry', 'tick', 'accepted_total', 'ready')
if not state[1] then return { 'absent' } end
if state[1] ~= ARGV[1] then return { 'config', state[1], call('HGET', Q, 'doc') } end
use_order(state[2], state[3])
local me, again = ARGV[2], ARGV[3] == '1'

local lanes, at = {}, 5
for i = 1, tonumber(ARGV[4]) do
  local priority, name, group = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local member = priority .. '/' .. name
  lanes[i] = { priority = tonumber(priority), name = name, group = group, member = member, lane = member .. '/' .. group, fresh = {} }
  at = at + 3
end

-- Ticks rise with every task. They follow the clock, and run on where it stands still or steps back a little.
local tick = tonumber(state[5])
if tick < NOW * PLACES or tick > (NOW + 5000) * PLACES then tick = NOW * PLACES end

local function known(id)
  if not again then return nil end
  local rec = call('HGET', REC, id)
  if rec then return read_record(rec).run_at or 0 end
  return (call('HEXISTS', MARK, id) == 1 or call('HEXISTS', MARK_OLD, id) == 1) and 0 or nil
end

local tasks, last = tonumber(ARGV[at]), at
local reply, records, due, skipped, accepted, ready = { 'accepted', NOW, 0 }, {}, {}, {}, 0, 0
for i = 1, tasks do
  local lane, id, when, body = lanes[tonumber(ARGV[last + 1])], ARGV[last + 2], ARGV[last + 3], ARGV[last + 4]
  last = last + 4
  local run_at = known(id)
  if run_at then
    skipped[id] = true
  else
    tick, accepted = tick + 1, accepted + 1
    local stamp = pack('>I7', tick)
    if when ~= '' then
      run_at = tonumber(sub(when, 2)) + (byte(when) == 43 and NOW or 0)
      if run_at <= NOW then when = '' end
    end
    local n = #records
    if when == '' then
      ready, run_at = ready + 1, 0
      lane.lowest = lane.lowest or tick
      lane.fresh[#lane.fresh + 1] = stamp .. id
      records[n + 1], records[n + 2] = id, stamp .. body
    else
      due[#due + 1], due[#due + 2] = run_at, id
      local flags = unpack_bytes('>I2', body)
      records[n + 1], records[n + 2] = id, stamp .. pack('>I2I6', with(flags, RUN_AT), run_at) .. sub(body, 3)
    end
  end
  reply[3 + i] = run_at
end
if accepted == 0 then return reply end
reply[3] = ready

local big = {}
for i = last + 2, last + 1 + tonumber(ARGV[last + 1]) * 2, 2 do
  if not skipped[ARGV[i]] then
    big[#big + 1] = ARGV[i]
    big[#big + 1] = ARGV[i + 1]
  end
end
if #big > 0 then call('HLEN', PAY) end
if #due > 0 then call('ZCARD', DUE) end
for _, l in ipairs(lanes) do
  -- A lane with fresh entries is in rotation already: appending moves no head.
  if l.lowest and call('LLEN', ROOT .. 'fresh:' .. l.lane) == 0 then
    l.enters = true
    l.new = not call('ZSCORE', heads_of(l.group), l.member)
    l.pass = tonumber(call('ZSCORE', TURN, l.group) or pass_for_new_group())
    if l.new then call('ZCARD', names_of(l.name)) end
  end
end

many('HSET', REC, records)
many('HSET', PAY, big)
many('ZADD', DUE, due)
for _, l in ipairs(lanes) do
  many('RPUSH', ROOT .. 'fresh:' .. l.lane, l.fresh)
  if l.enters then enter_rotation(l) end
end
call('HSET', Q, 'tick', tick, 'accepted_total', state[6] + accepted, 'ready', state[7] + ready)
wake(state[4], me, ready)
return reply
