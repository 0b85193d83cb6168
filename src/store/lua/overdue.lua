-- overdue: tasks that waited past their expires_at become dead letters.
-- Uses   task lanes bury expiry retry

-- Tasks on their way out of lanes: depart() gathers, check_departures() reads, apply_departures() writes.
local departures, departing, departed = NONE, NONE, 0 -- per call

local function depart(priority, name, group, entry)
  if departures == NONE then departures, departing = {}, {} end
  local member = format('%d/%s', priority, name)
  local lane = member .. '/' .. group
  local d = departing[lane]
  if not d then
    d = { lane = lane, member = member, name = name, group = group, priority = priority, entries = {} }
    departing[lane] = d
    departures[#departures + 1] = d
  end
  departed = departed + 1
  d.entries[#d.entries + 1] = entry
end

local function check_departures()
  for _, d in ipairs(departures) do
    call('ZCARD', heads_of(d.group))
    call('ZCARD', names_of(d.name))
    call('LLEN', ROOT .. 'fresh:' .. d.lane)
    call('ZCARD', ROOT .. 'back:' .. d.lane)
  end
  if departed > 0 then call('ZCARD', TURN) end
end

-- Behind apply_arrivals(): a lane that others come into stays where it is. An entry may be gone, for a lease met it.
local function apply_departures()
  for _, d in ipairs(departures) do
    many('ZREM', ROOT .. 'back:' .. d.lane, d.entries)
    head_moved(d.group, d.member, d.priority, d.name, head_place(d.lane))
  end
end

-- `bytes` is the mutable part, or false. What expires never lies among the fresh entries of a lane.
local function bury_waiting(id, task, bytes, is_scheduled)
  local m = bytes and read_mut(bytes) or untouched(task)
  if not is_scheduled then depart(m.priority, task.name, task.group, entry_of(task.tick, id)) end
  cannot_expire(id)
  bury(id, m, 'expired')
  remember(id, m)
end

-- The `limit` that expired first. Returns, by id, those that were scheduled. Entries that outlived their tasks just go.
local function bury_overdue(limit)
  local scheduled, ids = {}, call('ZRANGEBYSCORE', EXPIRY, '-inf', NOW, 'LIMIT', 0, limit)
  if #ids == 0 then return scheduled end
  local recs, muts = call('HMGET', REC, unpack(ids)), call('HMGET', MUT, unpack(ids))
  local due, leased, dead = call('ZMSCORE', DUE, unpack(ids)), call('ZMSCORE', LEASED, unpack(ids)), call('ZMSCORE', DEAD, unpack(ids))
  for i, id in ipairs(ids) do
    if recs[i] and not leased[i] and not dead[i] and call('HEXISTS', RES, id) == 0 then
      scheduled[id] = due[i] and true
      bury_waiting(id, read_record(recs[i]), muts[i], due[i])
    else
      cannot_expire(id)
    end
  end
  return scheduled
end
