-- waiting: tasks that leave the place where they wait, a lane or the schedule, without a grant.
--
--   STALE  hash  lane -> stale entries in the middle of its list; a lease that finds them drops them
-- Uses   lanes task expiry

-- Removing an entry from the middle of a list costs time by the list's length: done up to COMPACT entries. In
-- a longer list the entry stays as a stale one. If more than half of a list is stale, it is compacted in
-- steps of COMPACT. So the stale entries are bounded by the live ones.
local COMPACT, STEPS_MAX = 1000, 2

-- Returns what is known of a task, or nil if there is none. `state` is r ready, s scheduled, l leased, d
-- dead, c completed, x cancelled. A task that waited past its expiry is already dead; `waits` is the state
-- whose indexes have it until it is buried.
local function look_up(id)
  local rec = call('HGET', REC, id)
  if not rec then return nil end
  local t = { id = id, rec = rec, task = read_record(rec), bytes = call('HGET', MUT, id), leased = call('ZSCORE', LEASED, id) }
  t.due = not t.leased and call('ZSCORE', DUE, id)
  if t.leased then t.state = 'l'
  elseif t.due then t.state = 's'
  elseif call('ZSCORE', DEAD, id) then t.state = 'd'
  else t.state = sub(call('HGET', RES, id) or 'r', 1, 1) end
  if t.state == 'r' or t.state == 's' then
    t.waits = t.state
    if has_expired(t.task) then t.state = 'd' end
  end
  return t
end

local STATES = { ready = 'r', scheduled = 's', leased = 'l', dead = 'd', completed = 'c', cancelled = 'x' }

-- Returns the mutable part of a task. Makes it up for a task to which nothing happened but its acceptance or
-- its first grant.
local function mut_of(t)
  if t.bytes then return read_mut(t.bytes) end
  if t.leased then
    local expires = read_score(t.leased)
    return first_mut(t.task, expires - t.task.lease_ms)
  end
  return untouched(t.task)
end

-- Tasks that leave their lanes or the schedule: depart() gathers them, check_departures() reads.
-- apply_departures() writes, after their entries became stale by a mutable part, or because the record is
-- gone.
local departures, departing, unscheduled = NONE, NONE, NONE -- per call

local function depart(t)
  if departures == NONE then departures, departing, unscheduled = {}, {}, {} end
  if (t.waits or t.state) == 's' then
    unscheduled[#unscheduled + 1] = t.id
    return
  end
  local priority = t.bytes and read_mut(t.bytes).priority or t.task.priority
  local member = format('%d/%s', priority, t.task.name)
  local lane = member .. '/' .. t.task.group
  local d = departing[lane]
  if not d then
    d = { lane = lane, member = member, priority = priority, name = t.task.name, group = t.task.group, fresh = {}, back = {} }
    departing[lane] = d
    departures[#departures + 1] = d
  end
  local entry = entry_of(t.task.tick, t.id)
  if call('ZSCORE', ROOT .. 'back:' .. lane, entry) then
    d.back[#d.back + 1] = entry
  elseif not t.task.expires_at then
    d.fresh[#d.fresh + 1] = entry
  end -- Tasks that expire are never in the fresh list: a lease has dropped this entry.
end

local function check_departures()
  call('ZCARD', DUE)
  call('ZCARD', TURN)
  for _, d in ipairs(departures) do
    call('LLEN', ROOT .. 'fresh:' .. d.lane)
    d.stale = tonumber(call('HGET', STALE, d.lane) or 0)
    call('ZCARD', heads_of(d.group))
    call('ZCARD', names_of(d.name))
  end
end

-- Compacts a lane's list by one step. In a list that is too long to be rewritten, live entries move to the
-- returned ones, at the place they have.
local function compact(d)
  local key, kept = ROOT .. 'fresh:' .. d.lane, {}
  local page = call('LRANGE', key, 0, COMPACT - 1)
  for _, entry in ipairs(page) do
    local id = sub(entry, 8)
    if call('HEXISTS', MUT, id) == 0 and call('HEXISTS', REC, id) == 1 then kept[#kept + 1] = entry end
  end
  call('LTRIM', key, #page, -1)
  d.stale = d.stale - #page + #kept
  if d.length <= COMPACT then return many('RPUSH', key, kept) end
  local back = {}
  for _, entry in ipairs(kept) do
    back[#back + 1] = (unpack_bytes('>I7', entry))
    back[#back + 1] = entry
  end
  many('ZADD', ROOT .. 'back:' .. d.lane, back)
end

local function apply_departures()
  local steps = 0
  many('ZREM', DUE, unscheduled)
  for _, d in ipairs(departures) do
    many('ZREM', ROOT .. 'back:' .. d.lane, d.back)
    local before = d.stale
    d.length = call('LLEN', ROOT .. 'fresh:' .. d.lane) -- the same script may have appended since the check
    if d.length > COMPACT then
      d.stale = d.stale + #d.fresh
    else
      for _, entry in ipairs(d.fresh) do call('LREM', ROOT .. 'fresh:' .. d.lane, 1, entry) end
      d.length = d.length - #d.fresh
    end
    if d.stale * 2 > d.length and steps < STEPS_MAX then
      steps = steps + 1
      compact(d)
    end
    if d.stale > 0 then call('HSET', STALE, d.lane, d.stale)
    elseif before > 0 then call('HDEL', STALE, d.lane) end
    head_moved(d.group, d.member, d.priority, d.name, head_place(d.lane))
  end
end
