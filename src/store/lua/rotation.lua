-- rotation: how order and fairness stay cheap. A lane is one priority of one name in one group.
--
--   fresh:<lane>   list    entries as accepted; an entry is live while its task has no mutable part
--   back:<lane>    zset    place -> entry, of tasks that became ready in another way
--   heads:<group>  zset    order score -> "<priority>/<name>", a lower bound of the lane's best task
--   names:<name>   zset    pass -> "<priority>/<group>", a lower bound of the group's pass
--   TURN           zset    pass -> group; the lowest pass has its turn, ties go by name, each grant adds one
--
-- <lane> is "<priority>/<name>/<group>"; an entry is tick (7 bytes) .. id (14), so that ties sort by
-- acceptance. All four exist only while the lane has entries.

local function order_score(priority, place)
  if queue.order == AGED then return place - priority * queue.aging_ms * PLACES end
  if queue.order == FIFO then return place end
  return (1000 - priority) * 8796093022208 + floor(place / PLACES) -- strict: 2^43 ms per priority
end

local function heads_of(group) return ROOT .. 'heads:' .. group end
local function names_of(name) return ROOT .. 'names:' .. name end

-- Where the round of turns begins. Groups that a names filter passed by have no credit for it: they are one turn behind at most.
local function round_begins(lowest, highest) return max(lowest, highest - 1) end

-- A group that joins goes behind those that wait for their turn in this round and before those that had it:
-- nobody gains by leaving and coming back, and a single task waits for one turn of the others.
local joining_pass = nil -- per call
local function pass_for_new_group()
  if not joining_pass then
    local first, last = call('ZRANGE', TURN, 0, 0, 'WITHSCORES'), call('ZRANGE', TURN, -1, -1, 'WITHSCORES')
    joining_pass = first[2] and round_begins(tonumber(first[2]), tonumber(last[2])) + 0.5 or 1
  end
  return joining_pass
end

-- A lane as an enqueue gathers it, among its others.
local function fresh_lane(lanes, key, member, priority, name, group)
  local lane = { priority = tonumber(priority), name = name, group = group, member = member, lane = key, fresh = {} }
  lanes[key] = lane
  return lane
end

-- Which of heads, turn and names a lane that gets its first entry must enter.
local function check_entry(a)
  a.new = not call('ZSCORE', heads_of(a.group), a.member)
  a.pass = tonumber(call('ZSCORE', TURN, a.group) or pass_for_new_group())
  if a.new then call('ZCARD', names_of(a.name)) end
end

local function enter_rotation(a)
  call('ZADD', heads_of(a.group), 'LT', order_score(a.priority, a.lowest), a.member)
  if a.new then
    call('ZADD', TURN, 'NX', a.pass, a.group)
    call('ZADD', names_of(a.name), 'NX', a.pass, format('%d/%s', a.priority, a.group))
  end
end

-- Replicas with waiting leases write their names into `hungry`; whoever makes tasks ready tells them once, as the last
-- thing before write_queue().
local function wake(me, ready)
  local hungry = queue.hungry
  if ready == 0 or hungry == '' or hungry == me then return end
  call('PUBLISH', HINTS, string.match(Q, '{(.-)}') .. ' ' .. ready .. ' ' .. me)
  queue.hungry = string.find(hungry, me, 1, true) and me or ''
end
