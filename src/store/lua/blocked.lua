-- blocked: counts ready tasks that gates block, and breakers that do.
-- Uses   gates rotation

-- Counts the tasks in lanes behind shut gates. Looks at 128 lanes at most; beyond that it is a lower bound.
-- Gates in SHUT come first. A gate that shut unnoticed is found at the lanes that would be next.
local function blocked_tasks()
  if not gated() or queue.ready == 0 then return 0 end
  if gate_of('q').left < 1 then return queue.ready end
  local LANES_MAX = 128
  local counted, lanes, held = {}, 0, 0

  local function count(lane)
    if counted[lane] then return end
    counted[lane], lanes = true, lanes + 1
    held = held + call('LLEN', ROOT .. 'fresh:' .. lane) + call('ZCARD', ROOT .. 'back:' .. lane)
  end

  local function count_behind(scope)
    local of, rest = sub(scope, 2), LANES_MAX - lanes - 1
    if byte(scope) == GROUP_SCOPE then
      for _, member in ipairs(call('ZRANGE', heads_of(of), 0, rest)) do count(member .. '/' .. of) end
    else
      for _, lane in ipairs(call('ZRANGE', names_of(of), 0, rest)) do
        local priority, group = string.match(lane, '^(%d+)/(.*)$')
        count(format('%s/%s/%s', priority, of, group))
      end
    end
  end

  local seen = 0
  local function look_at(group, member)
    seen = seen + 1
    local name = string.match(member, '^%d+/(.*)$')
    if gate_of('g' .. group).left < 1 or gate_of('n' .. name).left < 1 then count(member .. '/' .. group) end
  end

  for _, scope in ipairs(call('ZRANGE', SHUT, 0, LANES_MAX - 1)) do
    if lanes < LANES_MAX and scope ~= 'q' and gate_of(scope).left < 1 then count_behind(scope) end
  end
  for _, group in ipairs(call('ZRANGE', TURN, 0, LANES_MAX - 1)) do
    for _, member in ipairs(seen < LANES_MAX and lanes < LANES_MAX and call('ZRANGE', heads_of(group), 0, LANES_MAX - 1 - seen) or NONE) do
      look_at(group, member)
    end
  end
  return min(held, queue.ready)
end

-- Returns the number of open and of half-open breakers. Lower bounds once more than LOOK_MAX breakers have
-- state.
local function shut_breakers()
  local counts = { [OPEN] = 0, [HALF_OPEN] = 0 }
  if not gated() then return 0, 0 end
  local kept = call('HLEN', BREAKER) <= LOOK_MAX and call('HGETALL', BREAKER) or call('HSCAN', BREAKER, 0, 'COUNT', LOOK_MAX)[2]
  for i = 1, #kept, 2 do
    local b = unpack_bytes('<d', kept[i + 1]) ~= CLOSED and gate_of('n' .. kept[i]).breaker
    if b and b.state ~= CLOSED then counts[b.state] = counts[b.state] + 1 end
  end
  return counts[OPEN], counts[HALF_OPEN]
end
