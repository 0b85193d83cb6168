-- counts: how many tasks of a name and of a group are leased (I21). They change in the scripts that change the leased index, by what
-- enters and leaves it, and nowhere else.
-- Uses   gates task

local counted_names, counted_groups = NONE, NONE -- per call

local function tally(name, group, tasks)
  if counted_names == NONE then counted_names, counted_groups = {}, {} end
  counted_names[name] = (counted_names[name] or 0) + tasks
  if group ~= '' then counted_groups[group] = (counted_groups[group] or 0) + tasks end
end

-- Leases of these tasks end. Where all that are leased have one name and one group, the counts tell these; else the records do.
local function count_out(ids)
  local counts = call('HLEN', COUNTS) <= 2 and call('HGETALL', COUNTS) or NONE
  if #counts == 2 then return tally(sub(counts[1], 2), '', -#ids) end
  if #counts == 4 and counts[2] == counts[4] and byte(counts[1]) ~= byte(counts[3]) then
    local name, group = sub(counts[1], 2), sub(counts[3], 2)
    if byte(counts[1]) == 103 then name, group = group, name end
    return tally(name, group, -#ids)
  end
  if #ids == 0 then return end
  for _, rec in ipairs(call('HMGET', REC, unpack(ids))) do
    if rec then
      local name, group = lane_of(rec)
      tally(name, group, -1)
    end
  end
end

-- Grants that their callers never got have not passed.
local function refund(name, group)
  for _, scope in ipairs({ 'q', 'n' .. name, 'g' .. group }) do
    if limited(scope) then pass_gate(gate_of(scope), -1) end
  end
end

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
local function write_counts()
  if counted_names == NONE then return 0 end
  local freed, ended = 0, false
  for name, tasks in pairs(counted_names) do
    freed, ended = freed + write_count('n' .. name, tasks), ended or tasks < 0
  end
  for group, tasks in pairs(counted_groups) do freed = freed + write_count('g' .. group, tasks) end
  if ended and queue.shut > 0 then freed = freed + reopen('q', true) end
  for scope, gate in pairs(gates) do
    if gate.taken < 0 and queue.shut > 0 then freed = freed + reopen(scope) end
  end
  return freed
end
