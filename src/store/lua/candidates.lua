-- candidates: the groups that may have the next turn, in order.
-- Uses   draw lanes

-- Lanes whose scores in names:<name> are below the pass of their group, by name. `several` writes the pass.
local lagging_lanes = NONE -- per call
local LANES_MAX = 1000

-- Groups that this call has read: their pass, and whether they are parked or blocked now.
local groups_read = NONE -- per call

local function read_group(group, score)
  if groups_read == NONE then groups_read = {} end
  local g = groups_read[group]
  if g then return g end
  g = new_group(group, false)
  groups_read[group] = g
  score = score or tonumber(call('ZSCORE', TURN, group) or nil)
  if not score then return g end
  g.pass, g.parked, g.gate = score % PARKED, score >= PARKED, gated() and gate_of('g' .. group)
  g.blocked = g.gate and g.gate.left < 1
  return g
end

-- Reads many groups with a few commands.
local function read_groups(groups)
  local scopes, new = {}, {}
  for _, group in ipairs(groups) do
    if groups_read[group] == nil then
      new[#new + 1] = group
      scopes[#scopes + 1] = 'g' .. group
    end
  end
  if #new == 0 then return end
  if gated() then read_gates(scopes) end
  for i, pass in ipairs(call('ZMSCORE', TURN, unpack(new))) do
    if pass then read_group(new[i], tonumber(pass)) end
  end
end

-- Parked lanes that return to the rotation, with the pass of their group.
local returning_lanes = NONE -- per call
local function return_lane(g, member, name)
  if returning_lanes == NONE then returning_lanes = {} end
  returning_lanes[#returning_lanes + 1] = { group = g.group, member = member, priority = tonumber(string.match(member, '^%d+')), name = name,
    pass = g.stored_pass or g.pass, place = head_place(member .. '/' .. g.group) }
end

-- Returns the number of parked lanes. They have scores below zero, so they come first.
local function parked_lanes(name) return queue.shut > 0 and call('ZCOUNT', names_of(name), '-inf', '(0') or 0 end

-- Gates that are due for another look, and the names among them that let tasks through again.
local DUE_MAX = 256
local due_gates, reopened_names = NONE, NONE -- per call

-- Returns whether a group comes earlier: lower pass, then by name as Redis compares names. Lua compares texts
-- by the locale of the Redis process.
local function is_earlier(a, b)
  local p, q = a.stored_pass or a.pass, b.stored_pass or b.pass
  if p ~= q then return p < q end
  local x, y = a.group, b.group
  for i = 1, min(#x, #y) do
    local m, n = byte(x, i), byte(y, i)
    if m ~= n then return m < n end
  end
  return #x < #y
end

-- Lists the groups in rotation in their order, from where the last listing ended. Stops at `want` groups that
-- are not blocked. `turns_seen` is false once all are listed.
local turns_seen = 0 -- per call
local function list_turns(want, list)
  local open, size = 0, turns_seen == 0 and want or 32
  while turns_seen and open < want and parking_steps < PARKED_MAX do
    local page, ended = call('ZRANGE', TURN, numeral(turns_seen), numeral(turns_seen + size - 1), 'WITHSCORES'), false
    local scopes = {}
    for i = 1, #page, 2 do
      if tonumber(page[i + 1]) < PARKED then scopes[#scopes + 1] = 'g' .. page[i] end
    end
    read_gates(scopes)
    for i = 1, #page, 2 do
      local score = tonumber(page[i + 1])
      ended = score >= PARKED
      if ended then break end
      local g = read_group(page[i], score)
      list(g)
      if g.blocked then parking_steps = parking_steps + 1 else open = open + 1 end
    end
    turns_seen = not ended and #page == 2 * size and turns_seen + size
  end
end

-- Adds the next group to the candidates after one that had only blocked lanes, so that enough tasks can be
-- picked. Returns whether there was one.
local function extend_candidates(candidates, first)
  local before = #candidates
  if turns_seen then
    list_turns(1, function(g)
      if g.blocked or g.start then return end
      open_group(g, nil, 1)
      -- Inserts the group before those that had a turn in this call, and among the others where it would have
      -- been from the beginning.
      local at = #candidates
      while at >= first and (candidates[at].pass > g.pass or (candidates[at].pass == g.pass and (candidates[at].pass > candidates[at].start or is_earlier(g, candidates[at])))) do
        candidates[at + 1] = candidates[at]
        at = at - 1
      end
      candidates[at + 1] = g
    end)
  end
  return #candidates > before
end

-- Finds candidates by name, or where gates block some of them.
local function search_candidates(want, names)
  local listed, is_listed, wanted = {}, {}, nil

  local function list(g)
    if not g.pass or is_listed[g.group] then return end
    is_listed[g.group] = true
    listed[#listed + 1] = g
  end

  -- Reads the gates that are due for another look.
  local function look_again()
    due_gates, reopened_names = {}, {}
    local scopes = call('ZRANGEBYSCORE', SHUT, '-inf', NOW, 'LIMIT', 0, DUE_MAX)
    read_gates(scopes)
    for _, scope in ipairs(scopes) do
      local kind, of = sub(scope, 1, 1), sub(scope, 2)
      if kind ~= 'n' or not wanted or wanted[of] then
        local gate = gate_of(scope)
        due_gates[#due_gates + 1] = gate
        if gate.left >= 1 and kind == 'n' then reopened_names[#reopened_names + 1] = of end
        if gate.left >= 1 and kind == 'g' then
          read_group(of).due = true
          if not wanted then list(groups_read[of]) end
        end
      end
    end
  end

  -- Lists the groups that have lanes of the name, by rank from `from` to `to`: the parked lanes or the
  -- others. Scores are lower bounds of passes, so reading stops where no later group can come before the
  -- `want` groups found. It stops at LANES_MAX lanes, too; the rest is left to another call. A parked lane
  -- whose group is blocked returns: from now on it waits for the group.
  local function list_name(name, from, to, parked)
    local size, looked, off, mine = want + 32, 0, parked and PARKED or 0, {}
    while from <= to do
      local page = call('ZRANGE', names_of(name), from, to < math.huge and min(from + size - 1, to) or from + size - 1, 'WITHSCORES')
      local last, enough, groups = 0, 0, {}
      for i = 1, #page, 2 do groups[#groups + 1] = string.match(page[i], '/(.*)$') end
      read_groups(groups)
      for i = 1, #page, 2 do
        local priority, group = string.match(page[i], '^(%d+)/(.*)$')
        local g = read_group(group)
        last = tonumber(page[i + 1]) + off
        if parked and g.blocked then
          if parking_steps < PARKED_MAX then
            parking_steps = parking_steps + 1
            return_lane(g, priority .. '/' .. name, name)
          end
        elseif g.pass then
          if parked then
            g.parked_members = g.parked_members or {}
            g.parked_members[#g.parked_members + 1] = priority .. '/' .. name
          end
          list(g)
          if not g.blocked then mine[g] = true end
          if last < g.pass then
            if lagging_lanes == NONE then lagging_lanes = {} end
            gather(lagging_lanes, name, g.pass - off)
            gather(lagging_lanes, name, page[i])
          end
        end
      end
      from, looked = from + size, looked + #page / 2
      for g in pairs(mine) do
        if g.pass <= last then enough = enough + 1 end
      end
      if #page < 2 * size or enough >= want or looked >= LANES_MAX then return end
    end
  end

  if #names > 0 then
    wanted = {}
    for _, name in ipairs(names) do wanted[name] = true end
  end
  if queue.shut > 0 then look_again() end
  if not wanted then
    for _, name in ipairs(reopened_names) do list_name(name, 0, parked_lanes(name) - 1, true) end
    list_turns(want, list)
    more_candidates = extend_candidates
  else
    turns_seen = false
    for _, name in ipairs(names) do
      if not gated() or gate_of('n' .. name).left >= 1 then
        local parked = parked_lanes(name)
        list_name(name, 0, parked - 1, true)
        list_name(name, parked, math.huge, false)
      end
    end
  end
  table.sort(listed, is_earlier)
  local candidates, groups = {}, {}
  for i, g in ipairs(listed) do groups[i] = g.group end
  read_strides(groups)
  for _, g in ipairs(listed) do
    if not g.blocked then candidates[#candidates + 1] = open_group(g, wanted, want) end
  end
  return candidates
end

-- Returns the candidates, lowest pass first. `want` picks cannot touch more than `want` groups.
local function open_candidates(want, names)
  if #names > 0 or gated() then return search_candidates(want, names) end
  local candidates, page, groups = {}, call('ZRANGE', TURN, '0', numeral(want - 1), 'WITHSCORES'), {}
  for i = 1, #page, 2 do groups[#groups + 1] = page[i] end
  read_strides(groups)
  for i = 1, #page, 2 do candidates[#candidates + 1] = open_group(new_group(page[i], tonumber(page[i + 1])), nil, want) end
  return candidates
end
