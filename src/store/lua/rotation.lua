-- rotation: the order of lanes and groups. It keeps fairness cheap. A lane is one priority of one name in one
-- group.
-- Uses   paused
--
--   fresh:<lane>   list  entries in the order of acceptance; one is live while its task has no mutable part
--   back:<lane>    zset  place -> entry, of tasks that became ready in another way
--   heads:<group>  zset  order score -> "<priority>/<name>", a lower bound of the lane's best task
--   names:<name>   zset  pass -> "<priority>/<group>", a lower bound of the group's pass
--   TURN           zset  pass -> group; the lowest pass has its turn, ties go by name
--   queue.round          the pass at which the latest turn was taken
--
-- <lane> is "<priority>/<name>/<group>". An entry is tick (7 bytes) .. id (14), so that ties sort by
-- acceptance. All four keys exist only while the lane has entries.
--
-- Lanes and groups that a gate blocks are parked, so that no lease has to pass them by. A parked lane has the
-- score inf among the heads of its group. Among the lanes of its name it has its pass less PARKED. A parked
-- group is blocked itself, or has parked lanes only; it has its pass plus PARKED in TURN. PARKED is 2^52. A
-- lease parks the blocked lanes that it finds, and brings them back (`parked`). New entries of a parked lane
-- change nothing.

local PARKED = 4503599627370496

local function order_score(priority, place)
  if queue.order == AGED then return place - priority * queue.aging_ms * PLACES end
  if queue.order == FIFO then return place end
  return (1000 - priority) * 8796093022208 + floor(place / PLACES) -- strict: 2^43 ms per priority
end

local function heads_of(group) return ROOT .. 'heads:' .. group end
local function names_of(name) return ROOT .. 'names:' .. name end

-- Strides by group. A grant adds the stride to the pass of a group: TURN_COST divided by the group's weight.
local strides = NONE -- per call
local function read_strides(groups)
  if queue.weighted ~= 1 then return end
  if strides == NONE then strides = {} end
  for from = 1, #groups, 900 do
    local fields = {}
    for i = from, min(from + 899, #groups) do fields[#fields + 1] = 'w' .. groups[i] end
    for i, stride in ipairs(call('HMGET', GATES, unpack(fields))) do strides[groups[from + i - 1]] = stride and unpack_bytes('<d', stride) or queue.stride end
  end
end

local function stride_of(group)
  if queue.weighted ~= 1 then return queue.stride end
  if not strides[group] then read_strides({ group }) end
  return strides[group]
end

-- Returns the pass of a group that joins the rotation: behind the groups that wait for their turn in this
-- round, before those that had it. It is as if the group had its own turn when the round began. So no group
-- gains by leaving and coming back, and a single task waits for one turn of the others.
local FIRST_ROUND = 1099511627776 -- passes stay whole numbers above zero, and below 2^52
local round_known = false -- per call
local function pass_of_new(group)
  if not round_known then
    if call('EXISTS', TURN) == 0 then queue.round = FIRST_ROUND end
    round_known = true
  end
  return queue.round + stride_of(group) - 1
end

-- Creates a lane of an enqueue and adds it to `lanes`.
local function fresh_lane(lanes, key, member, priority, name, group)
  local lane = { priority = tonumber(priority), name = name, group = group, member = member, lane = key, fresh = {} }
  lanes[key] = lane
  return lane
end

-- Finds out which lanes that get their first entry are new in heads, turn and names. Costs one command for
-- each group, however many lanes it has.
local function check_entries(lanes)
  if #lanes == 0 then return end
  local groups, by_group, members, named = {}, {}, {}, {}
  for _, a in ipairs(lanes) do
    if not by_group[a.group] then groups[#groups + 1] = a.group end
    gather(by_group, a.group, a)
    gather(members, a.group, a.member)
  end
  read_strides(groups)
  for from = 1, #groups, 900 do
    for i, pass in ipairs(call('ZMSCORE', TURN, unpack(groups, from, min(from + 899, #groups)))) do
      local group = groups[from + i - 1]
      pass = pass and tonumber(pass) % PARKED or pass_of_new(group)
      for _, a in ipairs(by_group[group]) do a.pass = pass end
    end
  end
  for _, group in ipairs(groups) do
    local of = members[group]
    for from = 1, #of, 900 do
      for i, head in ipairs(call('ZMSCORE', heads_of(group), unpack(of, from, min(from + 899, #of)))) do
        local a = by_group[group][from + i - 1]
        a.new, a.parked = not head, head == 'inf'
        if a.new and not named[a.name] then
          named[a.name] = true
          call('ZCARD', names_of(a.name))
        end
      end
    end
  end
end

local function enter_rotation(lanes)
  local heads, turns, names = {}, {}, {}
  for _, a in ipairs(lanes) do
    if not a.parked then
      gather(heads, a.group, format('%d', order_score(a.priority, a.lowest)))
      gather(heads, a.group, a.member)
      if a.new then
        local pass = format('%d', a.pass)
        turns[#turns + 1] = pass
        turns[#turns + 1] = a.group
        gather(names, a.name, pass)
        gather(names, a.name, format('%d/%s', a.priority, a.group))
      end
    end
  end
  for group, list in pairs(heads) do many('ZADD', heads_of(group), list, 'LT') end
  many('ZADD', TURN, turns)
  for name, list in pairs(names) do many('ZADD', names_of(name), list, 'NX') end
end

-- Wakes waiting replicas. Replicas with waiters write their names into `hungry`. A script that makes tasks
-- ready calls this once, just before write_queue(). While leases are paused no waiter could get a task:
-- replicas stay hungry until the pause ends.
local function wake(me, ready)
  local hungry = queue.hungry
  if ready == 0 or hungry == '' or hungry == me or is_paused(PAUSE_LEASE) then return end
  call('PUBLISH', HINTS, string.match(Q, '{(.-)}') .. ' ' .. ready .. ' ' .. me)
  queue.hungry = string.find(hungry, me, 1, true) and me or ''
end
