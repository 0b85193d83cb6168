-- lanes: tasks that enter and leave lanes, except fresh ones from an enqueue. The keys are described in
-- `rotation`.
-- Uses   rotation

local function entry_of(tick, id) return pack('>I7', tick) .. id end

-- Returns the place of a lane's first entry, or nil for an empty lane.
local function head_place(lane)
  local fresh = call('LINDEX', ROOT .. 'fresh:' .. lane, '0')
  local back = call('ZRANGE', ROOT .. 'back:' .. lane, '0', '0', 'WITHSCORES')
  local place = fresh and unpack_bytes('>I7', fresh)
  local returned = back[2] and tonumber(back[2])
  if place and returned then return min(place, returned) end
  return place or returned
end

-- Tasks on their way into lanes: arrive() gathers them, check_arrivals() reads, apply_arrivals() writes.
local arrivals, arriving = NONE, NONE -- per call

local function arrive(priority, name, group, place, entry)
  if arrivals == NONE then arrivals, arriving = {}, {} end
  local member = format('%d/%s', priority, name)
  local lane = member .. '/' .. group
  local a = arriving[lane]
  if not a then
    a = { lane = lane, member = member, name = name, group = group, priority = priority, lowest = place, back = {} }
    arriving[lane] = a
    arrivals[#arrivals + 1] = a
  end
  if place < a.lowest then a.lowest = place end
  a.back[#a.back + 1] = place
  a.back[#a.back + 1] = entry
end

-- Takes back an entry that this call put on its way into a lane.
local function withdraw(lane, entry)
  local a = arriving[lane]
  local places, lowest = {}, math.huge
  for i = 1, #a.back, 2 do
    if a.back[i + 1] ~= entry then
      places[#places + 1], places[#places + 2] = a.back[i], a.back[i + 1]
      lowest = min(lowest, a.back[i])
    end
  end
  a.back, a.lowest = places, lowest
  if #places > 0 then return end
  arriving[lane] = nil
  for i = #arrivals, 1, -1 do
    if arrivals[i] == a then table.remove(arrivals, i) end
  end
end

local function check_arrivals()
  for _, a in ipairs(arrivals) do call('ZCARD', ROOT .. 'back:' .. a.lane) end
  check_entries(arrivals)
end

local function apply_arrivals()
  for _, a in ipairs(arrivals) do many('ZADD', ROOT .. 'back:' .. a.lane, a.back) end
  enter_rotation(arrivals)
end

-- Moves the head of a lane that gave entries away to `place`. Nil removes the empty lane.
local function head_moved(group, member, priority, name, place)
  if place then
    if queue.shut > 0 and call('ZSCORE', heads_of(group), member) == 'inf' then return end -- it is parked
    call('ZADD', heads_of(group), order_score(priority, place), member)
    return
  end
  call('ZREM', heads_of(group), member)
  call('ZREM', names_of(name), format('%d/%s', priority, group))
  if call('EXISTS', heads_of(group)) == 0 then call('ZREM', TURN, group) end
end

-- Returns whether a returned task is in its lane. It leaves that lane without a grant (a late ack, a cancel)
-- by take_return().
local function check_return(priority, name, group, entry)
  local member = format('%d/%s', priority, name)
  local lane = member .. '/' .. group
  call('ZSCORE', heads_of(group), member)
  call('ZCARD', names_of(name))
  call('ZCARD', TURN)
  call('LLEN', ROOT .. 'fresh:' .. lane)
  return call('ZSCORE', ROOT .. 'back:' .. lane, entry)
end

local function take_return(priority, name, group, entry)
  local member = format('%d/%s', priority, name)
  local lane = member .. '/' .. group
  call('ZREM', ROOT .. 'back:' .. lane, entry)
  head_moved(group, member, priority, name, head_place(lane))
end
