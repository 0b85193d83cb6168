-- counts: the number of leased tasks of each name and each group (I21). Only scripts that change the leased
-- index change it, by the tasks that enter and leave that index.
-- Uses   gates task

local counted = NONE -- per call

-- Counts tasks that are leased, or fewer than none that are leased no more. `name` is nil and `group` is ''
-- if they were counted before.
local function tally(name, group, tasks)
  if counted == NONE then counted = {} end
  if name then
    local scope = 'n' .. name
    counted[scope] = (counted[scope] or 0) + tasks
  end
  if group ~= '' then
    local scope = 'g' .. group
    counted[scope] = (counted[scope] or 0) + tasks
  end
end

local write_counts

do
  local function add(scope)
    if call('HINCRBY', COUNTS, scope, numeral(counted[scope])) <= 0 then call('HDEL', COUNTS, scope) end
  end

  -- `known` has the stored counts of the scopes that the caller has read, as texts.
  local function write_sums(scopes, known)
    local one, other = scopes[1], scopes[2]
    -- One scope, the usual case: HINCRBY saves a read. A name and its group: same cost, but Redis adds.
    if #scopes == 1 and not known[one] then return add(one) end
    if #scopes == 2 and known == NONE and counted[one] > 0 and counted[other] > 0 then
      add(one)
      return add(other)
    end
    local sums, gone = {}, {}
    for from = 1, #scopes, 400 do
      local to = min(from + 399, #scopes)
      local stored = known == NONE and call('HMGET', COUNTS, unpack(scopes, from, to))
      for i = from, to do
        local scope = scopes[i]
        local before, sum = stored and stored[i - from + 1] or known[scope], counted[scope]
        if before then sum = sum + tonumber(before) end
        if sum > 0 then
          sums[#sums + 1] = scope
          sums[#sums + 1] = numeral(sum)
        else
          gone[#gone + 1] = scope
        end
      end
    end
    many('HSET', COUNTS, sums)
    many('HDEL', COUNTS, gone)
  end

  -- Makes these gates due for another look. `gates` maps scope -> true if it is due only when it waits for an
  -- event. Returns how many became due.
  local function reopen(gates)
    local scopes, looks = {}, {}
    for scope in pairs(gates) do scopes[#scopes + 1] = scope end
    for from = 1, #scopes, 400 do
      local to = min(from + 399, #scopes)
      for i, at in ipairs(call('ZMSCORE', SHUT, unpack(scopes, from, to))) do
        local scope = scopes[from + i - 1]
        at = tonumber(at or nil)
        if at and at > NOW and (at == FAR or not gates[scope]) then
          looks[#looks + 1] = NOW
          looks[#looks + 1] = scope
        end
      end
    end
    many('ZADD', SHUT, looks)
    return #looks / 2
  end

  -- Writes the counts. Must be the first write of a script, as nothing else reads these keys before. `known`
  -- has the stored counts, by scope, if the caller has read those of all scopes. Returns how many gates may
  -- let tasks through again, which is how many waiters should look.
  function write_counts(known)
    if counted == NONE then return 0 end
    local scopes, gates = {}, {}
    for scope, tasks in pairs(counted) do
      if tasks ~= 0 then scopes[#scopes + 1] = scope end
      if tasks < 0 then gates[scope] = true end
    end
    write_sums(scopes, known or NONE)
    if queue.shut == 0 then return 0 end
    if next(gates) then gates.q = true end
    for scope, gate in pairs(gates_read) do
      local moved = gate.breaker and gate.breaker.changed and gate.left >= 1
      if gate.taken < 0 or moved then gates[scope] = false end
    end
    return reopen(gates)
  end
end
