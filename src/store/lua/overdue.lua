-- overdue: tasks that waited past their expires_at become dead letters.
-- Uses   task lanes bury expiry retry

-- Tasks on their way out of lanes and schedule: depart() gathers, check_departures() reads, apply_departures() writes.
local departures, departing, unscheduled, departed = NONE, NONE, NONE, 0 -- per call

-- `t` has id, task, bytes (its mutable part or false) and state (r ready, s scheduled).
local function depart(t)
  if departures == NONE then departures, departing, unscheduled = {}, {}, {} end
  if t.state == 's' then
    unscheduled[#unscheduled + 1] = t.id
    return
  end
  local priority = t.bytes and read_mut(t.bytes).priority or t.task.priority
  local member = format('%d/%s', priority, t.task.name)
  local lane = member .. '/' .. t.task.group
  local d = departing[lane]
  if not d then
    d = { lane = lane, member = member, name = t.task.name, group = t.task.group, priority = priority, back = {} }
    departing[lane] = d
    departures[#departures + 1] = d
  end
  departed = departed + 1
  d.back[#d.back + 1] = entry_of(t.task.tick, t.id)
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

-- Behind apply_arrivals(): a group that others join keeps its turn. An entry may be gone, for a lease met it.
local function apply_departures()
  many('ZREM', DUE, unscheduled)
  for _, d in ipairs(departures) do
    many('ZREM', ROOT .. 'back:' .. d.lane, d.back)
    head_moved(d.group, d.member, d.priority, d.name, head_place(d.lane))
  end
end

-- What expires never lies among the fresh entries of a lane.
local function bury_waiting(t)
  local m = t.bytes and read_mut(t.bytes) or untouched(t.task)
  depart(t)
  cannot_expire(t.id)
  bury(t.id, m, 'expired')
  remember(t.id, m)
end

-- The `limit` that expired first. Returns them as a set. Entries that outlived their tasks just go.
local function bury_overdue(limit)
  local buried_ids, ids = {}, call('ZRANGEBYSCORE', EXPIRY, '-inf', NOW, 'LIMIT', 0, limit)
  if #ids == 0 then return buried_ids end
  local recs, muts = call('HMGET', REC, unpack(ids)), call('HMGET', MUT, unpack(ids))
  local due, leased, dead = call('ZMSCORE', DUE, unpack(ids)), call('ZMSCORE', LEASED, unpack(ids)), call('ZMSCORE', DEAD, unpack(ids))
  for i, id in ipairs(ids) do
    if recs[i] and not leased[i] and not dead[i] and call('HEXISTS', RES, id) == 0 then
      buried_ids[id] = true
      bury_waiting({ id = id, task = read_record(recs[i]), bytes = muts[i], state = due[i] and 's' or 'r' })
    else
      cannot_expire(id)
    end
  end
  return buried_ids
end
