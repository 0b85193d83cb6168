-- rotation: how order and fairness stay cheap. A lane is one priority of one name in one group.
-- Uses   paused
--
--   fresh:<lane>   list    entries as accepted; an entry is live while its task has no mutable part
--   back:<lane>    zset    place -> entry, of tasks that became ready in another way
--   heads:<group>  zset    order score -> "<priority>/<name>", a lower bound of the lane's best task
--   names:<name>   zset    pass -> "<priority>/<group>", a lower bound of the group's pass
--   TURN           zset    pass -> group; the lowest pass has its turn, ties go by name, each grant adds the group's stride
--   queue.round            the pass at which the latest turn was taken
--
-- <lane> is "<priority>/<name>/<group>"; an entry is tick (7 bytes) .. id (14), so that ties sort by
-- acceptance. All four exist only while the lane has entries.
--
-- What a gate keeps back is parked, so that no lease has to pass it by. A parked lane has the score inf among its group's heads, and
-- its pass less PARKED among the lanes of its name. A parked group, which is kept back itself or has parked lanes only, has its pass
-- plus PARKED in TURN. PARKED is 2^52. A lease parks what it meets and brings it back (`parked`); new entries of a parked lane change nothing.

local PARKED = 4503599627370496

local function order_score(priority, place)
  if queue.order == AGED then return place - priority * queue.aging_ms * PLACES end
  if queue.order == FIFO then return place end
  return (1000 - priority) * 8796093022208 + floor(place / PLACES) -- strict: 2^43 ms per priority
end

local function heads_of(group) return ROOT .. 'heads:' .. group end
local function names_of(name) return ROOT .. 'names:' .. name end

-- What a grant adds to the pass of a group: TURN_COST through its weight.
local function stride_of(group)
  local own = queue.weighted == 1 and call('HGET', GATES, 'w' .. group)
  return own and unpack_bytes('<d', own) or queue.stride
end

-- A group that joins goes behind those that wait for their turn in this round and before those that had it: as if it had had its own
-- when the round began. So nobody gains by leaving and coming back, and a single task waits for one turn of the others.
local FIRST_ROUND = 1099511627776 -- passes stay whole numbers above zero, and below 2^52
local round_known = false -- per call
local function pass_of(group)
  local pass = tonumber(call('ZSCORE', TURN, group) or nil)
  if pass then return pass % PARKED end
  if not round_known then
    if call('EXISTS', TURN) == 0 then queue.round = FIRST_ROUND end
    round_known = true
  end
  return queue.round + stride_of(group) - 1
end

-- A lane as an enqueue gathers it, among its others.
local function fresh_lane(lanes, key, member, priority, name, group)
  local lane = { priority = tonumber(priority), name = name, group = group, member = member, lane = key, fresh = {} }
  lanes[key] = lane
  return lane
end

-- Which of heads, turn and names a lane that gets its first entry must enter.
local function check_entry(a)
  local head = call('ZSCORE', heads_of(a.group), a.member)
  a.new, a.parked = not head, head == 'inf'
  a.pass = pass_of(a.group)
  if a.new then call('ZCARD', names_of(a.name)) end
end

local function enter_rotation(a)
  if a.parked then return end
  call('ZADD', heads_of(a.group), 'LT', order_score(a.priority, a.lowest), a.member)
  if a.new then
    call('ZADD', TURN, a.pass, a.group)
    call('ZADD', names_of(a.name), 'NX', a.pass, format('%d/%s', a.priority, a.group))
  end
end

-- Replicas with waiting leases write their names into `hungry`; whoever makes tasks ready tells them once, as the last
-- thing before write_queue(). While leases are paused nobody would get any: they stay hungry until they are told of the end.
local function wake(me, ready)
  local hungry = queue.hungry
  if ready == 0 or hungry == '' or hungry == me or is_paused(PAUSE_LEASE) then return end
  call('PUBLISH', HINTS, string.match(Q, '{(.-)}') .. ' ' .. ready .. ' ' .. me)
  queue.hungry = string.find(hungry, me, 1, true) and me or ''
end
