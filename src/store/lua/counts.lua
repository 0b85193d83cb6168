-- counts: how many tasks of a name and of a group are leased (I21). They change in the scripts that change the leased index, by what
-- enters and leaves it, and nowhere else.
-- Uses   gates task

local counted_names, counted_groups = NONE, NONE -- per call

local function tally(name, group, tasks)
  if counted_names == NONE then counted_names, counted_groups = {}, {} end
  counted_names[name] = (counted_names[name] or 0) + tasks
  if group ~= '' then counted_groups[group] = (counted_groups[group] or 0) + tasks end
end

local write_counts

do
  -- What waits at this gate is to look again now. Says how many gates that were.
  local function reopen(scope, only_far)
    local at = tonumber(call('ZSCORE', SHUT, scope) or nil)
    if not at or at <= NOW or (only_far and at ~= FAR) then return 0 end
    call('ZADD', SHUT, NOW, scope)
    return 1
  end

  local function write_count(scope, tasks)
    if call('HINCRBY', COUNTS, scope, tasks) <= 0 then call('HDEL', COUNTS, scope) end
    return tasks < 0 and queue.shut > 0 and reopen(scope, true) or 0
  end

  -- The first that is written, as nothing else looks at these keys before. Says how many gates may let tasks through again: as many who
  -- wait are to look.
  function write_counts()
    if counted_names == NONE then return 0 end
    local opened, ended = 0, false
    for name, tasks in pairs(counted_names) do
      opened, ended = opened + write_count('n' .. name, tasks), ended or tasks < 0
    end
    for group, tasks in pairs(counted_groups) do opened = opened + write_count('g' .. group, tasks) end
    if ended and queue.shut > 0 then opened = opened + reopen('q', true) end
    for scope, gate in pairs(gates_met) do
      local moved = gate.breaker and gate.breaker.changed and gate.left >= 1
      if (gate.taken < 0 or moved) and queue.shut > 0 then opened = opened + reopen(scope) end
    end
    return opened
  end
end
