-- lanes: how order and fairness stay cheap. A lane is one priority of one name in one group.
--
--   fresh:<lane>   list    entries as accepted; an entry is live while its task has no mutable part
--   back:<lane>    zset    place -> entry, of tasks that became ready in another way
--   heads:<group>  zset    order score -> "<priority>/<name>", a lower bound of the lane's best task
--   names:<name>   zset    pass -> "<priority>/<group>", a lower bound of the group's pass
--   TURN           zset    pass -> group; the lowest pass has its turn, each grant adds one
--
-- <lane> is "<priority>/<name>/<group>"; an entry is tick (7 bytes) .. id (14), so that ties sort by
-- acceptance. All four exist only while the lane has entries.

local order, aging = 0, 0

local function use_order(word, aging_ms)
  order, aging = word, tonumber(aging_ms) * PLACES
end

local function order_score(priority, place)
  if order == 'aged' then return place - priority * aging end
  if order == 'fifo' then return place end
  return (1000 - priority) * 8796093022208 + floor(place / PLACES) -- strict: 2^43 ms per priority
end

local function entry_of(tick, id) return pack('>I7', tick) .. id end
local function heads_of(group) return ROOT .. 'heads:' .. group end
local function names_of(name) return ROOT .. 'names:' .. name end

-- The place of a lane's first entry, or nil for a lane without entries.
local function head_place(lane)
  local fresh = call('LINDEX', ROOT .. 'fresh:' .. lane, 0)
  local back = call('ZRANGE', ROOT .. 'back:' .. lane, 0, 0, 'WITHSCORES')
  local place = fresh and unpack_bytes('>I7', fresh)
  local returned = back[2] and tonumber(back[2])
  if place and returned then return math.min(place, returned) end
  return place or returned
end

-- Tasks on their way into lanes: arrive() gathers, check_arrivals() reads, apply_arrivals() writes.
local arrivals, arriving = {}, {}

local function arrive(priority, name, group, place, entry)
  local member = string.format('%d/%s', priority, name)
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

-- A group that joins goes behind those that wait for their turn in this round, so that nobody gains by leaving and coming back.
local joining_pass
local function pass_for_new_group()
  if not joining_pass then
    local first = call('ZRANGE', TURN, 0, 0, 'WITHSCORES')
    joining_pass = first[2] and tonumber(first[2]) + 1 or 1
  end
  return joining_pass
end

local function check_arrivals()
  for _, a in ipairs(arrivals) do
    call('ZCARD', ROOT .. 'back:' .. a.lane)
    a.new = not call('ZSCORE', heads_of(a.group), a.member)
    a.pass = tonumber(call('ZSCORE', TURN, a.group) or pass_for_new_group())
    call('ZCARD', names_of(a.name))
  end
end

local function enter_rotation(a)
  call('ZADD', heads_of(a.group), 'LT', order_score(a.priority, a.lowest), a.member)
  if a.new then
    call('ZADD', TURN, 'NX', a.pass, a.group)
    call('ZADD', names_of(a.name), 'NX', a.pass, string.format('%d/%s', a.priority, a.group))
  end
end

local function apply_arrivals()
  for _, a in ipairs(arrivals) do
    many('ZADD', ROOT .. 'back:' .. a.lane, a.back)
    enter_rotation(a)
  end
end

-- A lane gave entries away: its head moved to `place`, or nil when it is empty now.
local function head_moved(group, member, priority, name, place)
  if place then
    call('ZADD', heads_of(group), order_score(priority, place), member)
    return
  end
  call('ZREM', heads_of(group), member)
  call('ZREM', names_of(name), string.format('%d/%s', priority, group))
  if call('EXISTS', heads_of(group)) == 0 then call('ZREM', TURN, group) end
end

-- A returned task leaves its lane without a grant (a late ack, a cancel). check_return() says whether it is there.
local function check_return(priority, name, group, entry)
  local member = string.format('%d/%s', priority, name)
  call('ZSCORE', heads_of(group), member)
  call('ZCARD', names_of(name))
  call('ZCARD', TURN)
  return call('ZSCORE', ROOT .. 'back:' .. member .. '/' .. group, entry)
end

local function take_return(priority, name, group, entry)
  local member = string.format('%d/%s', priority, name)
  local lane = member .. '/' .. group
  call('ZREM', ROOT .. 'back:' .. lane, entry)
  head_moved(group, member, priority, name, head_place(lane))
end

-- Replicas with waiting leases write their names into `hungry`; whoever makes tasks ready tells them once.
local function wake(hungry, me, ready)
  if ready == 0 or not hungry or hungry == '' or hungry == me then return end
  call('PUBLISH', HINTS, string.match(Q, '{(.-)}') .. ' ' .. ready .. ' ' .. me)
  call('HSET', Q, 'hungry', string.find(hungry, me, 1, true) and me or '')
end
